"""Sentences and their words as vectors, by whatever reads them: the DAMSM text encoder trained here, or any encoder model of transformers,
such as those for sentence embeddings.

    text_encoder, tokenizer = load_sentence_encoder("checkpoints/toon-damsm")     # or the folder of a downloaded all-MiniLM-L6-v2, say
    vectors, mask = story_vectors(text_encoder, tokenizer, [["Bruno waves.", "He sits down."], ["It rains."]])     # (B, M, D), (B, M)
    words, vectors = read_words(text_encoder, *tokens_of(text_encoder, tokenizer, ["Bruno waves.", "It rains."]))  # (F, L, D), (F, D)

Each sentence is read alone; what ties those of a story together is the GAN's own story encoder and recurrence.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from story_ldm.encoders.damsm import DAMSMTextEncoder, load_damsm, tokenize


def load_sentence_encoder(folder: str | Path) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """The frozen text encoder and the tokenizer of a DAMSM folder, or of the folder of an encoder model of transformers (which
    has a config.json).

    Raises FileNotFoundError where a part is missing, ValueError where the parts do not belong together."""
    if (Path(folder) / "config.json").is_file():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text_encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    else:
        text_encoder, _, tokenizer = load_damsm(folder)
    return text_encoder.requires_grad_(False).eval(), tokenizer


def tokens_of(text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, sentences: list[str]) -> tuple[Tensor, Tensor]:
    """Token numbers and mask (F, L), padded to the longest sentence.

    Raises ValueError for a sentence that is longer than the model reads (an LSTM reads any)."""
    ids, mask = tokenize(tokenizer, sentences)
    if not isinstance(text_encoder, DAMSMTextEncoder):
        for sentence, length in zip(sentences, mask.sum(1).tolist(), strict=True):
            if length > tokenizer.model_max_length:
                raise ValueError(f"{sentence!r} has {length} tokens; the text encoder reads {tokenizer.model_max_length}")
    return ids, mask


@torch.no_grad()
def read_words(text_encoder: nn.Module, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """ids, mask (F, L) → words (F, L, D), zero where there is no token, and sentences (F, D), in float32 on the encoder's device.

    Each vector has a mean square of 1, so that no GAN depends on the scale of what reads for it. A transformer's sentence is the mean of its
    tokens' last states, as most sentence-embedding models have it."""
    ids, mask = ids.to(text_encoder.device), mask.to(text_encoder.device)
    if isinstance(text_encoder, DAMSMTextEncoder):
        words, sentences = text_encoder(ids, mask)
    else:
        words = text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        mask = mask.to(words.device)  # an offloaded encoder is moved when it is called
        words = words * mask[..., None]
        sentences = words.sum(1) / mask.sum(1, keepdim=True)
    scale = words.shape[-1] ** 0.5
    return F.normalize(words.float(), dim=-1) * scale, F.normalize(sentences.float(), dim=-1) * scale


def sentence_vectors(text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, sentences: list[str], batch: int = 256) -> Tensor:
    """F sentences → (F, D) in float32 on the CPU, each of mean square 1."""
    distinct = list(dict.fromkeys(sentences))
    parts = (tokens_of(text_encoder, tokenizer, distinct[n : n + batch]) for n in range(0, len(distinct), batch))
    vectors = torch.cat([read_words(text_encoder, *part)[1].cpu() for part in parts])
    number = {sentence: n for n, sentence in enumerate(distinct)}
    return vectors[[number[sentence] for sentence in sentences]]


def story_vectors(text_encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, stories: list[list[str]]) -> tuple[Tensor, Tensor]:
    """B stories, also of different lengths → (B, M, D), zero where a story is over, and mask (B, M) bool."""
    vectors = sentence_vectors(text_encoder, tokenizer, [sentence for story in stories for sentence in story])
    return by_story(vectors, [len(story) for story in stories])


def by_story(vectors: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Vectors (F, D) of sentences, one story after another → (B, M, D), zero where a story is over, and mask (B, M) bool."""
    mask = torch.arange(max(lengths), device=vectors.device) < torch.tensor(lengths, device=vectors.device)[:, None]
    padded = vectors.new_zeros(*mask.shape, vectors.shape[-1])
    padded[mask] = vectors
    return padded, mask
