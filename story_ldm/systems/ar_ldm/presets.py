"""Presets of AR-LDM: `PRESETS[name]()` returns the settings of each component, as those of Story-LDM do.

python -m story_ldm.systems.ar_ldm.presets                 # prints the parameter counts of every preset
"""

from __future__ import annotations

from typing import Any

from story_ldm.files import markdown_table
from story_ldm.systems.story_ldm import presets as story_ldm


def toon_64() -> dict[str, Any]:
    """The built-in world: autoencoder, UNet and text encoder of Story-LDM's `toon-64` without its memory, and a history encoder by which both have as
    many parameters within 10 %."""
    history = {"resolution": 64, "patch": 8, "vision_width": 192, "vision_layers": 3, "vision_heads": 4, "width": 192, "layers": 2, "heads": 4}
    return {**_without_memory(story_ldm.toon_64()), "longest": 5, "history": history}


def ar_ldm_sd15() -> dict[str, Any]:
    """The published model: Stable Diffusion 1.5 and BLIP-large (ViT-L/16 at 224 px, BERT-base with cross-attention), stories of 5 frames."""
    history = {"resolution": 224, "patch": 16, "vision_width": 1024, "vision_layers": 24, "vision_heads": 16, "width": 768, "layers": 12, "heads": 12}
    return {**_without_memory(story_ldm.sd15()), "longest": 5, "history": history}


def _without_memory(preset: dict[str, Any]) -> dict[str, Any]:
    unet = {name: value for name, value in preset["unet"].items() if not name.startswith("memory_")}
    return {**{name: preset[name] for name in ("resolution", "max_length", "vae", "text")}, "unet": unet}


PRESETS = {"toon-64": toon_64, "ar-ldm-sd15": ar_ldm_sd15}


def parts_of(name: str) -> dict[str, Any]:
    """The components of a preset, without memory for weights: autoencoder, UNet, text encoder, history encoder, type and time embeddings."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from story_ldm.systems.ar_ldm.conditioning import HistoryEmbedding
    from story_ldm.systems.ar_ldm.history import new_history_encoder

    p, toon = PRESETS[name](), name.startswith("toon")
    width = p["text"]["width"]
    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=p["text"]["layers"],
        num_attention_heads=p["text"]["heads"],
        vocab_size=1000 if toon else 49408,
        max_position_embeddings=p["max_length"],
        projection_dim=width,
    )
    with torch.device("meta"):
        return {
            "autoencoder": AutoencoderKL(**p["vae"]),
            "UNet": UNet2DConditionModel(**p["unet"]),
            "text encoder": CLIPTextModel(config),
            "history encoder": new_history_encoder(*((1001, p["max_length"]) if toon else (30524, 512)), **p["history"]),
            "embeddings": HistoryEmbedding(width, p["longest"]),
        }


def parameter_table() -> str:
    """Markdown table of the parameter counts, in millions, of each preset's components."""
    rows = []
    for name, preset in PRESETS.items():
        p, counts = preset(), {part: sum(x.numel() for x in model.parameters()) for part, model in parts_of(name).items()}
        counts["without autoencoder"] = sum(counts.values()) - counts["autoencoder"]
        sizes = (f"{count / 1e6:.2f} M" if count > 1e5 else f"{count:,}" for count in counts.values())
        rows.append([name, f"{p['resolution']} px", *sizes])
    head = ("preset", "frames", "autoencoder", "UNet", "text encoder", "history encoder", "type and time embeddings", "without autoencoder")
    return markdown_table(head, rows)


if __name__ == "__main__":
    print(parameter_table())
