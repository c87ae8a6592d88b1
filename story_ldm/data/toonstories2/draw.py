"""Draws a `Scene` as a picture: sky, scenery, figures from back to front, weather. Every size shows the same picture.

A picture is a pure function of the scene and the size: no clock, no display, no fonts, no random state; polygons are filled with integers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from story_ldm.data.toonstories2.brush import Canvas
from story_ldm.data.toonstories2.figures import paint_figure
from story_ldm.data.toonstories2.looks import RGB
from story_ldm.data.toonstories2.nature import NATURE
from story_ldm.data.toonstories2.props import prop_piece
from story_ldm.data.toonstories2.rooms import INSIDE
from story_ldm.data.toonstories2.shores import SHORES
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, FACINGS, PLACES, PROPS, ROOMS, TIMES, WEATHERS, Figure, Scene, shows_sky
from story_ldm.data.toonstories2.towns import TOWNS
from story_ldm.data.toonstories2.weather import falling, gradient, heavens, light, lightning, mist, paint_window, scenery_palette, sky_colours

PAINTERS = {**NATURE, **SHORES, **TOWNS, **INSIDE}
FEET = ((0.15, 0.95), (0.325, 0.865), (0.5, 0.95), (0.675, 0.865), (0.85, 0.95))  # by position: those further back are higher and smaller
HEIGHTS = (0.45, 0.39, 0.45, 0.39, 0.45)
SHAKES = 4  # variants of scenery by `art_seed`: things stand a little to the left or right
TOUCH = {"hug": 0.275, "hold hands": 0.325}  # how near they stand, in frames at full size


@lru_cache(maxsize=1024)
def _stage(place: str, layout: int, shaken: int):
    """Building one costs more than all else in a picture, hence few variants, all of which are kept."""
    shake = random.Random(shaken * 64 + PLACES.index(place) * 4 + layout)
    return PAINTERS[place](layout, lambda x: x + 0.024 * (shake.random() - 0.5))


@lru_cache(maxsize=64)
def scenery(place: int, layout: int, time: int, weather: int, art_seed: int, side: int) -> Image.Image:
    """The place without anyone, `side` × `side` pixels; a cached image that callers must not change."""
    name, hour, air = PLACES[place], TIMES[time], WEATHERS[weather]
    stage, inside = _stage(name, layout, art_seed % SHAKES), name in ROOMS
    if stage.fixed:
        canvas = Canvas(gradient(side, stage.fixed, stage.horizon))
        canvas.paint(stage.back)
        return canvas.finished()
    colours, tint = scenery_palette(hour, air), light(hour, air, inside)[0]
    canvas = Canvas(gradient(side, sky_colours(hour, air), stage.horizon))
    if not inside:
        canvas.paint(heavens(hour, air, layout, stage.horizon))
    canvas.paint(stage.back, palette=colours, tint=tint)
    if air == "storm" and not inside:
        canvas.paint(lightning(layout))
    for opening in stage.windows:
        paint_window(canvas, opening, hour, air, layout)
    if stage.frames:
        canvas.paint(stage.frames, palette=colours, tint=tint)
    if air == "fog" and not inside:
        mist(canvas, hour)
    return canvas.finished()


def _partner(figures: tuple[Figure, ...], k: int) -> int | None:
    """Whom figure k hugs or holds by the hand: its neighbour on the side that it faces; looking at the viewer, the nearest."""
    me, others = figures[k].position, [n for n in range(len(figures)) if n != k]
    facing = FACINGS[figures[k].facing]
    sided = [n for n in others if (figures[n].position > me) == (facing == "right")] if facing != "viewer" else []
    return min(
        sided or others,
        key=lambda n: (abs(figures[n].position - me), ACTIONS[figures[n].action] != ACTIONS[figures[k].action], figures[n].position),
        default=None,
    )


@dataclass
class Stand:
    """Where a figure stands, how tall it is (in frames), whether it is mirrored, turned aside (1) or to the viewer (0), and the pose if it is not
    that of its action."""

    x: float
    y: float
    height: float
    flip: bool
    turn: int
    action: str | None = None


def _arrange(scene: Scene) -> list[Stand]:
    figures, places = scene.figures, []
    for f in figures:
        (x, y), facing = FEET[f.position], FACINGS[f.facing]
        flip = facing == "left" or (facing == "viewer" and x > 0.6)
        places.append(Stand(x, y, HEIGHTS[f.position], flip, int(facing != "viewer")))
    for k, f in enumerate(figures):
        name = ACTIONS[f.action]
        other = _partner(figures, k) if name in TOUCH else None
        if other is None:
            continue
        me, you = places[k], places[other]
        right = figures[other].position > f.position
        me.flip = not right
        both = ACTIONS[figures[other].action] == name and _partner(figures, other) == k
        gap = TOUCH[name] * (me.height + you.height) / 2 / HEIGHTS[0]
        middle = (FEET[f.position][0] + FEET[figures[other].position][0]) / 2
        me.x = middle + (-0.5 if right else 0.5) * gap if both else you.x + (-gap if right else gap)
        me.y = (me.y + you.y) / 2 + (0.004 if me.y > you.y else 0.0)
        if name == "hold hands" and any(
            n not in (k, other) and ACTIONS[figures[n].action] == name and _partner(figures, n) == k for n in range(len(figures))
        ):
            me.action = "hold both"
    return places


def draw_scene(scene: Scene, size: int) -> Image.Image:
    """The scene as an RGB picture of `size` × `size` pixels."""
    name, hour, air = PLACES[scene.place], TIMES[scene.time], WEATHERS[scene.weather]
    inside, sky = name in ROOMS, shows_sky(scene.place)
    canvas = Canvas(scenery(scene.place, scene.layout, scene.time if sky else 0, scene.weather if sky else 0, scene.art_seed, size).copy())
    tint = light(hour, air, inside)[1] if sky else (1.0, 1.0, 1.0)
    for k, place in sorted(enumerate(_arrange(scene)), key=lambda item: (item[1].y, item[0])):
        paint_figure(canvas, scene.figures[k], place.x, place.y, place.height, place.flip, place.turn, tint, place.action)
    for prop, colour, position in scene.things:
        x, y = FEET[position]
        canvas.paint(prop_piece(PROPS[prop], RGB[COLORS[colour]], (-0.6, 0.8)), x, y - 0.05, HEIGHTS[position], up=True, tint=tint)
    stage = _stage(name, scene.layout, scene.art_seed % SHAKES)
    canvas.paint(stage.fore, tint=light(hour, air, inside)[0] if sky else (1.0, 1.0, 1.0))
    if sky and not inside:
        canvas.paint(falling(air, scene.art_seed % SHAKES), tint=light(hour, air)[1] if air == "fog" else (1.0, 1.0, 1.0))
    return canvas.finished()
