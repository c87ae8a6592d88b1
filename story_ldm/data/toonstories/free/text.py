"""A frame's text as it grows: pieces of words and of references, with spaces, commas and capitals where they belong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """Characters `start` to `end` of a frame's text mean `who` (indices into CHARACTERS); `how` is one of world.MENTIONS: "species" stands for
    any description, "group" for several at once, "introduction" also for "a frog" of "She is a frog."."""

    start: int
    end: int
    how: str
    who: tuple[int, ...]


DOUBLES = ("up", "over", "out", "down", "off", "back", "along")  # "wakes up" and "up on the moon"
JOINTS = ("and", ",", ", and", "as well as", "and also", "&", "+", "/")  # between two mentions that are one group


class Text:
    def __init__(self):
        self.pieces: list[tuple[str, str, tuple[int, ...]]] = []  # words, how, who; how is "" where they refer to nobody
        self.capital = True
        self.comma = False  # a comma is due, unless punctuation comes

    def saved(self) -> tuple:
        return list(self.pieces), self.capital, self.comma

    def restore(self, saved: tuple) -> None:
        self.pieces, self.capital, self.comma = saved

    @property
    def end(self) -> str:
        return self.pieces[-1][0][-1] if self.pieces else " "

    def put(self, words: str, how: str = "", who: tuple[int, ...] = ()) -> None:
        if not words:
            return
        if self.comma:
            self.comma = False
            if words.lstrip()[:1] not in (*",.;!?:)",):
                self.put(",")
        end = self.end
        if words[0] == " " and end in " (":
            words = words[1:]
        elif words[0] in ",.;:!?)":
            if end == " ":
                self._trim()
                end = self.end
            if end == "," and words[0] != ")":
                self._trim()
            elif end in ".!?" and words[0] in ",.;!?":
                words = words[1:]
        if not words:
            return
        if self.pieces and not how and end == " " and words[0] in "aeiou" and self.pieces[-1][0][-3:].lower() in ("a ", " a "):
            last, last_how, last_who = self.pieces.pop()  # "a" and a word of another table
            self.pieces.append((last[:-1] + "n ", last_how, last_who))
        first = words.split(" ", 1)[0]
        if self.pieces and end == " " and first in DOUBLES and self.pieces[-1][0].split()[-1:] == [first]:
            words = words[len(first) + 1 :]
        if not words:
            return
        if self.capital:
            at = next((i for i, letter in enumerate(words) if letter.isalpha()), None)
            if at is not None:
                words, self.capital = words[:at] + words[at].upper() + words[at + 1 :], False
        self.pieces.append((words, how, who))

    def _trim(self) -> None:
        """Takes the last letter off, a space or a comma."""
        words, how, who = self.pieces.pop()
        if words[:-1]:
            self.pieces.append((words[:-1], how, who))

    def new_sentence(self) -> None:
        self.capital = True
        if self.end not in " (":
            self.put(" ")

    def finish(self, mark: str) -> None:
        """Ends the sentence with `mark` where it has no end yet."""
        self.comma = False
        while self.end in " ," and self.pieces:
            self._trim()
        if self.end == ":" or not (self.end in ".!?" or (self.end in "\"”'’" and "".join(p[0] for p in self.pieces[-3:])[-2:-1] in ".!?")):
            if self.end == ":":
                self._trim()
            self.pieces.append((mark, "", ()))
        self.capital = True

    def joined(self) -> bool:
        """Whether only "and", a comma or the like stands between the last reference and here."""
        between = ""
        for words, how, _ in reversed(self.pieces):
            if how:
                return between.strip() in JOINTS
            between = words + between
        return False

    def tokens(self) -> int:
        """Words and punctuation marks, somewhat generously."""
        return sum(len(words.split()) + sum(not (letter.isalnum() or letter == " ") for letter in words) for words, _, _ in self.pieces)

    def read(self) -> tuple[str, list[Reference]]:
        references, at = [], 0
        for words, how, who in self.pieces:
            if how:
                references.append(Reference(at, at + len(words), how, who))
            at += len(words)
        return "".join(words for words, _, _ in self.pieces), references
