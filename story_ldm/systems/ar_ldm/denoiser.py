"""The training forward of AR-LDM: all M frames of a story at once, each reading the true frames before it.

L = E ‖ε − ε_θ(z_t, t, φ_m)‖²         (`diffusion_loss`; --min-snr-gamma inf gives it without weights)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import BlipForImageTextRetrieval, CLIPTextModel, PreTrainedTokenizerBase

from story_ldm.encoders.sentences import encode_stories, tokenize_sentences
from story_ldm.systems.ar_ldm.conditioning import HistoryEmbedding, history_slots
from story_ldm.systems.ar_ldm.history import BLACK, read_history
from story_ldm.systems.story_ldm.diffusion import NoisyStories


@dataclass
class HistoryBatch(NoisyStories):
    """One training batch of AR-LDM."""

    history_ids: Tensor  # (B, M, S): the sentences, by the history encoder's tokenizer
    history_mask: Tensor  # (B, M, S)
    frames: Tensor  # (B, M - 1, 3, H, W) in [-1, 1]; no frame reads the last one
    use_text: Tensor  # (B, M) bool
    use_history: Tensor  # (B, M) bool; frames without text have no history either


class ARDenoiser(nn.Module):
    """UNet, text encoder, history encoder and embeddings as one module: DDP and autocast need a single forward."""

    empty_ids: Tensor
    empty_mask: Tensor
    empty_history_ids: Tensor
    empty_history_mask: Tensor

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        history_encoder: BlipForImageTextRetrieval,
        history_embedding: HistoryEmbedding,
        tokenizer: PreTrainedTokenizerBase,
        history_tokenizer: PreTrainedTokenizerBase,
    ):
        super().__init__()
        self.unet, self.text_encoder, self.history_encoder, self.history_embedding = unet, text_encoder, history_encoder, history_embedding
        for name, each in (("empty", tokenizer), ("empty_history", history_tokenizer)):  # the empty sentence of guidance: (1, L), (1, S)
            for part, value in zip(("ids", "mask"), tokenize_sentences(each, [""]), strict=True):
                self.register_buffer(f"{name}_{part}", value, persistent=False)

    def read_frames(self, ids: Tensor, mask: Tensor, frames: Tensor) -> Tensor:
        """Sentences (N, S) and their frames (N, 3, H, W) → states (N, S, D)."""
        return read_history(self.history_encoder, self.history_embedding.config.encoder_token, ids, mask, frames)

    def context(self, batch: HistoryBatch) -> tuple[Tensor, Tensor, Tensor]:
        """φ (B, M, N, D), its mask (B, M, N), and the pooled sentences (B, M, D) for UNets that read some."""
        stories, frames = batch.ids.shape[:2]
        condition = encode_stories(self.text_encoder, None, batch.ids, batch.mask)
        empty = encode_stories(self.text_encoder, None, self.empty_ids[None], self.empty_mask[None])
        assert condition.pooled is not None and empty.pooled is not None
        keep = batch.use_text[..., None]  # (B, M, 1)
        states = torch.where(keep[..., None], condition.states, empty.states)
        mask = torch.where(keep, batch.mask, 1)  # of guidance's empty sentence, padding is read
        pooled = torch.where(keep, condition.pooled, empty.pooled)

        before = slice(None), slice(frames - 1)
        ids, history_mask = batch.history_ids[before], batch.history_mask[before]
        own = self.read_frames(ids.flatten(0, 1), history_mask.flatten(0, 1), batch.frames.flatten(0, 1))
        black = torch.full_like(batch.frames[:1, 0], BLACK)
        nothing = self.read_frames(self.empty_history_ids, self.empty_history_mask, black)[0]  # (S, D)
        slots, read = (x.to(own.device) for x in history_slots(frames, self.history_embedding.config.longest))  # (M, K)
        use = batch.use_history[..., None, None]  # (B, M, 1, 1)
        history = torch.where(use[..., None], own.unflatten(0, (stories, -1))[:, slots], nothing)  # (B, M, K, S, D)
        history_mask = torch.where(use, history_mask[:, slots], 1) * read[..., None]  # (B, M, K, S)
        context, mask = self.history_embedding(*(x.flatten(0, 1) for x in (states, mask, history, history_mask)))
        return context.unflatten(0, (stories, frames)), mask.unflatten(0, (stories, frames)), pooled

    def forward(self, batch: HistoryBatch) -> Tensor:
        """Predictions (draws * B, M, c, h, w)."""
        draws = len(batch.noisy) // len(batch.latents)
        context, mask, pooled = (x.flatten(0, 1).repeat(draws, *[1] * (x.ndim - 2)) for x in self.context(batch))
        labels = None if self.unet.config.class_embed_type is None else pooled
        noisy, levels = batch.noisy.flatten(0, 1), batch.levels.flatten()
        prediction = self.unet(noisy, levels, context, class_labels=labels, encoder_attention_mask=mask, return_dict=False)[0]
        return prediction.unflatten(0, batch.levels.shape)
