"""The state machine of ToonStories 2: what happens in a story, frame by frame."""

from __future__ import annotations

from itertools import pairwise

from story_ldm.data.toonstories.world import Dice
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, FACES, POSITIONS, PROPS, TIMES, WEATHERS, shows_sky
from story_ldm.data.toonstories2.world import PAIRS, SLEEP, Event, Frame, Story, held_out_action, held_out_garment

AT = tuple(ACTIONS.index(name) for name in ("stand", "wave", "point"))  # done to somebody, or not
MERRY = (ACTIONS.index("dance"), ACTIONS.index("cheer"))  # not with a sad or angry face
GLUM = (FACES.index("sad"), FACES.index("angry"))


class Play:
    """The state machine of one story."""

    def __init__(self, story: Story, dice: Dice, free: bool, places: list[int], place: int):
        self.story, self.dice, self.free, self.places, self.place = story, dice, free, places, place
        self.waiting = list(story.cast)  # not introduced yet
        self.stage: dict[int, int] = {}  # character → position, in the order of arrival
        self.away: list[int] = []
        self.faces: dict[int, int] = {}
        self.held: dict[int, tuple[int, int]] = {}
        self.changed: dict[int, int] = {}
        self.before: int | None = None  # the place that "go back" refers to
        self.time = self.weather = 0

    def run(self, length: int, first_action: int | None) -> None:
        for m in range(length):
            brought: tuple[int, ...] = ()
            if m == 0:
                event = self.opened(length, first_action)
                brought = self.bring(event.subjects)
            elif self.waiting and (self.dice.chance(0.5) or length - m <= len(self.waiting)):
                newcomer = self.waiting.pop(0)
                self.enter(newcomer)
                event, brought = Event("enter", [newcomer], other=newcomer), self.bring([newcomer])
            else:
                event = self.happened()
            sky = self.turn_sky(m)
            felt = self.feel(m)
            self.act(event, felt, first_action if m == 0 else None)
            self.append(event, sky, felt, brought)

    def enter(self, c: int) -> None:
        """Where nobody hides another: one of two three positions away, of three or four the first three in front."""
        gap, front = {1: 1, 2: 3}.get(len(self.story.cast), 2), len(self.story.cast) > 2
        taken, everywhere = self.stage.values(), range(POSITIONS)
        apart = [s for s in everywhere if all(abs(s - other) >= gap for other in taken) and not (front and s % 2)]
        apart = [s for s in apart if any(abs(s - other) >= gap for other in everywhere)]  # with room for the other one
        self.stage[c] = self.dice.pick(apart or [s for s in everywhere if s not in taken])
        self.faces[c] = 0

    def new_prop(self) -> tuple[int, int]:
        kinds = [k for k in range(len(PROPS)) if all(k != kind for kind, _ in self.held.values())]
        return self.dice.pick(kinds), self.dice.pick(range(len(COLORS)))

    def bring(self, newcomers: list[int]) -> tuple[int, ...]:
        brought = tuple(c for c in newcomers if self.dice.chance(0.15))
        for c in brought:
            self.held[c] = self.new_prop()
        return brought

    def opened(self, length: int, first_action: int | None) -> Event:
        together = min(self.dice.weighted({1: 45, 2: 37, 3: 13, 4: 5}), len(self.waiting))
        together = 2 if first_action in PAIRS else max(together, len(self.waiting) - length + 1)
        newcomers, self.waiting = self.waiting[:together], self.waiting[together:]
        for c in newcomers:
            self.enter(c)
        return Event("open", newcomers)

    def happened(self) -> Event:
        """An event among those who are there; its action is drawn later."""
        dice, everybody = self.dice, list(self.stage)
        free = [c for c in everybody if c not in self.held]  # whoever holds something does not leave
        weights = {"act": 40, "move": 13 if len(self.places) > 1 else 0, "back": 0 if self.before is None else 12, "change": 4}
        weights |= {"pick_up": 13 if free else 0, "put_away": 7 if self.held else 0, "give": 22 if self.held and free else 0}
        weights |= {"leave": 11 if free and len(everybody) > 1 else 0, "return": 18 if self.away else 0}
        kind = dice.weighted(weights)
        if kind in ("move", "back"):
            place = self.before if kind == "back" else dice.pick([p for p in self.places if p != self.place])
            assert place is not None, "nobody goes back in the first place"
            self.before, self.place = self.place, place
            return Event(kind, everybody)
        if kind == "pick_up":
            one = dice.pick(free)
            self.held[one] = self.new_prop()
            return Event(kind, [one], prop=self.held[one])
        if kind == "put_away":
            one = dice.pick(list(self.held))
            return Event(kind, [one], prop=self.held.pop(one))
        if kind == "give":
            one, other = dice.pick(list(self.held)), dice.pick(free)
            self.held[other] = self.held.pop(one)
            return Event(kind, [one], other=other, prop=self.held[other])
        if kind == "leave":
            one = dice.pick(free)
            del self.stage[one], self.faces[one]
            self.away.append(one)
            return Event(kind, list(self.stage), other=one)
        if kind == "return":
            one = dice.pick(self.away)
            self.away.remove(one)
            self.enter(one)
            return Event(kind, [one], other=one)
        if kind == "change":
            one = dice.pick(everybody)
            worn = self.changed.get(one, self.story.garments[one])
            self.changed[one] = dice.pick([g for g in range(len(COLORS)) if g != worn and (self.free or g != held_out_garment(one))])
            return Event(kind, [one])
        return Event(kind, everybody if len(everybody) == 1 or dice.chance(0.35) else [dice.pick(everybody)])

    def turn_sky(self, m: int) -> tuple[str, ...]:
        """Draws hour and weather at first, later another one of them at times; returns which the text tells."""
        dice = self.dice
        if not shows_sky(self.place) or (m and not dice.chance(0.13)):
            return ()
        if m == 0:
            self.time = dice.weighted({0: 50, 1: 22, 2: 28})
            self.weather = 0 if dice.chance(0.45) else 1 + dice.pick(range(len(WEATHERS) - 1))
            return tuple(name for name, value in (("time", self.time), ("weather", self.weather)) if value or dice.chance(0.2))
        told = dice.pick((("time",), ("weather",), ("weather",), ("time", "weather")))
        if "time" in told:
            self.time = (self.time + 1) % len(TIMES) if dice.chance(0.7) else (self.time + 2) % len(TIMES)
        if "weather" in told:
            self.weather = dice.pick([w for w in range(len(WEATHERS)) if w != self.weather])
        return told

    def feel(self, m: int) -> tuple[int, ...]:
        """Gives some another face; returns whom."""
        dice = self.dice
        if not dice.chance(0.3 if m else 0.4):
            return ()
        who = list(self.stage) if dice.chance(0.25) else [dice.pick(list(self.stage))]
        alike = 1 + dice.pick(range(len(FACES) - 1)) if dice.chance(0.6) else None
        felt = []
        for c in who:
            face = dice.weighted({f: 0 if f == self.faces[c] else 6 if f == 0 else 20 for f in range(len(FACES))}) if alike is None else alike
            if face != self.faces[c]:
                self.faces[c] = face
                felt.append(c)
        return tuple(felt)

    def may(self, action: int, c: int, felt: tuple[int, ...]) -> bool:
        """Whether the split shows this kind so, and the face allows it."""
        if action == SLEEP and c in felt:
            return False
        return (self.free or action != held_out_action(c)) and not (action in MERRY and self.faces[c] in GLUM)

    def action_of(self, who: list[int], felt: tuple[int, ...]) -> int:
        """An action for one or several, not of two."""
        if not self.dice.chance(0.93):
            return 0
        return self.dice.pick([a for a in range(1, len(ACTIONS)) if a not in PAIRS and all(self.may(a, c, felt) for c in who)] or [0])

    def act(self, event: Event, felt: tuple[int, ...], forced: int | None) -> None:
        """Draws what the subjects do, and what others do who are there."""
        dice, stage = self.dice, list(self.stage)
        if event.kind in ("pick_up", "put_away", "give", "change"):
            pass
        elif forced in PAIRS:
            event.action = forced
        elif forced is not None:
            event.subjects, event.action = stage[:1], forced
        elif event.kind in ("open", "enter", "return", "leave", "move", "back") and dice.chance(0.25):
            event.quiet = True
        elif not self.pair(event, felt):
            event.action = self.action_of(event.subjects, felt)
            if event.kind in ("open", "act", "leave") and len(event.subjects) > 1 and dice.chance(0.5):
                event.subjects = [event.subjects[0] if event.kind == "open" else dice.pick(event.subjects)]
        others = [c for c in stage if c not in event.subjects and not (event.kind == "give" and c == event.other)]
        first = event.kind == "open" and bool(others)  # somebody who would not be spoken of otherwise
        if others and (first or dice.chance(0.45)):
            acting = others if first or dice.chance(0.7) else [dice.pick(others)]
            alike = self.action_of(acting, felt) if dice.chance(0.5) else None
            event.also = {c: self.action_of([c], felt) if alike is None else alike for c in acting}
        watched = len(event.subjects) == 1 and len(stage) > 1
        if watched and event.kind == "act" and event.action in AT and dice.chance(0.6):
            event.at = dice.pick([c for c in others if c not in event.also] or [None])
        event.watching = watched and dice.chance(0.6)

    def pair(self, event: Event, felt: tuple[int, ...]) -> bool:
        """Whether two who stand side by side do something together."""
        dice = self.dice
        order = sorted(self.stage, key=lambda c: self.stage[c])
        possible = [(a, two) for two in pairwise(order) for a in PAIRS if all(self.may(a, c, felt) for c in two)]
        chance = {"act": 0.3, "open": 0.12, "move": 0.15, "back": 0.15, "leave": 0.15}.get(event.kind, 0.0)
        if not possible or (event.kind in ("move", "back") and len(order) != 2) or not dice.chance(chance):
            return False
        event.action, two = dice.pick(possible)
        event.subjects = list(two) if dice.chance(0.5) else list(two[::-1])
        return True

    def append(self, event: Event, sky: tuple[str, ...], felt: tuple[int, ...], brought: tuple[int, ...]) -> None:
        stage = list(self.stage)
        frame = Frame(
            place=self.place,
            layout=self.story.layouts[self.place],
            time=self.time,
            weather=self.weather,
            characters=stage,
            slots=list(self.stage.values()),
            actions=[event.action if c in event.subjects else event.also.get(c, 0) for c in stage],
            faces=[self.faces[c] for c in stage],
            held=dict(self.held),
            event=event,
            sky=sky,
            felt=felt,
            brought=brought,
            changed={c: g for c, g in self.changed.items() if c in self.stage},
        )
        if event.action in PAIRS:
            a, b = event.subjects
            frame.toward = {a: b, b: a}
        elif event.kind == "give" and event.other is not None:
            frame.toward = {event.subjects[0]: event.other, event.other: event.subjects[0]}
        elif event.at is not None:
            frame.toward = {event.subjects[0]: event.at, event.at: event.subjects[0]}
        if event.watching:
            frame.toward |= {c: event.subjects[0] for c in frame.bystanders()}
        self.story.frames.append(frame)
