"""The dynamic-block GAN and its ablations: Eqs. 1 to 3 against a slow transcription, the pipeline, and the training as it is run.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
import math

import pytest
import torch
from conftest import STORY, TINY_DYNAMIC_BLOCK, calls_seen_by_hooks, sentences_of, tiny_text_encoder

from story_ldm.encoders.damsm import DAMSMTextEncoder
from story_ldm.encoders.sentence_vectors import read_words, tokens_of
from story_ldm.pipelines import DynamicBlockGANPipeline
from story_ldm.systems.dynamic_block_gan.choices import choices_of, columns_of, plot
from story_ldm.systems.dynamic_block_gan.networks import (
    ATTENTIONS,
    SYSTEMS,
    DynamicBlock,
    DynamicBlockDiscriminator,
    DynamicBlockGAN,
    attend,
    choice,
    correlation,
    gumbel_noise,
)
from story_ldm.systems.dynamic_block_gan.presets import PRESETS, PUBLISHED, parameter_counts, parameter_table
from story_ldm.systems.gans import discriminator_loss, generator_loss
from story_ldm.training.checkpoints import save_component

D, T, L = 6, 3, 7
CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_gan(attention: str = "both", width: int = D, norm: str = "group") -> DynamicBlockGAN:
    """With blocks that count for something, and that choose both attentions."""
    torch.manual_seed(0)
    gan = DynamicBlockGAN(**TINY_DYNAMIC_BLOCK["generator"], attention=attention, sentence_width=width, norm=norm).eval()
    return strong(gan)


def tiny_judge(attention: str = "both", norm: str = "group") -> DynamicBlockDiscriminator:
    torch.manual_seed(0)
    judge = DynamicBlockDiscriminator(**TINY_DYNAMIC_BLOCK["discriminator"], attention=attention, sentence_width=D, norm=norm).eval()
    return judge if norm == "spectral" else strong(judge)


def strong(network):
    for block in network.blocks.values():
        torch.nn.init.normal_(block.image.weight, std=0.5)
        torch.nn.init.normal_(block.out.weight, std=0.5)
    return network


def texts(stories: int = 4, frames: int = T, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sentences, words and mask: sentences of different lengths, padded with numbers that must not count."""
    source = seeded(seed)
    lengths = torch.randint(1, L + 1, (stories, frames, 1), generator=source)
    return torch.randn(stories, frames, D, generator=source), torch.randn(stories, frames, L, D, generator=source), torch.arange(L) < lengths


def noise_for(network, stories: int = 4, frames: int = T) -> torch.Tensor:
    return gumbel_noise((stories, frames, len(network.blocks), 2), seeded(3))


# --- the equations ---------------------------------------------------------------------------------------------------------------------


def attention_by_hand(a, b):
    """β = softmax(a bᵀ), h = β b of one frame, one pixel and one word after another: (P, C), (L, C) → (P, C)."""
    h = []
    for pixel in a:
        weights = [math.exp(sum(float(x * y) for x, y in zip(pixel, word, strict=True))) for word in b]
        h.append(sum(weight / sum(weights) * word for weight, word in zip(weights, b, strict=True)))
    return torch.stack(h)


def choice_by_hand(w, z_sa, z_wsa, temperature):
    """Eq. 1"""
    sa, wsa = math.exp((math.log(w) + z_sa) / temperature), math.exp((math.log(1 - w) + z_wsa) / temperature)
    return sa / (sa + wsa), wsa / (sa + wsa)


@torch.no_grad()
def block_by_hand(block: DynamicBlock, x, words, mask, gumbel):
    """One frame after another: x (N, C, H, W), words (N, L, D), mask (N, L), z (N, 2) or None."""
    out = x.clone()
    for n in range(len(x)):
        pixels = x[n].flatten(1).T  # (P, C)
        a = pixels @ block.image.weight[:, :, 0, 0].T + block.image.bias
        if block.attention != "sa":
            b = words[n][mask[n]] @ block.words.weight.T + block.words.bias  # the real words alone
        if block.attention == "both":
            w = 1 / (1 + math.exp(-float(a.mean(0) @ b.mean(0))))
            p_sa, p_wsa = choice_by_hand(w, *(gumbel[n].tolist() if gumbel is not None else (0.0, 0.0)), block.temperature)
            h_sa, h_wsa = attention_by_hand(a, a), attention_by_hand(a, b)
            h = p_sa * h_sa + p_wsa * h_wsa if gumbel is not None else (h_sa if p_sa > p_wsa else h_wsa)
        else:
            h = attention_by_hand(a, a if block.attention == "sa" else b)
        out[n] += (h @ block.out.weight[:, :, 0, 0].T + block.out.bias).T.reshape(x[n].shape)
    return out


def block_inputs(attention: str = "both", temperature: float = 0.7):
    torch.manual_seed(0)
    block = DynamicBlock(5, D, 4, attention, temperature)
    torch.nn.init.normal_(block.image.weight, std=0.6)
    _, words, mask = texts(6, 1)
    return block, torch.randn(6, 5, 3, 2), words[:, 0], mask[:, 0], gumbel_noise((6, 2), seeded(4))


@pytest.mark.parametrize("attention", ["both", "sa", "wsa"])
@torch.no_grad()
def test_equations_soft_and_hard(attention):
    """Eqs. 1 to 3 and both attentions, with given noise and without any."""
    block, x, words, mask, gumbel = block_inputs(attention)
    for noise in (gumbel, None):
        actual, ab = block(x, words, mask, noise)
        torch.testing.assert_close(actual, block_by_hand(block, x, words, mask, noise))
    if attention == "both":
        assert 0 < (ab > 0).sum() < len(ab), "both are chosen here"
        soft, hard = block(x, words, mask, gumbel)[0], block(x, words, mask, None)[0]
        assert not torch.allclose(soft, hard)
    else:
        assert torch.equal(actual, block(x, words, mask, gumbel)[0]) and not ab.any()


def test_choice():
    ab, z = torch.tensor([-3.0, -0.1, 0.0, 0.4, 90.0]), gumbel_noise((5, 2), seeded())
    for temperature in (0.5, 1.0, 3.0):
        p = choice(ab, z, temperature)
        for n in range(4):
            expected = choice_by_hand(torch.sigmoid(ab[n]).item(), *z[n].tolist(), temperature)
            torch.testing.assert_close(p[n], torch.tensor(expected))
    assert torch.isfinite(choice(ab, z, 0.1)).all(), "where log(1 - w) is beyond float32, too"
    same = z[:, :1].expand(-1, 2)  # Eq. 1 as it is printed: one z, which cancels out
    torch.testing.assert_close(choice(ab, same, 1.0), choice(ab, None, 1.0))
    torch.testing.assert_close(choice(ab, None, 1.0)[:, 0], torch.sigmoid(ab))
    many = gumbel_noise((100_000,), seeded())
    assert torch.isfinite(many).all() and abs(many.mean() - 0.5772) < 0.02 and abs(many.var() - math.pi**2 / 6) < 0.05
    chosen = (torch.tensor(0.8).logit().expand(50_000, 1), gumbel_noise((50_000, 2), seeded(1)))
    assert abs((choice(chosen[0][:, 0], chosen[1], 0.1)[:, 0] > 0.5).float().mean() - 0.8) < 0.01, "SA is chosen with probability w"


def test_the_gradient_flows_through_the_soft_choice():
    ab, z = torch.tensor([-1.0, 0.3], dtype=torch.double, requires_grad=True), gumbel_noise((2, 2), seeded()).double()
    assert torch.autograd.gradcheck(lambda x: choice(x, z, 0.7), ab)
    block, x, words, mask, gumbel = block_inputs()
    a = block.image(x).flatten(2).mT
    attended = [attend(a, a).detach(), attend(a, block.words(words), mask).detach()]  # of the choice alone
    p = choice(correlation(a, block.words(words), mask), gumbel, block.temperature)
    (p[:, 0, None, None] * attended[0] + p[:, 1, None, None] * attended[1]).square().sum().backward()
    assert all(weight.grad.any() for weight in (block.image.weight, block.words.weight))


@torch.no_grad()
def test_the_hard_choice_is_deterministic():
    gan, (sentences, words, mask) = tiny_gan(), texts()
    story_noise = gan.draw_noise(4, seeded(2))
    state = torch.get_rng_state()
    first, second = gan(sentences, words, mask, story_noise), gan.train()(sentences, words, mask, story_noise)
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), state)
    soft = [gan(sentences, words, mask, story_noise, noise) for noise in (noise_for(gan), noise_for(gan), 2 * noise_for(gan))]
    assert torch.equal(soft[0], soft[1]) and not torch.equal(soft[0], soft[2]) and not torch.equal(soft[0], first)


@torch.no_grad()
def test_the_hard_choice_is_made_in_float32():
    """Where p(SA) and p(WSA) are the same number of bfloat16, it is the one that `choices` counts."""
    block, x, words, mask, _ = block_inputs()
    block.image.bias.zero_()
    block.words.bias.zero_()
    x = 0.02 * x
    block = block.bfloat16()
    actual, its_ab = block(x.bfloat16(), words.bfloat16(), mask, None)
    p = choice(its_ab, None, 1.0).bfloat16()
    assert ((p[:, 0] == p[:, 1]) & (its_ab > 0)).any(), "a case in which they are"
    a = block.image(x.bfloat16()).flatten(2).mT
    h = torch.where((its_ab > 0)[:, None, None], attend(a, a), attend(a, block.words(words.bfloat16()), mask))
    assert torch.equal(actual, x.bfloat16() + block.out(h.mT.unflatten(2, x.shape[2:])))


@pytest.mark.parametrize("hard", [False, True])
@torch.no_grad()
def test_masked_words_have_no_effect(hard):
    gan, judge, (sentences, words, mask) = tiny_gan(), tiny_judge(), texts()
    story_noise, frames = gan.draw_noise(4, seeded(2)), torch.rand(4, T, 3, 16, 16, generator=seeded(5)) * 2 - 1
    for_gan, for_judge = (None, None) if hard else (noise_for(gan), noise_for(judge))
    read = lambda w, m: (gan(sentences, w, m, story_noise, for_gan), judge(frames, (sentences, w, m, for_judge))[0])  # noqa: E731
    before = read(words, mask)
    other = torch.where(mask[..., None], words, 100 * torch.randn(words.shape, generator=seeded(6)))
    longer = torch.cat([words, torch.full((4, T, 3, D), 7.0)], 2), torch.cat([mask, torch.zeros(4, T, 3, dtype=torch.bool)], 2)
    for changed in ((other, mask), longer):
        torch.testing.assert_close(read(*changed), before, **CLOSE)
    counted = read(words + mask[..., None], mask)
    assert not torch.allclose(counted[0], before[0]) and not torch.allclose(counted[1], before[1])


# --- the networks ------------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_generator():
    gan, (sentences, words, mask) = tiny_gan(), texts(2, 5)
    story_noise, gumbel = gan.draw_noise(2, seeded(2)), noise_for(gan, 2, 5)
    frames = gan(sentences, words, mask, story_noise, gumbel)
    assert frames.shape == (2, 5, 3, 16, 16) and frames.abs().max() <= 1 and gan.draw_gumbel(2, 5).shape == gumbel.shape == (2, 5, 2, 2)
    for k in range(5):  # no later sentence is seen, and the words of a sentence by its own frame only
        changed = sentences.clone()
        changed[:, k] += 1
        after = gan(changed, words, mask, story_noise, gumbel)
        torch.testing.assert_close(after[:, :k], frames[:, :k], **CLOSE)
        assert all(not torch.allclose(after[:, m], frames[:, m], **CLOSE) for m in range(k, 5)), "every later frame knows of it"
    other = words.clone()
    other[0, 2] += 1
    after = gan(sentences, other, mask, story_noise, gumbel)
    moved = [(n, m) for n in range(2) for m in range(5) if not torch.allclose(after[n, m], frames[n, m], **CLOSE)]
    assert moved == [(0, 2)]
    drawn = gan(sentences, words, mask, story_noise + torch.tensor([[1.0], [0.0]]), gumbel)
    assert all(not torch.allclose(drawn[0, m], frames[0, m], **CLOSE) for m in range(5)), "the story's noise is that of all its frames"
    torch.testing.assert_close(drawn[1], frames[1], **CLOSE)


@pytest.mark.parametrize("attention", ["both", "none"])
@torch.no_grad()
def test_discriminator(attention):
    """Three judgements in one call; each story for itself; a frame among those of its story."""
    judge = tiny_judge(attention)
    frames, fake = (torch.rand(4, T, 3, 16, 16, generator=seeded(n)) * 2 - 1 for n in range(2))
    own, wrong = ((*texts(seed=seed), noise_for(judge)) for seed in (1, 2))
    actual = judge(frames, own, wrong, fake)
    for logits, (x, condition) in zip(actual, [(frames, own), (frames, wrong), (fake, own)], strict=True):
        assert logits.shape == (4 * T,) and logits.dtype == torch.float32
        torch.testing.assert_close(logits, judge(x, condition)[0], **CLOSE)
        alone = torch.cat([judge(x[n : n + 1], tuple(part[n : n + 1] for part in condition))[0] for n in range(4)])
        torch.testing.assert_close(logits, alone, **CLOSE)
    mixed = frames.clone()
    mixed[0, 1] = frames[1, 1]  # a frame of another story
    assert all(judge(mixed, own)[0][m] != actual[0][m] for m in range(T)) and torch.equal(judge(mixed, own)[0][2 * T :], actual[0][2 * T :])


@pytest.mark.parametrize("norms", [("group", "group"), ("batch", "batch"), ("batch", "spectral")])
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_parameter_gets_a_gradient(system, norms):
    """In each of the two backwards its own network's, whatever is switched off: DDP refuses parameters that have none."""
    gan, judge = tiny_gan(SYSTEMS[system][0], norm=norms[0]).train(), tiny_judge(SYSTEMS[system][1], norms[1]).train()
    own, wrong = texts(), texts(seed=2)
    fake = gan(*own, gan.draw_noise(4, seeded(2)), noise_for(gan))
    real = torch.rand(fake.shape, generator=seeded()) * 2 - 1
    loss, _ = discriminator_loss(*judge(real, (*own, noise_for(judge)), (*wrong, noise_for(judge)), fake.detach()))
    loss.backward()
    assert all(weight.grad is None for weight in gan.parameters())
    actual = {name: weight.grad for name, weight in judge.named_parameters()}
    generator_loss(judge(fake, (*own, noise_for(judge)))[0]).backward()
    actual |= {name: weight.grad for name, weight in gan.named_parameters()}
    assert [name for name, gradient in actual.items() if gradient is None or not gradient.any()] == []


def test_what_the_ablations_have():
    with torch.device("meta"):
        networks = {name: (DynamicBlockGAN(attention=of[0]), DynamicBlockDiscriminator(attention=of[1])) for name, of in SYSTEMS.items()}
    blocks = {name: tuple(len(network.blocks) for network in pair) for name, pair in networks.items()}
    assert blocks == dict.fromkeys(SYSTEMS, (3, 3)) | {"no-attention": (0, 0), "no-block-in-g": (0, 3), "no-block-in-d": (3, 0)}
    for network, order in zip(networks["dynamic-block"], ([4, 8, 16], [16, 8, 4]), strict=True):
        assert network.levels.sizes(network.blocks) == order
    names = {name: {part for part, _ in pair[0].blocks["4"].named_children()} for name, pair in networks.items() if len(pair[0].blocks)}
    assert names["sa-only"] == {"image", "out"} and names["wsa-only"] == names["dynamic-block"] == {"image", "words", "out"}
    assert ATTENTIONS == ("both", "sa", "wsa", "none")
    for wrong, message in (
        ({"attention": "all"}, "attention is 'all'; it must be one of both, sa, wsa, none"),
        ({"attention_sizes": (4, 7)}, "attention_sizes has 7; maps have the sizes 4, 8, 16, 32"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be above 0"),
    ):
        with pytest.raises(AssertionError, match=message):
            DynamicBlockGAN(**wrong)


def test_sizes():
    counts = parameter_counts("pororo")
    for actual, published in zip(counts.values(), PUBLISHED["pororo"], strict=True):
        assert abs(actual / 1e6 / published - 1) < 0.03
    assert parameter_table().count("\n") == 1 + len(PRESETS) and "| 25.1 M | 23.5 M |" in parameter_table()
    for preset in PRESETS.values():
        for network in ("generator", "discriminator"):
            assert preset()["resolution"] == 4 * 2 ** len(preset()[network]["block_out_channels"])


def test_choices(tmp_path):
    """Counted by block, named by network and size, and drawn."""
    ab = torch.tensor([[2.0, -1.0], [-2.0, -1.0], [1.0, -3.0], [1.0, 0.0]])
    actual = choices_of(ab)
    assert actual[0::2] == [0.75, 0.0] and abs(actual[1] - ab[:, 0].sigmoid().mean()) < 1e-6
    columns = columns_of({"generator": [4, 8], "discriminator": [8]})
    assert columns[:3] == ["stories seen", "SA generator 4", "w generator 4"] and columns[-1] == "w discriminator 8" and len(columns) == 7
    file = tmp_path / "choices.json"
    file.write_text(json.dumps({"columns": columns, "rows": [[50, *actual, 0.5, 0.5], [100, *actual, 0.2, 0.4]]}))
    plot(file, tmp_path / "choices.png")
    assert (tmp_path / "choices.png").stat().st_size > 5000
    file.write_text(json.dumps({"columns": columns, "rows": []}))
    with pytest.raises(SystemExit, match="has no rows yet"):
        plot(file, tmp_path / "none.png")


# --- the pipeline ------------------------------------------------------------------------------------------------------------------------


def tiny_pipeline(tokenizer, attention: str = "both") -> DynamicBlockGANPipeline:
    torch.manual_seed(0)
    text_encoder = DAMSMTextEncoder(len(tokenizer), width=D, embedding_width=8).eval()
    return DynamicBlockGANPipeline(dynamic_block_gan=tiny_gan(attention), text_encoder=text_encoder, tokenizer=tokenizer)


def test_words(tokenizer):
    encoder = tiny_pipeline(tokenizer).text_encoder
    ids, mask = tokens_of(encoder, tokenizer, STORY)
    words, sentences = read_words(encoder, ids, mask)
    torch.testing.assert_close(words.square().mean(-1), mask.float())
    torch.testing.assert_close(sentences.square().mean(-1), torch.ones(4))
    own_words, own_sentence = encoder(ids[1:2, : mask[1].sum()], mask[1:2, : mask[1].sum()])
    torch.testing.assert_close(words[1, : mask[1].sum()], own_words[0] / own_words[0].square().mean(-1, keepdim=True).sqrt(), **CLOSE)
    torch.testing.assert_close(sentences[1], own_sentence[0] / own_sentence.square().mean().sqrt(), **CLOSE)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_stories_of_a_batch_are_those_drawn_alone(attention, tokenizer):
    """Invariant 2, for stories of different lengths, each with its own generator; and a story begins as its beginning is drawn alone."""
    pipe, stories = tiny_pipeline(tokenizer, attention), [STORY, STORY[:1], STORY[1:], sentences_of(1, length=70)[0]]
    together = pipe(stories, generator=[seeded(n) for n in range(4)], output_type="pt").frames
    for n, story in enumerate(stories):
        alone = pipe(story, generator=seeded(n), output_type="pt").frames
        assert len(alone) == 1 and together[n].shape == (len(story), 3, 16, 16)
        torch.testing.assert_close(together[n], alone[0], **CLOSE)
        torch.testing.assert_close(together[n][:2], pipe(story[:2], generator=seeded(n), output_type="pt").frames[0], **CLOSE)


def test_an_offloaded_pipeline_is_moved(tokenizer):
    """diffusers puts a hook on each part, which moves it before it is called."""
    pipe = tiny_pipeline(tokenizer)
    moved = calls_seen_by_hooks(pipe.text_encoder, pipe.dynamic_block_gan)
    frames = pipe(STORY, generator=seeded(), output_type="pt").frames[0]
    assert moved == ["DAMSMTextEncoder", "DynamicBlockGAN", "DynamicBlockGAN"]
    assert torch.equal(frames, tiny_pipeline(tokenizer)(STORY, generator=seeded(), output_type="pt").frames[0])


def test_noise_and_outputs(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    draw = lambda kind="pt", **kwargs: pipe(STORY, output_type=kind, **kwargs).frames[0]  # noqa: E731
    tensor = draw(generator=seeded(3))
    assert torch.equal(draw(generator=seeded(3)), tensor) and not torch.equal(draw(generator=seeded(4)), tensor)
    noise = torch.randn(1, 4, generator=seeded(3))
    assert torch.equal(draw(latents=noise), tensor) and not torch.equal(draw(latents=noise + 1), tensor)
    pil, array = draw("pil", latents=noise), draw("np", latents=noise)
    assert [frame.size for frame in pil] == [(16, 16)] * 4 and array.shape == (4, 16, 16, 3) and 0 <= array.min() <= array.max() <= 1
    torch.testing.assert_close(torch.from_numpy(array).permute(0, 3, 1, 2), tensor)
    (frames,) = pipe([STORY, STORY[:2]], return_dict=False)
    assert [len(story) for story in frames] == [4, 2]


@pytest.mark.parametrize(
    ("sentences", "kwargs", "message"),
    [
        ([], {}, r"sentences is \[\]; it must be a list of sentences"),
        ([STORY, []], {}, "story 1 is .* at least one sentence"),
        (["She waves.", " "], {}, "sentence 1 of story 0 is ' '"),
        ([STORY, STORY], {"generator": [torch.Generator()]}, "generator is a list of 1; .* each of the 2 stories"),
        (STORY, {"output_type": "latent"}, "output_type is 'latent'; it must be one of pil, np, pt"),
        (STORY, {"latents": torch.zeros(4, 4)}, r"latents has the shape \(4, 4\); these stories need \(1, 4\)"),
    ],
)
def test_bad_input(sentences, kwargs, message, tokenizer):
    with pytest.raises(ValueError, match=message):
        tiny_pipeline(tokenizer)(sentences, **kwargs)


def test_saved_and_opened(tokenizer, tmp_path):
    """Invariant 4, for each attention, and with a transformers model as text encoder."""
    pipes = [tiny_pipeline(tokenizer, attention) for attention in ATTENTIONS]
    pipes.append(DynamicBlockGANPipeline(dynamic_block_gan=tiny_gan(width=8), text_encoder=tiny_text_encoder(tokenizer), tokenizer=tokenizer))
    for n, pipe in enumerate(pipes):
        pipe.save_pretrained(tmp_path / str(n), safe_serialization=True)
        assert {file.suffix for file in (tmp_path / str(n)).rglob("*") if file.is_file()} <= {".safetensors", ".json", ".txt", ".py"}
        opened, again = (DynamicBlockGANPipeline.from_pretrained(tmp_path / str(n)) for _ in range(2))
        saved, actual = (p.dynamic_block_gan.state_dict() for p in (pipe, opened))
        assert list(saved) == list(actual) and all(torch.equal(actual[name], value) for name, value in saved.items())
        assert opened.dynamic_block_gan.config.attention == pipe.dynamic_block_gan.config.attention and not opened.dynamic_block_gan.training
        frames = [p(STORY, generator=seeded(), output_type="pt").frames[0] for p in (pipe, opened, again)]
        torch.testing.assert_close(frames[0], frames[1], **CLOSE)  # tensors of a file lie at other addresses: last bits differ
        torch.testing.assert_close(frames[1], frames[2], atol=1e-6, rtol=1e-6)
    judge = tiny_judge()
    save_component(judge, tmp_path / "judge")
    opened = DynamicBlockDiscriminator.from_pretrained(tmp_path / "judge")
    assert all(torch.equal(value, judge.state_dict()[name]) for name, value in opened.state_dict().items())
