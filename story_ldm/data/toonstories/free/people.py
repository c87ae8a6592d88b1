"""The people of a free-form story, and the bookkeeping that keeps every reference to them clear.

How a careful reader resolves a reference, and so when a writer may use it (the resolver in tests/test_free_form.py has rules of its own):
- a name means who was introduced by it, a kind the only one of that kind, "the one in red" the only one known to wear red;
- he, she, it: the only one whom the pronoun fits among those whom this sentence has mentioned, else this frame, else those on stage. A pronoun
  fits if it was used of them before; else if most people who bear the name have it; else anybody. him, his, himself first mean the last one
  mentioned in the sentence, if they fit;
- they: the group last mentioned in the sentence, else everybody on stage; of a single one only while nobody else is there;
- both, all three, everybody: those on stage; the others, the other one: those on stage without the one mentioned last;
- her friend, Max's friend: the other one of two; the former and the latter: the first and second of the last two mentioned.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from story_ldm.data.toonstories.free.names import Name

FORMS = {  # subject, object, possessive, reflexive
    "he": ("he", "him", "his", "himself"),
    "she": ("she", "her", "her", "herself"),
    "it": ("it", "it", "its", "itself"),
    "they": ("they", "them", "their", "themselves"),
}


@dataclass
class Person:
    """One character of the story, as this story's writer sees it. `names` are the forms that a reference may
    use, none for the nameless; `name.short` is one that the writer says."""

    kind: int
    pronoun: str
    name: Name | None
    title: str
    noun: str  # the writer's usual word for the kind
    resident: bool  # known by its name alone
    may_wait: bool  # the kind may be said after the name
    garment: str  # when its garment is mentioned: "noun", "sentence", "late" or "never"

    @property
    def full(self) -> str:
        assert self.name is not None, "a character without a name is called by its kind"
        return f"{self.title} {self.name.full}" if self.title else self.name.full

    @property
    def usual(self) -> str:
        """The pronoun that a reader expects; "" where there is none to be expected."""
        return self.name.pronoun if self.name else ""

    @property
    def names(self) -> list[str]:
        if self.name is None:
            return []
        return [self.full, *([self.name.full] if self.title else []), *([self.name.short] if self.name.short else [])]


@dataclass
class Discourse:
    """Who has been spoken of, and how. `sentence` and `frame` list the mentions of the current sentence and frame, each the tuple of those meant."""

    people: dict[int, Person]
    stage: list[int] = field(default_factory=list)
    introduced: set[int] = field(default_factory=set)
    kind_said: set[int] = field(default_factory=set)
    pronouns: dict[int, str] = field(default_factory=dict)  # those that were used
    garments: set[int] = field(default_factory=set)  # whose garment was mentioned
    garments_before: set[int] = field(default_factory=set)  # … in an earlier frame
    frame: list[tuple[int, ...]] = field(default_factory=list)
    sentence: list[tuple[int, ...]] = field(default_factory=list)

    def begin_frame(self, stage: list[int]) -> None:
        self.stage, self.frame, self.sentence = list(stage), [], []
        self.garments_before = set(self.garments)

    def saved(self) -> tuple:
        return (
            *(set(x) for x in (self.introduced, self.kind_said, self.garments)),
            dict(self.pronouns),
            *(list(x) for x in (self.stage, self.frame, self.sentence)),
        )

    def restore(self, saved: tuple) -> None:
        self.introduced, self.kind_said, self.garments, self.pronouns, self.stage, self.frame, self.sentence = saved

    def mention(self, who: tuple[int, ...], joined: bool) -> None:
        """`joined`: nothing but "and" or a comma stands between the last mention and this one, which makes the two a group as well."""
        group = tuple(dict.fromkeys(self.sentence[-1] + who)) if joined and self.sentence else ()
        for c in who:
            if c not in self.stage:
                self.stage.append(c)
        for mentions in (self.frame, self.sentence):
            mentions.append(who)
            if len(group) > len(who):
                mentions.append(group)

    def fits(self, c: int, pronoun: str, by_name: bool = True) -> bool:
        known = self.pronouns.get(c) or (by_name and self.people[c].usual)
        return not known or known == pronoun

    def one_meant(self, pronoun: str, bound: bool) -> int | None:
        """Whom the singular pronoun means, None where that is not clear; `bound`: in another case than the subject's."""
        if bound and self.sentence and len(self.sentence[-1]) == 1 and self.fits(self.sentence[-1][0], pronoun):
            return self.sentence[-1][0]
        for by_name in (True, False):
            for level in (self.sentence, self.frame, [tuple(self.stage)]):
                fitting = {c for who in level for c in who if self.fits(c, pronoun, by_name)}
                if fitting:
                    return fitting.pop() if len(fitting) == 1 else None
        return None

    def clear(self, c: int, bound: bool) -> bool:
        """Whether the character's pronoun means it here."""
        pronoun = self.people[c].pronoun
        if pronoun == "they" and len(self.stage) > 1:
            return False
        return c in self.stage and self.one_meant(pronoun, bound) == c

    def group_meant(self) -> set[int]:
        """Whom "they" means, of several."""
        return set(self.sentence[-1]) if self.sentence and len(self.sentence[-1]) > 1 else set(self.stage)

    def last_one(self) -> int | None:
        """The one whom the frame mentioned last, None after a group or nobody."""
        return self.frame[-1][0] if self.frame and len(self.frame[-1]) == 1 else None

    def last_two(self) -> tuple[int, ...]:
        """The last two whom the frame mentioned one by one, in order."""
        singles = [who[0] for who in self.frame if len(who) == 1]
        return tuple(singles[-2:]) if len(set(singles[-2:])) == 2 else ()
