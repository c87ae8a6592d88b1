"""Sentence and word vectors for the GANs, from the DAMSM text encoder or from any encoder model of transformers (sentence embeddings, say).

    text_encoder, tokenizer = load_sentence_encoder("checkpoints/toon-damsm")     # or a folder with all-MiniLM-L6-v2
    vectors, mask = story_vectors(text_encoder, tokenizer, [["Bruno waves.", "He sits down."], ["It rains."]])     # (B, M, D), (B, M)
    words, vectors = read_words(text_encoder, *tokens_of(text_encoder, tokenizer, ["Bruno waves.", "It rains."]))  # (F, L, D), (F, D)

Each sentence is encoded alone; the GAN's story encoder and recurrence connect the sentences of a story.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from story_ldm.encoders.damsm import DAMSMTextEncoder, load_damsm, tokenize
from story_ldm.encoders.sentences import check_lengths
from story_ldm.model_folders import open_local


def load_sentence_encoder(folder: str | Path) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """The frozen text encoder and the tokenizer of a DAMSM folder, or of a transformers model's folder (which has a config.json).

    Raises FileNotFoundError if a part is missing, ValueError if the parts do not belong together."""
    if (Path(folder) / "config.json").is_file():
        tokenizer = open_local(AutoTokenizer, folder, trust_remote_code=False)
        text_encoder = open_local(AutoModel, folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False)
    else:
        text_encoder, _, tokenizer = load_damsm(folder)
    return text_encoder.requires_grad_(False).eval(), tokenizer


def tokens_of(text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, sentences: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids and mask (F, L), padded to the longest sentence.

    Raises ValueError, which names them, if sentences are longer than the model reads (an LSTM has no limit)."""
    ids, mask = tokenize(tokenizer, sentences)
    if not isinstance(text_encoder, DAMSMTextEncoder):
        check_lengths(dict(zip(sentences, mask.sum(1).tolist(), strict=True)), tokenizer.model_max_length, "this text encoder")
    return ids, mask


@torch.no_grad()
def read_words(text_encoder: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """ids and mask (F, L) → words (F, L, D), zero at padding, and sentences (F, D), in float32 on the encoder's device.

    Each vector has mean square 1; the GANs do not depend on an encoder's scale. With a transformers model the sentence vector is the mean of the
    tokens' last states, as in most sentence-embedding models."""
    if text_encoder.device.type != "meta":  # offloaded by layers, which move their inputs themselves
        ids, mask = ids.to(text_encoder.device), mask.to(text_encoder.device)
    if isinstance(text_encoder, DAMSMTextEncoder):
        words, sentences = text_encoder(ids, mask)
    else:
        words = text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        mask = mask.to(words.device)  # calling an offloaded encoder moves it to its device
        words = words * mask[..., None]
        sentences = words.sum(1) / mask.sum(1, keepdim=True)
    scale = words.shape[-1] ** 0.5
    return F.normalize(words.float(), dim=-1) * scale, F.normalize(sentences.float(), dim=-1) * scale


def sentence_vectors(text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, sentences: list[str], batch: int = 256) -> Tensor:
    """Vectors (F, D) of F sentences, in float32 on the CPU, each with mean square 1."""
    distinct = list(dict.fromkeys(sentences))
    parts = (tokens_of(text_encoder, tokenizer, distinct[n : n + batch]) for n in range(0, len(distinct), batch))
    vectors = torch.cat([read_words(text_encoder, *part)[1].cpu() for part in parts])
    index = {sentence: n for n, sentence in enumerate(distinct)}
    return vectors[[index[sentence] for sentence in sentences]]


def story_vectors(text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, stories: list[list[str]]) -> tuple[Tensor, Tensor]:
    """Vectors (B, M, D) of B stories, which may differ in length, zero after a story's end, and mask (B, M) bool."""
    vectors = sentence_vectors(text_encoder, tokenizer, [sentence for story in stories for sentence in story])
    return by_story(vectors, [len(story) for story in stories])


def by_story(vectors: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Sentence vectors (F, D), story after story → (B, M, D), zero after a story's end, and mask (B, M) bool."""
    mask = torch.arange(max(lengths), device=vectors.device) < torch.tensor(lengths, device=vectors.device)[:, None]
    padded = vectors.new_zeros(*mask.shape, vectors.shape[-1])
    padded[mask] = vectors
    return padded, mask
