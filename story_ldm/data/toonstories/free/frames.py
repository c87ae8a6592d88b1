"""Frames of the free form: which sentences a frame is made of, and what its text states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from story_ldm.data.toonstories.free.garments import dress
from story_ldm.data.toonstories.free.slips import draw_slips, make_slips
from story_ldm.data.toonstories.free.style import draw_people, draw_style
from story_ldm.data.toonstories.free.text import Reference
from story_ldm.data.toonstories.free.writer import Writer
from story_ldm.data.toonstories.world import WORLD_VERSION, Dice, Frame, Story, seeded_by

MAX_TOKENS = 96  # words and punctuation marks of a frame
ROOM = 55  # as many may stand already where another sentence is added


@dataclass(frozen=True)
class Facts:
    """What a reader knows of a frame from the text so far. Lists are aligned with `characters`, everybody on stage in the order of arrival."""

    characters: list[int]  # numbers of EVERYONE
    place: int
    place_stated: bool  # in this frame
    garments: list[int | None]  # None: not stated so far
    actions: list[int | None]  # None: the frame does not say what this one does (stands by)
    holder: int | None
    prop: tuple[int, int] | None  # what is held: kind, colour


@dataclass(frozen=True)
class FreeFrame:
    text: str
    references: list[Reference]
    facts: Any  # Facts, or another world's


def free_story(story: Story) -> list[FreeFrame]:
    """The story's frames in the free form, a pure function of its id."""
    dice = Dice(seeded_by("toonstories", "free", WORLD_VERSION, story.story_id, len(story.frames)))
    style = draw_style(dice)
    return write_frames(Writer(story, style, draw_people(story, style, dice), dice), Composer, facts_of)


def write_frames(writer: Writer, compose: type[Composer], facts: Callable) -> list[FreeFrame]:
    """All frames of a writer's story. facts: of the writer, a frame, and whether its text says what the subjects do."""
    slips = draw_slips(writer.style.voice, writer.dice)
    frames: list[FreeFrame] = []
    before: list[int] = []
    place: int | None = None
    for m, frame in enumerate(writer.story.frames):
        writer.number = m + 1
        writer.begin_frame(frame, before, place)
        acted = compose(writer, m).compose()
        if slips:
            make_slips(writer.text, slips, writer.dice, writer.t)
        text, references = writer.text.read()
        frames.append(FreeFrame(text, references, facts(writer, frame, acted)))
        before, place = frame.characters, frame.place
    return frames


def facts_of(w: Writer, frame: Frame, acted: bool) -> Facts:
    actions: list[int | None] = []
    for c, action in zip(frame.characters, frame.actions):
        if c in frame.event.subjects:
            actions.append(action if acted else None)
        else:
            actions.append(action if c in w.others_told else 0 if w.watched and not frame.event.also else None)
    return Facts(
        characters=list(frame.characters),
        place=frame.place,
        place_stated=w.place_said,
        garments=[w.garments[c] if c in w.talk.garments else None for c in frame.characters],
        actions=actions,
        holder=frame.holder,
        prop=w.story.prop if frame.holder is not None else None,
    )


class Composer:
    """One frame: its core sentence, and what a writer puts before and after it."""

    def __init__(self, writer: Writer, m: int):
        self.w, self.m, self.frame, self.event = writer, m, writer.frame, writer.frame.event
        self.t = writer.t
        event, frame = self.event, self.frame
        subjects, everybody = list(event.subjects), list(frame.characters)
        others = [c for c in everybody if c not in subjects]
        self.roles = {"S": subjects, "A": everybody, "O": others, "N": subjects, "L": [] if event.other is None else [event.other]}
        if len(everybody) > 1:
            leader = writer.dice.pick(everybody)
            self.roles |= {"B": [leader], "R": [c for c in everybody if c != leader]}
        if event.kind == "leave":
            self.roles["A"] = subjects
        if event.kind == "give" and event.other is not None:
            self.roles["G"] = [event.other]
        self.sentences = 0

    def compose(self) -> bool:
        """Writes the frame; returns whether its text says what the subjects do."""
        w, dice, style = self.w, self.w.dice, self.w.style
        kind = self.event.kind
        if style.voice == "panel":
            self.heading()
        self.begin()
        groups = self.acting_others()
        if kind == "act" and groups and dice.chance(0.25) and w.talk.introduced.issuperset(groups[0][1]):
            self.also(*groups.pop(0))
        self.core()
        acted = w.acted or kind in ("pick_up", "put_away", "give", "change")
        for action, who in groups:
            self.also(action, who)
        for _ in range(len(w.owes_kind)):
            self.owed_kind()
        self.garments()
        self.states()
        if (
            self.roles["O"]
            and not self.event.also
            and kind not in ("enter", "return")
            and not w.watched
            and dice.chance(style.onlookers * 0.6)
            and self.room()
        ):
            source = self.t.PANEL_OTHERS if style.voice == "panel" else self.t.WATCHING
            if self.add(source, self.roles):
                self.sentences += 1
        self.holding()
        while self.room() and dice.chance(style.asides):
            self.aside()
            self.sentences += 1
        return acted

    def begin(self) -> None:
        """What a world tells before the event; the first has nothing."""

    def states(self) -> None:
        """What a world tells after the event and the garments; the first has nothing."""

    def holding(self) -> None:
        """Who still holds the prop, now and then."""
        if self.frame.holder is not None and self.event.kind != "pick_up" and self.w.dice.chance(0.12) and self.room():
            self.add(self.t.HOLDING, self.roles | {"H": [self.frame.holder]})

    def acting_others(self) -> list[tuple[int, list[int]]]:
        """Actions, and those of the others who do them."""
        also = self.event.also
        return [(action, [c for c in also if also[c] == action]) for action in dict.fromkeys(also.values())]

    def also(self, action: int, who: list[int]) -> None:
        """What others do, unless the core has told it, or there is no room or no clear way to tell it."""
        w = self.w
        new = not w.talk.introduced.issuperset(who)
        if w.others_told.issuperset(who) or not (new or w.text.tokens() < ROOM):
            return
        roles = {"S": who, "A": who, "O": [c for c in self.frame.characters if c not in who], "N": who}
        acted, w.acted, w.doing = w.acted, False, action
        source = {"panel": self.t.ALSO_PANEL, "caption": self.t.ALSO_CAPTION}.get(w.style.voice, self.t.ALSO)
        mode = "prog" if w.dice.chance(w.style.progressive) else "simple"
        if self.add(source, roles, tries=6, mode=mode):
            self.sentences += 1
        elif new:
            w.acted = w.sentence(w.choose(self.t.PLAIN["act"]), roles)
            assert w.acted, (w.story.story_id, self.m)
        if w.acted:
            w.others_told |= set(who)
        w.acted, w.doing = acted, self.event.action

    def room(self) -> bool:
        return self.w.text.tokens() < ROOM and self.sentences < 2

    def mark(self) -> str:
        return "!" if self.w.dice.chance(self.w.style.exclaiming) else "."

    def add(self, source: str, roles: dict, tries: int = 3, **settings) -> bool:
        """A sentence of a table, where one of a few draws is clear."""
        return any(self.w.sentence(self.w.choose(source), roles, self.mark(), **settings) for _ in range(tries))

    # --- the core --------------------------------------------------------------------------------------------------------------------------

    def sources(self) -> list[str]:
        """The tables that tell this event, the likelier the more often they are in the list."""
        event, many = self.event, len(self.roles["S"]) > 1
        moving = event.action in self.t.MOVING
        kind = event.kind
        if event.quiet:
            return [self.t.QUIET[kind]]
        if kind == "open":
            return [self.t.OPEN] + [self.t.OPEN_MANY] * many
        if kind == "act":
            return [self.t.ACT] * 5 + [self.t.ACT_MANY if many else self.t.ACT_ONE]
        if kind == "enter":
            special = self.t.ENTER_MOVING if moving else self.t.ENTER_CALLING if event.action in (1, 6) else self.t.ENTER_SITTING
            return [self.t.ENTER, self.t.ENTER] + [special] * (moving or event.action in (1, 3, 6))
        if kind == "return":
            return [self.t.RETURN, self.t.RETURN] + [self.t.RETURN_MOVING] * moving
        if kind == "leave":
            alone = self.t.LEFT_TOGETHER if many else self.t.LEFT_ALONE
            return [self.t.LEAVE] * 5 + [alone] + [self.t.WAVE_OFF] * 3 * (event.action == 1)
        if kind == "move":
            return [self.t.MOVE] * 4 + [self.t.MOVE_MANY if many else self.t.MOVE_ONE] + [self.t.MOVE_MOVING] * 2 * moving
        if kind == "back":
            return [self.t.BACK, self.t.BACK, self.t.BACK_UNNAMED] + [self.t.BACK_MOVING] * moving
        return [{"pick_up": self.t.PICK_UP, "put_away": self.t.PUT_AWAY, "give": self.t.GIVE, "change": self.t.CHANGE}[kind]]

    def core(self) -> None:
        w, dice, style, kind = self.w, self.w.dice, self.w.style, self.event.kind
        voice = {"panel": self.t.PANEL, "caption": self.t.CAPTION}.get(style.voice, {})
        sources = [voice[kind if kind in voice else "move"]] if voice and not self.event.quiet and kind not in ("give", "change") else self.sources()
        groups = [(action, who) for action, who in self.acting_others() if not w.others_told.issuperset(who)]
        if kind == "change":
            dress(w, self.event.subjects[0])
        place = kind == "open" or (kind in ("act", "pick_up") and dice.chance(style.places))
        if style.voice == "panel":
            place = False
        for _ in range(8):
            source = dice.pick(sources)
            template = w.choose(source)
            mode = "prog" if dice.chance(style.progressive) else "simple"
            joined: tuple = ()
            start = template[0] if template else ("text", "")
            one_clause = start[0] == "slot" and not any(node[0] == "new" for node in template)
            watching = self.roles["O"] and not self.event.also
            acting = len(groups) == 1 and len(groups[0][1]) == len(self.roles["O"])
            if (
                kind in ("act", "pick_up", "put_away", "give", "change")
                and one_clause
                and self.event.also
                and acting
                and not voice
                and dice.chance(0.5)
            ):
                w.others_do = groups[0][0]
                joined, template = template, w.choose(self.t.JOINED_ACTING)
            elif kind in ("act", "pick_up", "put_away") and one_clause and watching and not voice and dice.chance(style.onlookers):
                joined, template = template, w.choose(self.t.JOINED)
            if style.voice != "panel" and start[0] == "slot" and start[1][0] in ("S", "N", "A", "L", "B", "At"):
                template = self.linked(template)
            if w.sentence(template, self.roles, self.mark(), mode, place, joined):
                self.sentences += 1 + sum(node[0] == "new" for node in template)
                w.acted |= source in (self.t.WAVE_OFF, self.t.ENTER_SITTING)
                w.talk.garments |= set(self.event.subjects if kind == "change" else ())
                if joined and self.event.also:
                    w.others_told |= set(groups[0][1])
                return
        plain = self.t.QUIET_PLAIN if self.event.quiet else self.t.PLAIN
        written = w.sentence(w.choose(plain[kind]), self.roles)
        assert written, (w.story.story_id, self.m)
        w.talk.garments |= set(self.event.subjects if kind == "change" else ())

    def linked(self, template: tuple) -> tuple:
        """With a phrase of time or the like before it."""
        w, style = self.w, self.w.style
        if self.m == 0:
            source = ""
            if style.voice != "caption" and w.dice.chance(0.7 if style.voice == "bedtime" else 0.35):
                source = self.t.ONCE_PAST if w.past and w.dice.chance(0.5) else self.t.ONCE
        else:
            source = self.t.THEN if w.dice.chance(style.links) else ""
        if not source:
            return template
        return (*w.choose(source), ("text", " "), *template)

    def heading(self) -> None:
        """Panel notes begin with their place."""
        kind = self.event.kind
        source = {"open": self.t.PANEL_HEAD, "move": self.t.PANEL_MOVE, "back": self.t.PANEL_BACK}.get(kind, self.t.PANEL_SAME)
        template = self.w.choose(source)
        if template:
            self.w.roles, self.w.mode, self.w.first, self.w.subject, self.w.plural = self.roles, "simple", True, [], False
            self.w.run(template)

    # --- what follows it ---------------------------------------------------------------------------------------------------------------------

    def owed_kind(self) -> None:
        c = self.w.owes_kind.pop(0)
        if c not in self.w.talk.kind_said:
            written = self.add(self.t.KIND_LATE, {"S": [c]}, tries=6)
            assert written, (self.w.story.story_id, self.m)
            self.sentences += 1

    def garments(self) -> None:
        """Garments that are due, of one or of two; late ones; and some again."""
        w, dice, style = self.w, self.w.dice, self.w.style
        here = [c for c in self.frame.characters if c in w.talk.introduced]
        due = [c for c in dict.fromkeys(w.owes_garment) if c in here and c not in w.talk.garments]
        w.owes_garment = []
        due += [c for c in here if w.people[c].garment == "late" and c not in w.talk.garments and self.m and dice.chance(0.45)]
        if not due and here and dice.chance(style.restating):
            due = [dice.pick(here)]
        if len(due) > 1 and dice.chance(0.7):
            self.pair(due[:2])
            due = due[2:]
        for c in due:
            if w.text.tokens() < ROOM + 10 and self.dressed(c):
                self.sentences += 1

    def dressed(self, c: int) -> bool:
        self.w.talk.garments_before = set()  # else "the bear in the red shirt is proud of his red shirt"
        for _ in range(4):
            dress(self.w, c)
            if self.add(self.t.GARMENT_AGAIN if c in self.w.talk.garments else self.t.GARMENT_SENTENCE, {"S": [c]}, tries=1):
                self.w.talk.garments.add(c)
                return True
        return False

    def pair(self, two: list[int]) -> None:
        w = self.w
        w.talk.garments_before = set()
        for _ in range(4):
            order = two if w.talk.last_two() == tuple(two) or w.dice.chance(0.5) else two[::-1]
            roles = {"S": [order[0]], "O": [order[1]]}
            dress(w, order[0], order[1])
            w.pair = ()
            source = self.t.FORMER_PAIR if w.talk.last_two() == tuple(order) and w.dice.chance(0.5) else self.t.GARMENT_PAIR
            if self.add(source, roles, tries=1):
                w.talk.garments |= set(two)
                self.sentences += 1
                return

    def aside(self) -> None:
        w, dice = self.w, self.w.dice
        about = [c for c in self.frame.characters if c in w.talk.introduced]
        subjects = [c for c in self.event.subjects if c in about]
        who = subjects if len(subjects) == 1 or (subjects and dice.chance(0.6)) else [dice.pick(about)]
        kinds = {"feeling": 45, "scene": 25, "weather": 14, "elsewhere": 9, "background": 7 if w.past else 0}
        kind = dice.weighted(kinds)
        source = {
            "feeling": self.t.FEELING,
            "scene": self.t.SCENES[self.frame.place],
            "weather": self.t.WEATHER,
            "elsewhere": self.t.ELSEWHERE,
            "background": self.t.BACKGROUND,
        }[kind]
        said = w.place_said
        self.add(source, {"S": who})
        w.place_said = said
