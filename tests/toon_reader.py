"""An independent reader of ToonStories: it has its own lexicon, sees one sentence after the other and never a label, and asserts that each
reference fits exactly one candidate while it reads. tests/test_toonstories.py compares what it makes out with the labels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# --- the reader's lexicon ----------------------------------------------------------------------------------------------------------------

WHO = {"bruno": ("bear", "he"), "rosa": ("rabbit", "she"), "felix": ("fox", "he"), "mina": ("mouse", "she")}
WHO |= {"toby": ("frog", "he"), "dora": ("duck", "she"), "bolt": ("robot", "it"), "zix": ("alien", "it")}
WHERE = {"forest": "in", "beach": "on", "kitchen": "in", "bedroom": "in", "city": "in", "desert": "in", "moon": "on", "mountain": "on"}
COLOUR = "red|yellow|green|blue|purple|white"
THING = "ball|balloon|umbrella|flag|book"
DOES = {  # action → singular and plural verbs
    "stand": "looks around/look around, stands still/stand still, waits/wait",
    "wave": "waves/wave, waves hello/wave hello, gives a wave/give a wave",
    "jump": "jumps/jump, leaps up/leap up, hops high/hop high",
    "sit": "sits down/sit down, takes a rest/take a rest, has a seat/have a seat",
    "dance": "dances/dance, spins around/spin around, twirls/twirl",
    "run": "runs/run, dashes about/dash about, races about/race about",
    "cheer": "cheers/cheer, celebrates/celebrate, shouts hooray/shout hooray",
}
VERBS = {verb: (action, many) for action, all_ in DOES.items() for pair in all_.split(", ") for many, verb in enumerate(pair.split("/"))}
GROUPS = {"they": (2, 3), "both friends": (2,), "the friends": (2, 3), "all three": (3,), "the others": (2,)}


def one_of(words) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


NEW = rf"(?P<name>{one_of(WHO)}) the (?P<species>\w+) "
NEW += rf"(?:in a (?P<c1>{COLOUR}) shirt|wearing a (?P<c2>{COLOUR}) shirt|dressed in (?P<c3>{COLOUR}))"
ITEM = "(?:" + re.sub(r"\?P<\w+>", "?:", NEW) + "|" + one_of([*WHO, *(f"the {s}" for s, _ in WHO.values()), "he", "she", "it"]) + ")"
NOUN = f"(?:{one_of(GROUPS)}|{ITEM}(?:(?:, {ITEM})? and {ITEM})?)"
VERB, PLACE = f"(?P<verb>{one_of(VERBS)})", one_of(WHERE)
EVENTS = {
    "act": rf"(?P<who>{NOUN}) {VERB}",
    "enter": rf"(?P<who>{NOUN}) (?:arrives|comes along|shows up) and {VERB}",
    "return": rf"(?P<who>{NOUN}) (?:comes back|returns) and {VERB}",
    "move": rf"(?P<who>{NOUN}) (?P<go>go|goes|walk|walks|travel|travels) to the (?P<to>{PLACE}) and {VERB}",
    "back": rf"(?P<who>{NOUN}) (?P<go>go|goes|walk|walks) back(?: to the (?P<to>{PLACE}))? and {VERB}",
    "leave": rf"(?P<gone>{NOUN}) (?:goes home|leaves|walks away) and (?P<who>{NOUN}) {VERB}",
    "pick_up": rf"(?P<who>{NOUN}) (?:picks up|finds|gets) a (?P<color>{COLOUR}) (?P<prop>{THING})",
    "put_away": rf"(?P<who>{NOUN}) (?:puts away|lets go of|puts down) the (?P<prop>{THING})",
}
EVENTS = {kind: re.compile(pattern) for kind, pattern in EVENTS.items()}
SENTENCE = re.compile(
    rf"(?:(?P<lead>(?:in|on) the {PLACE}), )?(?P<body>.+?)(?: (?P<place>(?:in|on) the {PLACE}|there))?"
    rf"(?: while (?P<watchers>{NOUN}) (?P<watch>watch|watches|looks on|look on))?\."
)


@dataclass
class Read:
    """What the reader believes of one frame."""

    kind: str
    place: str
    stage: set[str]
    actions: dict[str, str]
    holder: tuple[str, str, str] | None  # who, prop, colour
    mentions: dict[str, str]
    place_named: bool


@dataclass
class Reader:
    stage: set[str] = field(default_factory=set)
    garments: dict[str, str] = field(default_factory=dict)  # of everybody introduced so far
    place: str | None = None
    before: str | None = None
    holder: tuple[str, str, str] | None = None
    prop: tuple[str, str] | None = None

    def read(self, sentence: str) -> Read:
        assert sentence[0].isupper() and "  " not in sentence, sentence
        match = SENTENCE.fullmatch(sentence.lower())
        assert match, sentence
        body = match["body"]
        readings = [(kind, m) for kind, pattern in EVENTS.items() if (m := pattern.fullmatch(body))]
        assert len(readings) == 1, (sentence, [kind for kind, _ in readings])
        kind, event = readings[0]
        parts = event.groupdict()

        # Who: first all that the sentence names outright, for a pronoun has these and the stage to choose from.
        phrases = {role: parts.get(role) for role in ("gone", "who")} | {"watchers": match["watchers"]}
        named = [c for phrase in phrases.values() if phrase and phrase not in GROUPS for c in self.named(phrase)]
        assert len(set(named)) == len(named), f"somebody is named twice: {sentence}"
        newcomers = {c for c in named if c not in self.stage}
        mentions: dict[str, str] = {}
        gone = self.noun(phrases["gone"], set(named), self.stage, mentions) if phrases["gone"] else set()
        after = (self.stage | newcomers) - gone
        who = self.noun(phrases["who"], set(named), after, mentions)
        watchers = self.noun(phrases["watchers"], set(named), after - who, mentions) if phrases["watchers"] else set()
        assert not who & watchers and who | watchers == after, f"not everybody on stage has a part in it: {sentence}"
        assert not phrases["watchers"] or (len(watchers) > 1) == (match["watch"] in ("watch", "look on")), sentence
        introduced = {c for c, how in mentions.items() if how == "introduction"}
        assert newcomers == ({"enter": introduced, "return": who}.get(kind, introduced if self.place is None else set())), sentence
        assert kind not in ("enter", "return") or (len(who) == 1 and who == newcomers), sentence
        assert len(gone) == (kind == "leave"), sentence
        assert not (gone and match["place"] == "there"), f"there: where the others are, or where the one who leaves goes? {sentence}"
        assert not (self.holder and self.holder[0] in gone), f"does the prop leave too, and come back? {sentence}"

        # Where
        said = match["lead"] or match["place"]
        assert not (match["lead"] and match["place"]) and not (said and kind in ("move", "back")), sentence
        if kind in ("move", "back"):
            assert self.place and (parts["to"] or self.before), sentence
            there = parts["to"] or self.before
            assert there != self.place and (kind == "move" or there == self.before), sentence
            assert (len(who) > 1) == (parts["go"] in ("go", "walk", "travel")), sentence
            self.before, self.place = self.place, there
        elif said and said != "there":
            preposition, _, where = said.split()
            assert WHERE[where] == preposition and self.place in (None, where), sentence
            self.place = where
        assert self.place, f"no place yet: {sentence}"

        # What
        action = "stand"
        if "verb" in parts:
            action, many = VERBS[parts["verb"]]
            assert many == (len(who) > 1), sentence
        if kind == "pick_up":
            assert self.holder is None and len(who) == 1 and self.prop in (None, (parts["prop"], parts["color"])), sentence
            self.prop = parts["prop"], parts["color"]
            self.holder = (*who, *self.prop)
        elif kind == "put_away":
            assert self.holder and {self.holder[0]} == who and self.holder[1] == parts["prop"], sentence
            self.holder = None
        self.stage = after
        actions = {c: action if c in who else "stand" for c in after}
        named_place = kind == "move" or bool(parts.get("to")) or said not in (None, "there")
        return Read(kind, self.place, set(after), actions, self.holder, {c: mentions[c] for c in after}, named_place)

    @staticmethod
    def items(phrase: str) -> list[str]:
        return re.split(", | and ", phrase)

    def named(self, phrase: str) -> list[str]:
        """Those whom a phrase names or calls by species; the first naming introduces them."""
        found = []
        for item in self.items(phrase):
            if new := re.fullmatch(NEW, item):
                assert new["name"] not in self.garments and WHO[new["name"]][0] == new["species"], item
                self.garments[new["name"]] = new["c1"] or new["c2"] or new["c3"]
                found.append(new["name"])
            elif item in WHO:
                found.append(item)
            elif item.startswith("the "):
                candidates = [c for c in self.garments if WHO[c][0] == item[4:]]
                assert len(candidates) == 1, (item, candidates)
                found += candidates
        return found

    def noun(self, phrase: str, named: set[str], everybody: set[str], mentions: dict[str, str]) -> set[str]:
        """Whom a noun phrase means; `everybody` is whom a group phrase takes in."""
        if phrase in GROUPS:
            assert len(everybody) in GROUPS[phrase] and everybody <= self.garments.keys(), (phrase, everybody)
            mentions |= dict.fromkeys(everybody, "group")
            return set(everybody)
        found = []
        for item in self.items(phrase):
            if item in ("he", "she", "it"):
                candidates = [c for c in self.stage | named if WHO[c][1] == item]
                assert len(candidates) == 1, (item, candidates)
                assert candidates[0] not in named, f"{candidates[0]} is both named and {item}"
                how = "pronoun"
            else:
                new = re.fullmatch(NEW, item)
                how = "introduction" if new else "name" if item in WHO else "species"
                candidates = [new["name"]] if new else [item] if item in WHO else [c for c in self.garments if WHO[c][0] == item[4:]]
            assert candidates[0] in self.garments and candidates[0] not in mentions, (phrase, candidates)
            mentions[candidates[0]] = how
            found += candidates
        return set(found)
