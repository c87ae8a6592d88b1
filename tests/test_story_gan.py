"""StoryGAN and its reductions: every equation against a slow transcription, gradients, causality, sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from conftest import TINY_GAN

from story_ldm.nn.norms import BatchNorm, norm_layer, settle_statistics
from story_ldm.systems.gans import discriminator_loss, generator_loss
from story_ldm.systems.story_gan.networks import (
    SYSTEMS,
    DynamicFilter,
    ImageDiscriminator,
    StoryDiscriminator,
    StoryEncoder,
    StoryGAN,
    Text2Gist,
    kl_divergence,
)
from story_ldm.systems.story_gan.presets import PRESETS, PUBLISHED, parameter_counts, parameter_table

D, T = 6, 3
NORMS = ("group", "batch", "spectral")  # the last in discriminators alone
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
    actual = cell(i, h)
    for n in range(2):
        state = h[n]
        for t in range(4):
            state = text2gist_step(cell, i[n, t], state)
            torch.testing.assert_close(actual[n, t], state)


def test_filter():
    torch.manual_seed(0)
    layer, i, h = DynamicFilter(12, 8, 3, norm_layer("group", 4)), torch.randn(2, 12), torch.randn(2, 12)
    actual = layer(i, h)
    for n in range(2):
        torch.testing.assert_close(actual[n], filter_by_hand(layer, i[n], h[n]))
        filters = layer.net(i[n : n + 1]).view(16, 1, 1, 8)  # the table's form: 16 filters of one channel
        expected = F.conv2d(h[n].view(1, 1, 1, -1), filters, stride=(1, 4), padding=(0, 2))
        torch.testing.assert_close(actual[n], expected.flatten())
    table = StoryGAN().eval().filter
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
    loss, actual = discriminator_loss(right, wrong, fake)
    torch.testing.assert_close(loss, expected)
    shares = [sum(x > 0 for x in right.tolist()) / 7, sum(x < 0 for x in wrong.tolist()) / 7, sum(x < 0 for x in fake.tolist()) / 7]
    torch.testing.assert_close(torch.stack([actual[name] for name in ("right", "wrong", "fake")]), torch.tensor(shares))
    assert abs(actual["accuracy"] - (shares[0] / 2 + shares[1] / 4 + shares[2] / 4)) < 1e-6
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


@pytest.mark.parametrize("norm", NORMS)
@torch.no_grad()
def test_three_judgements_in_one_call(norm):
    for kind, judge in tiny_judges(norm).items():
        shape = (T,) if kind == "story" else ()
        frames, fake = (torch.rand(2, *shape, 3, 16, 16) for _ in range(2))
        condition, wrong = (torch.randn(2, T, D) if kind == "story" else torch.randn(2, D + 16) for _ in range(2))
        actual = judge(frames, condition, wrong, fake)
        for logits, (x, c) in zip(actual, [(frames, condition), (frames, wrong), (fake, condition)], strict=True):
            torch.testing.assert_close(logits, judge(x, c)[0])
            assert logits.shape == (2,) and logits.dtype == torch.float32


# --- gradients, norms, sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_parameter_gets_a_gradient_in_both_loops(system, norm):
    gan, judges = tiny_gan(system, "batch" if norm == "spectral" else norm).train(), tiny_judges(norm)
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
def test_spectral_norm():
    """Every linear layer and convolution has 1 as its largest singular value; one power iteration a call, never in half precision, none in eval."""
    for kind, judge in tiny_judges("spectral").items():
        layers = [layer for layer in judge.train().modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
        assert not any(isinstance(layer, torch.nn.GroupNorm | BatchNorm) for layer in judge.modules())
        assert len(layers) == (4 if kind == "image" else 5)
        frames = torch.rand(2, 3, 16, 16) if kind == "image" else torch.rand(2, T, 3, 16, 16)
        condition = torch.randn(2, D + 16) if kind == "image" else torch.randn(2, T, D)
        norm, weight = layers[0].parametrizations.weight[0], layers[0].parametrizations.weight.original.flatten(1)
        u = torch.nn.functional.normalize(weight @ norm._v, dim=0)
        v = torch.nn.functional.normalize(weight.mT @ u, dim=0)
        with torch.autocast("cpu", torch.bfloat16):
            judge(frames, condition, condition, frames)
        torch.testing.assert_close(norm._u, u), torch.testing.assert_close(norm._v, v)
        for _ in range(100):
            judge(frames, condition)
        before = {name: value.clone() for name, value in judge.eval().state_dict().items()}
        judge(frames, condition)
        assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())
        largest = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
        assert largest == pytest.approx([1.0] * len(layers), rel=0.02)


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
    for actual, published in zip((counts["story_gan"], sum(counts.values()) - counts["story_gan"]), PUBLISHED["pororo"], strict=True):
        assert abs(actual / 1e6 / published - 1) < 0.005
    assert parameter_table().count("\n") == 1 + len(PRESETS) and "| 47.0 M | 47.2 M |" in parameter_table()
    with torch.device("meta"):
        gan, image = StoryGAN(), ImageDiscriminator()
    generator = [layer.weight.shape for layer in gan.image_generator if isinstance(layer, torch.nn.Conv2d)]
    assert generator == [(512, 8, 3, 3), (256, 512, 3, 3), (128, 256, 3, 3), (64, 128, 3, 3), (3, 64, 3, 3)]
    discriminator = [layer.weight.shape for layer in image.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert discriminator == [(64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (512, 256, 4, 4), (512, 768, 3, 3), (1, 512, 4, 4)]
    for preset in PRESETS.values():
        assert preset()["resolution"] == 4 * 2 ** len(preset()["story_gan"]["block_out_channels"])
