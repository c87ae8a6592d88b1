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

    from story_ldm.encoders.xl_text import XLTokenizers


def token_limit(tokenizer: PreTrainedTokenizerBase | XLTokenizers) -> Limit:
    """The limit of a text encoder that reads a tokenizer's tokens; of Stable Diffusion XL's two, of both."""
    from story_ldm.encoders.xl_text import XLTokenizers

    tokenizers = list(tokenizer) if isinstance(tokenizer, XLTokenizers) else [tokenizer]

    def lengths(sentences: Sequence[str]) -> list[int]:
        read = [each(with_vectors(each, list(sentences)), verbose=False).input_ids for each in tokenizers]
        return [max(map(len, ids)) for ids in zip(*read, strict=True)]

    return Limit(min(each.model_max_length for each in tokenizers), "tokens", lengths)


def encoder_limit(text_encoder: nn.Module | None, tokenizer: PreTrainedTokenizerBase | XLTokenizers | None) -> Limit | None:
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
    return None if lstm else token_limit(open_local(AutoTokenizer, folder / "tokenizer", trust_remote_code=False))
