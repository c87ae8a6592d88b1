"""StoryAutoencoder: a small decoder on the latents of another autoencoder, its sizes, its folders, and the pipeline that has it.

pytest tests/test_autoencoder.py
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import STORY, as_trained, script, tiny_pipeline, tiny_vae
from diffusers import AutoencoderKL
from PIL import Image

from story_ldm import StoryAutoencoder
from story_ldm.data.frames import frames_tensor
from story_ldm.encoders.autoencoder import FastDecoder, open_autoencoder
from story_ldm.encoders.latents import decode_latents, downscale_factor, encode_frames, enlargement, frames_to_raw
from story_ldm.pipelines import StoryLDMPipeline

DECODER = {"decoder_widths": (16, 8, 8), "decoder_blocks": (2, 0, 1)}


def tiny_story_vae(**decoder) -> StoryAutoencoder:
    """Reads frames of 4 × 4 pixels a latent cell and draws 8 × 8."""
    torch.manual_seed(1)
    vae = StoryAutoencoder.from_vae(tiny_vae(2, normalised=True), **{**DECODER, **decoder})
    as_trained(vae.decoder, std=0.1)
    return vae


def story_pipeline(tokenizer) -> StoryLDMPipeline:
    pipe = tiny_pipeline(tokenizer)
    pipe.register_modules(vae=tiny_story_vae())
    return pipe


@pytest.mark.parametrize("widths, times", [((16, 8), 1), ((16, 8, 8), 2), ((16, 8, 8, 4), 4)])
def test_latents_are_those_of_the_averaged_frames(widths, times):
    """To the last bit; and frames come back in their size, from any number of leading axes."""
    stock, vae = tiny_vae(2, normalised=True), tiny_story_vae(decoder_widths=widths, decoder_blocks=(1,) * len(widths))
    assert enlargement(vae) == times and downscale_factor(vae) == 4 * times
    assert enlargement(stock) == 1 and downscale_factor(stock) == 4
    frames = torch.rand(2, 3, 3, 16 * times, 32 * times) * 2 - 1
    latents = encode_frames(vae, frames)
    averaged = F.avg_pool2d(frames.flatten(0, 1), times).unflatten(0, (2, 3)) if times > 1 else frames
    assert latents.shape == (2, 3, 4, 4, 8) and torch.equal(latents, encode_frames(stock, averaged))
    drawn = decode_latents(vae, latents)
    assert drawn.shape == frames.shape and drawn.abs().max() <= 1 and drawn.std() > 0.01
    assert torch.equal(frames_to_raw(vae, frames[0]).mode(), frames_to_raw(stock, averaged[0]).mode())


@pytest.mark.parametrize("widths, times", [((16, 8), 1), ((16, 8, 8), 2)])
def test_folded_latents_are_the_raw_ones_in_blocks(widths, times):
    """To the last bit, also back; a cell has twice the pixels a side, and what the encoder reads does not change."""
    decoder = {"decoder_widths": widths, "decoder_blocks": (1,) * len(widths)}
    plain, folded = tiny_story_vae(**decoder), tiny_story_vae(**decoder, latent_fold=2)
    assert downscale_factor(folded) == 2 * downscale_factor(plain) == 8 * times and enlargement(folded) == enlargement(plain) == times
    frames = torch.rand(2, 3, 3, 16 * times, 32 * times) * 2 - 1
    raw, latents = encode_frames(plain, frames), encode_frames(folded, frames)
    assert latents.shape == (2, 3, 16, 2, 4)
    for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        assert torch.equal(latents.unflatten(2, (4, 4))[:, :, :, 2 * y + x], raw[..., y::2, x::2])
    assert torch.equal(decode_latents(folded, latents), decode_latents(plain, raw))


def test_a_preset_with_folded_latents_is_trained_and_drawn_with(trainer, tokenizer, tmp_path):
    argv = ["train_autoencoder.py", "--preset", "picture-book", "--resolution", 32, "--limit", 3, "--batch", 2, "--stories", 4, "--workers", 0]
    trainer(*argv, "--num-proc", 1, "--log-every", 1, "--output", tmp_path)
    vae = open_autoencoder(tmp_path / "vae")
    assert type(vae) is StoryAutoencoder and len(vae.config.latents_std) == 8 and downscale_factor(vae) == 16
    pipe = tiny_pipeline(tokenizer, size=2, in_channels=32, out_channels=32)
    pipe.register_modules(vae=vae)
    frames = pipe(STORY[:2], num_inference_steps=1).frames[0]
    assert [frame.size for frame in frames] == [(32, 32)] * 2
    again = pipe(STORY[:2], num_inference_steps=1, frames=frames[:1]).frames[0]  # given frames are folded, too
    assert again[0].size == (32, 32)


def test_a_new_decoder_starts_without_its_blocks():
    """Their last convolutions are zero."""
    torch.manual_seed(0)
    decoder = FastDecoder(4, 12, (16, 8), (1, 1))
    latents = torch.randn(1, 4, 8, 8)
    without = FastDecoder(4, 12, (16, 8), (0, 0))
    without.load_state_dict({name.replace("layers.1", "layers.0"): x for name, x in decoder.state_dict().items() if name.split(".")[1] not in "02"})
    assert torch.equal(decoder(latents), without(latents))
    with pytest.raises(AssertionError, match="as many of one as of the other"):
        FastDecoder(4, 12, (16, 8), (1,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_saved_and_opened_again(dtype, tmp_path):
    """The same outputs, config and class by both ways of opening; an AutoencoderKL stays one."""
    vae, stock = tiny_story_vae().to(dtype), tiny_vae(2)
    vae.save_pretrained(tmp_path / "vae"), stock.save_pretrained(tmp_path / "stock")
    latents = torch.randn(1, 4, 4, 4)
    expected = decode_latents(vae.float(), latents)
    for opened in (StoryAutoencoder.from_pretrained(tmp_path / "vae", dtype=torch.float32), open_autoencoder(tmp_path / "vae", dtype=torch.float32)):
        assert type(opened) is StoryAutoencoder and torch.equal(decode_latents(opened, latents), expected)
        settings = {name: list(x) if isinstance(x, tuple) else x for name, x in vae.config.items() if not name.startswith("_")}
        assert {name: list(x) if isinstance(x, tuple) else x for name, x in opened.config.items() if not name.startswith("_")} == settings
    assert type(open_autoencoder(tmp_path / "stock")) is AutoencoderKL
    assert torch.equal(decode_latents(open_autoencoder(tmp_path / "stock"), latents), decode_latents(stock, latents))


def test_what_from_vae_keeps():
    vae = tiny_story_vae().to(torch.bfloat16).train()
    other = StoryAutoencoder.from_vae(vae, decoder_widths=(8, 8), decoder_blocks=(1, 1))
    assert other.dtype == torch.bfloat16 and other.training and enlargement(other) == 1
    assert other.config.latents_std == vae.config.latents_std and other.config.scaling_factor == vae.config.scaling_factor
    for part in ("encoder", "quant_conv", "post_quant_conv"):
        assert all(torch.equal(a, b) for a, b in zip(getattr(vae, part).parameters(), getattr(other, part).parameters(), strict=True))
    with pytest.raises(NotImplementedError):
        vae.enable_tiling()


def test_a_story_in_the_larger_size(tokenizer, tmp_path):
    """The pipeline draws the same latents as with the stock decoder, in frames of twice the side; saved and opened it draws the same pictures."""
    stock, pipe = tiny_pipeline(tokenizer), story_pipeline(tokenizer)
    stock.register_modules(vae=tiny_vae(2, normalised=True))
    call = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(0)}
    small = stock(STORY, output_type="latent", **call).frames[0]
    call["generator"].manual_seed(0)
    assert torch.equal(pipe(STORY, output_type="latent", **call).frames[0], small)
    call["generator"].manual_seed(0)
    frames = pipe(STORY, output_type="pt", **call).frames[0]
    assert frames.shape == (4, 3, 64, 64)
    call["generator"].manual_seed(0)
    assert torch.equal(pipe(STORY, height=64, width=64, output_type="pt", **call).frames[0], frames)
    with pytest.raises(ValueError, match="height is 40; it must be positive and divisible by 16"):
        pipe(STORY, height=40)

    pipe.save_pretrained(tmp_path)
    opened = StoryLDMPipeline.from_pretrained(tmp_path)
    opened.set_progress_bar_config(disable=True)
    call["generator"].manual_seed(0)
    assert type(opened.vae) is StoryAutoencoder and torch.equal(opened(STORY, output_type="pt", **call).frames[0], frames)


def test_frames_to_go_on_from_have_the_larger_size(tokenizer):
    """They reach the encoder averaged; frames of the encoder's own size are refused."""
    pipe = story_pipeline(tokenizer)
    given = [Image.fromarray(x) for x in np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)]
    latents = pipe(STORY, frames=given, num_inference_steps=1, output_type="latent").frames[0]
    averaged = F.avg_pool2d(frames_tensor(given), 2)
    torch.testing.assert_close(latents[:2], encode_frames(tiny_vae(2, normalised=True), averaged), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=r"have the sizes \[\(32, 32\)\]; they must have the size \(64, 64\)"):
        pipe(STORY, frames=[given[0].resize((32, 32))])


def test_score_of_an_autoencoder(tmp_path, capsys):
    """Half of the error is 6 dB more, the first table is the evaluator's on true frames, and the sheet has a row of pairs for every six frames."""
    score = script("evaluation/score_autoencoder.py")
    assert score.psnr(torch.tensor(4.0)) == 0 and score.psnr(torch.tensor(1.0)) == pytest.approx(6.02, abs=0.01)
    tiny_story_vae().save_pretrained(tmp_path / "vae")
    score.main(score.Settings(vae=tmp_path / "vae", stories=2, sheet=tmp_path / "sheet.png"))
    printed = capsys.readouterr().out
    assert "10 frames of 32 px" in printed and "| background | 100.00 |" in printed
    assert Image.open(tmp_path / "sheet.png").size == (6 * 32, 4 * 32)
