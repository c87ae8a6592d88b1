"""What ToonStories 2 has: kinds, looks, garments, faces, actions, props, marks, places, hours and weathers, and a `Scene`, which says all that one
picture shows. Numbers are indices into the tables below.

    from story_ldm.data.toonstories2 import Figure, Scene, draw_scene
    draw_scene(Scene(place=0, figures=(Figure(kind=16, garment=3, action=4),)), size=256)
"""

from __future__ import annotations

from dataclasses import dataclass

PEOPLE = ("girl", "boy", "woman", "man")
KINDS = (
    *("bear", "rabbit", "fox", "mouse", "frog", "duck", "robot", "alien", "cat", "dog", "pig", "lion", "penguin", "owl", "elephant", "dragon"),
    *PEOPLE,
)
SKINS = ("light", "tan", "brown", "dark")
HAIRS = ("blond", "brown", "black", "red", "grey")
FURS = 3  # fur colours of each kind that is not of people
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")  # of garments and props
FACES = ("neutral", "happy", "sad", "angry", "surprised")
ACTIONS = (
    *("stand", "wave", "jump", "sit", "dance", "run", "cheer"),
    *("sleep", "eat", "read", "fall", "hug", "hold hands", "point", "walk"),
)
PROPS = (
    *("ball", "balloon", "umbrella", "flag", "book", "kite", "gift", "lantern", "bucket", "basket"),
    *("drum", "guitar", "key", "letter", "ice cream", "teddy", "boat", "pinwheel", "cup", "suitcase"),
)
MARKS = ("crown", "top hat", "party hat", "flower", "glasses", "star", "bow", "scarf")  # never named in any sentence
PLACES = (
    *("forest", "beach", "kitchen", "bedroom", "city", "desert", "moon", "mountain"),
    *("garden", "school", "castle", "living room", "playground", "sea", "snow", "farm"),
)
ROOMS = ("kitchen", "bedroom", "school", "living room")  # hour and weather are seen through the window
LAYOUTS = 4  # compositions of each place, never named in any sentence
TIMES = ("day", "evening", "night")
WEATHERS = ("clear", "rain", "snow", "wind", "fog", "storm")
FACINGS = ("viewer", "left", "right")
POSITIONS = 5  # from left to right; those with odd numbers are further back


def looks_of(kind: int) -> int:
    """How many looks a kind has: of people each skin with each hair (look = skin × len(HAIRS) + hair), else fur colours."""
    return len(SKINS) * len(HAIRS) if KINDS[kind] in PEOPLE else FURS


def shows_sky(place: int) -> bool:
    """Whether hour and weather can be seen: the moon has neither."""
    return PLACES[place] != "moon"


@dataclass(frozen=True)
class Figure:
    kind: int
    look: int = 0
    garment: int = 0
    action: int = 0
    face: int = 0
    mark: int = 0
    prop: tuple[int, int] | None = None  # held: (index into PROPS, index into COLORS)
    position: int = 2
    facing: int = 0


@dataclass(frozen=True)
class Scene:
    place: int
    layout: int = 0
    time: int = 0
    weather: int = 0
    figures: tuple[Figure, ...] = ()
    things: tuple[tuple[int, int, int], ...] = ()  # on the ground: (index into PROPS, index into COLORS, position)
    art_seed: int = 0  # small jitter of the scenery
