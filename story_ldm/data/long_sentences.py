"""Sentences that are longer than a text encoder reads: an error, cut, or left out with their stories. Never silently.

Imports `re` only, except for textual inversions.

sentences = fit_sentences(sentences, limit, "cut")      # limit: of encoders/limits.py, or WORDS, the reader's; stories: `data.stories.fit_stories`
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from story_ldm.data.words import MAX_WORDS, split_words

LongSentences = Literal["error", "cut", "skip"]
LongDrawn = Literal["error", "cut", "skip", "chunks"]  # of commands that draw; chunks: a CLIP text encoder reads them in parts of its length
SHOWN = 1000  # characters of a sentence in an error


@dataclass(frozen=True)
class Limit:
    """The longest sentence that a text encoder reads. lengths: of sentences, in the `unit`."""

    most: int
    unit: str
    lengths: Callable[[Sequence[str]], list[int]]

    def longer(self, sentences: Iterable[str]) -> dict[str, int]:
        """The sentences that are too long, with their lengths."""
        distinct = list(dict.fromkeys(sentences))
        return {sentence: n for sentence, n in zip(distinct, self.lengths(distinct) if distinct else [], strict=True) if n > self.most}

    def cut(self, sentence: str) -> str:
        """The longest beginning that is not too long, in whole words; of a first word that is too long, a part."""
        for ends in ([word.end() for word in re.finditer(r"\S+", sentence)], range(1, len(sentence) + 1)):
            fits, over = 0, len(ends) + 1  # how many words or characters fit, and do not
            while over - fits > 1:
                middle = (fits + over) // 2
                fits, over = (middle, over) if self.lengths([sentence[: ends[middle - 1]]])[0] <= self.most else (fits, middle)
            if fits:
                return sentence[: ends[fits - 1]]
        raise ValueError(f"a sentence may have {self.most} {self.unit}; not a character of {sentence!r} fits")


WORDS = Limit(MAX_WORDS, "words and punctuation marks", lambda sentences: [len(split_words(sentence)) for sentence in sentences])


def with_vectors(tokenizer: Any, sentences: list[str]) -> list[str]:
    """The sentences with a word for each vector of a textual inversion in the place of its name, as a CLIP tokenizer that has it reads them."""
    if not any(token.endswith("_1") for token in getattr(tokenizer, "added_tokens_encoder", {})):
        return sentences
    from diffusers.loaders import TextualInversionLoaderMixin

    return TextualInversionLoaderMixin().maybe_convert_prompt(sentences, tokenizer)


def named(lengths: dict[str, int], unit: str, most: int = 10) -> str:
    """How long sentences are, the longest first, in words; names up to `most` of them and counts the rest."""
    longest = sorted(lengths, key=lambda sentence: -lengths[sentence])
    more = f"; and {len(longest) - most:,} more sentences are too long" if len(longest) > most else ""
    shown = {sentence: sentence if len(sentence) <= SHOWN else f"{sentence[:SHOWN]}…" for sentence in longest[:most]}
    return "; ".join(f"sentence {shown[sentence]!r} has {lengths[sentence]} {unit}" for sentence in shown) + more


def too_long(lengths: dict[str, int], limit: Limit, who: str = "this text encoder reads", may_skip: bool = True, may_chunk: bool = False) -> str:
    """What is wrong with sentences that are too long, all counted, and which options mend it."""
    count = f"{len(lengths):,} sentences are" if len(lengths) > 1 else "1 sentence is"
    options = "--long-sentences cut shortens them" + (", skip leaves their stories out" if may_skip else "")
    options += ", chunks reads them in parts" if may_chunk and limit.unit == "tokens" else ""
    return f"{count} too long: {named(lengths, limit.unit)}; {who} at most {limit.most}: {options}"


def fit_sentences(sentences: Sequence[str], limit: Limit | None, how: LongSentences) -> list[str]:
    """The sentences of one story, cut to the limit if there is one and `how` is "cut", which is said on stderr; ValueError if it is another."""
    lengths = limit.longer(sentences) if limit is not None else {}
    if limit is None or not lengths:
        return list(sentences)
    if how != "cut":
        raise ValueError(too_long(lengths, limit, may_skip=False, may_chunk=True))
    say_cut(lengths, limit)
    return [limit.cut(sentence) if sentence in lengths else sentence for sentence in sentences]


def say_cut(lengths: dict[str, int], limit: Limit) -> None:
    """Says on stderr how many sentences are cut."""
    count = f"{len(lengths):,} sentences are" if len(lengths) > 1 else "1 sentence is"
    print(f"{count} cut to {limit.most} {limit.unit} (--long-sentences cut)", file=sys.stderr)
