"""Where the memory layers of a UNet sit: after which of its blocks, and from which residual each is written.

sources, layers = new_memory_layers(unet.config)
"""

from __future__ import annotations

from typing import Any

from torch import nn

from story_ldm.systems.story_ldm.memory_attention import MemoryAttention


def memory_sites(config: Any) -> dict[str, tuple[int, int, int | None]]:
    """Every site where a memory layer is possible → (channels, source channels, index of its source among the down path's residuals).

    The write pass stops after the mid block; the source of an up block is therefore the deepest residual of its own output size. Residuals are
    conv_in, then for each down block its layers and, except in the last block, its downsampler: the last layer of block `level` is the deepest of
    size `level`. The source of down and mid blocks is their own output (index None).
    """
    widths = list(config.block_out_channels)
    layers = config.layers_per_block
    layers = [layers] * len(widths) if isinstance(layers, int) else list(layers)
    sites: dict[str, tuple[int, int, int | None]] = {f"down.{i}": (width, width, None) for i, width in enumerate(widths)}
    if config.mid_block_type is not None:
        sites["mid"] = (widths[-1], widths[-1], None)
    for i in range(len(widths)):
        level = max(len(widths) - 2 - i, 0)
        sites[f"up.{i}"] = (widths[-1 - i], widths[level], sum(layers[: level + 1]) + level)
    return sites


def new_memory_layers(config: Any) -> tuple[dict[str, int | None], nn.ModuleDict]:
    """The source of each memory layer of a UNet with this config, and the new layers. Raises ValueError for unknown forms and blocks."""
    if config.memory not in ("spatial", "sentence", "none"):
        raise ValueError(f"memory is {config.memory!r}; it must be spatial, sentence or none")
    sites = memory_sites(config)
    chosen = [] if config.memory == "none" else list(sites) if config.memory_blocks is None else config.memory_blocks
    if not set(chosen) <= set(sites):
        raise ValueError(f"memory_blocks is {', '.join(chosen)}; this UNet has the blocks {', '.join(sites)}")
    width = config.memory_sentence_dim
    if width is None:
        width = config.cross_attention_dim if isinstance(config.cross_attention_dim, int) else config.cross_attention_dim[0]
    sources = {site: sites[site][2] for site in sites if site in chosen}
    layers = {site.replace(".", "_"): MemoryAttention(*sites[site][:2], width, config.memory_heads, config.memory) for site in sources}
    return sources, nn.ModuleDict(layers)
