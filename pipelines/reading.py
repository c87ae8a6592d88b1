"""What StoryLDMPipeline reads: sentences to conditioning, by a reader or by CLIP text encoders, and what guidance leads away from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from diffusers.utils import scale_lora_layers, unscale_lora_layers
from torch import Tensor

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.sentences import encode_stories, tokenize_stories
from story_ldm.encoders.xl_text import XLTextEncoder, XLTokenizers, from_pooled, pooled_of

from .checks import check_sentences, check_text
from .conventions import DiffusersConventions


class Reading(DiffusersConventions):
    def understand(self, sentences: list[str] | list[list[str]]) -> list[Any]:
        """What the reader understands of each sentence: a list of `UnderstoodFrame` for one story, a list of such lists for several.

        Raises ValueError if the pipeline has no reader, or one that cannot say, and if a sentence is too long."""
        single, stories = check_sentences(sentences)
        if self.reader is None:
            raise ValueError("this pipeline has a text encoder instead of a reader, and cannot say what it understood")
        understood = self.reader.understand(stories, self._execution_device)
        return understood[0] if single else understood

    @torch.no_grad()
    def encode_prompt(
        self,
        sentences: list[str] | list[list[str]],
        negative_prompt: str | None = None,
        lora_scale: float | None = None,
        clip_skip: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """What the UNet reads of stories, to be given to a call under the same names: prompt_embeds (B, M, L, D), negative_prompt_embeds (L, D),
        pooled_prompt_embeds (B, M, D), negative_pooled_prompt_embeds (D,). Shorter stories are padded with empty sentences. Of a Stable Diffusion
        XL the pooled ones are its text_embeds (B, M, P), followed by the pooled sentences (B, M, D) if there is memory to read them.

        lora_scale: of the text encoder's LoRAs. Raises ValueError for invalid input."""
        _, stories = check_sentences(sentences)
        if negative_prompt is not None:
            check_text("negative_prompt", negative_prompt)
        self._check_text(negative_prompt, None, None, clip_skip, False)
        condition = self.encode_sentences(stories, clip_skip=clip_skip, lora_scale=lora_scale)
        negative = self._without(negative_prompt, condition, lora_scale)
        pooled, negative_pooled = (pooled_of(part, self._needs_pooled) for part in (condition, negative))
        return condition.states, negative.states, pooled, negative_pooled

    def _given(self, states: Tensor, pooled: Tensor | None) -> Conditioning:
        """The conditioning of given embeddings."""
        if self.text_encoder_2 is None or pooled is None:
            return Conditioning(states, pooled)
        return from_pooled(states, pooled, self.text_encoder_2.config.projection_dim)

    def _without(
        self, negative_prompt: str | list[list[str]] | None, condition: Conditioning, lora_scale: float | None, chunks: bool = False
    ) -> Conditioning:
        """What guidance leads away from: without leading dimensions, or (B, M, …) for a text a frame. condition: (B, M, …), of the sentences."""
        if isinstance(negative_prompt, list):
            texts = list(dict.fromkeys(text for story in negative_prompt for text in story))
            parts = self.encode_sentences([texts], alone=True, lora_scale=lora_scale, chunks=chunks)
            if not chunks:  # one by one: the same bits as if it were given for all frames
                parts = Conditioning.cat([self.encode_sentences([[text]], alone=True, lora_scale=lora_scale)[0] for text in texts])[None]
            longest = max(map(len, negative_prompt))
            index = [[texts.index(text) for text in story] + [0] * (longest - len(story)) for story in negative_prompt]
            return parts[0, torch.tensor(index, device=parts.states.device)]
        if negative_prompt is None and self.text_encoder_2 is not None and self.config.force_zeros_for_empty_prompt:
            return replace(condition[0, 0], mask=None).map(torch.zeros_like)
        return self.encode_sentences([[negative_prompt or ""]], alone=True, lora_scale=lora_scale, chunks=chunks)[0, 0]

    def encode_sentences(
        self, stories: list[list[str]], alone: bool = False, clip_skip: int | None = None, lora_scale: float | None = None, chunks: bool = False
    ) -> Conditioning:
        """The conditioning (B, M, …) of stories; shorter stories are padded with empty sentences.

        alone: skip the language memory, as for the empty sentence of guidance. clip_skip: layers of the text encoder to leave out. lora_scale: of
        its LoRAs. chunks: longer sentences are read in parts of the text encoder's length, which stand one after another; cross-attention then does
        not read the parts that shorter sentences have less. Raises ValueError if a sentence is too long."""
        device, dtype = self._execution_device, next(part.dtype for part in (self.unet, self.text_encoder, self.reader) if part is not None)
        if self.reader is None and self.text_encoder is None:
            raise ValueError("nothing here reads sentences: give prompt_embeds and negative_prompt_embeds, or a text_encoder and its tokenizer")
        if self.reader is not None:
            condition, _ = self.reader(*(x.to(device) for x in self.reader.tokenize(stories)))
            return condition.to(dtype=dtype)
        longest = max(map(len, stories))
        padded = [story + [""] * (longest - len(story)) for story in stories]
        tokenizer, encoder = self.tokenizer, self.text_encoder
        if self.text_encoder_2 is not None:
            tokenizer, encoder = XLTokenizers(tokenizer, self.tokenizer_2), XLTextEncoder(encoder, self.text_encoder_2)
        ids, mask = (x.to(device) for x in tokenize_stories(tokenizer, padded, chunks))
        length = self.tokenizer.model_max_length
        parts = ids.shape[2] // length
        with lora_scaled(self.text_encoder, lora_scale), lora_scaled(self.text_encoder_2, lora_scale):
            pieces = ids.unflatten(2, (parts, length)).flatten(0, 2)  # (B*M*parts, length, …)
            states, embeds = self._read(encoder, pieces, clip_skip)
            states = states.unflatten(0, (*ids.shape[:2], parts)).flatten(2, 3)  # (B, M, parts * length, D)
            embeds = None if embeds is None else embeds.unflatten(0, (*ids.shape[:2], parts))[:, :, 0]  # of the first part
            language = None if alone else self.language_memory
            condition = encode_stories(encoder, language, ids, mask, alone=states, text_embeds=embeds).to(dtype=dtype)
        if parts == 1:
            return condition
        read = mask.unflatten(2, (parts, length)).any(-1).repeat_interleave(length, 2)  # whole parts: padding is read, as of a short sentence
        return replace(condition, mask=read.long())

    @staticmethod
    def _read(encoder: Any, ids: Tensor, clip_skip: int | None) -> tuple[Tensor, Tensor | None]:
        """States (N, L, D) of token ids (N, L), and XL's text_embeds (N, P)."""
        if isinstance(encoder, XLTextEncoder):
            texts = [encoder(row[None], clip_skip) for row in ids]  # one by one: the last bits of a projection depend on the number of rows
            return torch.cat([text.last_hidden_state for text in texts]), torch.cat([text.text_embeds for text in texts])
        if clip_skip is None:
            return encoder(ids).last_hidden_state, None
        hidden = encoder(ids, output_hidden_states=True).hidden_states[-(clip_skip + 1)]
        body: Any = getattr(encoder, "text_model", encoder)  # transformers has had it both ways
        return body.final_layer_norm(hidden), None


def of_frame(negative: Conditioning, stories: list[int], m: int | list[int]) -> Conditioning:
    """What guidance leads away from at frame m of these stories, or at one frame of each: the same for all, or of each its own."""
    return negative if negative.states.ndim == 2 else negative[stories, m]


def same_length(condition: Conditioning, negative: Conditioning) -> tuple[Conditioning, Conditioning]:
    """Both with as many tokens as the longer one, which cross-attention does not read where the shorter one has none."""
    longest = max(condition.states.shape[-2], negative.states.shape[-2])
    if condition.mask is None and negative.mask is None and condition.states.shape[-2] == negative.states.shape[-2]:
        return condition, negative

    def padded(part: Conditioning) -> Conditioning:
        missing = longest - part.states.shape[-2]
        mask = part.states.new_ones(part.states.shape[:-1], dtype=torch.long) if part.mask is None else part.mask
        states = torch.nn.functional.pad(part.states, (0, 0, 0, missing))
        return replace(part, states=states, mask=torch.nn.functional.pad(mask, (0, missing)))

    return padded(condition), padded(negative)


@contextmanager
def lora_scaled(text_encoder: Any, scale: float | None) -> Iterator[None]:
    """Scales the LoRAs of the text encoder, as `cross_attention_kwargs={"scale": …}` those of the UNet."""
    if scale is None or not getattr(text_encoder, "peft_config", None):
        yield
        return
    scale_lora_layers(text_encoder, scale)
    try:
        yield
    finally:
        unscale_lora_layers(text_encoder, scale)
