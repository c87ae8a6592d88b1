"""Draws the frames of ToonStories with PIL: vector shapes at four times the size, reduced by averaging. Every resolution shows the same picture.

Scenery uses coordinates in [0, 1] of the square frame, y downwards; a figure has its own coordinates in figure heights, with the origin between its
feet and y upwards. Each place has four layouts, which differ in colours and in the positions of things; figures cover the lower half only, and the
layout can be recognised from the rest.

This file has over 350 lines because it is one drawing: every kind, place, mark and prop of the world.
"""

from __future__ import annotations

import math
import random
from functools import lru_cache

from PIL import Image, ImageDraw

from story_ldm.data.toonstories.world import ACTIONS, COLORS, MARKS, PLACES, PROPS, Frame, Story, kind_of

SUPERSAMPLING = 4
RGB = {"red": (222, 44, 44), "yellow": (252, 212, 40), "green": (38, 152, 62), "blue": (40, 92, 220), "purple": (146, 60, 196)}
RGB["white"] = (250, 250, 250)
INK = (36, 30, 40)
SLOT_X = (0.2, 0.5, 0.8)
FEET_Y = 0.93
FIGURE_HEIGHT = 0.56
SKIN = [(134, 86, 48), (240, 226, 228), (240, 124, 30), (150, 150, 162), (112, 190, 50), (255, 226, 90), (104, 140, 170), (186, 110, 220)]


class Pen:
    """Draws in [0, 1] coordinates, or in those of a figure: origin (x, y), scale in frame heights, lean in degrees. Figures right of the middle
    are mirrored, which keeps a held prop inside the frame."""

    def __init__(self, image: Image.Image, x: float = 0.0, y: float = 0.0, scale: float = 1.0, lean: float = 0.0, figure: bool = False):
        self.draw, self.side = ImageDraw.Draw(image), image.width
        self.x, self.y, self.scale, self.figure = x, y, scale, figure
        self.mirror = -1 if figure and x > 0.6 else 1
        self.cos, self.sin = math.cos(math.radians(lean)), math.sin(math.radians(lean))

    def at(self, x: float, y: float) -> tuple[float, float]:
        if self.figure:
            x, y = x * self.cos + y * self.sin, -(y * self.cos - x * self.sin)
        return (self.x + self.mirror * x * self.scale) * self.side, (self.y + y * self.scale) * self.side

    def polygon(self, points, fill, outline=None):
        points = [self.at(*p) for p in points]
        self.draw.polygon(points, fill=fill)
        if outline:
            self.draw.line([*points, points[0], points[1]], fill=outline, width=self.pixels(0.024), joint="curve")

    def rectangle(self, x0, y0, x1, y1, fill, outline=None):
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill, outline)

    def ellipse(self, x, y, rx, ry, fill, outline=None):
        cx, cy = self.at(x, y)
        rx, ry = rx * self.scale * self.side, ry * self.scale * self.side
        box = (cx - rx, cy - ry, cx + rx, cy + ry)
        self.draw.ellipse(box, fill=fill, outline=outline, width=self.pixels(0.024) if outline else 0)

    def line(self, points, fill, width):
        self.draw.line([self.at(*p) for p in points], fill=fill, width=self.pixels(width), joint="curve")
        for p in (points[0], points[-1]):
            self.ellipse(p[0], p[1], width / 2, width / 2, fill)

    def pixels(self, width: float) -> int:
        return max(1, round(width * self.scale * self.side))


def draw_frame(story: Story, m: int, size: int) -> Image.Image:
    """Frame `m` of the story as an RGB picture of `size` × `size` pixels."""
    frame = story.frames[m]
    image = scenery(frame.place, frame.layout, story.art_seed, size * SUPERSAMPLING).copy()
    for character, slot, action in zip(frame.characters, frame.slots, frame.actions, strict=True):
        prop = story.prop if character == frame.holder else None
        _figure(image, kind_of(character), SLOT_X[slot], ACTIONS[action], story.garment(m, character), story.marks[character], prop)
    if frame.event.kind == "put_away":
        _prop_on_ground(image, story, frame)
    return image.reduce(SUPERSAMPLING)


def _prop_on_ground(image: Image.Image, story: Story, frame: Frame) -> None:
    slot = frame.slots[frame.characters.index(frame.event.subjects[0])]
    _prop(Pen(image, SLOT_X[slot], FEET_Y, FIGURE_HEIGHT, figure=True), *story.prop, 0.28, 0.04)


# --- figures ---------------------------------------------------------------------------------------------------------------------------

# action → (lift, lean, left hand, right hand, left foot, right foot); hands and feet in figure coordinates
POSES = {
    "stand": (0.0, 0, (-0.23, 0.22), (0.23, 0.22), (-0.09, 0.0), (0.09, 0.0)),
    "wave": (0.0, 0, (-0.34, 0.66), (0.23, 0.22), (-0.09, 0.0), (0.09, 0.0)),
    "jump": (0.20, 0, (-0.36, 0.44), (0.36, 0.44), (-0.17, 0.08), (0.17, 0.08)),
    "sit": (-0.13, 0, (-0.23, 0.18), (0.23, 0.18), (-0.30, 0.16), (0.30, 0.16)),
    "dance": (0.0, 17, (-0.36, 0.60), (0.32, 0.26), (-0.05, 0.0), (0.28, 0.12)),
    "run": (0.03, -17, (-0.30, 0.34), (0.30, 0.42), (-0.26, 0.10), (0.18, -0.06)),
    "cheer": (0.0, 0, (-0.32, 0.72), (0.32, 0.72), (-0.15, 0.0), (0.15, 0.0)),
}


def _figure(image: Image.Image, character: int, x: float, action: str, garment: int, mark: int, prop: tuple[int, int] | None) -> None:
    lift, lean, left, right, left_foot, right_foot = POSES[action]
    skin = SKIN[character]
    ground = Pen(image, x, FEET_Y, FIGURE_HEIGHT, figure=True)
    ground.ellipse(0, -0.02, 0.24 if action != "jump" else 0.16, 0.035, (90, 84, 80))
    pen = Pen(image, x, FEET_Y - lift * FIGURE_HEIGHT, FIGURE_HEIGHT, lean, figure=True)
    if prop and prop[0] == PROPS.index("balloon"):
        _prop(pen, *prop, *right)
    if character == 2:  # the fox's brush
        pen.polygon([(0.08, 0.16), (0.30, 0.14), (0.38, 0.34), (0.26, 0.30)], skin, INK)
        pen.polygon([(0.33, 0.22), (0.38, 0.34), (0.29, 0.31)], (255, 250, 240))
    if character == 3:  # the mouse's tail
        pen.line([(0.1, 0.12), (0.28, 0.06), (0.34, 0.16)], (226, 150, 170), 0.035)
    for hip, foot in ((-0.08, left_foot), (0.08, right_foot)):
        pen.line([(hip, 0.2), foot], INK, 0.115)
        pen.line([(hip, 0.2), foot], skin, 0.075)
    for shoulder, hand in ((-0.13, left), (0.13, right)):
        pen.line([(shoulder, 0.40), hand], INK, 0.105)
        pen.line([(shoulder, 0.40), hand], skin, 0.065)
    cloth = RGB[COLORS[garment]]
    pen.polygon([(-0.14, 0.47), (0.14, 0.47), (0.20, 0.15), (-0.20, 0.15)], cloth, INK)
    if MARKS[mark] == "star":
        _star(pen, 0.0, 0.30, 0.13)
    _head(pen, character, skin)
    _mark(pen, MARKS[mark])
    if prop and prop[0] != PROPS.index("balloon"):
        _prop(pen, *prop, *right)


def _head(pen: Pen, character: int, skin) -> None:
    y, rx, ry = 0.61, 0.19, 0.165
    if character == 0:  # bear: small round ears
        for s in (-1, 1):
            pen.ellipse(s * 0.15, 0.74, 0.07, 0.07, skin, INK)
    elif character == 1:  # rabbit: long ears
        for s in (-1, 1):
            pen.ellipse(s * 0.13, 0.83, 0.05, 0.15, skin, INK)
            pen.ellipse(s * 0.13, 0.83, 0.022, 0.10, (240, 150, 170))
    elif character == 2:  # fox: pointed ears
        for s in (-1, 1):
            pen.polygon([(s * 0.19, 0.86), (s * 0.19, 0.62), (s * 0.04, 0.74)], skin, INK)
    elif character == 3:  # mouse: huge round ears
        for s in (-1, 1):
            pen.ellipse(s * 0.21, 0.73, 0.115, 0.115, skin, INK)
            pen.ellipse(s * 0.21, 0.73, 0.065, 0.065, (240, 160, 180))
    elif character == 4:  # frog: eyes on top of a wide head
        rx, ry = 0.23, 0.135
        for s in (-1, 1):
            pen.ellipse(s * 0.14, 0.74, 0.075, 0.075, skin, INK)
    elif character == 7:  # alien: stalks
        for s in (-1, 1):
            pen.line([(s * 0.08, 0.7), (s * 0.18, 0.86)], INK, 0.035)
            pen.ellipse(s * 0.18, 0.87, 0.045, 0.045, (120, 250, 120), INK)
        rx, ry = 0.165, 0.19
    if character == 6:  # robot: a box with an aerial
        pen.line([(0, 0.74), (0, 0.86)], INK, 0.03)
        pen.ellipse(0, 0.87, 0.04, 0.04, (255, 80, 60), INK)
        pen.rectangle(-0.2, 0.47, 0.2, 0.76, skin, INK)
        pen.rectangle(-0.13, 0.58, 0.13, 0.70, (20, 40, 60))
        for s in (-1, 1):
            pen.rectangle(s * 0.07 - 0.03, 0.61, s * 0.07 + 0.03, 0.67, (120, 255, 255))
        return
    pen.ellipse(0, y, rx, ry, skin, INK)
    if character == 4:
        for s in (-1, 1):
            pen.ellipse(s * 0.14, 0.75, 0.045, 0.045, (255, 255, 255))
            pen.ellipse(s * 0.14, 0.75, 0.025, 0.025, INK)
        pen.line([(-0.13, 0.57), (0, 0.53), (0.13, 0.57)], INK, 0.025)
        return
    if character == 7:  # one eye
        pen.ellipse(0, 0.63, 0.085, 0.085, (255, 255, 255), INK)
        pen.ellipse(0, 0.63, 0.04, 0.04, INK)
        return
    if character == 0:
        pen.ellipse(0, 0.55, 0.09, 0.065, (224, 186, 140))
    elif character == 2:
        pen.polygon([(-0.15, 0.56), (0, 0.46), (0.15, 0.56), (0, 0.58)], (255, 248, 238))
    for s in (-1, 1):
        pen.ellipse(s * 0.075, 0.64, 0.03, 0.036, INK)
    if character == 5:  # duck: a bill
        pen.ellipse(0, 0.545, 0.13, 0.05, (250, 130, 20), INK)
    else:
        pen.ellipse(0, 0.57, 0.03, 0.024, (240, 110, 140) if character in (1, 3) else INK)


def _star(pen: Pen, x: float, y: float, r: float) -> None:
    points = []
    for k in range(10):
        a, d = math.pi * k / 5, r if k % 2 == 0 else r * 0.45
        points.append((x + d * math.sin(a), y + d * math.cos(a)))
    pen.polygon(points, (255, 140, 0), INK)


def _mark(pen: Pen, mark: str) -> None:
    if mark == "crown":
        points = [(-0.15, 0.73), (-0.17, 0.92), (-0.08, 0.83), (0, 0.95), (0.08, 0.83), (0.17, 0.92), (0.15, 0.73)]
        pen.polygon(points, (255, 200, 20), INK)
    elif mark == "top hat":
        pen.rectangle(-0.12, 0.75, 0.12, 0.99, (24, 22, 30), INK)
        pen.rectangle(-0.22, 0.71, 0.22, 0.77, (24, 22, 30), INK)
        pen.rectangle(-0.11, 0.78, 0.11, 0.83, (230, 230, 230))
    elif mark == "party hat":
        pen.polygon([(-0.14, 0.73), (0, 1.04), (0.14, 0.73)], (250, 60, 170), INK)
        pen.ellipse(0, 1.02, 0.05, 0.05, (255, 255, 255), INK)
    elif mark == "flower":
        for k in range(5):
            a = 2 * math.pi * k / 5
            pen.ellipse(0.17 + 0.075 * math.sin(a), 0.73 + 0.075 * math.cos(a), 0.06, 0.06, (255, 150, 200), INK)
        pen.ellipse(0.17, 0.73, 0.05, 0.05, (255, 230, 60))
    elif mark == "glasses":
        pen.line([(-0.18, 0.64), (0.18, 0.64)], INK, 0.04)
        for s in (-1, 1):
            pen.ellipse(s * 0.095, 0.64, 0.09, 0.08, (80, 220, 240), INK)


def _prop(pen: Pen, kind: int, color: int, x: float, y: float) -> None:
    name, fill = PROPS[kind], RGB[COLORS[color]]
    if name == "ball":
        pen.ellipse(x, y + 0.02, 0.11, 0.11, fill, INK)
        pen.ellipse(x - 0.035, y + 0.055, 0.03, 0.03, (255, 255, 255))
    elif name == "balloon":
        pen.line([(x, y), (x + 0.03, y + 0.35)], INK, 0.018)
        pen.ellipse(x + 0.03, y + 0.45, 0.12, 0.14, fill, INK)
    elif name == "umbrella":
        pen.line([(x, y - 0.1), (x, y + 0.32)], INK, 0.03)
        points = [(x + 0.23 * math.cos(math.pi * k / 8), y + 0.26 + 0.17 * math.sin(math.pi * k / 8)) for k in range(9)]
        pen.polygon(points, fill, INK)
    elif name == "flag":
        pen.line([(x, y - 0.12), (x, y + 0.42)], INK, 0.03)
        pen.polygon([(x, y + 0.42), (x + 0.25, y + 0.32), (x, y + 0.2)], fill, INK)
    else:  # book
        pen.polygon([(x - 0.13, y - 0.06), (x, y - 0.1), (x, y + 0.1), (x - 0.13, y + 0.14)], fill, INK)
        pen.polygon([(x + 0.13, y - 0.06), (x, y - 0.1), (x, y + 0.1), (x + 0.13, y + 0.14)], fill, INK)


# --- scenery ---------------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def scenery(place: int, layout: int, art_seed: int, side: int) -> Image.Image:
    """The background of a place, `side` × `side` pixels; a cached image that callers must not change."""
    image = Image.new("RGB", (side, side))
    shake = random.Random(art_seed * 64 + place * 8 + layout)
    _PAINTERS[PLACES[place]](Pen(image), layout, lambda x: x + 0.02 * (shake.random() - 0.5))
    return image


def _sky(pen, sky, ground, horizon):
    pen.rectangle(0, 0, 1, 1, sky)
    pen.rectangle(0, horizon, 1, 1, ground)


def _tree(pen, x, base, height, leaf, pine=False):
    pen.rectangle(x - 0.025, base - height * 0.4, x + 0.025, base, (104, 70, 40))
    if pine:
        for k in range(3):
            y, w = base - height * (0.25 + 0.22 * k), 0.13 - 0.03 * k
            pen.polygon([(x - w, y), (x, y - height * 0.38), (x + w, y)], leaf)
    else:
        pen.ellipse(x, base - height * 0.66, 0.12, height * 0.36, leaf)


def _forest(pen, k, j):
    skies = ((170, 222, 236), (250, 214, 150), (120, 176, 214), (206, 236, 190))
    leaves = ((34, 120, 50), (196, 104, 30), (20, 90, 80), (96, 160, 30))
    _sky(pen, skies[k], ((112, 176, 76), (170, 150, 70), (70, 130, 90), (140, 190, 70))[k], j(0.62))
    for x in ((0.08, 0.25, 0.9), (0.1, 0.75, 0.92), (0.35, 0.5, 0.65), (0.06, 0.5, 0.94))[k]:
        _tree(pen, j(x), 0.68, 0.60, leaves[k], pine=k in (1, 2))


def _beach(pen, k, j):
    _sky(pen, ((120, 200, 250), (255, 170, 120), (160, 230, 240), (90, 130, 210))[k], (242, 218, 150), 0.66)
    pen.rectangle(0, j(0.45), 1, 0.66, ((30, 110, 200), (90, 80, 170), (20, 170, 180), (20, 60, 140))[k])
    pen.ellipse(j((0.15, 0.5, 0.85, 0.3)[k]), j(0.14), 0.09, 0.09, ((255, 240, 90), (255, 90, 50), (255, 250, 160), (250, 250, 250))[k])
    x = j((0.72, 0.2, 0.35, 0.8)[k])
    if k in (0, 1):  # a sailing boat
        pen.polygon([(x - 0.12, 0.46), (x + 0.12, 0.46), (x + 0.07, 0.53), (x - 0.07, 0.53)], (150, 70, 40))
        pen.polygon([(x, 0.24), (x, 0.44), (x + 0.13, 0.44)], (255, 255, 255))
    else:  # a palm
        pen.line([(x, 0.75), (x + 0.04, 0.3)], (130, 90, 50), 0.045)
        for dx, dy in ((-0.2, 0.02), (-0.13, -0.12), (0.04, -0.17), (0.2, -0.1), (0.22, 0.04)):
            pen.line([(x + 0.04, 0.3), (x + 0.04 + dx, 0.3 + dy)], (30, 140, 60), 0.045)


def _kitchen(pen, k, j):
    wall = ((250, 236, 190), (200, 232, 226), (246, 206, 206), (214, 214, 240))[k]
    _sky(pen, wall, (196, 150, 110), 0.72)
    for n in range(8):
        pen.rectangle(n / 8, 0.72 + 0.14 * (n % 2), n / 8 + 0.125, 0.86 + 0.14 * (n % 2), (226, 190, 150))
    pen.rectangle(0, 0.52, 1, 0.72, ((150, 96, 60), (90, 130, 140), (160, 80, 80), (100, 100, 150))[k])
    pen.rectangle(0, 0.49, 1, 0.53, (240, 240, 236))
    w = j((0.2, 0.7, 0.5, 0.3)[k])
    pen.rectangle(w - 0.14, 0.06, w + 0.14, 0.32, (255, 255, 255), INK)
    pen.rectangle(w - 0.11, 0.09, w + 0.11, 0.29, (140, 210, 250))
    x = j((0.84, 0.14, 0.87, 0.75)[k])
    if k == 3:  # shelf with pots
        pen.rectangle(x - 0.2, 0.24, x + 0.2, 0.27, (130, 90, 50))
        for d in (-0.13, 0, 0.13):
            pen.rectangle(x + d - 0.045, 0.14, x + d + 0.045, 0.24, (220, 90, 50))
    else:  # fridge
        pen.rectangle(x - 0.12, 0.16, x + 0.12, 0.72, ((230, 236, 240), (240, 110, 90), (110, 190, 170))[k], INK)
        pen.rectangle(x - 0.12, 0.38, x + 0.12, 0.40, INK)


def _bedroom(pen, k, j):
    wall = ((150, 180, 230), (236, 180, 210), (180, 216, 160), (110, 96, 160))[k]
    _sky(pen, wall, ((150, 100, 70), (190, 140, 120), (130, 110, 80), (90, 70, 80))[k], 0.7)
    x = j((0.25, 0.75, 0.25, 0.75)[k])
    pen.rectangle(x - 0.25, 0.44, x + 0.25, 0.72, (120, 76, 46))
    pen.rectangle(x - 0.23, 0.52, x + 0.23, 0.68, ((230, 90, 90), (110, 200, 200), (250, 230, 120), (240, 240, 250))[k])
    pen.ellipse(x - 0.12 if k % 2 == 0 else x + 0.12, 0.5, 0.1, 0.05, (255, 255, 255))
    y = j((0.72, 0.25, 0.6, 0.3)[k])
    if k in (0, 3):  # window
        pen.rectangle(y - 0.13, 0.06, y + 0.13, 0.34, (250, 250, 240), INK)
        pen.rectangle(y - 0.1, 0.09, y + 0.1, 0.31, (30, 40, 90))
        pen.ellipse(y + 0.02, 0.17, 0.05, 0.05, (255, 245, 180))
    else:  # picture
        pen.rectangle(y - 0.12, 0.08, y + 0.12, 0.30, (200, 150, 50), INK)
        pen.polygon([(y - 0.09, 0.27), (y, 0.12), (y + 0.09, 0.27)], (60, 140, 90))


def _city(pen, k, j):
    _sky(pen, ((176, 206, 226), (250, 190, 160), (40, 44, 90), (210, 210, 200))[k], (108, 108, 116), 0.74)
    pen.rectangle(0, 0.74, 1, 0.78, (190, 190, 190))
    heights = ((0.5, 0.3, 0.62, 0.4), (0.25, 0.66, 0.35, 0.5), (0.6, 0.5, 0.24, 0.66), (0.4, 0.26, 0.4, 0.6))[k]
    colors = ((170, 80, 70), (90, 110, 140), (200, 170, 120), (120, 140, 110))
    light = (255, 240, 140) if k == 2 else (220, 240, 250)
    for n, h in enumerate(heights):
        top = j(0.74 - h)
        pen.rectangle(n * 0.25 + 0.01, top, n * 0.25 + 0.24, 0.74, colors[(n + k) % 4])
        for row in range(int(h / 0.11)):
            for col in (0.05, 0.14):
                pen.rectangle(n * 0.25 + col, top + 0.04 + row * 0.11, n * 0.25 + col + 0.055, top + 0.095 + row * 0.11, light)


def _desert(pen, k, j):
    _sky(pen, ((255, 226, 150), (250, 160, 100), (140, 210, 240), (120, 80, 120))[k], (226, 176, 96), 0.64)
    pen.ellipse(j((0.2, 0.8, 0.5, 0.75)[k]), 0.72, 0.5, 0.18, ((214, 150, 80), (196, 110, 70), (232, 190, 120), (150, 100, 90))[k])
    pen.ellipse(j((0.82, 0.2, 0.85, 0.3)[k]), j(0.15), 0.1, 0.1, ((255, 150, 30), (255, 240, 180), (255, 230, 60), (240, 230, 240))[k])
    for x in ((0.12,), (0.88,), (0.15, 0.6), (0.1, 0.9))[k]:
        x = j(x)
        pen.line([(x, 0.7), (x, 0.36)], (40, 120, 60), 0.07)
        pen.line([(x, 0.56), (x - 0.09, 0.54), (x - 0.09, 0.45)], (40, 120, 60), 0.045)
        pen.line([(x, 0.52), (x + 0.09, 0.5), (x + 0.09, 0.4)], (40, 120, 60), 0.045)


def _moon(pen, k, j):
    _sky(pen, ((14, 14, 34), (40, 16, 60), (8, 40, 60), (50, 20, 30))[k], (178, 178, 188), j(0.66))
    for n in range(16):
        x, y = ((n * 37 + k * 23) % 97) / 97, ((n * 53 + k * 31) % 61) / 100
        pen.ellipse(x, y, 0.012, 0.012, (255, 255, 230))
    for x, y, r in ((0.15, 0.78, 0.1), (0.6, 0.72, 0.08), (0.85, 0.86, 0.12), (0.4, 0.9, 0.09)):
        pen.ellipse(j((x + 0.23 * k) % 1), y, r, r * 0.35, (140, 140, 152))
    x = j((0.2, 0.8, 0.5, 0.3)[k])
    pen.ellipse(x, 0.2, 0.14, 0.14, ((50, 120, 220), (230, 150, 60), (200, 70, 60), (90, 190, 130))[k])
    if k == 1:
        pen.line([(x - 0.22, 0.24), (x + 0.22, 0.16)], (250, 220, 160), 0.035)
    else:
        pen.ellipse(x - 0.04, 0.17, 0.06, 0.045, ((60, 170, 80), None, (240, 140, 110), (240, 240, 200))[k])


def _mountain(pen, k, j):
    _sky(pen, ((110, 180, 240), (240, 190, 210), (190, 210, 220), (60, 80, 150))[k], (236, 242, 250), 0.68)
    stone = ((120, 126, 146), (150, 110, 130), (90, 110, 110), (80, 86, 120))[k]
    for x, h, w in (
        ((0.3, 0.56, 0.36),),
        ((0.7, 0.56, 0.36),),
        ((0.2, 0.4, 0.26), (0.75, 0.48, 0.3)),
        ((0.15, 0.5, 0.24), (0.5, 0.34, 0.24), (0.86, 0.5, 0.24)),
    )[k]:
        x = j(x)
        pen.polygon([(x - w, 0.68), (x, 0.68 - h), (x + w, 0.68)], stone)
        pen.polygon([(x - w * 0.36, 0.68 - h * 0.64), (x, 0.68 - h), (x + w * 0.36, 0.68 - h * 0.64), (x, 0.68 - h * 0.52)], (255, 255, 255))
    for x in ((0.85,), (0.12,), (0.5,), (0.33, 0.68))[k]:
        _tree(pen, j(x), 0.74, 0.36, (40, 96, 86), pine=True)


_PAINTERS = dict(zip(PLACES, (_forest, _beach, _kitchen, _bedroom, _city, _desert, _moon, _mountain), strict=True))
