"""Frames of the free form of ToonStories 2: the first world's sentences, and those of hours, weathers, faces and looks."""

from __future__ import annotations

from dataclasses import dataclass

from story_ldm.data.toonstories.free.frames import Composer, FreeFrame, write_frames
from story_ldm.data.toonstories.free.style import draw_style
from story_ldm.data.toonstories.free.templates import Template
from story_ldm.data.toonstories.world import Dice, seeded_by
from story_ldm.data.toonstories2.free.writer import StateWriter, draw_people
from story_ldm.data.toonstories2.tables import KINDS, PEOPLE, PLACES, ROOMS
from story_ldm.data.toonstories2.world import PAIRS, WORLD_VERSION, Frame, Story, kind_of


@dataclass(frozen=True)
class Facts:
    """What a reader knows of a frame from the text so far. Lists are aligned with `characters`, everybody on stage in the order of arrival."""

    characters: list[int]
    place: int
    place_stated: bool  # in this frame
    time: int
    weather: int
    garments: list[int | None]  # None: not stated so far
    looks: list[int | None]  # hair of people, else fur; None: not stated so far
    actions: list[int | None]  # None: the frame does not say what this one does (stands by)
    faces: list[int]
    toward: list[int | None]  # to whom they are turned; -1: the viewer; None: not stated
    held: dict[int, tuple[int, int]]


def free_story(story: Story) -> list[FreeFrame]:
    """The story's frames in the free form, a pure function of its id."""
    dice = Dice(seeded_by("toonstories-2", "free", WORLD_VERSION, story.story_id, len(story.frames)))
    style = draw_style(dice)
    return write_frames(StateWriter(story, style, draw_people(story, style, dice), dice), StateComposer, facts_of)


def facts_of(w: StateWriter, frame: Frame, acted: bool) -> Facts:
    actions: list[int | None] = []
    toward: list[int | None] = []
    by, told = frame.bystanders(), w.watched and not frame.event.also
    for c, action in zip(frame.characters, frame.actions, strict=True):
        subject = c in frame.event.subjects
        known = acted if subject else c in w.others_told or (told and c in by)
        actions.append(action if known else None)
        toward.append(frame.toward.get(c, -1) if subject or known or c not in by else None)
    return Facts(
        characters=list(frame.characters),
        place=frame.place,
        place_stated=w.place_said,
        time=frame.time,
        weather=frame.weather,
        garments=[w.garments[c] if c in w.talk.garments else None for c in frame.characters],
        looks=[w.story.looks[c] % 5 if c in w.looks_told else None for c in frame.characters],
        actions=actions,
        faces=list(frame.faces),
        toward=toward,
        held=dict(frame.held),
    )


class StateComposer(Composer):
    w: StateWriter

    def __init__(self, writer: StateWriter, m: int):
        super().__init__(writer, m)
        event, frame = self.event, self.frame
        if event.kind in ("act", "pick_up", "put_away", "give", "change"):  # who does something else, or stands by
            self.roles["O"] = [c for c in frame.characters if c in event.also] if event.also else frame.bystanders()
        if event.at is not None:
            self.roles["T"] = [event.at]
        elif event.action in PAIRS and event.kind in ("act", "leave") and writer.dice.chance(0.5):
            self.roles |= {"S": event.subjects[:1], "N": event.subjects[:1], "T": event.subjects[1:]}
            writer.target = event.subjects[1]

    def begin(self) -> None:
        if self.w.sky_due and self.w.dice.chance(0.4):
            self.tell_sky()

    def tell_sky(self) -> None:
        inside = PLACES[self.frame.place] in ROOMS and self.w.dice.chance(0.6)
        self.add(self.t.SKY_INSIDE if inside else self.t.SKY, self.roles)

    def linked(self, template: Template) -> Template:
        """With hour and weather before it, where these are due, or as in the first world."""
        w, frame = self.w, self.frame
        if not w.sky_due or not w.dice.chance(0.75):
            return super().linked(template)
        if self.m or w.dice.chance(0.25):
            return (*w.choose(self.t.SKY_LEADS if self.m else self.t.SKY_FIRST_LEADS), ("text", " "), *template)
        if w.sky_due == ("time",):
            lead = w.choose(self.t.TIME_LEADS[frame.time])
        elif w.sky_due == ("weather",) and w.dice.chance(0.5):
            lead = w.choose(self.t.WEATHER_LEADS[frame.weather])
        else:
            noun, adjective = w.word(self.t.TIME_NOUNS[frame.time]), w.word(self.t.WEATHER_ADJECTIVES[frame.weather])
            lead = (("text", w.dice.pick((f"one {adjective} {noun},", f"on a {adjective} {noun},", f"on this {adjective} {noun},"))),)
        return (*lead, ("slot", ("skytold", "")), ("text", " "), *template)

    def also(self, action: int, who: list[int]) -> None:
        target, self.w.target = self.w.target, None
        super().also(action, who)
        self.w.target = target

    def sources(self) -> list[str]:
        """As in the first world; not "only Luna is left" where others are."""
        if self.event.kind == "leave" and not self.event.quiet and len(self.event.subjects) < len(self.frame.characters):
            return [self.t.LEAVE]
        if self.event.kind == "act" and self.roles.get("T") and self.event.action in PAIRS:
            return [self.t.ACT]
        return super().sources()

    def states(self) -> None:
        """Hour and weather, if they are still due; faces, looks, and what newcomers bring along."""
        w, frame = self.w, self.frame
        if w.sky_due:
            self.tell_sky()
        for face in dict.fromkeys(w.faces[c] for c in frame.characters if c in w.felt_due):
            who = [c for c in frame.characters if c in w.felt_due and w.faces[c] == face]
            w.plainly = not self.add(self.t.FELT, {"S": who}, tries=6)
            if w.plainly:
                self.add(self.t.FELT_PLAIN, {"S": who}, tries=20)
            w.plainly = False
            w.felt_due -= set(who)
            self.sentences += 1
        for c in frame.brought:
            w.thing = frame.held[c]
            if not self.add(self.t.BROUGHT, {"S": [c], "H": [c]}, tries=6):
                self.add(self.t.BROUGHT_PLAIN, {"S": [c], "H": [c]}, tries=20)
            self.sentences += 1
        unknown = [c for c in frame.characters if c in w.talk.introduced and c not in w.looks_told and w.look_word(c)]
        if unknown and self.room() and w.dice.chance(0.06):
            c = w.dice.pick(unknown)
            if self.add(self.t.LOOK if KINDS[kind_of(c)] in PEOPLE else self.t.LOOK_FUR, {"S": [c]}):
                w.looks_told.add(c)
                self.sentences += 1

    def holding(self) -> None:
        still = [c for c in self.frame.held if c not in self.frame.brought and c not in (*self.event.subjects, self.event.other)]
        if still and self.w.dice.chance(0.12) and self.room():
            c = self.w.dice.pick(still)
            self.w.thing = self.frame.held[c]
            self.add(self.t.HOLDING, self.roles | {"H": [c]})
