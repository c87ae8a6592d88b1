"""What a reader says that it understood of a frame, or an evaluator that it saw, in the words of the labels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class UnderstoodCharacter:
    """A character of a frame, by the labels' names; garment and prop are None where the sentences mention none. face and partner, the kind of whom
    the character is turned to, are None of a reader that does not know them; a partner also of who is turned to the viewer."""

    kind: str
    garment: str | None
    action: str
    prop: str | None
    face: str | None = None
    partner: str | None = None

    def __str__(self) -> str:
        worn = f" in {self.garment}" if self.garment else ""
        felt = f", {self.face}" if self.face and self.face != "neutral" else ""
        to = f" (to the {self.partner})" if self.partner else ""
        return f"{self.kind}{worn}{felt}: {self.action}{to}" + (f", with a {self.prop}" if self.prop else "")


@dataclass
class UnderstoodFrame:
    place: str
    characters: list[UnderstoodCharacter]
    time: str | None = None  # hour and weather, of a reader that knows them
    weather: str | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.place, self.time, self.weather))) + " | " + " | ".join(map(str, self.characters))
