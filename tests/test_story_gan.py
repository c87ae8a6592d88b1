"""StoryGAN and its reductions: every equation against a slow transcription, the pipeline, and the training as it is run."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate.hooks import ModelHook, add_hook_to_module
from conftest import STORY, TINY_GAN, sentences_of, tiny_text_encoder

from pipelines import StoryGANPipeline
from story_ldm.gans.damsm import DAMSMTextEncoder
from story_ldm.gans.dynamic_block import DynamicBlockDiscriminator, DynamicBlockGAN
from story_ldm.gans.norms import BatchNorm, norm_layer, settle_statistics
from story_ldm.gans.presets import (
    PRESETS,
    PUBLISHED,
    at_resolution,
    dynamic_block_toon_64,
    parameter_counts,
    parameter_table,
    toon_64,
)
from story_ldm.gans.sentences import load_sentence_encoder, read_words, sentence_vectors, story_vectors, tokens_of
from story_ldm.gans.story_gan import (
    SYSTEMS,
    DynamicFilter,
    ImageDiscriminator,
    StoryDiscriminator,
    StoryEncoder,
    StoryGAN,
    Text2Gist,
    discriminator_loss,
    generator_loss,
    kl_divergence,
)
from story_ldm.train_utils import save_component

D, T = 6, 3
CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_gan(system: str = "story-gan", norm: str = "group") -> StoryGAN:
    torch.manual_seed(0)
    return StoryGAN(**TINY_GAN["story_gan"], system=system, norm=norm, sentence_width=D).eval()


def tiny_judges(norm: str = "group") -> dict[str, ImageDiscriminator | StoryDiscriminator]:
    torch.manual_seed(0)
    image = ImageDiscriminator(**TINY_GAN["image_discriminator"], sentence_width=D, width=16, norm=norm)
    return {"image": image.eval(), "story": StoryDiscriminator(**TINY_GAN["story_discriminator"], sentence_width=D, story_length=T, norm=norm).eval()}


def inputs(gan: StoryGAN, stories: int = 3, frames: int = T) -> tuple[torch.Tensor, ...]:
    """Sentences and all noise."""
    return torch.randn(stories, frames, D, generator=seeded(1)), *gan.draw_noise(stories, frames, seeded(2))


# --- the equations ---------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def text2gist_step(cell: Text2Gist, i, h):
    (w_z, w_r, w_h), (b_z, b_r, b_h) = cell.w.weight.chunk(3), cell.w.bias.chunk(3)
    u_z, u_r = cell.u.weight.chunk(2)
    z = torch.sigmoid(w_z @ i + u_z @ h + b_z)
    r = torch.sigmoid(w_r @ i + u_r @ h + b_r)
    return (1 - z) * h + z * torch.tanh(w_h @ i + cell.u_h.weight @ (r * h) + b_h)


@torch.no_grad()
def gru_step(gru, x, g):
    (w_r, w_z, w_n), (b_r, b_z, b_n) = gru.weight_ih_l0.chunk(3), gru.bias_ih_l0.chunk(3)
    (u_r, u_z, u_n), (c_r, c_z, c_n) = gru.weight_hh_l0.chunk(3), gru.bias_hh_l0.chunk(3)
    r = torch.sigmoid(w_r @ x + b_r + u_r @ g + c_r)
    z = torch.sigmoid(w_z @ x + b_z + u_z @ g + c_z)
    return (1 - z) * torch.tanh(w_n @ x + b_n + r * (u_n @ g + c_n)) + z * g


@torch.no_grad()
def filter_by_hand(layer: DynamicFilter, i, h):
    """One filter, one stop, one number after another."""
    filters = layer.net(i[None])[0].view(16, -1)
    out = []
    for taps in filters:
        for stop in range(len(h) // layer.stride):
            places = [stop * layer.stride + k - layer.padding for k in range(len(taps))]
            out.append(sum(taps[k] * h[place] for k, place in enumerate(places) if 0 <= place < len(h)))
    return torch.stack(out)


@torch.no_grad()
def gists_by_hand(gan, sentences, code, state_noise, frame_noise):
    """The context encoder, one story and one sentence after another."""
    out = torch.zeros(*sentences.shape[:2], 16 * gan.config.gist_channels)
    for n, story in enumerate(sentences):
        g, h = state_noise[n], code[n]
        for t, sentence in enumerate(story):
            x = torch.cat([sentence, frame_noise[n, t]])
            if gan.config.system == "image-gan":
                out[n, t] = gan.join(torch.cat([x, code[n]])[None])[0]
                continue
            i = g = gru_step(gan.gru, gan.entry(x[None])[0], g)
            if gan.config.system == "svc":
                out[n, t] = gan.join(torch.cat([code[n], i])[None])[0]
                continue
            if gan.config.system == "story-gan":
                h = text2gist_step(gan.text2gist, i, h)
            out[n, t] = filter_by_hand(gan.filter, i, h)
    return out


def test_text2gist_step_by_step():
    torch.manual_seed(0)
    cell, i, h = Text2Gist(5), torch.randn(2, 4, 5), torch.randn(2, 5)
    found = cell(i, h)
    for n in range(2):
        state = h[n]
        for t in range(4):
            state = text2gist_step(cell, i[n, t], state)
            torch.testing.assert_close(found[n, t], state)


def test_filter():
    torch.manual_seed(0)
    layer, i, h = DynamicFilter(12, 8, 3, norm_layer("group", 4)), torch.randn(2, 12), torch.randn(2, 12)
    found = layer(i, h)
    for n in range(2):
        torch.testing.assert_close(found[n], filter_by_hand(layer, i[n], h[n]))
        filters = layer.net(i[n : n + 1]).view(16, 1, 1, 8)  # the table's form: 16 filters of one channel
        expected = F.conv2d(h[n].view(1, 1, 1, -1), filters, stride=(1, 4), padding=(0, 2))
        torch.testing.assert_close(found[n], expected.flatten())
    table = StoryGAN().filter
    assert table.net[0].weight.shape == (1024, 128) and table(torch.randn(1, 128), torch.randn(1, 128)).shape == (1, 128)
    with pytest.raises(AssertionError, match="filters of 9 numbers cannot stop 3 times along 12"):
        DynamicFilter(12, 9, 3, norm_layer("group", 1))


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("system", SYSTEMS)
@torch.no_grad()
def test_context_encoder_and_its_reductions(system, norm):
    gan = tiny_gan(system, norm)
    sentences, story_noise, *noise = inputs(gan)
    code, mean, log_variance = gan.encode_story(sentences, story_noise)
    torch.testing.assert_close(code, mean + log_variance.exp().sqrt() * story_noise)
    gists = gan.gists(sentences, code, *noise)
    torch.testing.assert_close(gists, gists_by_hand(gan, sentences, code, *noise), **CLOSE)
    frames = gan(sentences, story_noise, *noise)[0]
    assert frames.shape == (3, T, 3, 16, 16) and frames.abs().max() <= 1
    one = torch.tensor([2, 0, 1])
    torch.testing.assert_close(gan(sentences, story_noise, *noise, positions=one)[0], frames[torch.arange(3), one], **CLOSE)
    parts = {"story-gan": {"entry", "gru", "filter", "text2gist"}, "svfn": {"entry", "gru", "filter"}, "svc": {"entry", "gru", "join"}}
    parts = parts.get(system, {"join"}) | {"story_encoder", "image_generator"}
    assert {name for name, _ in gan.named_children()} == parts


@torch.no_grad()
def test_each_filter_is_a_cell():
    """A change of one filter's numbers moves the picture around its cell: row by row, 4 × 4."""
    gan = tiny_gan()
    gist = torch.randn(1, 32, generator=seeded())
    x = gist.view(1, 16, 2)
    cells = torch.stack([x[0, row * 4 + column] for row in range(4) for column in range(4)]).view(4, 4, 2).permute(2, 0, 1)[None]
    assert torch.equal(gan.draw(gist), gan.image_generator(cells.to(memory_format=torch.channels_last)))


def test_story_encoder_and_kl():
    torch.manual_seed(0)
    encoder = StoryEncoder(D, 8, norm_layer("group", 2))
    sentences, mask = torch.randn(4, 5, D), torch.arange(5) < torch.tensor([5, 2, 1, 3])[:, None]
    code, mean, log_variance = encoder(sentences, torch.randn(4, 8), mask)
    for n, length in enumerate(mask.sum(1)):
        alone = encoder(sentences[n : n + 1, :length], torch.zeros(1, 8), mask[n : n + 1, :length])
        torch.testing.assert_close(torch.stack(alone)[:, 0], torch.stack([mean[n], mean[n], log_variance[n]]))
    kl = kl_divergence(mean, log_variance)
    prior = torch.distributions.Normal(torch.zeros(8), torch.ones(8))
    expected = torch.distributions.kl_divergence(torch.distributions.Normal(mean, log_variance.exp().sqrt()), prior).sum(1)
    torch.testing.assert_close(kl, expected)
    assert kl.min() > 0 and kl_divergence(torch.zeros(1, 8), torch.zeros(1, 8)) == 0
    kl.mean().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in encoder.parameters()), "the KL term is no constant"
    assert code.requires_grad


def test_losses():
    right, wrong, fake = (3 * torch.randn(7, generator=seeded(n)) for n in range(3))
    ones, zeros = torch.ones(7), torch.zeros(7)
    bce = torch.nn.BCELoss()
    expected = bce(right.sigmoid(), ones) + 0.5 * (bce(fake.sigmoid(), zeros) + bce(wrong.sigmoid(), zeros))
    loss, found = discriminator_loss(right, wrong, fake)
    torch.testing.assert_close(loss, expected)
    shares = [sum(x > 0 for x in right.tolist()) / 7, sum(x < 0 for x in wrong.tolist()) / 7, sum(x < 0 for x in fake.tolist()) / 7]
    torch.testing.assert_close(torch.stack([found[name] for name in ("right", "wrong", "fake")]), torch.tensor(shares))
    assert abs(found["accuracy"] - (shares[0] / 2 + shares[1] / 4 + shares[2] / 4)) < 1e-6
    assert discriminator_loss(ones, ones, ones)[1]["accuracy"] == discriminator_loss(-ones, -ones, -ones)[1]["accuracy"] == 0.5
    torch.testing.assert_close(generator_loss(fake), bce(fake.sigmoid(), ones))
    far = torch.full((3,), 1e4, requires_grad=True)
    (discriminator_loss(-far, far, far)[0] + generator_loss(-far)).backward()
    assert torch.isfinite(far.grad).all() and far.grad.any(), "logits of any size have a gradient"


@torch.no_grad()
def test_story_discriminator():
    """wᵀ (E_img(X) ⊙ E_txt(S)) + b, and no frame takes part in another story's."""
    judge = tiny_judges()["story"]
    frames, sentences = torch.rand(4, T, 3, 16, 16) * 2 - 1, torch.randn(4, T, D)
    (logits,) = judge(frames, sentences)
    for n in range(4):
        image = torch.cat([judge.frame_encoder(frame[None])[0].flatten() for frame in frames[n]])
        text = judge.text(torch.cat(list(sentences[n]))[None])[0]
        expected = sum(w * e * t for w, e, t in zip(judge.logit.weight[0], image, text, strict=True)) + judge.logit.bias[0]
        torch.testing.assert_close(logits[n], expected, **CLOSE)
    table = StoryDiscriminator(story_length=5)
    assert table.text[0].weight.shape == (640, 640) and table.encode(torch.zeros(1, 5, 3, 64, 64)).shape == (1, 640)


@torch.no_grad()
def test_image_discriminator():
    judge = tiny_judges()["image"]
    frames, condition = torch.rand(4, 3, 16, 16) * 2 - 1, torch.randn(4, D + 16)
    (logits,) = judge(frames, condition)
    for n in range(4):
        features = judge.frame_encoder(frames[n : n + 1])
        everywhere = torch.zeros(1, D + 16, 4, 4)
        for row in range(4):
            for column in range(4):
                everywhere[0, :, row, column] = condition[n]
        x = judge.join(torch.cat([features, everywhere], 1))
        torch.testing.assert_close(logits[n], (x[0] * judge.logit.weight[0]).sum() + judge.logit.bias[0], **CLOSE)


@torch.no_grad()
def test_three_judgements_in_one_call():
    for kind, judge in tiny_judges().items():
        shape = (T,) if kind == "story" else ()
        frames, fake = (torch.rand(2, *shape, 3, 16, 16) for _ in range(2))
        condition, wrong = (torch.randn(2, T, D) if kind == "story" else torch.randn(2, D + 16) for _ in range(2))
        found = judge(frames, condition, wrong, fake)
        for logits, (x, c) in zip(found, [(frames, condition), (frames, wrong), (fake, condition)], strict=True):
            torch.testing.assert_close(logits, judge(x, c)[0])
            assert logits.shape == (2,) and logits.dtype == torch.float32


# --- gradients, norms, sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_parameter_gets_a_gradient_in_both_loops(system, norm):
    gan, judges = tiny_gan(system, norm).train(), tiny_judges(norm)
    for kind, judge in judges.items():
        if system == "image-gan" and kind == "story":
            continue
        sentences, *noise = inputs(gan, stories=8)
        positions = torch.zeros(8, dtype=torch.long) if kind == "image" else None  # not even the recurrence needs a second sentence
        fake, code, mean, log_variance = gan(sentences, *noise, positions=positions)
        condition = sentences if positions is None else torch.cat([sentences[:, 0], code.detach()], 1)
        loss, _ = discriminator_loss(*judge.train()(torch.rand_like(fake), condition, condition.roll(1, 0), fake.detach()))
        loss.backward()
        gan.zero_grad()
        (generator_loss(judge(fake, condition)[0]) + kl_divergence(mean, log_variance).mean()).backward()
        for name, weight in [*judge.named_parameters(), *gan.named_parameters()]:
            assert weight.grad is not None and weight.grad.any(), f"{kind} step: {name}"


def test_batch_norm():
    """That of torch where there is one process (the training below has two); statistics of other weights, averaged over what they are given."""
    torch.manual_seed(0)
    ours, theirs = BatchNorm(4), torch.nn.BatchNorm2d(4)
    x = torch.randn(3, 4, 5, 5) * 2 + 1
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours(torch.randn(6, 4)).shape == (6, 4)
    batches = [torch.randn(8, 4) + n for n in range(5)]
    settle_statistics(ours, ((batch,) for batch in batches))
    torch.testing.assert_close(ours.running_mean, torch.stack([batch.mean(0) for batch in batches]).mean(0))
    torch.testing.assert_close(ours.running_var, torch.stack([batch.var(0) for batch in batches]).mean(0))
    assert ours.momentum == 0.1 and not ours.training
    settle_statistics(torch.nn.GroupNorm(1, 4), iter(lambda: 1 / 0, None))  # nothing is drawn


@torch.no_grad()
def test_no_later_sentence_is_seen_given_the_encoded_story():
    for system in SYSTEMS:
        gan = tiny_gan(system)
        sentences, story_noise, *noise = inputs(gan, frames=5)
        code, _, _ = gan.encode_story(sentences, story_noise)
        before = gan.gists(sentences, code, *noise)
        for k in range(5):
            changed = sentences.clone()
            changed[:, k] += 1
            after = gan.gists(changed, code, *noise)
            assert torch.equal(after[:, :k], before[:, :k]) and not torch.equal(after[:, k], before[:, k])
            assert torch.equal(after[:, k + 1 :], before[:, k + 1 :]) == (system == "image-gan" or k == 4)
            assert not torch.equal(gan.encode_story(changed, story_noise)[0], code), "but it is the whole story that is encoded"


def test_sizes():
    counts = parameter_counts("pororo")
    for found, published in zip((counts["story_gan"], sum(counts.values()) - counts["story_gan"]), PUBLISHED["pororo"], strict=True):
        assert abs(found / 1e6 / published - 1) < 0.005
    assert parameter_table().count("\n") == 1 + len(PRESETS) and "| 47.0 M | 47.2 M |" in parameter_table()
    with torch.device("meta"):
        gan, image = StoryGAN(), ImageDiscriminator()
    generator = [layer.weight.shape for layer in gan.image_generator if isinstance(layer, torch.nn.Conv2d)]
    assert generator == [(512, 8, 3, 3), (256, 512, 3, 3), (128, 256, 3, 3), (64, 128, 3, 3), (3, 64, 3, 3)]
    discriminator = [layer.weight.shape for layer in image.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert discriminator == [(64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (512, 768, 3, 3), (1, 512, 4, 4)]
    for preset in PRESETS.values():
        assert preset()["resolution"] == 4 * 2 ** len(preset()["story_gan"]["block_out_channels"])


@pytest.mark.parametrize("side", [16, 32, 128])
@pytest.mark.parametrize("preset", [toon_64, dynamic_block_toon_64])
def test_presets_at_another_resolution(preset, side):
    """The coarse end stays as it is; what is drawn has this side, and both kinds of network read and draw it."""
    sized = at_resolution(preset(), side)
    kinds = {
        "story_gan": StoryGAN,
        "image_discriminator": ImageDiscriminator,
        "story_discriminator": StoryDiscriminator,
        "generator": DynamicBlockGAN,
        "discriminator": DynamicBlockDiscriminator,
    }
    networks = {name: kinds[name](**settings) for name, settings in sized.items() if name != "resolution"}
    words = torch.zeros(1, 5, 3, 128), torch.ones(1, 5, 3, dtype=torch.bool)
    sentences, frames = words[0][:, :, 0], torch.zeros(1, 5, 3, side, side)
    if "generator" in networks:
        drawn = networks["generator"](sentences, *words, torch.zeros(1, 100))
        assert networks["discriminator"](frames, (sentences, *words, None))[0].shape == (5,)
    else:
        drawn = networks["story_gan"](sentences, torch.zeros(1, 128), torch.zeros(1, 128), torch.zeros(1, 5, 100))[0]
        assert networks["image_discriminator"](frames[0], torch.zeros(5, 256))[0].shape == (5,)
        assert networks["story_discriminator"](frames, sentences)[0].shape == (1,)
    assert drawn.shape == frames.shape
    for name, settings in preset().items():
        if name != "resolution":
            both = sorted(settings["block_out_channels"])[::-1], sorted(sized[name]["block_out_channels"])[::-1]
            assert all(a == b for a, b in zip(*both)), "the widest come first"
    assert at_resolution(preset(), None) == at_resolution(preset(), 64) == preset()


@pytest.mark.parametrize("side", [0, 8, 48, 100])
def test_no_preset_at_odd_resolutions(side):
    with pytest.raises(ValueError, match=f"resolution is {side}; a GAN draws powers of two from 16 on"):
        at_resolution(toon_64(), side)


# --- sentences and the pipeline ----------------------------------------------------------------------------------------------------------


def tiny_pipeline(tokenizer, system: str = "story-gan", norm: str = "group") -> StoryGANPipeline:
    torch.manual_seed(0)
    text_encoder = DAMSMTextEncoder(len(tokenizer), width=D, embedding_width=8).eval()
    return StoryGANPipeline(story_gan=tiny_gan(system, norm), text_encoder=text_encoder, tokenizer=tokenizer)


def test_sentence_vectors(tokenizer, tmp_path):
    pipe, stories = tiny_pipeline(tokenizer), [STORY, STORY[1:2]]
    vectors, mask = story_vectors(pipe.text_encoder, tokenizer, stories)
    assert vectors.shape == (2, 4, D) and mask.tolist() == [[True] * 4, [True, False, False, False]] and not vectors[1, 1:].any()
    torch.testing.assert_close(vectors.square().mean(-1)[mask], torch.ones(5))
    assert torch.equal(vectors[0, 1], vectors[1, 0]), "each is read alone"
    encoder = tiny_text_encoder(tokenizer)
    for part in (encoder, tokenizer):
        part.save_pretrained(tmp_path / "other")
    opened, its_tokenizer = load_sentence_encoder(tmp_path / "other")
    found = sentence_vectors(opened, its_tokenizer, STORY)
    assert torch.equal(found, sentence_vectors(opened, its_tokenizer, STORY)) and not any(p.requires_grad for p in opened.parameters())
    ids = torch.tensor([tokenizer(STORY[1]).input_ids])
    expected = encoder(ids).last_hidden_state[0].mean(0)
    torch.testing.assert_close(found[1], expected / expected.square().mean().sqrt(), **CLOSE)
    with pytest.raises(ValueError, match=r"has \d+ tokens; the text encoder reads 32"):
        sentence_vectors(opened, its_tokenizer, [*STORY, "Bruno waves. " * 20])
    with pytest.raises(FileNotFoundError, match="train_damsm"):
        load_sentence_encoder(tmp_path / "nothing")


def test_padding_comes_behind_the_tokens(tokenizer):
    encoder, expected = tiny_text_encoder(tokenizer), sentence_vectors(tiny_text_encoder(tokenizer), tokenizer, STORY)
    left = copy.deepcopy(tokenizer)
    left.padding_side = "left"
    _, mask = tokens_of(encoder, left, STORY)
    assert mask[:, 0].all() and not mask.all()
    torch.testing.assert_close(sentence_vectors(encoder, left, STORY), expected)


def test_an_offloaded_pipeline_is_moved(tokenizer):
    """diffusers puts a hook on each part, which moves it before it is called."""
    pipe, moved = tiny_pipeline(tokenizer), []

    class Hook(ModelHook):
        def pre_forward(self, module, *args, **kwargs):
            moved.append(type(module).__name__)
            return args, kwargs

    for part in (pipe.text_encoder, pipe.story_gan):
        add_hook_to_module(part, Hook())
    frames = pipe(STORY, generator=seeded(), output_type="pt").frames[0]
    assert moved == ["DAMSMTextEncoder", "StoryGAN", "StoryGAN", "StoryGAN"]
    assert torch.equal(frames, tiny_pipeline(tokenizer)(STORY, generator=seeded(), output_type="pt").frames[0])


def test_words_lie_where_an_offloaded_encoder_was_moved(tokenizer):
    class Moved(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, input_ids, attention_mask):
            return SimpleNamespace(last_hidden_state=torch.zeros(*input_ids.shape, 8, device="meta"))

    encoder = Moved()
    assert all(x.is_meta for x in read_words(encoder, *tokens_of(encoder, tokenizer, STORY)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="moves models to a GPU")
def test_offloaded_on_a_gpu(tokenizer):
    expected = tiny_pipeline(tokenizer)(STORY, generator=seeded(), output_type="pt").frames[0]
    for encoder in (None, tiny_text_encoder(tokenizer)):
        pipe = tiny_pipeline(tokenizer)
        if encoder:
            pipe = StoryGANPipeline(story_gan=StoryGAN(**TINY_GAN["story_gan"], sentence_width=8), text_encoder=encoder, tokenizer=tokenizer)
            expected = pipe(STORY, generator=seeded(), output_type="pt").frames[0]
        pipe.enable_model_cpu_offload()
        torch.testing.assert_close(pipe(STORY, generator=seeded(), output_type="pt").frames[0].cpu(), expected, atol=0.01, rtol=0.01)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_stories_of_a_batch_are_those_drawn_alone(system, norm, tokenizer):
    """Invariant 2, for stories of different lengths, each with its own generator."""
    pipe, stories = tiny_pipeline(tokenizer, system, norm), [STORY, STORY[:1], STORY[1:], sentences_of(1, length=70)[0]]
    together = pipe(stories, generator=[seeded(n) for n in range(4)], output_type="pt").frames
    for n, story in enumerate(stories):
        alone = pipe(story, generator=seeded(n), output_type="pt").frames
        assert len(alone) == 1 and together[n].shape == (len(story), 3, 16, 16)
        torch.testing.assert_close(together[n], alone[0], **CLOSE)


def test_noise(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    draw = lambda **kwargs: pipe(STORY, output_type="pt", **kwargs).frames[0]  # noqa: E731
    assert torch.equal(draw(generator=seeded(3)), draw(generator=seeded(3))) and not torch.equal(draw(generator=seeded(3)), draw(generator=seeded(4)))
    noise = pipe.draw_noise([4], [seeded(3)])
    assert torch.equal(draw(latents=noise), draw(generator=seeded(3)))
    longer = pipe.draw_noise([9], [seeded(3)])
    assert all(torch.equal(a, b) for a, b in zip(noise[:2], longer[:2])) and torch.equal(noise[2], longer[2][:, :4])
    for n in range(3):  # all of the noise is used
        changed = [x + (m == n) for m, x in enumerate(noise)]
        assert not torch.equal(draw(latents=changed), draw(latents=noise))


def test_outputs(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    stories = [STORY, STORY[:2]]
    draw = lambda kind: pipe(stories, generator=[seeded(0), seeded(1)], output_type=kind).frames  # noqa: E731
    pil, array, tensor = draw("pil"), draw("np"), draw("pt")
    assert [[frame.size for frame in frames] for frames in pil] == [[(16, 16)] * 4, [(16, 16)] * 2]
    for n in range(2):
        assert array[n].shape == (len(stories[n]), 16, 16, 3) and 0 <= array[n].min() <= array[n].max() <= 1
        np.testing.assert_allclose(array[n], tensor[n].permute(0, 2, 3, 1).numpy())
        np.testing.assert_allclose(np.asarray(pil[n][0]) / 255, array[n][0], atol=0.003)
    (frames,) = pipe(STORY, return_dict=False)
    assert len(frames) == 1 and len(frames[0]) == 4 and pipe(STORY).memory_weights is None


@pytest.mark.parametrize(
    ("sentences", "kwargs", "message"),
    [
        ([], {}, r"sentences is \[\]; it must be a list of sentences"),
        ("She waves.", {}, "it must be a list of sentences"),
        ([STORY, []], {}, "story 1 is .* at least one sentence"),
        ([STORY, "She waves."], {}, "story 1 is 'She waves.'"),
        (["She waves.", " "], {}, "sentence 1 of story 0 is ' '"),
        (["She waves.", None], {}, "sentence 1 of story 0 is None"),
        ([STORY, STORY], {"generator": [torch.Generator()]}, "a list of 1 for 2 stories"),
        (STORY, {"output_type": "latent"}, "output_type is 'latent'; it must be one of pil, np, pt"),
        (STORY, {"latents": (torch.zeros(1, 16), torch.zeros(1, 16), torch.zeros(1, 3, 4))}, r"latents have the shapes .*these stories need .*4, 4"),
    ],
)
def test_bad_input(sentences, kwargs, message, tokenizer):
    with pytest.raises(ValueError, match=message):
        tiny_pipeline(tokenizer)(sentences, **kwargs)


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_opened(system, tokenizer, tmp_path):
    """Invariant 4; batch norms have statistics to keep."""
    pipe = tiny_pipeline(tokenizer, system, "batch")
    gan = pipe.story_gan.train()
    gan(*inputs(gan, stories=8))
    gan.eval()
    pipe.save_pretrained(tmp_path / "pipe", safe_serialization=True)
    assert {file.suffix for file in (tmp_path / "pipe").rglob("*") if file.is_file()} <= {".safetensors", ".json", ".txt"}
    opened, again = (StoryGANPipeline.from_pretrained(tmp_path / "pipe") for _ in range(2))
    assert opened.story_gan.config.system == system and not opened.story_gan.training
    saved, weights = gan.state_dict(), opened.story_gan.state_dict()
    assert list(saved) == list(weights) and all(torch.equal(weights[name], value) for name, value in saved.items())
    frames = [p(STORY, generator=seeded(), output_type="pt").frames[0] for p in (pipe, opened, again)]
    torch.testing.assert_close(frames[0], frames[1], **CLOSE)  # tensors of a file lie at other addresses: last bits differ
    torch.testing.assert_close(frames[1], frames[2], atol=1e-6, rtol=1e-6)
    for kind, judge in tiny_judges("batch").items():
        save_component(judge, tmp_path / kind)
        opened = type(judge).from_pretrained(tmp_path / kind)
        assert all(torch.equal(value, judge.state_dict()[name]) for name, value in opened.state_dict().items())


def test_another_text_encoder(tokenizer, tmp_path):
    """Any transformers model takes the place of the DAMSM encoder, and is kept in the pipeline's folder."""
    torch.manual_seed(0)
    gan = StoryGAN(**TINY_GAN["story_gan"], sentence_width=8)
    pipe = StoryGANPipeline(story_gan=gan, text_encoder=tiny_text_encoder(tokenizer), tokenizer=tokenizer)
    pipe.save_pretrained(tmp_path)
    opened = StoryGANPipeline.from_pretrained(tmp_path)
    frames = [p(STORY, generator=seeded(), output_type="pt").frames[0] for p in (pipe, opened)]
    torch.testing.assert_close(*frames, **CLOSE)
