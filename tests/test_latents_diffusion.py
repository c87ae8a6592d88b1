"""Frames to latents and back, the diffusion objective against its formulas, one training forward, and strips of pictures.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import STORY, WIDTH, script, tiny_language_memory, tiny_text_encoder, tiny_unet, tiny_vae
from diffusers.training_utils import compute_snr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from story_ldm.data.frames import frames_tensor
from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.facts import text_loss
from story_ldm.encoders.latents import decode_latents, downscale_factor, encode_frames, frames_to_raw, raw_to_frames, shuffle_factor
from story_ldm.encoders.sentences import tokenize_stories
from story_ldm.reports.strips import story_sheet, story_strip
from story_ldm.systems.story_ldm.diffusion import (
    StoryBatch,
    StoryDenoiser,
    add_noise,
    diffusion_loss,
    min_snr_weights,
    noise_scheduler,
    stratified_timesteps,
    target,
)
from story_ldm.training.steps import padded_frames
from story_ldm.training.story_batches import draw_batch


@pytest.mark.parametrize("r", [1, 2, 4])
def test_shapes_and_factors(r):
    vae = tiny_vae(r)
    assert shuffle_factor(vae) == r and downscale_factor(vae) == 2 * r
    frames = torch.rand(2, 3, 3, 16, 32) * 2 - 1
    latents = encode_frames(vae, frames)
    assert latents.shape == (2, 3, 4, 16 // (2 * r), 32 // (2 * r)) and decode_latents(vae, latents).shape == frames.shape
    assert not latents.requires_grad and decode_latents(vae, latents * 100).abs().max() <= 1
    torch.testing.assert_close(encode_frames(vae, frames[0]), latents[0], atol=1e-5, rtol=1e-4)  # any number of leading axes


@pytest.mark.parametrize("r", [1, 2, 4])
@torch.no_grad()
def test_normalisation(r):
    """Per channel where the autoencoder knows its channels, else Stable Diffusion's one factor; decoding undoes it."""
    frames = torch.rand(5, 3, 16, 16) * 2 - 1
    factor, channels = tiny_vae(r), tiny_vae(r, normalised=True)
    raw = frames_to_raw(factor, frames).mode()
    torch.testing.assert_close(encode_frames(factor, frames), raw * 0.7)
    expected = raw.clone()
    for c, (mean, std) in enumerate(zip([0.1, -0.2, 0.3, 0.0], [0.5, 1.5, 1.0, 2.0], strict=True)):
        expected[:, c] = (raw[:, c] - mean) / std
    torch.testing.assert_close(encode_frames(channels, frames), expected)
    for vae in (factor, channels):
        torch.testing.assert_close(decode_latents(vae, encode_frames(vae, frames)), raw_to_frames(vae, raw).clamp(-1, 1), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_latents_measured_as_in_training_have_unit_scale():
    frames = torch.rand(20, 3, 16, 16) * 2 - 1
    vae = tiny_vae(2)
    raw = frames_to_raw(vae, frames).mode()
    vae.register_to_config(latents_mean=raw.mean((0, 2, 3)).tolist(), latents_std=raw.std((0, 2, 3)).tolist())
    latents = encode_frames(vae, frames)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)


@torch.no_grad()
def test_stable_diffusions_own_path():
    """r = 1 is what StableDiffusionPipeline does, to the last bit."""
    vae, latents = tiny_vae(1), torch.randn(2, 4, 8, 8)
    assert torch.equal(decode_latents(vae, latents), vae.decode(latents / 0.7).sample.clamp(-1, 1))
    half = tiny_vae(2).to(torch.bfloat16)
    assert encode_frames(half, torch.zeros(1, 3, 16, 16)).dtype == torch.bfloat16


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_loss_weights_and_targets(prediction):
    scheduler = noise_scheduler(prediction)
    levels = torch.tensor([[0, 1, 10], [500, 900, 999]])
    snr = compute_snr(scheduler, levels.flatten()).view(2, 3)
    capped = torch.minimum(snr, torch.tensor(5.0))
    weights = min_snr_weights(scheduler, levels, 5.0)
    torch.testing.assert_close(weights, capped / (snr if prediction == "epsilon" else snr + 1))
    assert weights.isfinite().all() and (weights <= 1).all()

    clean, noise = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    noisy, wanted = add_noise(scheduler, clean, noise, levels), target(scheduler, clean, noise, levels)
    for b in range(2):
        for m in range(3):
            alpha = scheduler.alphas_cumprod[levels[b, m]]
            signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
            torch.testing.assert_close(noisy[b, m], signal * clean[b, m] + sigma * noise[b, m])
            v = signal * noise[b, m] - sigma * clean[b, m]
            torch.testing.assert_close(wanted[b, m], noise[b, m] if prediction == "epsilon" else v)
            # what the sampler makes of a perfect prediction is the clean latent
            x0 = (noisy[b, m] - sigma * noise[b, m]) / signal if prediction == "epsilon" else signal * noisy[b, m] - sigma * v
            torch.testing.assert_close(x0, clean[b, m], atol=2e-3 if levels[b, m] < 999 else 1, rtol=0)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 300), steps=st.integers(1, 1000), seed=st.integers(0, 2**31))
def test_stratified_timesteps(count, steps, seed):
    """One level in each of `count` equal parts of 0 … steps-1, and nothing but (seed) decides which."""
    levels = stratified_timesteps(count, steps, torch.Generator().manual_seed(seed))
    assert levels.shape == (count,) and levels.dtype == torch.int64 and 0 <= levels.min() and levels.max() < steps
    ordered = levels.sort().values
    part = torch.arange(count) / count * steps
    assert (ordered >= part.floor() - 1).all() and (ordered <= ((torch.arange(count) + 1) / count * steps).floor() + 1).all()
    assert torch.equal(levels, stratified_timesteps(count, steps, torch.Generator().manual_seed(seed)))


def test_stratified_timesteps_are_uniform_and_shuffled():
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([stratified_timesteps(8, 10, generator) for _ in range(4000)])
    assert (draws.flatten().bincount(minlength=10) / 32000 - 0.1).abs().max() < 0.01
    assert (draws.float().mean(0) - 4.5).abs().max() < 0.2, "no place in the batch has its own levels"
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1] + 1 / 7) < 0.05, "without replacement, and otherwise independent"


def make_denoiser(tokenizer, form: str = "spatial", language: bool = True, statements: int = 3) -> StoryDenoiser:
    ids, mask = tokenize_stories(tokenizer, [[""]])
    torch.manual_seed(1)
    head = torch.nn.Linear(WIDTH, statements) if statements else None
    return StoryDenoiser(tiny_unet(form), tiny_text_encoder(tokenizer), tiny_language_memory() if language else None, head, ids[0, 0], mask[0, 0])


def make_batch(tokenizer, draws: int = 2, frames: int = 4, **changes) -> StoryBatch:
    generator = torch.Generator().manual_seed(0)
    ids, mask = tokenize_stories(tokenizer, [STORY[:frames], STORY[::-1][:frames]])
    latents, noisy = torch.randn(2, frames, 4, 8, 8, generator=generator), torch.randn(2 * draws, frames, 4, 8, 8, generator=generator)
    levels = torch.randint(0, 1000, (2 * draws, frames), generator=generator)
    yes, weight = torch.ones(2, dtype=torch.bool), torch.ones(2, frames)
    batch = StoryBatch(latents, ids, mask, weight, noisy, noisy, levels, latents, torch.zeros(2, frames).long(), yes, yes, yes)
    return dataclasses.replace(batch, **changes)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_loss_is_that_of_each_draw_and_frame(prediction, tokenizer):
    """By Min-SNR weights the mean over draws, stories and frames of the error of what is asked for; without them the plain mean."""
    scheduler, generator = noise_scheduler(prediction), torch.Generator().manual_seed(3)
    noise = torch.randn(6, 4, 4, 8, 8, generator=generator)
    batch = make_batch(tokenizer, draws=3, noise=noise)
    guess = torch.randn(noise.shape, generator=generator)
    errors, weights = [], []
    for row in range(6):
        for m in range(4):
            level = batch.levels[row, m]
            alpha, snr = scheduler.alphas_cumprod[level], compute_snr(scheduler, level[None])[0]
            v = alpha.sqrt() * noise[row, m] - (1 - alpha).sqrt() * batch.latents[row % 2, m]  # draws of a batch are one after another
            errors.append((guess[row, m] - (noise[row, m] if prediction == "epsilon" else v)).square().mean())
            weights.append(snr.clamp(max=2.5) / (snr if prediction == "epsilon" else snr + 1))
    errors, weights = torch.stack(errors), torch.stack(weights)
    loss, error = diffusion_loss(scheduler, guess, batch, 2.5)
    torch.testing.assert_close(torch.stack([loss, error]), torch.stack([(errors * weights).mean(), errors.mean()]))


def test_part_of_a_batch_has_all_draws_of_its_stories(tokenizer):
    """Every value of a story, and of those that each draw has, the story's rows of every draw."""
    number = torch.arange(6).view(6, 1, 1, 1, 1).expand(6, 4, 4, 8, 8)  # row = draw · 2 + story
    batch = make_batch(tokenizer, draws=3, noise=number, noisy=number + 10, levels=number[:, :, 0, 0, 0] + 20, use_text=torch.tensor([True, False]))
    part = batch.part(torch.tensor([1]))
    assert [x.flatten(1).unique().tolist() for x in (part.noise, part.noisy, part.levels)] == [[1, 3, 5], [11, 13, 15], [21, 23, 25]]
    assert torch.equal(part.latents, batch.latents[1:]) and torch.equal(part.ids, batch.ids[1:]) and part.use_text.tolist() == [False]
    assert part.states is None and len(part.memory_latents) == len(part.memory_levels) == 1


@pytest.mark.parametrize("form", ["sentence", "spatial"])
@torch.no_grad()
def test_training_forward_is_causal(form, tokenizer):
    """Invariant 1 with everything that is trained in one forward: sentences, memory and draws of frame k."""
    denoiser, before = make_denoiser(tokenizer, form), make_batch(tokenizer)
    expected, logits = denoiser(before)
    assert expected.shape == (4, 4, 4, 8, 8) and logits.shape == (2, 4, 3)
    for k in range(4):
        other = tokenize_stories(tokenizer, [["Milo runs."]])
        ids, mask = before.ids.clone(), before.mask.clone()
        ids[:, k], mask[:, k] = other[0][0], other[1][0]
        found, found_logits = denoiser(dataclasses.replace(before, ids=ids, mask=mask))
        assert torch.equal(found[:, :k], expected[:, :k]) and torch.equal(found_logits[:, :k], logits[:, :k])
        assert all(not torch.equal(found[:, m], expected[:, m]) for m in range(k, 4))
        for name, first in (("memory_latents", k + 1), ("noisy", k)):
            value = getattr(before, name).clone()
            value[:, k] += 1
            found, _ = denoiser(dataclasses.replace(before, **{name: value}))
            assert torch.equal(found[:, :first], expected[:, :first]), name
            later = range(k + 1, 4) if name == "memory_latents" else [k]
            assert all(not torch.equal(found[:, m], expected[:, m]) for m in later), name


@torch.no_grad()
def test_draws_share_one_write_pass(tokenizer, monkeypatch):
    """Two draws of a batch are two batches, and what is remembered is computed once."""
    denoiser, batch = make_denoiser(tokenizer), make_batch(tokenizer, draws=3)
    written, write = [], denoiser.unet.write
    monkeypatch.setattr(denoiser.unet, "write", lambda x, *args, **kwargs: (written.append(len(x)), write(x, *args, **kwargs))[1])
    together, _ = denoiser(batch)
    assert written == [2]
    for n in range(3):
        rows = slice(2 * n, 2 * n + 2)
        alone, _ = denoiser(dataclasses.replace(batch, noisy=batch.noisy[rows], levels=batch.levels[rows]))
        torch.testing.assert_close(together[rows], alone, atol=1e-5, rtol=1e-4)
    plain = make_denoiser(tokenizer, "none", language=False, statements=0)
    assert plain(batch)[1] is None


@torch.no_grad()
def test_memory_is_written_at_its_own_noise_level(tokenizer):
    denoiser, batch = make_denoiser(tokenizer), make_batch(tokenizer)
    found, _ = denoiser(dataclasses.replace(batch, memory_levels=torch.full((2, 4), 100)))
    expected, _ = denoiser(batch)
    assert torch.equal(found[:, 0], expected[:, 0]) and not torch.equal(found[:, 1:], expected[:, 1:])


@torch.no_grad()
def test_a_noise_level_is_that_of_its_own_frame(tokenizer):
    """The level of the remembered frame k concerns whoever reads it: the frames after k; that of the last frame nobody."""
    denoiser, batch = make_denoiser(tokenizer), make_batch(tokenizer)
    expected, _ = denoiser(batch)
    for k in range(4):
        levels = batch.memory_levels.clone()
        levels[:, k] = 300
        found, _ = denoiser(dataclasses.replace(batch, memory_levels=levels))
        changed = [not torch.equal(found[:, m], expected[:, m]) for m in range(4)]
        assert changed == [m > k for m in range(4)], k


DRAWS = {"noise_draws": 2, "memory_noise": 150, "text_dropout": 0.1, "memory_dropout": 0.1, "language_dropout": 0.25}


def test_latents_carry_the_noise_of_their_levels():
    """Frames of a batch, to be drawn and remembered, have as much noise as their own level says; remembered ones at level 0 are clean."""
    scheduler = noise_scheduler()
    clean, ids = torch.full((6, 5, 4, 16, 16), 3.0), torch.zeros(6, 5, 7)
    one = SimpleNamespace(num_processes=1, process_index=0, device="cpu")
    draws = {**DRAWS, "memory_noise": 400}
    batch = draw_batch(one, scheduler, 0, 0, clean, ids, ids.bool(), torch.ones(6, 5), **draws)
    for latents, levels in ((batch.noisy, batch.levels), (batch.memory_latents, batch.memory_levels)):
        alpha = scheduler.alphas_cumprod[levels] * ((levels > 0) | (latents is batch.noisy)) + 1.0 * ((levels == 0) & (latents is not batch.noisy))
        noise = latents - alpha.sqrt()[..., None, None, None] * 3
        torch.testing.assert_close(noise.std((2, 3, 4)), (1 - alpha).sqrt(), atol=0.01, rtol=0.12)
    assert batch.memory_levels.max() > 200 and (batch.memory_levels == 0).all(1).any(), "half of the stories are remembered as they are"
    assert not torch.equal(batch.noise[:6], batch.noise[6:]) and not torch.equal(batch.levels[:6], batch.levels[6:]), "each draw is its own"
    again, other = (draw_batch(one, scheduler, 0, step, clean, ids, ids.bool(), torch.ones(6, 5), **draws) for step in (0, 1))
    assert torch.equal(again.noisy, batch.noisy) and not torch.equal(other.noise, batch.noise)


def test_dropout_is_of_its_share_of_the_stories():
    scheduler = noise_scheduler()
    latents, ids = torch.zeros(2000, 1, 1, 1, 1), torch.zeros(2000, 1, 2)
    one = SimpleNamespace(num_processes=1, process_index=0, device="cpu")
    dropouts = {"text_dropout": 0.0, "memory_dropout": 0.2, "language_dropout": 0.6}
    batch = draw_batch(one, scheduler, 0, 0, latents, ids, ids.bool(), torch.ones(2000, 1), **{**DRAWS, **dropouts})
    assert batch.use_text.all() and batch.use_memory.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert batch.use_language.float().mean().item() == pytest.approx(0.4, abs=0.04)
    assert (batch.use_memory & batch.use_language).float().mean().item() == pytest.approx(0.32, abs=0.04), "independent of each other"


@torch.no_grad()
def test_stories_without_text_or_memory(tokenizer):
    """Rows for guidance see the empty sentence, encoded alone as the pipeline does, and nothing of the story; others are not disturbed."""
    no_yes = torch.tensor([False, True])
    denoiser, batch = make_denoiser(tokenizer), make_batch(tokenizer)
    normal, _ = denoiser(batch)
    dropped, logits = denoiser(dataclasses.replace(batch, use_text=no_yes))
    assert torch.equal(dropped[[1, 3]], normal[[1, 3]]) and not torch.equal(dropped[[0, 2]], normal[[0, 2]])
    other_ids, other_mask = tokenize_stories(tokenizer, [["Milo runs."] * 4, STORY[::-1]])
    changes = {"ids": other_ids, "mask": other_mask, "memory_latents": torch.cat([torch.randn(1, 4, 4, 8, 8), batch.latents[1:]])}
    changed, _ = denoiser(dataclasses.replace(batch, use_text=no_yes, **changes))
    assert torch.equal(changed, dropped), "nothing of the sentences or the memory of story 0 gets through"
    empty = denoiser.text_encoder(denoiser.empty_ids[None]).last_hidden_state
    end = empty[0, int(denoiser.empty_mask.sum()) - 1]
    for m in range(4):
        alone = denoiser.unet(batch.noisy[:1, m], batch.levels[:1, m], Conditioning(empty, end[None])).sample
        torch.testing.assert_close(dropped[0, m], alone[0], atol=1e-5, rtol=1e-4)

    forgetful, _ = denoiser(dataclasses.replace(batch, use_memory=no_yes))
    assert torch.equal(forgetful[:, 0], normal[:, 0]) and torch.equal(forgetful[[1, 3]], normal[[1, 3]])
    assert not torch.equal(forgetful[0, 1:], normal[0, 1:])
    silent, silent_logits = denoiser(dataclasses.replace(batch, use_language=no_yes))
    assert torch.equal(silent[[1, 3]], normal[[1, 3]]) and not torch.equal(silent_logits[0, 1:], logits[0, 1:])


@pytest.mark.parametrize("form", ["sentence", "spatial", "none"])
@pytest.mark.parametrize("language", [True, False])
def test_every_parameter_learns(form, language, tokenizer):
    """With gradients that all exist even where a whole batch is dropped: data-parallel training waits for each of them."""
    denoiser = make_denoiser(tokenizer, form, language).train()
    prediction, logits = denoiser(make_batch(tokenizer))
    (prediction.square().mean() + logits.square().mean()).backward()
    for name, parameter in denoiser.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # a key's bias shifts all logits of a softmax alike; positions and bytes that no sentence has are not read
        assert parameter.grad.any() or name.endswith("k_proj.bias"), name
    denoiser.zero_grad(set_to_none=True)
    no = torch.zeros(2, dtype=torch.bool)
    prediction, logits = denoiser(make_batch(tokenizer, use_text=no, use_memory=no, use_language=no))
    (prediction.square().mean() + logits.square().mean()).backward()
    assert [name for name, parameter in denoiser.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("form", ["sentence", "spatial", "none"])
def test_a_padded_batch_is_its_stories_one_by_one(form, tokenizer):
    """In loss, loss of text, and gradients; each frame counts alike, and nothing of the padding does."""
    denoiser, scheduler, lengths = make_denoiser(tokenizer, form), noise_scheduler(), [4, 2]
    facts = torch.randint(0, 2, (2, 4, 3), generator=torch.Generator().manual_seed(4))
    _, weight = padded_frames(torch.tensor(lengths), [0, 1])
    whole = make_batch(tokenizer, weight=weight)

    def losses(batch: StoryBatch, facts: torch.Tensor) -> torch.Tensor:
        prediction, logits = denoiser(batch)
        return torch.stack([*diffusion_loss(scheduler, prediction, batch, 5.0), text_loss(logits, facts, batch.weight)])

    def gradients(loss: torch.Tensor) -> dict[str, torch.Tensor]:
        denoiser.zero_grad(set_to_none=True)
        (loss[0] + loss[2]).backward()
        return {name: p.grad.clone() for name, p in denoiser.named_parameters() if p.grad is not None}

    expected = torch.zeros(3)
    for story, length in enumerate(lengths):
        one = whole.part(torch.tensor([story]))
        framed = {f.name: getattr(one, f.name)[:, :length] for f in dataclasses.fields(one) if f.name[:4] != "use_" and f.name != "states"}
        alone = dataclasses.replace(one, **{**framed, "weight": torch.ones(1, length)})
        expected = expected + losses(alone, facts[story : story + 1, :length]) * length / sum(lengths)
    alone_gradients = gradients(expected)
    found = losses(whole, facts)
    torch.testing.assert_close(found, expected)
    for name, gradient in gradients(found).items():
        torch.testing.assert_close(gradient, alone_gradients[name], atol=1e-5, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")
    other = dataclasses.replace(whole, **{name: getattr(whole, name).clone() for name in ("ids", "latents", "noisy", "memory_latents")})
    for value in (other.latents, other.noisy, other.memory_latents):
        value[1::2, 2:] += 1
    other.ids[1, 2:] = other.ids[0, 2:]
    facts[1, 2:] = 1 - facts[1, 2:]
    assert torch.equal(losses(other, facts), found), "nothing of the padding counts"


def test_processes_draw_the_noise_of_a_padded_batch():
    """Two processes with half the stories each have the draws of one with all, though the longest story is in one of them only."""
    scheduler, (index, weight) = noise_scheduler(), padded_frames(torch.tensor([3, 2, 1, 2]), [3, 2, 0, 1])
    latents, ids = torch.randn(8, 4, 2, 2)[index], torch.arange(16).view(8, 2)[index]
    whole, *halves = (
        draw_batch(SimpleNamespace(num_processes=n, process_index=k, device="cpu"), scheduler, 0, 7, *(x[rows] for x in parts), **DRAWS)
        for parts in [(latents, ids, ids.bool(), weight)]
        for n, k, rows in ((1, 0, slice(None)), (2, 0, slice(2)), (2, 1, slice(2, 4)))
    )
    for field in dataclasses.fields(StoryBatch)[:-1]:
        first, second = (getattr(half, field.name).unflatten(0, (-1, 2)) for half in halves)
        assert torch.equal(torch.cat([first, second], 1).flatten(0, 1), getattr(whole, field.name)), field.name


def test_labels_are_not_part_of_a_batch():
    """Invariant 8: the model is given sentences and pictures; nothing else about a story reaches its forward."""
    assert [field.name for field in dataclasses.fields(StoryBatch)] == [
        "latents",
        "ids",
        "mask",
        "weight",
        "noisy",
        "noise",
        "levels",
        "memory_latents",
        "memory_levels",
        "use_text",
        "use_memory",
        "use_language",
        "states",
    ]


def test_strips_and_sheets():
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "green", "blue")]
    strip = story_strip(frames, ["He waves.", "", "A very long sentence " * 5], side=48)
    side, gap = 48, 2
    assert strip.width == 3 * (side + gap) + gap and strip.height > side
    centres = [strip.getpixel((gap + m * (side + gap) + side // 2, gap + side // 2)) for m in range(3)]
    assert centres == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]
    below = np.asarray(strip)[side + 2 * gap :]
    assert (below[:, : side + gap] < 128).any() and (below[:, side + 2 * gap : 2 * side + gap] == 255).all(), "words under their own frame"
    sheet = story_sheet([frames, frames[:1]], [["a"] * 3, ["b"]], side=48)
    assert sheet.width == strip.width and sheet.height > 2 * side
    big = story_strip([Image.new("L", (300, 300), 128)], ["grey"], side=48)
    assert big.getpixel((20, 20)) == (128, 128, 128)
    with pytest.raises(ValueError):
        story_strip(frames, ["one"])


def test_frames_tensor_and_pictures_agree():
    array = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    tensor = frames_tensor([Image.fromarray(x) for x in array])
    np.testing.assert_allclose((tensor.permute(0, 2, 3, 1).numpy() + 1) * 127.5, array, atol=1e-4)


def test_details_are_what_a_local_mean_leaves():
    """Nothing where a picture is even, to its edge; what is left of a checkerboard has its sign."""
    details = script("training/train_autoencoder.py").details
    assert details(torch.full((1, 3, 16, 16), 0.7)).abs().max() < 1e-6
    board = 2.0 * ((torch.arange(16)[:, None] + torch.arange(16)) % 2).expand(1, 3, -1, -1) - 1
    assert torch.equal(details(board).sign(), board) and details(board).abs().min() > 0.8


def test_latents_of_a_trained_autoencoder_have_unit_scale():
    """As the training script measures them, over the frames of all stories."""
    vae, dice = tiny_vae(2), np.random.default_rng(0)
    stories = [{"frames": [Image.fromarray(x) for x in dice.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)]} for _ in range(4)]
    script("training/train_autoencoder.py").normalise_latents(vae, stories, "cpu")
    latents = encode_frames(vae, torch.cat([frames_tensor(story["frames"]) for story in stories]))
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
