"""An independent reader of ToonStories 2, forms `full` and `referential`: it has its own lexicon, sees one frame's text after the other and never a
label, and asserts that each reference fits exactly one candidate while it reads. tests/test_toonstories2.py compares what it makes out with the
labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

# --- the reader's lexicon ----------------------------------------------------------------------------------------------------------------

USUAL = {}  # name → the pronoun of most who bear it
for line in (Path(__file__).parent.parent / "story_ldm/data/toonstories/free/names.txt").read_text().splitlines():
    for entry in line.split()[1:] if line[0] in "fmx" else ():
        USUAL.setdefault(entry.partition("=")[0], {"f": "she", "m": "he", "x": None}[line[0]])
KIND_USUAL = {"girl": "she", "boy": "he", "woman": "she", "man": "he"}
KINDS = "bear rabbit fox mouse frog duck robot alien cat dog pig lion penguin owl elephant dragon girl boy woman man".split()
WHERE = dict.fromkeys("forest kitchen bedroom city desert garden snow".split(), "in") | {"living room": "in", "sea": "by"}
WHERE |= dict.fromkeys("beach moon mountain playground farm".split(), "on") | dict.fromkeys(("school", "castle"), "at")
COLOUR = "red|orange|yellow|green|blue|purple|pink|white|black"
THINGS = "ball|balloon|umbrella|flag|book|kite|gift|lantern|bucket|basket|drum|guitar|key|letter|ice cream|teddy|boat|pinwheel|cup|suitcase"
FUR = "(?:dark |light )?brown|honey-coloured|white|(?:blue-)?grey|yellow|blue|silver|turquoise|purple|green|orange|cream-coloured|black|red"
DOES = {  # action → singular and plural verbs; those of two have a plural only
    "stand": "looks around/look around, stands still/stand still, waits/wait",
    "wave": "waves/wave, waves hello/wave hello, gives a wave/give a wave",
    "jump": "jumps/jump, leaps up/leap up, hops high/hop high",
    "sit": "sits down/sit down, takes a rest/take a rest, has a seat/have a seat",
    "dance": "dances/dance, spins around/spin around, twirls/twirl",
    "run": "runs/run, dashes about/dash about, races about/race about",
    "cheer": "cheers/cheer, celebrates/celebrate, shouts hooray/shout hooray",
    "sleep": "sleeps/sleep, falls asleep/fall asleep, takes a nap/take a nap",
    "eat": "eats/eat, eats a sandwich/eat a sandwich, has lunch/have lunch",
    "read": "reads/read, reads a story/read a story, turns the pages/turn the pages",
    "fall": "falls down/fall down, trips and falls/trip and fall, tumbles over/tumble over",
    "hug": "/hug, /hug each other, /cuddle",
    "hold hands": "/hold hands, /take each other by the hand",
    "point": "points ahead/point ahead, points at something/point at something, shows the way/show the way",
    "walk": "walks about/walk about, takes a walk/take a walk, strolls around/stroll around",
    "watch": "watches/watch, looks on/look on",
    "by": "stands by/stand by, stays there/stay there",
}
FEELS = {
    "neutral": "calms down/calm down, is calm again/are calm again",
    "happy": "is happy/are happy, smiles happily/smile happily",
    "sad": "is sad/are sad, looks sad/look sad",
    "angry": "is angry/are angry, gets angry/get angry",
    "surprised": "is surprised/are surprised, looks surprised/look surprised",
}
SKY = {  # first, later
    ("time", "day"): ("it is day", "day breaks"),
    ("time", "evening"): ("it is evening", "evening comes"),
    ("time", "night"): ("it is night", "night falls"),
    ("weather", "clear"): ("the sky is clear", "the sky clears"),
    ("weather", "rain"): ("it rains", "it starts to rain"),
    ("weather", "snow"): ("it snows", "it starts to snow"),
    ("weather", "wind"): ("a wind blows", "a wind rises"),
    ("weather", "fog"): ("it is foggy", "fog comes up"),
    ("weather", "storm"): ("there is a storm", "a storm breaks"),
}
GROUPS = {"they": (2, 3, 4), "both friends": (2,), "the friends": (2, 3, 4), "all three": (3,), "all four": (4,), "the others": (2, 3)}
FORMS = {"he": "he", "him": "he", "she": "she", "her": "she", "it": "it", "they": "they", "them": "they"}


def verbs_of(table: dict[str, str]) -> dict[str, tuple[str, bool]]:
    return {
        verb: (name, bool(many)) for name, all_ in table.items() for pair in all_.split(", ") for many, verb in enumerate(pair.split("/")) if verb
    }


def one_of(words) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


VERBS, MOODS, SKIES = verbs_of(DOES), verbs_of(FEELS), {words: (m, *fact) for fact, both in SKY.items() for m, words in enumerate(both)}
NAME, KIND, VERB = r"[A-ZÀ-Þ][\w'-]*", one_of(KINDS), one_of(VERBS)
NEW = rf"(?P<name>{NAME}) the (?:(?P<fur>{FUR}) )?(?P<kind>{KIND})(?: with (?P<hair>blond|brown|black|red|grey) hair)? "
NEW += rf"(?:in an? (?P<c1>{COLOUR}) shirt|wearing an? (?P<c2>{COLOUR}) shirt|dressed in (?P<c3>{COLOUR}))"
NEW += rf"(?: with an? (?P<pc>{COLOUR}) (?P<prop>{THINGS}))?"
KNOWN = rf"(?P<known>{NAME})(?: with the (?P<hc>{COLOUR}) (?P<hp>{THINGS}))?"


def unnamed(pattern: str) -> str:
    return re.sub(r"\?P<\w+>", "?:", pattern)


ITEM = f"(?:{unnamed(NEW)}|{unnamed(KNOWN)}|the {KIND}|{one_of(FORMS)})"
NOUN = f"(?:{one_of(GROUPS)}|{ITEM}(?:(?:, {ITEM})* and {ITEM})?)"
DO = rf"(?:(?P<verb>{VERB})|(?P<at>looks at|turns to|waves at|waves to|points at) (?P<seen>{ITEM})|hugs (?P<hugged>{ITEM})"
DO += rf"|gives (?P<hugged2>{ITEM}) a hug|takes (?P<taken>{ITEM}) by the hand|holds hands with (?P<taken2>{ITEM}))"
PLACE = one_of(WHERE)
EVENTS = {
    "act": rf"(?P<who>{NOUN}) {DO}",
    "enter": rf"(?P<who>{NOUN}) (?:arrives|comes along|shows up) and {DO}",
    "return": rf"(?P<who>{NOUN}) (?:comes back|returns) and {DO}",
    "move": rf"(?P<who>{NOUN}) (?P<go>goes|go|travels|travel|heads|head) to the (?P<to>{PLACE}) and {DO}",
    "back": rf"(?P<who>{NOUN}) (?P<go>goes|go|heads|head) back(?: to the (?P<to>{PLACE}))? and {DO}",
    "leave": rf"(?P<gone>{ITEM}) (?:goes home|leaves|says goodbye) and (?P<who>{NOUN}) {DO}",
    "pick_up": rf"(?P<who>{ITEM}) (?P<go>picks up|pick up|finds|find|gets|get) an? (?P<pcol>{COLOUR}) (?P<item>{THINGS})",
    "put_away": rf"(?P<who>{ITEM}) (?P<go>puts away|put away|lets go of|let go of|puts down|put down) the (?:(?P<pcol>{COLOUR}) )?(?P<item>{THINGS})",
    "give": rf"(?P<who>{ITEM}) gives (?P<given>{ITEM}) the (?:(?P<pcol>{COLOUR}) )?(?P<item>{THINGS})",
    "change": rf"(?P<who>{ITEM}) (?P<go>changes into|change into|puts on|put on) an? (?P<worn>{COLOUR}) shirt",
}
EVENTS = {kind: re.compile(pattern) for kind, pattern in EVENTS.items()}
SENTENCE = re.compile(
    rf"(?:(?P<lead>(?:in|on|at|by) the {PLACE}), )?(?P<body>.+?)(?: (?P<place>(?:in|on|at|by) the {PLACE}|there))?(?: while (?P<tail>.+))?"
)
TAIL = re.compile(rf"(?P<who>{NOUN}) (?P<verb>{VERB})")
FEELING = re.compile(rf"(?P<who>{NOUN}) (?P<mood>{one_of(MOODS)})")
BEGINNINGS = {"The", "He", "She", "It", "They", "Both", "All", "In", "On", "At", "By", "A", "There", "Day", "Evening", "Night", "Fog"}


@dataclass
class Somebody:
    name: str
    kind: str
    garment: str
    look: tuple[str | None, str | None]
    used: str | None = None  # the pronoun that was used
    held: tuple[str, str] | None = None
    face: str = "neutral"

    def fits(self, pronoun: str, usual: bool) -> bool:
        return (self.used or (KIND_USUAL.get(self.kind) or USUAL[self.name] if usual else None)) in (None, pronoun)


@dataclass
class Read:
    """What the reader believes of one frame."""

    kind: str
    place: str
    time: str
    weather: str
    who: dict[str, Somebody]
    actions: dict[str, str]
    toward: dict[str, str]
    mentions: dict[str, str]
    place_named: bool


@dataclass
class Reader:
    known: dict[str, Somebody] = field(default_factory=dict)
    stage: list[str] = field(default_factory=list)
    place: str | None = None
    before: str | None = None
    sky: dict[str, str] = field(default_factory=lambda: {"time": "day", "weather": "clear"})
    frames: int = 0

    def read(self, text: str) -> Read:
        assert text.endswith(".") and "  " not in text, text
        sentences = [s if s.split()[0].strip(",") not in BEGINNINGS else s[0].lower() + s[1:] for s in text[:-1].split(". ")]
        if all(part in SKIES for part in sentences[0].split(", and ")):
            for part in sentences.pop(0).split(", and "):
                later, fact, value = SKIES[part]
                assert later == (self.frames > 0) and (not later or self.sky[fact] != value), part
                self.sky[fact] = value
        read = self.event(sentences[0])
        for sentence in sentences[1:]:
            match = FEELING.fullmatch(sentence)
            assert match, sentence
            self.mentions, self.candidates = {}, list(self.stage)
            who = self.noun(match["who"], self.stage)
            face, many = MOODS[match["mood"]]
            assert many == (len(who) > 1 or match["who"] == "they"), sentence
            for name in who:
                assert name in self.stage and self.known[name].face != face, sentence
                self.known[name].face = face
        self.frames += 1
        return read

    def event(self, sentence: str) -> Read:
        match = SENTENCE.fullmatch(sentence)
        assert match, sentence
        readings = [(kind, m) for kind, pattern in EVENTS.items() if (m := pattern.fullmatch(match["body"]))]
        assert len(readings) == 1, (sentence, [kind for kind, _ in readings])
        kind, m = readings[0]
        parts: dict[str, str | None] = m.groupdict()
        tails = self.clauses(match["tail"]) if match["tail"] else []
        self.mentions, self.fresh, before = {}, [], list(self.stage)
        phrases = [
            parts.get("gone"),
            parts["who"],
            *(parts.get(k) for k in ("seen", "hugged", "hugged2", "taken", "taken2", "given")),
            *(w for w, _ in tails),
        ]
        for phrase in phrases:  # those who are named can be meant by a pronoun, too
            for item in self.items(phrase) if phrase and phrase not in GROUPS else ():
                self.introduce(item)
        named = [name for phrase in phrases if phrase and phrase not in GROUPS for item in self.items(phrase) if (name := self.called(item))]
        assert len(set(named)) == len(named), f"somebody is mentioned twice: {sentence}"
        self.candidates = list(dict.fromkeys([*self.stage, *named]))
        gone = self.one(parts["gone"]) if parts.get("gone") else None
        assert gone is None or (gone in self.stage and len(self.stage) > 1 and not self.known[gone].held), sentence
        self.mentions.pop(gone, None)
        self.stage = [c for c in self.candidates if c != gone]
        who = self.noun(parts["who"], self.stage)
        other = next((self.one(parts[k], True) for k in ("seen", "hugged", "hugged2", "taken", "taken2", "given") if parts.get(k)), None)
        doing, toward = self.done(parts, who, other, sentence)
        for phrase, verb in tails:
            others = self.noun(phrase, self.stage)
            action, many = VERBS[verb]
            assert many == (len(others) > 1 or phrase == "they"), sentence
            doing |= dict.fromkeys(others, {"watch": "stand", "by": "stand"}.get(action, action))
            toward |= dict.fromkeys(others, who[0]) if action == "watch" else {}
            assert action != "watch" or len(who) == 1, sentence
        assert set(self.mentions) == set(self.stage), f"not everybody on stage has a part in it: {sentence}"
        newcomers = [c for c in self.stage if c not in before]
        assert newcomers == (who if kind in ("enter", "return") else newcomers if self.place is None else []), sentence
        assert all((c in self.fresh) == (kind != "return") for c in newcomers) and set(self.fresh) <= set(newcomers), sentence
        place_named = self.where(kind, parts, match, who)
        self.deal(kind, parts, who[0], other, sentence)
        who = {c: self.known[c] for c in self.stage}
        return Read(kind, self.place, self.sky["time"], self.sky["weather"], who, doing, toward, dict(self.mentions), place_named)

    def done(self, parts, who, other, sentence) -> tuple[dict[str, str], dict[str, str]]:
        """What the subjects and the other one do, and who is turned to whom."""
        if other is None:
            plural = len(who) > 1 or parts["who"] == "they"
            action, many = VERBS[parts["verb"]] if parts.get("verb") else ("stand", plural)
            assert many == plural and (not parts.get("go") or plural != parts["go"].split()[0].endswith("s")), sentence
            assert action not in ("hug", "hold hands") or len(who) == 2, sentence
            return dict.fromkeys(who, action), ({who[0]: who[1], who[1]: who[0]} if action in ("hug", "hold hands") else {})
        assert len(who) == 1 and other != who[0], sentence
        toward = {who[0]: other, other: who[0]}
        if parts.get("given"):
            return {who[0]: "stand", other: "stand"}, toward
        if parts.get("seen"):
            return {who[0]: {"l": "stand", "t": "stand", "w": "wave", "p": "point"}[parts["at"][0]], other: "stand"}, toward
        return dict.fromkeys((who[0], other), "hug" if parts["hugged"] or parts["hugged2"] else "hold hands"), toward

    def where(self, kind, parts, match, who) -> bool:
        said = match["lead"] or match["place"]
        assert not (match["lead"] and match["place"]) and not (said and kind in ("move", "back")), match[0]
        assert not (kind == "leave" and match["place"] == "there"), f"there: where the others are, or where the one who leaves goes? {match[0]}"
        if kind in ("move", "back"):
            there = parts["to"] or self.before
            assert there and there != self.place and (kind == "move" or there == self.before), match[0]
            self.before, self.place = self.place, there
        elif said and said != "there":
            preposition, _, where = said.split(" ", 2)
            assert WHERE[where] == preposition and self.place in (None, where), match[0]
            self.place = where
        assert self.place, f"no place yet: {match[0]}"
        return kind == "move" or bool(parts.get("to")) or said not in (None, "there")

    def deal(self, kind, parts, who, other, sentence) -> None:
        somebody = self.known[who]
        prop = (parts.get("item"), parts.get("pcol"))
        if kind == "pick_up":
            assert not somebody.held and all(c.held is None or c.held[0] != prop[0] for c in self.known.values()), sentence
            somebody.held = prop
        elif kind in ("put_away", "give"):
            assert somebody.held and somebody.held[0] == prop[0] and prop[1] in (None, somebody.held[1]), sentence
            if kind == "give":
                assert not self.known[other].held, sentence
                self.known[other].held = somebody.held
            somebody.held = None
        elif kind == "change":
            assert parts["worn"] != somebody.garment, sentence
            somebody.garment = parts["worn"]

    # --- references --------------------------------------------------------------------------------------------------------------------------

    @staticmethod
    def clauses(tail: str) -> list[tuple[str, str]]:
        found, at = [], 0
        while True:
            match = TAIL.match(tail, at)
            assert match, tail
            found.append((match["who"], match["verb"]))
            at = match.end()
            if at == len(tail):
                return found
            assert tail[at : at + 5] == " and ", tail
            at += 5

    @staticmethod
    def items(phrase: str) -> list[str]:
        return re.split(", | and ", phrase)

    def introduce(self, item: str) -> None:
        if new := re.fullmatch(NEW, item):
            assert new["name"] not in self.known, item
            garment = new["c1"] or new["c2"] or new["c3"]
            somebody = Somebody(new["name"], new["kind"], garment, (new["fur"], new["hair"]), held=(new["prop"], new["pc"]) if new["prop"] else None)
            self.known[new["name"]] = somebody
            self.fresh.append(new["name"])

    def called(self, item: str) -> str | None:
        """Who is named or called by kind."""
        if new := re.fullmatch(NEW, item):
            return new["name"]
        if known := re.fullmatch(KNOWN, item):
            assert known["known"] in self.known, item
            assert not known["hp"] or self.known[known["known"]].held == (known["hp"], known["hc"]), item
            return known["known"]
        if item.startswith("the "):
            candidates = [c.name for c in self.known.values() if c.kind == item[4:]]
            assert len(candidates) == 1, (item, candidates)
            return candidates[0]
        return None

    def one(self, item: str, bound: bool = False) -> str:
        name = self.called(item)
        if name is None:
            how, pronoun = "pronoun", FORMS[item]
            assert item == "it" or bound == (item in ("him", "her", "them")), item
            if pronoun == "they":
                assert len(self.candidates) == 1, item
                name = self.candidates[0]
            else:
                by_use, by_custom = ([c for c in self.candidates if self.known[c].fits(pronoun, usual)] for usual in (False, True))
                fitting = by_custom or by_use
                assert len(fitting) == 1, (item, fitting)
                name = fitting[0]
            self.known[name].used = pronoun
        else:
            how = "introduction" if re.fullmatch(NEW, item) else "species" if item.startswith("the ") else "name"
        assert name not in self.mentions, item
        self.mentions[name] = how
        return name

    def noun(self, phrase: str, stage: list[str]) -> list[str]:
        """Whom a noun phrase means, of those on stage after the event."""
        if phrase in GROUPS and not (phrase == "they" and len(stage) == 1):
            who = [c for c in stage if phrase != "the others" or c not in self.mentions]
            assert len(who) in GROUPS[phrase], phrase
            self.mentions |= dict.fromkeys(who, "group")
            return who
        return [self.one(item) for item in self.items(phrase)]
