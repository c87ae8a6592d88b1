"""A Stable Diffusion in one .safetensors file, in the layout of its makers: tiny ones, and the configs of the published sizes."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import STORY, script
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from test_diffusers_conventions import stable_diffusion
from test_stable_diffusion_xl import draw, make_xl, open_story
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from story_ldm.encoders.clip_tokenizer import clip_tokenizer
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm import single_file
from story_ldm.systems.story_ldm.building import open_start
from story_ldm.systems.story_ldm.single_file import configs

RENAMED = [  # diffusers' names → those of the makers
    (r"^time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
    (r"^add_embedding\.linear_(\d)", lambda m: f"label_emb.0.{2 * int(m[1]) - 2}"),
    (r"^conv_in\.", lambda m: "input_blocks.0.0."),
    (r"^conv_norm_out\.", lambda m: "out.0."),
    (r"^conv_out\.", lambda m: "out.2."),
    (r"^mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"^mid_block\.attentions\.0", lambda m: "middle_block.1"),
]
RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3"}
RESNET |= {"time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
OPEN_CLIP = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def unet_as_published(unet: torch.nn.Module) -> dict[str, torch.Tensor]:
    layers, attention = unet.config.layers_per_block, ["CrossAttn" in kind for kind in unet.config.up_block_types]

    def block(m) -> str:
        level, kind, layer = int(m[2]), m[3], int(m[4])
        if m[1] == "down":
            at = (layers + 1) * level + layer + 1
            return f"input_blocks.{at + (layers if kind == 'downsamplers' else 0)}." + {"resnets": "0", "attentions": "1"}.get(kind, "0.op")
        if kind == "upsamplers":
            return f"output_blocks.{(layers + 1) * level + layers}.{1 + attention[level]}.conv"
        return f"output_blocks.{(layers + 1) * level + layer}." + {"resnets": "0", "attentions": "1"}[kind]

    renamed = {}
    for name, value in unet.state_dict().items():
        new = name
        if "resnets" in name:
            new = re.sub("|".join(rf"\b{part}\b" for part in RESNET), lambda m: RESNET[m[0]], new)
        new = re.sub(r"^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)(\.conv)?", block, new)
        for pattern, replacement in RENAMED:
            new = re.sub(pattern, replacement, new)
        renamed[f"model.diffusion_model.{new}"] = value
    return renamed


def vae_as_published(vae: torch.nn.Module) -> dict[str, torch.Tensor]:
    levels, renamed = len(vae.config.block_out_channels), {}
    for name, value in vae.state_dict().items():
        new = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
        new = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", new)
        new = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", new)
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        new = new.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        renamed[f"first_stage_model.{new}"] = value
    return renamed


def clip_as_published(encoder: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}text_model.{name.removeprefix('text_model.')}": value for name, value in encoder.state_dict().items()}


def open_clip_as_published(encoder: torch.nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    state = {name.removeprefix("text_model."): value for name, value in encoder.state_dict().items()}
    out = {"token_embedding.weight": state["embeddings.token_embedding.weight"], "ln_final.weight": state["final_layer_norm.weight"]}
    out |= {"positional_embedding": state["embeddings.position_embedding.weight"], "ln_final.bias": state["final_layer_norm.bias"]}
    if "text_projection.weight" in state:
        out["text_projection"] = state["text_projection.weight"].T.contiguous()
    for n in range(encoder.config.num_hidden_layers):
        old, new = f"encoder.layers.{n}.", f"transformer.resblocks.{n}."
        for kind in ("weight", "bias"):
            out[f"{new}attn.in_proj_{kind}"] = torch.cat([state[f"{old}self_attn.{part}_proj.{kind}"] for part in "qkv"])
            out |= {f"{new}{theirs}.{kind}": state[f"{old}{ours}.{kind}"] for ours, theirs in OPEN_CLIP.items()}
    return {prefix + name: value for name, value in out.items()}


def published(sd) -> dict[str, torch.Tensor]:
    """The weights of a Stable Diffusion under the names that its makers give them."""
    tensors = {**unet_as_published(sd.unet), **vae_as_published(sd.vae)}
    if hasattr(sd, "text_encoder_2"):
        tensors |= clip_as_published(sd.text_encoder, "conditioner.embedders.0.transformer.")
        tensors |= open_clip_as_published(sd.text_encoder_2, "conditioner.embedders.1.model.")
    elif sd.text_encoder.config.hidden_act == "gelu":
        tensors |= open_clip_as_published(sd.text_encoder, "cond_stage_model.model.")
    else:
        tensors |= clip_as_published(sd.text_encoder, "cond_stage_model.transformer.")
    return {name: value.clone().contiguous() for name, value in tensors.items()}


def with_projection_as_wide(xl):
    """OpenCLIP's projection is square, and its in-projections are split by its width."""
    config = {**xl.text_encoder_2.config.to_dict(), "projection_dim": 12, "eos_token_id": 1}
    encoder = CLIPTextModelWithProjection(CLIPTextConfig(**config)).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    unet = type(xl.unet)(**{**xl.unet.config, "projection_class_embeddings_input_dim": 12 + 6 * 4}).eval()
    return type(xl)(**{**xl.components, "text_encoder_2": encoder, "unet": unet}, add_watermarker=False)


@pytest.fixture(scope="module", params=["1.x", "2.x", "XL"])
def made(request, tokenizer, tmp_path_factory):
    """A tiny Stable Diffusion, its folder and its file."""
    folder = tmp_path_factory.mktemp("single")
    if request.param == "XL":
        sd = with_projection_as_wide(make_xl())
    else:
        sd = stable_diffusion(tokenizer)
        if request.param == "2.x":
            sd.text_encoder.config.hidden_act = "gelu"
            sd.register_modules(text_encoder=CLIPTextModel(sd.text_encoder.config).eval())
    sd.set_progress_bar_config(disable=True)
    sd.save_pretrained(folder / "folder")
    save_file(published(sd), folder / "model.safetensors")
    return request.param, sd, folder / "folder", folder / "model.safetensors"


def without_weights(folder: Path, to: Path) -> Path:
    """The configs and tokenizers of a folder."""
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix != ".safetensors":
            (to / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (to / file.relative_to(folder)).write_bytes(file.read_bytes())
    return to


def test_the_file_draws_as_the_folder(made, tmp_path, monkeypatch):
    """To the last bit, and by no network; with an autoencoder in the place of the file's, and in half precision, if asked."""
    kind, sd, folder, file = made
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
    pipe = open_story(file, config=without_weights(folder, tmp_path / "configs"))
    for part in ("unet", "vae", "text_encoder", *(["text_encoder_2"] if kind == "XL" else [])):
        expected, found = getattr(sd, part).state_dict(), getattr(pipe, part).state_dict()
        assert expected.keys() == found.keys() and all(torch.equal(value, found[name]) for name, value in expected.items()), part
    np.testing.assert_array_equal(draw(pipe), draw(open_story(sd)))
    other = StoryLDMPipeline.from_stable_diffusion(file, config=tmp_path / "configs", vae=sd.vae, dtype=torch.bfloat16)
    assert other.vae is sd.vae and other.unet.dtype == torch.bfloat16


def test_marks_of_the_file(made, tmp_path):
    """What it predicts is told by its marks, or by the caller; training begins from it as from a folder."""
    kind, sd, _, file = made
    usual = "v_prediction" if kind == "2.x" else "epsilon"
    config = {"config": None, "tokenizer": sd.tokenizer, **({"tokenizer_2": sd.tokenizer_2} if kind == "XL" else {})}
    sizes = {"unet": {"_class_name": "UNet2DConditionModel", **sd.unet.config}, "vae": {"_class_name": "AutoencoderKL", **sd.vae.config}}
    for part in ("text_encoder", *(["text_encoder_2"] if kind == "XL" else [])):
        sizes[part] = getattr(sd, part).config.to_dict() | {"architectures": [type(getattr(sd, part)).__name__]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single_file, "configs", lambda family: sizes)
        assert open_start(file).scheduler.config.prediction_type == usual
        assert StoryLDMPipeline.from_stable_diffusion(file, **config).scheduler.config.prediction_type == usual
        save_file({**load_file(file), "v_pred": torch.ones(1), "ztsnr": torch.ones(1)}, tmp_path / "v.safetensors")
        scheduler = StoryLDMPipeline.from_stable_diffusion(tmp_path / "v.safetensors", **config).scheduler
        assert scheduler.config.prediction_type == "v_prediction" and scheduler.config.timestep_spacing == "trailing"
        with pytest.raises(ValueError, match=r"prediction_type is 'sample'; it must be epsilon or v_prediction"):
            StoryLDMPipeline.from_stable_diffusion(file, prediction_type="sample", **config)
        weights = load_file(file)
        absent = next(name for name in weights if name.endswith("in_layers.2.weight"))
        save_file({name: value for name, value in weights.items() if name != absent}, tmp_path / "cut.safetensors")
        with pytest.raises(ValueError, match=r"cut.safetensors does not fit the configs of a Stable Diffusion .*: "):
            StoryLDMPipeline.from_stable_diffusion(tmp_path / "cut.safetensors", **config)


def test_training_text_from_a_file(made, tmp_path):
    """`--text-from` takes the text encoder out of a file; XL's two are refused by name."""
    kind, sd, folder, file = made
    language = script("training/train_language_memory.py")
    if kind == "XL":
        for model in (file, folder):
            with pytest.raises(ValueError, match=r"--text-from is .*, a Stable Diffusion XL, .* two text encoders"):
                language.text_of_start(model, config=folder)
        return
    tokenizer, encoder = language.text_of_start(file, config=folder)
    assert tokenizer(STORY).input_ids == sd.tokenizer(STORY).input_ids
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in sd.text_encoder.state_dict().items())


X = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3), "first_stage_model.a": torch.zeros(1)}
CLIP = {"cond_stage_model.transformer.a": torch.zeros(1)}
REFUSED = {
    "LoRA": ({"lora_unet_a.lora_down.weight": torch.zeros(1)}, "it is a LoRA; load it onto one by load_lora_weights"),
    "something else": ({"a": torch.zeros(1)}, r"in the layout of its makers: it has no model.diffusion_model.input_blocks.0.0.weight"),
    "inpainting": ({**X, **CLIP, "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 9, 3, 3)}, "reads 9 channels; it must read 4"),
    "refiner": ({**X, "conditioner.embedders.0.model.a": torch.zeros(1)}, "is the refiner of a Stable Diffusion XL.*take the base model"),
    "Playground": ({**X, "conditioner.embedders.1.model.a": torch.zeros(1), "edm_mean": torch.zeros(1)}, "its latents are normalised as Playground"),
    "no text encoder": (X, "it has no text encoder"),
    "no autoencoder": ({**CLIP, "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3)}, "has no autoencoder .*give one: vae="),
    "other sizes": ({**X, **CLIP}, "does not fit the configs of a Stable Diffusion 1.x"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what, tmp_path):
    tensors, message = REFUSED[what]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        StoryLDMPipeline.from_stable_diffusion(tmp_path / "model.safetensors")


def test_refused_before_reading(tmp_path):
    for suffix in (".ckpt", ".pt", ".gguf"):
        (tmp_path / f"model{suffix}").write_bytes(b"a pickle")
        with pytest.raises(ValueError, match=r"may hold a pickle, which is not opened; .* must be a .safetensors file"):
            StoryLDMPipeline.from_stable_diffusion(tmp_path / f"model{suffix}")
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 99)
    with pytest.raises(ValueError, match=r"cannot be read as safetensors"):
        StoryLDMPipeline.from_stable_diffusion(tmp_path / "model.safetensors")
    save_file({**X, **CLIP}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"config is .*nowhere'; it must be the folder of a Stable Diffusion"):
        StoryLDMPipeline.from_stable_diffusion(tmp_path / "model.safetensors", config="nowhere")
    with pytest.raises(ValueError, match=r"prediction_type is given, but .* is not a model in a single file"):
        StoryLDMPipeline.from_stable_diffusion(tmp_path, prediction_type="epsilon")


def test_configs_of_the_published_sizes():
    """Parameters of each part as its makers count them."""
    counts = {"1.x": (859_520_964, 123_060_480), "2.x": (865_910_724, 340_387_840), "XL": (2_567_463_684, 123_060_480, 694_659_840)}
    for family, expected in counts.items():
        parts = configs(family)
        with torch.device("meta"):
            models = [UNet2DConditionModel.from_config(parts["unet"]), CLIPTextModel(CLIPTextConfig(**parts["text_encoder"]))]
            if family == "XL":
                models.append(CLIPTextModelWithProjection(CLIPTextConfig(**parts["text_encoder_2"])))
            autoencoder = AutoencoderKL.from_config(parts["vae"])
        assert [sum(p.numel() for p in model.parameters()) for model in models] == list(expected), family
        assert sum(p.numel() for p in autoencoder.parameters()) == 83_653_863


def test_the_tokenizer_is_clips():
    """Tokens as OpenAI publishes them in its examples; OpenCLIP pads with token 0."""
    tokenizer, other = clip_tokenizer(), clip_tokenizer("!")
    assert len(tokenizer) == 49408 and tokenizer.model_max_length == 77
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert [each("a", padding="max_length").input_ids[2:5] for each in (tokenizer, other)] == [[49407] * 3, [49407, 0, 0]]
    assert tokenizer.decode(tokenizer("Ünïcode, 東京 …").input_ids, skip_special_tokens=True) == "ünïcode , 東京 …"
