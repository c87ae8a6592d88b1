"""StoryUNet2DConditionModel: diffusers' UNet with a memory layer after each down, mid and up block.

unet = StoryUNet2DConditionModel.from_unet(pipe.unet)                       # bit-identical to the plain UNet before training
memory = unet.write(clean_latents, condition)                               # write pass: (B, K, c, h, w) → StoryMemory
noise = unet(noisy_latents, t, condition, memory=memory).sample             # read pass: frame m reads the frames before m
prepared = unet.prepare(memory, condition.pooled[:, m])                     # of one frame, for all of its diffusion steps
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import peft
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  diffusers looks the base class up in this module
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.utils import BaseOutput, apply_lora_scale
from torch import Tensor, nn

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.nn.hooks import entry, with_entries
from story_ldm.systems.story_ldm.memory_attention import MemoryAttention, PreparedMemory, StoryMemory
from story_ldm.systems.story_ldm.memory_sites import new_memory_layers

# diffusers finds by class name how a LoRA's weights a block ({"down": …, "mid": …, "up": …}) are spread over its layers
peft._SET_ADAPTER_SCALE_FN_MAPPING["StoryUNet2DConditionModel"] = peft._SET_ADAPTER_SCALE_FN_MAPPING["UNet2DConditionModel"]


@dataclass
class StoryUNetOutput(BaseOutput):
    """`sample` in the shape of the input; `memory_weights`, if requested: site → (B, heads, Q, K)."""

    sample: Tensor
    memory_weights: dict[str, Tensor | None] | None = None


def to_tokens(x: Tensor, frames: int) -> Tensor:
    """(B*frames, C, h, w) → (B, frames, h*w, C)"""
    return x.unflatten(0, (-1, frames)).flatten(3).transpose(2, 3)


def to_maps(tokens: Tensor, like: Tensor) -> Tensor:
    """(B, frames, h*w, C) → (B*frames, C, h, w), in the size and dtype of `like`"""
    return tokens.transpose(2, 3).unflatten(3, like.shape[-2:]).flatten(0, 1).to(like.dtype)


class StoryUNet2DConditionModel(UNet2DConditionModel):
    """A UNet2DConditionModel whose blocks also read earlier frames. Takes every setting of the base class, and

    memory: "spatial", "sentence" (the paper's form) or "none" (a plain latent diffusion model)
    memory_sentence_dim: width of the pooled sentences, by default that of the cross-attention
    memory_heads: number of attention heads of a memory layer
    memory_blocks: blocks with a memory layer, from "down.0" …, "mid", "up.0" …; None means all
    memory_sample_size: latent cells a side at which a memory adapter was trained, if it says so: the default size of frames instead of sample_size
    """

    @register_to_config
    def __init__(
        self,
        memory: str = "spatial",
        memory_sentence_dim: int | None = None,
        memory_heads: int = 8,
        memory_blocks: list[str] | None = None,
        memory_sample_size: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.memory_sources, self.memory_layers = new_memory_layers(self.config)

    @staticmethod
    def _get_init_keys(input_class: type) -> set[str]:
        # diffusers reads signatures, and the base's settings arrive through **kwargs
        return UNet2DConditionModel._get_init_keys(input_class) | UNet2DConditionModel._get_init_keys(UNet2DConditionModel)

    @classmethod
    def from_unet(cls, unet: UNet2DConditionModel, memory: str = "spatial", **memory_settings: Any) -> StoryUNet2DConditionModel:
        """A story UNet with the weights, dtype and device of `unet`, and new memory layers whose output is zero."""
        settings = {key: value for key, value in unet.config.items() if not key.startswith("_")}
        model = cls(**{**settings, "memory": memory, "memory_sample_size": None, **memory_settings})
        weights = {name: value for name, value in unet.state_dict().items() if not name.startswith("memory_layers.")}
        missing, unexpected = model.load_state_dict(weights, strict=False)
        assert not unexpected and all(name.startswith("memory_layers.") for name in missing), (missing, unexpected)
        return model.to(unet.device).type(unet.dtype).train(unet.training)

    def to_unet(self) -> UNet2DConditionModel:
        """The plain UNet2DConditionModel that this is without its memory layers; it shares the weights."""
        known = inspect.signature(UNet2DConditionModel.__init__).parameters
        with torch.device("meta"):
            unet = UNet2DConditionModel(**{name: value for name, value in self.config.items() if name in known})
        unet.load_state_dict({name: value for name, value in self.state_dict().items() if not name.startswith("memory_layers.")}, assign=True)
        return unet.train(self.training)

    def load_lora_adapter(self, *args: Any, **kwargs: Any) -> None:
        """diffusers' method, without the memory layers."""
        with self._without_memory_layers():
            super().load_lora_adapter(*args, **kwargs)

    def add_adapter(self, *args: Any, **kwargs: Any) -> None:
        """diffusers' method, without the memory layers."""
        with self._without_memory_layers():
            super().add_adapter(*args, **kwargs)

    @contextmanager
    def _without_memory_layers(self) -> Iterator[None]:
        """Remove the memory layers temporarily: LoRAs select layers by the ends of their names ("to_q"), which memory layers share."""
        layers, self.memory_layers = self.memory_layers, nn.ModuleDict()
        try:
            yield
        finally:
            self.memory_layers = layers

    def memory_parameters(self) -> Iterator[nn.Parameter]:
        return self.memory_layers.parameters()

    def memory_layer(self, site: str) -> MemoryAttention:
        layer = self.memory_layers[site.replace(".", "_")]
        assert isinstance(layer, MemoryAttention)
        return layer

    @entry
    @apply_lora_scale("cross_attention_kwargs")
    def write(
        self,
        latents: Tensor,
        condition: Conditioning,
        positions: list[int] | None = None,
        timestep: Tensor | float = 0,
        *,
        class_labels: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> StoryMemory:
        """The write pass: latents (B, K, c, h, w) and conditioning (B, K, …) of finished frames → their memory.

        Runs only the down and mid blocks and does not read memory: frames can be written one by one or all at once.
        timestep: noise level of the latents, 0 if they are clean; a tensor (B,) or (B, K) if training added noise.
        Raises ValueError if the UNet has no memory layers.
        """
        if not self.memory_sources:
            raise ValueError("this UNet has no memory layers (memory is 'none'); write requires memory='spatial' or memory='sentence'")
        frames = latents.shape[1]
        positions = list(range(frames)) if positions is None else list(positions)
        assert len(positions) == frames and positions == sorted(set(positions)), f"{frames} frames at positions {positions}"
        assert condition.pooled is not None, "memory attention requires pooled sentences in the conditioning"
        sample, emb, block_args = self._embed(latents, timestep, condition, class_labels, None, cross_attention_kwargs)
        outputs: dict[str, Tensor] = {}

        def store(site: str, x: Tensor) -> Tensor:
            outputs[site] = x
            return x

        _, residuals = self._way_down(sample, emb, block_args, store)
        maps = {site: outputs[site] if source is None else residuals[source] for site, source in self.memory_sources.items()}
        sizes = {site: (x.shape[-2], x.shape[-1]) for site, x in maps.items()}
        entries = {site: self.memory_layer(site).write(to_tokens(x, frames), condition.pooled) for site, x in maps.items()}
        return StoryMemory(entries, positions, sizes=sizes)

    @entry
    def recall(self, memory: StoryMemory, sentences: Tensor, max_memory_frames: int | None) -> StoryMemory:
        """The `max_memory_frames` earlier frames most relevant to a frame's sentence (B, D), by the sentence logit averaged over layers; None: all.

        Call it once per frame, not per diffusion step. All entries of `memory` must be before the frame.
        """
        if max_memory_frames is None or len(memory) <= max_memory_frames:
            return memory
        assert max_memory_frames > 0, f"max_memory_frames is {max_memory_frames}; it must be at least 1, or None"
        relevance = [self.memory_layer(site).relevance(sentences, entry) for site, entry in memory.entries.items()]
        return memory.recall(torch.stack(relevance).mean(0), max_memory_frames)

    @entry
    def prepare(self, memory: StoryMemory, sentences: Tensor) -> PreparedMemory:
        """What one frame of each story, with the sentences (B, D), reads of all of `memory`, at every diffusion step. `forward` takes it as `memory`,
        for frames of the same size. Stories that are not enabled read nothing, and at least one must be."""
        rows = torch.arange(len(sentences), device=sentences.device)
        if memory.enabled is not None:
            rows = rows[memory.enabled]
            memory, sentences = memory.rows(rows), sentences[rows]
        layers = {}
        for site, remembered in memory.entries.items():
            layers[site] = self.memory_layer(site).prepare(sentences[:, None], remembered, None, memory.sizes[site])
        return PreparedMemory(layers, rows)

    @with_entries
    @apply_lora_scale("cross_attention_kwargs")
    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Conditioning | Tensor,
        memory: StoryMemory | PreparedMemory | None = None,
        positions: list[int] | None = None,
        return_memory_weights: bool = False,
        *,
        class_labels: Tensor | None = None,
        timestep_cond: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        down_block_additional_residuals: Sequence[Tensor] | None = None,
        mid_block_additional_residual: Tensor | None = None,
        return_dict: bool = True,
    ) -> StoryUNetOutput | tuple:
        """The read pass: the prediction for sample (B, M, c, h, w), conditioning (B, M, …) and timestep (), (B,) or (B, M).

        Each frame reads the entries of `memory` before its position; the default positions are 0 … M-1. With sample (B, c, h, w) and conditioning
        (B, …) each row is one frame of a different story, by default after all of the memory; what that reads can be prepared for all diffusion
        steps. A memory of fewer stories is that of several noise draws: the same stories again, with the same sentences. Without memory this is the
        base class's forward on the flattened frames. As in the base class, `encoder_hidden_states` may also be sentence states, with mask and added
        conditions as keyword arguments.
        """
        condition = encoder_hidden_states
        if not isinstance(condition, Conditioning):
            condition = Conditioning(condition, mask=encoder_attention_mask, added=added_cond_kwargs or {})
        stories = sample.ndim == 5
        frames = sample.shape[1] if stories else 1
        default_up_factor = 2**self.num_upsamplers
        odd_size = any(size % default_up_factor for size in sample.shape[-2:])
        x, emb, block_args = self._embed(sample, timestep, condition, class_labels, timestep_cond, cross_attention_kwargs)

        readable: list[int] | None = None  # all of the memory: of a frame that is drawn. Nothing here depends on how much that is, for torch.compile
        if isinstance(memory, StoryMemory) and memory.entries:
            assert condition.pooled is not None, "memory attention requires pooled sentences in the conditioning"
            sentences = condition.pooled[: len(next(iter(memory.entries.values())).features)]
            sentences = sentences if stories else sentences[:, None]
            if stories or positions is not None:
                if positions is None:
                    positions = list(range(frames))
                    assert positions == memory.positions, f"memory is at {memory.positions}, the frames are not: pass their positions"
                assert len(positions) == frames, f"{frames} frames at positions {positions}"
                readable = memory.readable(positions)
        weights: dict[str, Tensor | None] = {}

        def read(site: str, x: Tensor) -> Tensor:
            """C_attn + M_attn"""
            if isinstance(memory, PreparedMemory):
                if site not in memory.layers:
                    return x
                layer, some = self.memory_layer(site), len(memory.rows) < len(x)
                own = x.index_select(0, memory.rows) if some else x
                output, weights[site] = layer.read(to_tokens(own, 1), memory.layers[site], return_memory_weights)
                output = to_maps(output, x)
                return x.index_add(0, memory.rows, output) if some else x + output
            if memory is None or site not in memory.entries or (readable is not None and not any(readable)):
                return x
            output, weights[site] = self.memory_layer(site)(
                to_tokens(x, frames),
                sentences,
                memory.entries[site],
                readable,
                x.shape[-2:],
                memory.enabled,
                return_memory_weights,
            )
            output = to_maps(output, x)
            return x + output if len(x) == len(output) else (x.unflatten(0, (-1, len(output))) + output).flatten(0, 1)

        x, residuals = self._way_down(x, emb, block_args, read)
        if down_block_additional_residuals is not None:  # of a ControlNet, for flattened frames; memory in down and mid blocks does not read them
            residuals = tuple(own + other for own, other in zip(residuals, down_block_additional_residuals, strict=True))
        if mid_block_additional_residual is not None:
            x = x + mid_block_additional_residual
        for i, block in enumerate(self.up_blocks):
            skips, residuals = residuals[-len(block.resnets) :], residuals[: -len(block.resnets)]
            upsample_size = residuals[-1].shape[2:] if odd_size and residuals else None
            args = block_args if getattr(block, "has_cross_attention", False) else {}
            x = block(hidden_states=x, temb=emb, res_hidden_states_tuple=skips, upsample_size=upsample_size, **args)
            x = read(f"up.{i}", x)

        if self.conv_norm_out:
            x = self.conv_act(self.conv_norm_out(x))
        x = self.conv_out(x)
        x = x.unflatten(0, (-1, frames)) if stories else x

        memory_weights = weights if return_memory_weights else None
        if not return_dict:
            return (x, memory_weights) if return_memory_weights else (x,)
        return StoryUNetOutput(sample=x, memory_weights=memory_weights)

    def _embed(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        condition: Conditioning,
        class_labels: Tensor | None,
        timestep_cond: Tensor | None,
        cross_attention_kwargs: dict[str, Any] | None,
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Steps 0 and 1 of the base forward: the sample flattened to frames, the time embedding, and the arguments of cross-attention blocks."""
        if class_labels is None and self.config.class_embed_type in ("projection", "simple_projection", "identity"):
            class_labels = condition.pooled
        if sample.ndim == 5:
            batch, frames = sample.shape[:2]
            if torch.is_tensor(timestep) and timestep.ndim:
                # (B,) or (B, M) → (B*M,)
                timestep = timestep.reshape(-1, 1 if timestep.ndim == 1 else frames).expand(batch, frames).flatten()
            class_labels, timestep_cond = (None if x is None else x.flatten(0, 1) for x in (class_labels, timestep_cond))
            sample, condition = sample.flatten(0, 1), condition.map(lambda x: x.flatten(0, 1))
        states, encoder_attention_mask = condition.states, condition.mask
        added_cond_kwargs: dict[str, Any] = condition.added
        if images := [x for name, x in added_cond_kwargs.items() if name.startswith("image_embeds_")]:  # of each IP-Adapter, (frames, images, …)
            added_cond_kwargs = {**added_cond_kwargs, "image_embeds": images}
        if encoder_attention_mask is not None:  # 1 keep, 0 drop → a bias (frames, 1, L)
            encoder_attention_mask = ((1 - encoder_attention_mask.to(sample.dtype)) * -10000.0).unsqueeze(1)
        if self.config.center_input_sample:
            sample = 2 * sample - 1.0

        emb = self.time_embedding(self.get_time_embed(sample=sample, timestep=timestep), timestep_cond)
        class_emb = self.get_class_embed(sample=sample, class_labels=class_labels)
        if class_emb is not None:
            emb = torch.cat([emb, class_emb], dim=-1) if self.config.class_embeddings_concat else emb + class_emb
        aug_emb = self.get_aug_embed(emb=emb, encoder_hidden_states=states, added_cond_kwargs=added_cond_kwargs)
        if self.config.addition_embed_type == "image_hint":
            aug_emb, hint = aug_emb
            sample = torch.cat([sample, hint], dim=1)
        emb = emb if aug_emb is None else emb + aug_emb
        emb = emb if self.time_embed_act is None else self.time_embed_act(emb)

        block_args = {
            "encoder_hidden_states": self.process_encoder_hidden_states(states, added_cond_kwargs),
            "encoder_attention_mask": encoder_attention_mask,
            "cross_attention_kwargs": cross_attention_kwargs,
        }
        return sample, emb, block_args

    def _way_down(
        self, x: Tensor, emb: Tensor, block_args: dict[str, Any], visit: Callable[[str, Tensor], Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """conv_in, the down blocks and the mid block; the result of `visit(site, x)` replaces the output of each block."""
        x = self.conv_in(x)
        residuals = (x,)
        for i, block in enumerate(self.down_blocks):
            x, block_residuals = block(hidden_states=x, temb=emb, **(block_args if getattr(block, "has_cross_attention", False) else {}))
            output, x = x, visit(f"down.{i}", x)
            if block_residuals[-1] is output:  # the skip connection includes what memory attention read
                block_residuals = (*block_residuals[:-1], x)
            residuals += tuple(block_residuals)
        if self.mid_block is not None:
            x = visit("mid", self.mid_block(x, emb, **(block_args if getattr(self.mid_block, "has_cross_attention", False) else {})))
        return x, residuals
