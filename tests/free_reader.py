"""An independent reader of the free form's references: it has its own lexicon, sees a frame's text and where the references stand, and works
out whom each means. tests/test_free_form.py compares that with the labels.

It reads frame by frame: before each it is given who was on stage and whose garment was known after the last one, as whoever has read so far
knows them. Everything else is its own bookkeeping: names and kinds as they were introduced, pronouns as they were used, groups and orders
of mention within the frame. A reference that fits nobody, or several, raises AssertionError.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

KINDS = (  # the first world's, then the second's
    "bear teddy grizzly bruin cub-bear",
    "rabbit bunny hare cottontail",
    "fox",
    "mouse mousie",
    "frog toad froggy bullfrog",
    "duck duckling ducky mallard",
    "robot bot android droid machine tin-man",
    "alien martian extraterrestrial visitor spaceman",
)
KINDS2 = (
    *(kind.replace("teddy ", "") for kind in KINDS[:2]),
    *("fox vixen", "mouse mousie", "frog toad froggy bullfrog", "duck duckling ducky mallard drake", "robot bot android droid machine", KINDS[7]),
    *("cat kitten kitty pussycat tomcat tabby", "dog puppy doggy hound pup sheepdog pooch", "pig piglet piggy hog swine sow", "lion lioness beasts"),
    *("penguin", "owl owlet", "elephant jumbo", "dragon breather dragonet", "girl schoolgirl lass lassie", "boy schoolboy lad laddie"),
    *("woman lady mum mother", "man gentleman dad father fellow"),
)
KIND_USUAL = {16: "she", 17: "he", 18: "she", 19: "he"}  # of the second world
COLORS = ("red", "yellow", "green", "blue", "purple", "white")
COLORS2 = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
RESIDENTS = {"bruno": (0, "he"), "rosa": (1, "she"), "felix": (2, "he"), "mina": (3, "she")}
RESIDENTS |= {"toby": (4, "he"), "dora": (5, "she"), "bolt": (6, None), "zix": (7, None)}
NAMES = {name: who for name, (_, who) in RESIDENTS.items()}  # → the pronoun of most who bear it
SHORT = {}
for line in (Path(__file__).parent.parent / "story_ldm/data/toonstories/free/names.txt").read_text().splitlines():
    for entry in line.split()[1:] if line[0] in "fmx" else ():
        full, _, short = entry.lower().partition("=")
        for name in filter(None, (full, short)):
            NAMES.setdefault(name, {"f": "she", "m": "he", "x": None}[line[0]])
PRONOUNS = {form: (name, case) for name, forms in {"he": "he him his himself", "she": "she her her herself", "it": "it it its itself"}.items()
            for case, form in reversed(list(enumerate(forms.split())))}  # fmt: skip
THEY = ("they", "them", "their", "themselves")
FRIENDS = {"friend", "pal", "buddy", "companion", "playmate", "mate", "chum"}
GROUP_WORDS = {"friends", "companions", "everybody", "everyone", "others", "other"}
JOINTS = {"and", ",", ", and"}


@dataclass(eq=False)
class Somebody:
    kind: int | None = None
    names: set[str] = field(default_factory=set)
    usual: str | None = None  # the pronoun of most with such a name
    pronoun: str | None = None  # that was used

    def fits(self, pronoun: str, by_name: bool) -> bool:
        known = self.pronoun or (self.usual if by_name else None)
        return known in (None, pronoun)


class FreeReader:
    """second: of the second world."""

    def __init__(self, second: bool = False):
        self.known: list[Somebody] = []
        self.kind_of_word = {word: kind for kind, words in enumerate(KINDS2 if second else KINDS) for word in words.split()}
        self.residents, self.kind_usual, self.colors = ({}, KIND_USUAL, COLORS2) if second else (RESIDENTS, {}, COLORS)
        self.words = sorted({*self.kind_of_word, *FRIENDS, *GROUP_WORDS})

    def corrected(self, words: list[str]) -> list[str]:
        """The words, the one that is most like one of `self.words` put right."""
        likely = [
            (difflib.SequenceMatcher(None, word, right).ratio(), k, right)
            for k, word in enumerate(words)
            if word not in NAMES
            for right in self.words
        ]
        ratio, k, right = max(likely, default=(0, 0, ""))
        return [*words[:k], right, *words[k + 1 :]] if ratio >= 0.8 else words

    def read(self, text: str, spans: list[tuple[int, int]], before: list[int], garments: dict[int, int]) -> list[list[Somebody]]:
        """Whom each span means. before: the kinds on stage after the last frame; garments: kind → colour, where known by then."""
        self.stage = [self.of_kind(kind) for kind in before]
        assert None not in self.stage, "somebody on stage was never introduced"
        self.garments, self.frame, self.sentence, self.pair, meant, at = garments, [], [], None, [], 0
        for start, end in spans:
            gap = text[at:start]
            if self.ends_a_sentence(gap):
                self.sentence, self.pair = [], None
            joined = meant and gap.strip() in JOINTS and self.sentence
            surface = text[start:end]
            who = self.resolve(surface.lower())
            assert who, f"{surface!r} means nobody in {text!r}"
            group = list(dict.fromkeys(self.sentence[-1] + who)) if joined else []
            self.stage += [one for one in who if one not in self.stage]
            for mentions in (self.frame, self.sentence):
                mentions.append(who)
                if len(group) > len(who):
                    mentions.append(group)
            meant.append(who)
            at = end
        return meant

    def ends_a_sentence(self, gap: str) -> bool:
        return bool(re.search(r"[.!?]\s", gap + " ") or (self.sentence and re.search(r"[.!?][\"”']\s", gap + " ")))

    def of_kind(self, kind: int) -> Somebody | None:
        return next((one for one in self.known if one.kind == kind), None)

    # --- one reference -------------------------------------------------------------------------------------------------------------------------

    def resolve(self, surface: str) -> list[Somebody]:
        surface = re.sub(r"['’]s$", "", surface.strip())
        if surface in THEY:
            if self.sentence and len(self.sentence[-1]) > 1:
                return list(self.sentence[-1])
            return list(self.stage) if len(self.stage) > 1 else [self.pronoun("they", surface != "they")]
        if surface in PRONOUNS:
            name, case = PRONOUNS[surface]
            return [self.pronoun(name, case > 0)]
        words = re.findall(r"[a-zà-ÿ]+", surface)
        if not self.says_somebody(words) or (
            len(words) > 1 and set(words) & NAMES.keys() and not self.named(words) and not set(words) & self.kind_of_word.keys()
        ):
            words = self.corrected(words)
        if re.search(r"['’]s (?:\w+ )?\w+$", surface) and words[-1] not in FRIENDS:
            words = self.corrected(words)
        if words[-1] in ("former", "latter"):
            self.pair = self.pair or self.last_two()
            return [self.pair[words[-1] == "latter"]]
        if not any(word in self.kind_of_word or word in NAMES for word in words) or words[0] in ("all", "both", "everybody"):
            if group := self.group(words):
                return group
        if "one" in words and (colors := [self.colors.index(word) for word in words if word in self.colors]):
            fitting = [one for one in self.stage if self.garments.get(one.kind) == colors[0]]
            assert len(fitting) == 1, f"{surface!r}: {len(fitting)} wear that"
            return fitting
        if words[-1] in FRIENDS:
            owner = (
                [self.pronoun({"his": "he", "her": "she", "its": "it", "their": "they"}[words[0]], True)]
                if words[0] in ("his", "her", "its", "their")
                else self.named(words)
            )
            assert len(owner) == 1 and len(self.stage) == 2, f"{surface!r}: whose, and which?"
            if words[0] in ("his", "her", "its", "their"):
                self.frame.append(owner), self.frame.pop()
            return [one for one in self.stage if one is not owner[0]]
        return self.somebody(surface, words)

    def says_somebody(self, words: list[str]) -> bool:
        return bool(
            set(words)
            & (
                {*self.kind_of_word, *NAMES, *FRIENDS, "former", "latter", "one", "other", "others", "both", "two", "three", "rest"}
                | {"pair", "duo", "trio", "quartet", "four", "gang", "everyone", "everybody", "friends", "group", "all"}
            )
        )

    def named(self, words: list[str]) -> list[Somebody]:
        return [one for one in self.known if one.names & set(words)]

    def somebody(self, surface: str, words: list[str]) -> list[Somebody]:
        """By name or by kind, known or introduced here."""
        if words[0] in ("his", "her", "its", "their"):
            self.pronoun({"his": "he", "her": "she", "its": "it", "their": "they"}[words[0]], True)
        kinds = {self.kind_of_word[word] for word in words if word in self.kind_of_word} or ({6} if "tin man" in " ".join(words) else set())
        assert len(kinds) <= 1, f"{surface!r} is of two kinds"
        kind = next(iter(kinds), None)
        names = {word for word in words if word in NAMES}
        known = self.named(words) if names else []
        assert len(known) <= 1, f"{surface!r} names two"
        if known:
            assert kind in (None, known[0].kind) or known[0].kind is None, f"{surface!r} is another kind than before"
            if known[0].kind is None:
                known[0].kind = kind
            return known
        if not names:
            assert kind is not None, f"{surface!r} names nobody"
            if self.of_kind(kind):
                return [self.of_kind(kind)]
            last = self.sentence[-1] if self.sentence else []  # "Max is a fox"
            if nameless := [one for one in [*last, *self.known] if one.kind is None]:
                nameless[0].kind = kind
                return nameless[:1]
        if kind is None and len(names) == 1:
            kind = self.residents.get(next(iter(names)), (None,))[0]
        first = next((word for word in words if word in NAMES), None)
        assert kind is None or self.of_kind(kind) is None, f"{surface!r}: there is one of this kind"
        self.known.append(Somebody(kind, names, self.kind_usual.get(kind) or NAMES.get(first)))
        return [self.known[-1]]

    # --- pronouns and groups -------------------------------------------------------------------------------------------------------------------

    def pronoun(self, pronoun: str, bound: bool) -> Somebody:
        if bound and self.sentence and len(self.sentence[-1]) == 1 and self.sentence[-1][0].fits(pronoun, True):
            self.sentence[-1][0].pronoun = pronoun
            return self.sentence[-1][0]
        for by_name in (True, False):
            for level in (self.sentence, self.frame, [self.stage]):
                fitting = list(dict.fromkeys(one for mention in level for one in mention if one.fits(pronoun, by_name)))
                if fitting:
                    assert len(fitting) == 1, f"{pronoun} fits {len(fitting)}"
                    fitting[0].pronoun = pronoun
                    return fitting[0]
        raise AssertionError(f"{pronoun} fits nobody")

    def last_two(self) -> list[Somebody]:
        singles = [mention[0] for mention in self.frame if len(mention) == 1][-2:]
        assert len(set(singles)) == 2
        return singles

    def group(self, words: list[str]) -> list[Somebody]:
        said = " ".join(words)
        last = self.frame[-1] if self.frame else []
        others = [one for one in self.stage if one not in last]
        if re.search(r"\b(others|other two|other three|rest of them)\b", said):
            count = 2 if "two" in words else 3 if "three" in words else len(others)
            assert len(last) == 1 and len(others) == count > 1, f"{said}: which?"
            return others
        if re.search(r"\bother( one| friend)?$", said):
            assert len(last) == 1 and len(others) == 1, f"{said}: which?"
            return others
        counts = {2: r"both|two|pair|duo", 3: r"three|trio", 4: r"four|quartet"}
        count = next((count for count, pattern in counts.items() if re.search(rf"\b({pattern})\b", said)), None)
        if count or re.search(r"\b(friends|everyone|everybody|all of them|little group|gang)\b", said):
            assert len(self.stage) == (count or len(self.stage)) > 1, f"{said}: {len(self.stage)} are there"
            return list(self.stage)
        return []
