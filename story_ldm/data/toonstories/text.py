"""The sentences of ToonStories: two forms, `full` and `referential`, of each event.

`full` names every character on stage, the place and a held prop in every sentence. `referential` uses references as people do: he / she / it,
"the bear", they, "both friends", "the others", "there", or no place at all. Both forms mention a garment only when its wearer is introduced (or
changes it, in `train_wide`), and never a mark.

References are resolved by these rules, which tests/test_toonstories.py implements:
- a pronoun or species: the only match among the characters who were on stage and those named in the sentence itself;
- they, both friends, all three, the friends: all characters on stage after the event; the others: all except the one who acts;
- there, or no place: the place of the previous sentence; "go back": the place before the current one.
"""

from __future__ import annotations

from story_ldm.data.toonstories.world import ACTIONS, COLORS, EVERYONE, PLACES, PROPS, Dice, Frame, Story, kind_of

FROZEN_FORMS = ("full", "referential")

PLACE_PHRASES = {place: f"{'on' if place in ('beach', 'moon', 'mountain') else 'in'} the {place}" for place in PLACES}
GARMENT_PHRASES = ("in a {} shirt", "wearing a {} shirt", "dressed in {}")
# (singular, plural) phrasings of each action
ACTION_PHRASES = {
    "stand": (("looks around", "look around"), ("stands still", "stand still"), ("waits", "wait")),
    "wave": (("waves", "wave"), ("waves hello", "wave hello"), ("gives a wave", "give a wave")),
    "jump": (("jumps", "jump"), ("leaps up", "leap up"), ("hops high", "hop high")),
    "sit": (("sits down", "sit down"), ("takes a rest", "take a rest"), ("has a seat", "have a seat")),
    "dance": (("dances", "dance"), ("spins around", "spin around"), ("twirls", "twirl")),
    "run": (("runs", "run"), ("dashes about", "dash about"), ("races about", "race about")),
    "cheer": (("cheers", "cheer"), ("celebrates", "celebrate"), ("shouts hooray", "shout hooray")),
}
WATCH_PHRASES = (("watches", "watch"), ("looks on", "look on"))
ENTER_PHRASES = ("arrives and", "comes along and", "shows up and")
RETURN_PHRASES = ("comes back and", "returns and")
LEAVE_PHRASES = ("goes home and", "leaves and", "walks away and")
MOVE_PHRASES = (("goes to the", "go to the"), ("walks to the", "walk to the"), ("travels to the", "travel to the"))
BACK_PHRASES = (("goes back", "go back"), ("walks back", "walk back"))
PICK_UP_PHRASES = ("picks up", "finds", "gets")
PUT_AWAY_PHRASES = ("puts away", "lets go of", "puts down")
EVERYBODY = {2: ("they", "both friends", "the friends"), 3: ("they", "all three", "the friends")}


def join_names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def article(phrase: str) -> str:
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"


def write_sentences(story: Story, dice: Dice) -> None:
    """Fills in `sentences`, `mentions` and `place_named`. Phrasings are drawn once: the two forms differ in their references only."""
    introduced: set[int] = set()
    stage: set[int] = set()  # on stage before the event
    story.sentences = {form: [] for form in FROZEN_FORMS}
    for frame in story.frames:
        draw = _Sentence(story, frame, introduced, stage, dice)
        full, referential, mentions, place_named = draw.both()
        story.sentences["full"].append(full)
        story.sentences["referential"].append(referential)
        story.mentions.append(mentions)
        story.place_named.append(place_named)
        introduced |= set(frame.characters)
        stage = set(frame.characters)


class _Sentence:
    """Writes the sentence of one event in both forms. Every phrase is a pair (full, referential)."""

    def __init__(self, story: Story, frame: Frame, introduced: set[int], stage: set[int], dice: Dice):
        self.story, self.frame, self.introduced, self.stage, self.dice = story, frame, introduced, stage, dice
        self.event = frame.event
        self.mentions: dict[int, str] = {}

    def both(self) -> tuple[str, str, list[str], bool]:
        place, place_named = self.place()
        body = self.body()
        sentences = []
        lead = place_named and self.event.kind in ("open", "act") and self.dice.chance(0.3)
        for where, words in zip(place, body, strict=True):
            if lead:
                text = f"{where}, {words}"
            else:
                head, _, tail = words.partition(" while ")
                text = " ".join(x for x in (head, where, f"while {tail}" if tail else "") if x)
            sentences.append(text[0].upper() + text[1:] + ".")
        full, referential = sentences
        return full, referential, [self.mentions[c] for c in self.frame.characters], place_named

    def place(self) -> tuple[tuple[str, str], bool]:
        phrase = PLACE_PHRASES[PLACES[self.frame.place]]
        kind = self.event.kind
        if kind == "move":  # the verb phrase names it
            return ("", ""), True
        if kind == "back":
            named = self.dice.chance(0.4)
            to = f"to the {PLACES[self.frame.place]}"
            self.back_to = (to, to if named else "")
            return ("", ""), named
        if kind == "open" or self.dice.chance(0.3):
            return (phrase, phrase), True
        # "there" in "she leaves and he waves there" would be read as the place she goes to
        return (phrase, "" if kind == "leave" else self.dice.pick(("there", "", ""))), False

    def body(self) -> tuple[str, str]:
        event, dice = self.event, self.dice
        subjects, many = event.subjects, len(event.subjects) > 1
        verb = dice.pick(ACTION_PHRASES[ACTIONS[event.action]])[many]
        prop, color = PROPS[self.story.prop[0]], COLORS[self.story.prop[1]]
        if event.kind == "leave" and event.other is not None:
            gone, stay = self.one(event.other, leaving=True), self.who(subjects)
            return self.with_others(self.build(gone, dice.pick(LEAVE_PHRASES), stay, verb))
        who = self.who(subjects)
        if event.kind == "enter":
            words = self.build(who, dice.pick(ENTER_PHRASES), verb)
        elif event.kind == "return":
            words = self.build(who, dice.pick(RETURN_PHRASES), verb)
        elif event.kind == "move":
            words = self.build(who, dice.pick(MOVE_PHRASES)[many], PLACES[self.frame.place], "and", verb)
        elif event.kind == "back":
            words = self.build(who, dice.pick(BACK_PHRASES)[many], self.back_to, "and", verb)
        elif event.kind == "pick_up":
            words = self.build(who, dice.pick(PICK_UP_PHRASES), article(f"{color} {prop}"))
        elif event.kind == "put_away":
            words = self.build(who, dice.pick(PUT_AWAY_PHRASES), (f"the {color} {prop}", f"the {prop}"))
        elif event.kind == "change":
            color_worn = COLORS[self.frame.changed[subjects[0]]]
            words = self.build(who, dice.pick(("changes into", "puts on")), f"a {color_worn} shirt")
        elif event.kind == "give" and event.other is not None:
            words = self.build(who, "gives", self.one(event.other), (f"the {color} {prop}", f"the {prop}"))
        else:
            words = self.build(who, verb)
        if event.also:
            return self.with_others(words)
        others = self.others()
        if not others:
            return words
        watch = dice.pick(WATCH_PHRASES)[len(others) > 1]
        return self.build(words, "while", self.who(others, others_of_one=True), watch)

    def others(self) -> list[int]:
        """Those on stage who have no part in the event."""
        given = self.event.other if self.event.kind == "give" else None
        return [c for c in self.frame.characters if c not in self.event.subjects and c != given]

    def with_others(self, words: tuple[str, str]) -> tuple[str, str]:
        """And what the others do who do not act with the subjects."""
        joint = "while"
        for c in self.others():
            verb = WATCH_PHRASES if c not in self.event.also else ACTION_PHRASES[ACTIONS[self.event.also[c]]]
            words, joint = self.build(words, joint, self.one(c), self.dice.pick(verb)[0]), "and"
        return words

    @staticmethod
    def build(*parts: str | tuple[str, str]) -> tuple[str, str]:
        pairs = [part if isinstance(part, tuple) else (part, part) for part in parts]
        full, referential = (" ".join(pair[form] for pair in pairs if pair[form]) for form in (0, 1))
        return full, referential

    def who(self, characters: list[int], others_of_one: bool = False) -> tuple[str, str]:
        """A noun phrase for one or several characters on stage after the event."""
        if len(characters) == 1:
            return self.one(characters[0])
        singles = [self.one(c, plural=True) for c in characters]
        full = join_names([s[0] for s in sorted(singles, key=lambda s: " with the " not in s[0])])  # "A with the ball and B": A holds it
        known = all(c in self.introduced for c in characters)
        if known and self.dice.chance(0.75):
            self.mentions |= dict.fromkeys(characters, "group")
            return full, "the others" if others_of_one else self.dice.pick(EVERYBODY[len(characters)])
        return full, join_names([s[1] for s in singles])

    def one(self, c: int, plural: bool = False, leaving: bool = False) -> tuple[str, str]:
        who = EVERYONE[c]
        if c not in self.introduced:
            garment = self.dice.pick(GARMENT_PHRASES).format(COLORS[self.story.garments[c]])
            self.mentions[c] = "introduction"
            return (f"{who.name} the {who.species} {garment}",) * 2
        full = who.name
        if c == self.frame.holder and self.event.kind not in ("pick_up", "put_away", "give") and not leaving:
            full += f" with the {COLORS[self.story.prop[1]]} {PROPS[self.story.prop[0]]}"
        twin = any(kind_of(k) == kind_of(c) for k in self.story.cast if k != c)
        if c not in self.stage:  # a character who returns is referred to by name or species
            how = self.dice.pick(("name", "species") if not twin else ("name",))
        else:
            rivals = (self.stage | set(self.frame.characters)) - {c}
            unique = all(EVERYONE[r].pronoun != who.pronoun for r in rivals)
            how = self.dice.weighted({"pronoun": 70 if unique and not plural else 0, "species": 0 if twin else 15, "name": 20})
        if not leaving:
            self.mentions[c] = how
        return full, {"name": who.name, "species": f"the {who.species}", "pronoun": who.pronoun}[how]
