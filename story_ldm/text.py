"""Sentences to what the UNet reads: tokenizer, sentence states and pooled vectors, language memory.

    tokenizer = train_tokenizer(sentences, vocab_size=1000, max_length=32)
    ids, mask = tokenize_stories(tokenizer, [["Bruno waves.", "He sits down."]])               # (B, M, L) each
    states, pooled = encode_stories(text_encoder, language_memory, ids, mask)                  # (B, M, L, D), (B, M, D)

A CLIP text encoder reads each sentence alone, as in the paper. `LanguageMemory` goes on top of it (or not): in it the tokens of sentence m see
the tokens of all sentences up to m, so that S^{≤m} conditions frame m as in the paper's p(Z^m | Z^{<m}, S^{≤m}).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from tokenizers import pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .memory_attention import zero_init

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
FAR = 16  # sentences this far back and farther share one distance bias


def train_tokenizer(sentences: Iterable[str], vocab_size: int = 1000, max_length: int = 32) -> CLIPTokenizer:
    """A CLIP tokenizer (lower-cased byte-level BPE) with a vocabulary of its own. Every byte has a token, within a word and at its end,
    so that any text can be read; `vocab_size` counts the tokens beside these."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = CLIPTokenizer(vocab={BOS: 0, EOS: 1}, merges=[]).backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=2 + 2 * len(alphabet) + vocab_size,
        # the bytes at a word's end, too: else their numbers, and the ties between merges, would follow the order of a hash table
        special_tokens=[BOS, EOS, *(f"{byte}</w>" for byte in alphabet)],
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    backend.train_from_iterator(sentences, trainer)
    model = json.loads(backend.to_str())["model"]
    return CLIPTokenizer(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], model_max_length=max_length)


def new_text_encoder(tokenizer: CLIPTokenizer, width: int, layers: int, heads: int) -> CLIPTextModel:
    """A small CLIP text encoder for a tokenizer trained here."""
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


def tokenize_stories(tokenizer: CLIPTokenizer, stories: list[list[str]]) -> tuple[Tensor, Tensor]:
    """Token numbers and mask (B, M, L), padded to the tokenizer's own length; stories are of one length.

    Raises ValueError for a sentence longer than that: a cut sentence would be drawn wrongly without a word."""
    flat = [sentence for story in stories for sentence in story]
    limit = tokenizer.model_max_length
    tokens = tokenizer(flat, padding="max_length", max_length=limit)
    worst = max(range(len(flat)), key=lambda n: len(tokens.input_ids[n]))
    count = len(tokens.input_ids[worst])
    if count > limit:
        raise ValueError(f"sentence {flat[worst]!r} has {count} tokens; this text encoder reads at most {limit}: shorten or split it")
    shape = (len(stories), len(stories[0]), -1)
    return torch.tensor(tokens.input_ids).view(shape), torch.tensor(tokens.attention_mask).view(shape)


def encode_stories(
    text_encoder: CLIPTextModel,
    language_memory: LanguageMemory | None,
    ids: Tensor,
    mask: Tensor,
    with_language: Tensor | None = None,
    alone: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sentence states (B, M, L, D) and pooled sentences (B, M, D), the state of each sentence's end token.

    with_language (B,) bool: stories whose sentences are encoded alone although there is a language memory (dropout in training). alone
    (B, M, L, D): what the text encoder makes of each sentence, where that is known already.
    """
    if alone is None:  # (B, M, L) → (B*M, L) → (B, M, L, D)
        alone = text_encoder(ids.flatten(0, 1)).last_hidden_state.unflatten(0, ids.shape[:2])
    states = alone if language_memory is None else language_memory(alone, mask)
    if with_language is not None and language_memory is not None:
        states = torch.where(with_language[:, None, None, None], states, alone.to(states.dtype))
    end = (mask.sum(-1) - 1)[..., None, None].expand(-1, -1, 1, states.shape[-1])  # (B, M, 1, D)
    return states, states.gather(2, end).squeeze(2)


class _Block(nn.Module):
    """A pre-norm transformer block with an additive bias on the attention logits (torch's own encoder layer drops such a bias, or returns NaN
    for it, on its fused path in evaluation)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.to_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        # (B, N, 3 * D) → three of (B, heads, N, d)
        q, k, v = self.to_qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        read = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        x = x + self.to_out(read.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))


class LanguageMemory(ModelMixin, ConfigMixin):
    """A sentence-causal transformer over the tokens of a story, on top of sentences that were encoded alone.

    How far back a sentence lies enters as a learned bias on the attention logits of each head, so that stories may be of any length. The
    output is a residual that starts at zero: a new language memory changes nothing.
    """

    @register_to_config
    def __init__(self, width: int, layers: int = 2, heads: int = 4):
        super().__init__()
        assert width % heads == 0, f"width {width} is not divisible by {heads} heads"
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.distance_bias = nn.Embedding(FAR + 1, heads)
        nn.init.zeros_(self.distance_bias.weight)
        self.to_out = zero_init(nn.Linear(width, width))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """states (B, M, L, D), mask (B, M, L), 1 for real tokens → states (B, M, L, D)."""
        _, sentences, length, _ = states.shape
        index = torch.arange(sentences, device=states.device).repeat_interleave(length)  # sentence of each token
        distance = index[:, None] - index[None, :]
        bias = self.distance_bias(distance.clamp(0, FAR)).permute(2, 0, 1)[None]  # (1, heads, M*L, M*L)
        hidden = (distance < 0)[None] | ~mask.flatten(1).bool()[:, None, :]  # (B, M*L, M*L)
        bias = bias.masked_fill(hidden[:, None], float("-inf"))  # (B, heads, M*L, M*L)
        x = states.flatten(1, 2)
        for block in self.blocks:
            x = block(x, bias)
        return states + self.to_out(self.norm(x)).unflatten(1, (sentences, length))


def story_facts(story: dict, features) -> list[set[str]]:
    """What each sentence of a story means, as short statements, from the labels: who is there, where, and (where known) what they wear,
    do and hold. Targets of the text loss of the language memory; nothing that a picture is asked to show is taken from here."""

    def names(*path):
        feature = features
        for key in path:
            feature = getattr(feature, "feature", feature)[key] if isinstance(key, str) else feature.feature
        while hasattr(feature, "feature"):
            feature = feature.feature
        return feature.names

    facts = [set() for _ in story["sentences"]]
    for m, fact in enumerate(facts):
        if story.get("backgrounds"):
            fact.add(f"at {names('backgrounds')[story['backgrounds'][m]]}")
        if not story.get("characters"):
            continue
        who = [names("characters")[c] for c in story["characters"][m]]
        fact.update(who)
        attributes = story["attributes"][m] if story.get("attributes") else {}
        for kind in ("garments", "actions", "props"):
            for name, value in zip(who, attributes.get(kind, [])):
                fact.add(f"{name} {kind} {names('attributes', kind)[value]}")
        fact.update(f"prop {names('attributes', 'prop_colors')[c]}" for c in attributes.get("prop_colors", []))
    return facts


def text_loss(logits: Tensor, facts: Tensor, use: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the statements (B, M, F), summed over statements, mean over all sentences; only stories in `use` (B,)
    count. (Not the mean over those alone: then two processes with half the stories each would differ from one with all.)"""
    loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), facts.float(), reduction="none").sum(-1).mean(1)  # (B,)
    return loss.mean() if use is None else (loss * use).mean()
