"""Sentences to conditioning: tokenizer, text encoder, sentence states and pooled sentences, with or without language memory.

    tokenizer = train_tokenizer(sentences, vocab_size=1000, max_length=32)
    ids, mask = tokenize_stories(tokenizer, [["Bruno waves.", "He sits down."]])               # (B, M, L) each
    condition = encode_stories(text_encoder, language_memory, ids, mask)                       # states (B, M, L, D), pooled (B, M, D)

A CLIP text encoder encodes each sentence alone, as in the paper. `LanguageMemory` is optional and goes on top: the tokens of sentence m attend to
the tokens of all sentences up to m, and S^{≤m} conditions frame m as in the paper's p(Z^m | Z^{<m}, S^{≤m}).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from tokenizers import pre_tokenizers, trainers
from torch import Tensor

from story_ldm.data.long_sentences import named, with_vectors
from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.xl_text import XLTextEncoder, XLTokenizers

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer

BOS, EOS = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(sentences: Iterable[str], vocab_size: int = 1000, max_length: int = 32) -> CLIPTokenizer:
    """Train a CLIP tokenizer (lower-cased byte-level BPE) on sentences.

    Every byte has a token, inside a word and at its end, so any text can be tokenized; `vocab_size` does not count these."""
    from transformers import CLIPTokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = CLIPTokenizer(vocab={BOS: 0, EOS: 1}, merges=[]).backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=2 + 2 * len(alphabet) + vocab_size,
        # bytes at a word's end as special tokens: otherwise their ids, and the ties between merges, would depend on a hash table's order
        special_tokens=[BOS, EOS, *(f"{byte}</w>" for byte in alphabet)],
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    backend.train_from_iterator(sentences, trainer)
    model = json.loads(backend.to_str())["model"]
    return CLIPTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], model_max_length=max_length)


def new_text_encoder(tokenizer: CLIPTokenizer, width: int, layers: int, heads: int) -> CLIPTextModel:
    """A new CLIP text encoder for a tokenizer from `train_tokenizer`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def tokenize_stories(tokenizer: CLIPTokenizer | XLTokenizers, stories: list[list[str]], chunks: bool = False) -> tuple[Tensor, Tensor]:
    """Token ids and mask (B, M, L) of stories of the same length, as `tokenize_sentences` makes them; ids of XL's tokenizers are (B, M, L, 2).
    chunks: L is a multiple of the tokenizer's length, in whose parts longer sentences are read (`tokenize_chunks`)."""
    ids, mask = (tokenize_chunks if chunks else tokenize_sentences)(tokenizer, [sentence for story in stories for sentence in story])
    shape = (len(stories), len(stories[0]))
    return ids.unflatten(0, shape), mask.unflatten(0, shape)


def tokenize_sentences(tokenizer: CLIPTokenizer | XLTokenizers, sentences: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids and mask (S, L), padded to the tokenizer's maximum length; ids of XL's tokenizers are (S, L, 2).

    Raises ValueError, which counts and names the sentences that are longer than that; truncating them would silently draw wrong frames."""
    if isinstance(tokenizer, XLTokenizers):
        (ids, mask), (others, _) = (tokenize_sentences(each, sentences) for each in tokenizer)
        return torch.stack([ids, others], -1), mask
    limit = tokenizer.model_max_length
    tokens = tokenizer(with_vectors(tokenizer, sentences), padding="max_length", max_length=limit)
    check_lengths({s: len(ids) for s, ids in zip(sentences, tokens.input_ids, strict=True)}, limit, "this text encoder")
    return torch.tensor(tokens.input_ids), torch.tensor(tokens.attention_mask)


def tokenize_chunks(tokenizer: CLIPTokenizer | XLTokenizers, sentences: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids and mask (S, C * L): each sentence in parts of the tokenizer's length L, each with its own begin and end token; C parts for the
    longest sentence. A shorter one has empty parts after its own, with a mask of zeros. All parts of a sentence but its last are full."""
    if isinstance(tokenizer, XLTokenizers):
        (ids, mask), (others, _) = (tokenize_chunks(each, sentences) for each in tokenizer)
        return torch.stack([ids, others], -1), mask
    size = tokenizer.model_max_length - 2
    words = [ids[1:-1] for ids in tokenizer(with_vectors(tokenizer, sentences)).input_ids]
    count = max(1, max(-(-len(ids) // size) for ids in words))
    rows, masks = [], []
    for ids in words:
        for start in range(0, count * size, size):
            part = [tokenizer.bos_token_id, *ids[start : start + size], tokenizer.eos_token_id]
            padding = size + 2 - len(part)
            rows.append([*part, *[tokenizer.pad_token_id] * padding])
            masks.append([int(start == 0 or start < len(ids))] * len(part) + [0] * padding)
    shape = (len(sentences), count * (size + 2))
    return torch.tensor(rows).view(shape), torch.tensor(masks).view(shape)


def check_lengths(counts: dict[str, int], limit: int, what: str) -> None:
    """Raises ValueError if sentences have more tokens than `limit`: says how many, and names the longest."""
    if long := {sentence: count for sentence, count in counts.items() if count > limit}:
        raise ValueError(f"{named(long, 'tokens')}; {what} reads at most {limit}: shorten or split {'them' if len(long) > 1 else 'it'}")


def encode_stories(
    text_encoder: CLIPTextModel | XLTextEncoder,
    language_memory: LanguageMemory | None,
    ids: Tensor,
    mask: Tensor,
    with_language: Tensor | None = None,
    alone: Tensor | None = None,
    text_embeds: Tensor | None = None,
) -> Conditioning:
    """Sentence states (B, M, L, D) and pooled sentences (B, M, D): the state of each sentence's end token. XL's encoders add their text_embeds.

    ids, mask: (B, M, L); ids of XL's tokenizers (B, M, L, 2). with_language (B,) bool: stories that pass through the language memory (the others
    skip it, dropout in training); None means all. alone (B, M, L, D): the text encoder's states, if they are already computed; text_embeds
    (B, M, P): with them, those of XL's encoders.
    """
    if alone is None:  # (B, M, L) → (B*M, L) → (B, M, L, D)
        text = text_encoder(ids.flatten(0, 1))
        alone = text.last_hidden_state.unflatten(0, ids.shape[:2])
        if isinstance(text_encoder, XLTextEncoder):
            text_embeds = text.text_embeds.unflatten(0, ids.shape[:2])
    states = alone if language_memory is None else language_memory(alone, mask)
    if with_language is not None and language_memory is not None:
        states = torch.where(with_language[:, None, None, None], states, alone.to(states.dtype))
    end = (mask.sum(-1) - 1)[..., None, None].expand(-1, -1, 1, states.shape[-1])  # (B, M, 1, D)
    return Conditioning(states, states.gather(2, end).squeeze(2), added={} if text_embeds is None else {"text_embeds": text_embeds})
