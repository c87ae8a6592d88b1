"""How long a sentence a text encoder reads, for `story_ldm.data.long_sentences`.

limit = folder_limit(model_folder("toon-story-ldm"))      # of a pipeline's folder, without opening its weights
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from story_ldm.data.long_sentences import WORDS, Limit, with_vectors
from story_ldm.files import json_object
from story_ldm.model_folders import open_local

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase


def token_limit(tokenizer: PreTrainedTokenizerBase | tuple[PreTrainedTokenizerBase, ...]) -> Limit:
    """The limit of a text encoder that reads a tokenizer's tokens; of several (Stable Diffusion XL's two, AR-LDM's two), of all."""
    tokenizers = list(tokenizer) if isinstance(tokenizer, tuple) else [tokenizer]

    def lengths(sentences: Sequence[str]) -> list[int]:
        read = [each(with_vectors(each, list(sentences)), verbose=False).input_ids for each in tokenizers]
        return [max(map(len, ids)) for ids in zip(*read, strict=True)]

    return Limit(min(each.model_max_length for each in tokenizers), "tokens", lengths)


def encoder_limit(text_encoder: nn.Module | None, tokenizer: PreTrainedTokenizerBase | tuple[PreTrainedTokenizerBase, ...] | None) -> Limit | None:
    """The limit of a text encoder; without a tokenizer, of the reader; None of an LSTM, which has none."""
    if tokenizer is None:
        return WORDS
    from story_ldm.encoders.damsm import DAMSMTextEncoder

    return None if isinstance(text_encoder, DAMSMTextEncoder) else token_limit(tokenizer)


def folder_limit(folder: Path) -> Limit | None:
    """The limit of a pipeline in a folder."""
    if not (folder / "tokenizer").is_dir():
        return WORDS
    from transformers import AutoTokenizer

    config = folder / "text_encoder" / "config.json"
    lstm = config.is_file() and json_object(config).get("_class_name") == "DAMSMTextEncoder"
    parts = [part for part in ("tokenizer", "history_tokenizer") if (folder / part).is_dir()]
    return None if lstm else token_limit(tuple(open_local(AutoTokenizer, folder / part, trust_remote_code=False) for part in parts))


def unknown_words(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str]) -> list[str]:
    """Words that a tokenizer trained on a small corpus has never seen (it splits them); none for a large, general vocabulary."""
    if len(tokenizer) > 10_000:
        return []
    words = dict.fromkeys(word for s in sentences for word, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(s.lower()))
    return [word.lstrip("Ġ") for word in words if word.lstrip("Ġ").isalpha() and len(tokenizer.tokenize(word.lstrip("Ġ"))) > 1]
