"""The sentences of ToonStories 2 in two forms, `full` and `referential`. A frame has one of hour and weather where they are told, one of the event,
and one or more of faces where they are told.

`full` names every character on stage, the place and every held prop in the sentence of the event; `referential` uses he / she / it / they, "the
bear", "both friends", "the others", "there". Hour, weather, faces, garments and what is told of looks are said once, in both; a mark, a layout, a
position never. References are resolved by these rules, which tests/toon2_reader.py implements:
- he, she, it: the only one among those who were on stage and those whom the sentence names whom the pronoun fits: it was used of them before, else
  it is usual for the kind (a girl: she) or else for the name, else it fits anybody; they: the one who is alone, else the group of all on stage;
- a kind: the only one of that kind; both, all three, the friends: all on stage after the event; the others: all of these who are not named before;
- there, or no place: the place of the previous sentence; "go back": the place before the current one; "the ball": the only one that is held.
"""

from __future__ import annotations

from collections.abc import Iterable

from story_ldm.data.toonstories.free.people import FORMS
from story_ldm.data.toonstories.text import ACTION_PHRASES as FIRST_PHRASES
from story_ldm.data.toonstories.text import article, join_names
from story_ldm.data.toonstories.world import Dice
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, FACES, HAIRS, KINDS, PEOPLE, PLACES, PROPS, TIMES, WEATHERS
from story_ldm.data.toonstories2.world import PAIRS, Frame, Story, kind_of

FROZEN_FORMS = ("full", "referential")
PREPOSITIONS = {"beach": "on", "moon": "on", "mountain": "on", "playground": "on", "farm": "on", "school": "at", "castle": "at", "sea": "by"}
PLACE_PHRASES = {place: f"{PREPOSITIONS.get(place, 'in')} the {place}" for place in PLACES}
GARMENT_PHRASES = ("in {a} shirt", "wearing {a} shirt", "dressed in {color}")
FUR_WORDS = {  # by look; "" where no single word is clear
    "bear": ("brown", "dark brown", "honey-coloured"),
    "rabbit": ("white", "brown", "grey"),
    "fox": ("", "", ""),
    "mouse": ("grey", "brown", "blue-grey"),
    "frog": ("", "", ""),
    "duck": ("yellow", "white", "brown"),
    "robot": ("blue", "silver", "turquoise"),
    "alien": ("purple", "turquoise", "green"),
    "cat": ("orange", "grey", "cream-coloured"),
    "dog": ("light brown", "white", "brown"),
    "pig": ("", "", ""),
    "lion": ("", "", ""),
    "penguin": ("black", "blue", ""),
    "owl": ("brown", "grey", "light brown"),
    "elephant": ("", "", ""),
    "dragon": ("green", "red", "blue"),
}
# (singular, plural) phrasings of each action
ACTION_PHRASES = FIRST_PHRASES | {
    "sleep": (("sleeps", "sleep"), ("falls asleep", "fall asleep"), ("takes a nap", "take a nap")),
    "eat": (("eats", "eat"), ("eats a sandwich", "eat a sandwich"), ("has lunch", "have lunch")),
    "read": (("reads", "read"), ("reads a story", "read a story"), ("turns the pages", "turn the pages")),
    "fall": (("falls down", "fall down"), ("trips and falls", "trip and fall"), ("tumbles over", "tumble over")),
    "hug": (("", "hug"), ("", "hug each other"), ("", "cuddle")),
    "hold hands": (("", "hold hands"), ("", "take each other by the hand")),
    "point": (("points ahead", "point ahead"), ("points at something", "point at something"), ("shows the way", "show the way")),
    "walk": (("walks about", "walk about"), ("takes a walk", "take a walk"), ("strolls around", "stroll around")),
}
PAIR_PHRASES = {"hug": (("hugs", ""), ("gives", "a hug")), "hold hands": (("takes", "by the hand"), ("holds hands with", ""))}
AT_PHRASES = {"stand": ("looks at", "turns to"), "wave": ("waves at", "waves to"), "point": ("points at",)}
WATCH_PHRASES = (("watches", "watch"), ("looks on", "look on"))
BYSTAND_PHRASES = (("stands by", "stand by"), ("stays there", "stay there"))
ENTER_PHRASES = ("arrives and", "comes along and", "shows up and")
RETURN_PHRASES = ("comes back and", "returns and")
LEAVE_PHRASES = ("goes home and", "leaves and", "says goodbye and")
MOVE_PHRASES = (("goes to the", "go to the"), ("travels to the", "travel to the"), ("heads to the", "head to the"))
BACK_PHRASES = (("goes back", "go back"), ("heads back", "head back"))
PICK_UP_PHRASES = (("picks up", "pick up"), ("finds", "find"), ("gets", "get"))
PUT_AWAY_PHRASES = (("puts away", "put away"), ("lets go of", "let go of"), ("puts down", "put down"))
CHANGE_PHRASES = (("changes into", "change into"), ("puts on", "put on"))
EVERYBODY = {2: ("they", "both friends", "the friends"), 3: ("they", "all three", "the friends"), 4: ("they", "all four", "the friends")}
FACE_PHRASES = {
    "neutral": (("calms down", "calm down"), ("is calm again", "are calm again")),
    "happy": (("is happy", "are happy"), ("smiles happily", "smile happily")),
    "sad": (("is sad", "are sad"), ("looks sad", "look sad")),
    "angry": (("is angry", "are angry"), ("gets angry", "get angry")),
    "surprised": (("is surprised", "are surprised"), ("looks surprised", "look surprised")),
}
TIME_PHRASES = {
    "day": ("it is day", "day breaks"),
    "evening": ("it is evening", "evening comes"),
    "night": ("it is night", "night falls"),
}  # at first, later
WEATHER_PHRASES = {
    "clear": ("the sky is clear", "the sky clears"),
    "rain": ("it rains", "it starts to rain"),
    "snow": ("it snows", "it starts to snow"),
    "wind": ("a wind blows", "a wind rises"),
    "fog": ("it is foggy", "fog comes up"),
    "storm": ("there is a storm", "a storm breaks"),
}

Pair = tuple[str, str]  # a phrase in both forms


def look_words(kind: str, look: int) -> tuple[str, str]:
    """What can be told of a look, before and after the kind: ("white", "") or ("", "with red hair")."""
    return ("", f"with {HAIRS[look % len(HAIRS)]} hair") if kind in PEOPLE else (FUR_WORDS[kind][look], "")


def write_sentences(story: Story, dice: Dice) -> None:
    """Fills in `sentences`, `mentions` and `place_named`. Phrasings are drawn once: the two forms differ in their references only."""
    teller = Teller(story, dice)
    story.sentences = {form: [] for form in FROZEN_FORMS}
    for m, frame in enumerate(story.frames):
        full, referential = teller.tell(m, frame)
        story.sentences["full"].append(full)
        story.sentences["referential"].append(referential)
        story.mentions.append([teller.mentions[c] for c in frame.characters])
        story.place_named.append(teller.place_named)


class Teller:
    """Writes frame after frame in both forms, and knows what has been told."""

    def __init__(self, story: Story, dice: Dice):
        self.story, self.dice = story, dice
        self.introduced: set[int] = set()
        self.stage: set[int] = set()  # on stage before the event
        self.used: dict[int, str] = {}  # pronouns that were used

    def tell(self, m: int, frame: Frame) -> Pair:
        self.frame, self.event = frame, frame.event
        self.mentions: dict[int, str] = {}
        self.meant = self.stage | set(frame.characters)  # whom a pronoun may mean
        sentences = [self.sky(m)] if frame.sky else []
        sentences.append(self.core())
        self.introduced |= set(frame.characters)
        self.stage = self.meant = set(frame.characters)
        sentences += self.feelings()
        full, referential = (" ".join(_sentence(pair[form]) for pair in sentences) for form in (0, 1))
        return full, referential

    def sky(self, m: int) -> Pair:
        tables = {"time": TIME_PHRASES[TIMES[self.frame.time]], "weather": WEATHER_PHRASES[WEATHERS[self.frame.weather]]}
        words = ", and ".join(tables[name][m > 0] for name in self.frame.sky)
        return words, words

    def feelings(self) -> list[Pair]:
        """Sentences of those whose faces are told, one for all who have the same."""
        frame, pairs, mentions = self.frame, [], dict(self.mentions)
        faces = dict(zip(frame.characters, frame.faces, strict=True))
        for face in dict.fromkeys(faces[c] for c in frame.felt):
            who = [c for c in frame.felt if faces[c] == face]
            told = self.who(who)
            pairs.append(self.build(told, self.verb(FACE_PHRASES[FACES[face]], told, len(who) > 1)))
        self.mentions = mentions  # those of the event
        return pairs

    # --- the event ---------------------------------------------------------------------------------------------------------------------------

    def core(self) -> Pair:
        place = self.place()
        body = self.body()
        lead = self.place_named and self.event.kind in ("open", "act") and self.dice.chance(0.3)
        sentences = []
        for where, words in zip(place, body, strict=True):
            head, joint, tail = words.partition(" while ")
            sentences.append(f"{where}, {words}" if lead else " ".join(x for x in (head, where) if x) + joint + tail)
        return sentences[0], sentences[1]

    def place(self) -> Pair:
        name, kind = PLACES[self.frame.place], self.event.kind
        phrase = PLACE_PHRASES[name]
        self.place_named = True
        if kind == "move":  # the verb phrase names it
            return "", ""
        if kind == "back":
            self.place_named = self.dice.chance(0.4)
            self.back_to = (f"to the {name}", f"to the {name}" if self.place_named else "")
            return "", ""
        if kind == "open" or self.dice.chance(0.3):
            return phrase, phrase
        self.place_named = False
        return phrase, "" if kind == "leave" else self.dice.pick(("there", "", ""))  # "she leaves and he waves there" would be her home

    def body(self) -> Pair:
        event, dice = self.event, self.dice
        many = len(event.subjects) > 1
        if event.kind in ("pick_up", "put_away", "give", "change"):
            words = self.dealt_with()
        elif event.kind == "leave" and event.other is not None:
            gone = self.one(event.other)
            del self.mentions[event.other]
            who = self.who_acts()
            words = self.build(gone, dice.pick(LEAVE_PHRASES), who, self.doing(who))
        else:
            who = self.who_acts()
            if event.kind in ("enter", "return"):
                words = self.build(who, dice.pick(ENTER_PHRASES if event.kind == "enter" else RETURN_PHRASES), self.doing(who))
            elif event.kind == "move":
                words = self.build(who, self.verb(MOVE_PHRASES, who, many), PLACES[self.frame.place], "and", self.doing(who))
            elif event.kind == "back":
                words = self.build(who, self.verb(BACK_PHRASES, who, many), self.back_to, "and", self.doing(who))
            else:
                words = self.build(who, self.doing(who))
        return self.with_others(words)

    def who_acts(self) -> Pair:
        """The subjects; of two who hug in one way only the first, whom `doing` joins to the other."""
        self.one_sided = self.event.action in PAIRS and self.event.kind in ("open", "act", "leave") and self.dice.chance(0.5)
        return self.who(self.event.subjects[:1] if self.one_sided else self.event.subjects)

    def verb(self, phrases: tuple, who: Pair, many: bool) -> Pair:
        """One of the phrases, which agrees with the noun phrase before it: "they" of one has a plural verb, too."""
        phrase = self.dice.pick(phrases)
        return phrase[many], phrase[many or who[1] == "they"]

    def doing(self, who: Pair) -> Pair:
        """What the subjects do, after `who`."""
        event, dice, name = self.event, self.dice, ACTIONS[self.event.action]
        if event.action in PAIRS and self.one_sided:
            verb, rest = dice.pick(PAIR_PHRASES[name])
            return self.build(verb, self.one(event.subjects[1], "o"), rest)
        if event.at is not None:
            return self.build(dice.pick(AT_PHRASES[name]), self.one(event.at, "o"))
        return self.verb(ACTION_PHRASES[name], who, len(event.subjects) > 1)

    def dealt_with(self) -> Pair:
        """What is done with a prop or a garment."""
        event = self.event
        who = self.one(event.subjects[0])
        if event.kind == "change":
            return self.build(who, self.verb(CHANGE_PHRASES, who, False), article(f"{COLORS[self.frame.changed[event.subjects[0]]]} shirt"))
        assert event.prop is not None, "these events have a prop"
        noun = PROPS[event.prop[0]]
        prop = f"{COLORS[event.prop[1]]} {noun}"
        if event.kind == "pick_up":
            return self.build(who, self.verb(PICK_UP_PHRASES, who, False), article(prop))
        if event.kind == "put_away":
            return self.build(who, self.verb(PUT_AWAY_PHRASES, who, False), (f"the {prop}", f"the {noun}"))
        assert event.other is not None, "somebody is given it"
        return self.build(who, "gives", self.one(event.other, "o"), (f"the {prop}", f"the {noun}"))

    def with_others(self, words: Pair) -> Pair:
        """And what those do who have no part in the event: first who acts, then who stands by."""
        event, frame, joint = self.event, self.frame, "while"
        doing = [(ACTION_PHRASES[ACTIONS[a]], [c for c in frame.characters if event.also.get(c) == a]) for a in dict.fromkeys(event.also.values())]
        doing.append((WATCH_PHRASES if event.watching else BYSTAND_PHRASES, frame.bystanders()))
        for phrases, who in doing:
            if who:
                told = self.who(who)
                words, joint = self.build(words, joint, told, self.verb(phrases, told, len(who) > 1)), "and"
        return words

    # --- references --------------------------------------------------------------------------------------------------------------------------

    @staticmethod
    def build(*parts: str | Pair) -> Pair:
        pairs = [part if isinstance(part, tuple) else (part, part) for part in parts]
        full, referential = (" ".join(pair[form] for pair in pairs if pair[form]) for form in (0, 1))
        return full, referential

    def who(self, characters: list[int]) -> Pair:
        """A noun phrase for one or several."""
        if len(characters) == 1:
            return self.one(characters[0])
        everybody, met = set(characters) == set(self.frame.characters), self.introduced.issuperset(characters)
        rest = set(characters) == set(self.frame.characters) - self.mentions.keys()
        singles = [self.one(c, "o", pronoun=False) for c in characters]
        full = join_names([s[0] for s in sorted(singles, key=lambda s: " with the " not in s[0])])  # "A with the ball and B": A holds it
        if met and (everybody or rest) and self.dice.chance(0.75):
            self.mentions |= dict.fromkeys(characters, "group")
            return full, self.dice.pick(EVERYBODY[len(characters)]) if everybody else "the others"
        return full, join_names([s[1] for s in singles])

    def one(self, c: int, case: str = "s", pronoun: bool = True) -> Pair:
        name, kind = self.story.names[c].full, KINDS[kind_of(c)]
        if c not in self.introduced:
            return (self.introduction(c, name, kind),) * 2
        full = name
        if c in self.frame.held and not (self.event.kind in ("pick_up", "give") and c in (*self.event.subjects, self.event.other)):
            full += f" with the {self.prop(c)}"
        twin = any(kind_of(k) == kind_of(c) and k != c for k in self.story.cast)
        if c not in self.stage:  # who returns is referred to by name or kind
            how = "name" if twin or self.dice.chance(0.5) else "species"
        else:
            how = self.dice.weighted({"pronoun": 70 if pronoun and self.clear(c) else 0, "species": 0 if twin else 15, "name": 20})
        self.mentions[c] = how
        form = self.story.pronouns[c]
        if how == "pronoun":
            self.used[c] = form
        return full, {"name": name, "species": f"the {kind}", "pronoun": FORMS[form][case == "o"]}[how]

    def introduction(self, c: int, name: str, kind: str) -> str:
        before, after = look_words(kind, self.story.looks[c]) if self.dice.chance(0.5) else ("", "")
        color = COLORS[self.story.garments[c]]
        garment = self.dice.pick(GARMENT_PHRASES).format(color=color, a=article(color))
        self.mentions[c] = "introduction"
        brought = f"with {article(self.prop(c))}" if c in self.frame.brought else ""
        return " ".join(part for part in (name, "the", before, kind, after, garment, brought) if part)

    def prop(self, c: int) -> str:
        kind, color = self.frame.held[c]
        return f"{COLORS[color]} {PROPS[kind]}"

    def clear(self, c: int) -> bool:
        """Whether the character's pronoun means it."""
        pronoun = self.story.pronouns[c]
        return len(self.meant) == 1 if pronoun == "they" else one_meant(pronoun, self.meant, self.used, self.story.usual_pronoun) == c


def one_meant(pronoun: str, candidates: Iterable[int], used: dict[int, str], usual) -> int | None:
    """The only candidate whom he, she or it fits, by what was used or is usual, else by what was used only; None if there is none or several."""
    for known in (lambda c: used.get(c) or usual(c), used.get):
        fitting = [c for c in candidates if (known(c) or pronoun) == pronoun]
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."
