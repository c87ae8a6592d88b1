"""A text as words and punctuation marks, as the reader reads it. Imports no torch.

split_words("Luna didn't wave.")      # ["luna", "did", "n't", "wave", "."]
"""

from __future__ import annotations

import re
import unicodedata

MAX_WORDS = 96  # of a frame
PARTS = re.compile(r"n't\b|'(?:s|m|re|ve|ll|d)\b|[^\W\d_]+|\d|[^\w\s]|_")
PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-"})
NEGATIONS = re.compile(r"\b(ca|wo|do|did|does|is|was|are|were|could|would|should|had|has|have|must)n't\b")


def split_words(text: str) -> list[str]:
    """Words and punctuation marks of a text, in lower case; "didn't" is two words, as is "bear's"."""
    text = unicodedata.normalize("NFKC", text).lower().translate(PLAIN)
    return PARTS.findall(NEGATIONS.sub(r"\1 n't", text))
