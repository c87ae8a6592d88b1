"""What is held, worn on top or drawn around a figure: props, marks, food, an open book, lines of motion. Origin in the hand, or in the middle of the
head for marks; y up, in figure heights."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from story_ldm.data.toonstories2.brush import INK, Piece, blob, box, curve, darker, ellipse, lighter, ribbon
from story_ldm.data.toonstories2.heads import GOLD

WOOD, STEEL, CREAM, SHINE = (176, 120, 72), (168, 176, 190), (255, 246, 224), (255, 255, 255, 170)
MARKS_ON_BODY = ("star", "scarf")


def star(x: float, y: float, r: float, inner: float = 0.48, points: int = 5) -> np.ndarray:
    angles = [math.pi * k / points for k in range(2 * points)]
    return np.array([(x + (r if k % 2 == 0 else r * inner) * math.sin(a), y + (r if k % 2 == 0 else r * inner) * math.cos(a)) for k, a in enumerate(angles)])


# --- props -------------------------------------------------------------------------------------------------------------------------------


def _ball(p, c):
    p.shape(ellipse(0.02, 0.05, 0.125, 0.125), c, shade=0.05)
    p.shape(ribbon(curve((-0.095, 0.07), (0.02, 0.0), (0.135, 0.07)), 0.035), lighter(c, 0.75), None)
    p.shape(ellipse(-0.03, 0.115, 0.03, 0.022, 30), SHINE, None)


def _balloon(p, c):
    p.stroke(curve((0, 0), (0.05, 0.18), (0.03, 0.36)), 0.014)
    p.shape([(0.03, 0.385), (0.0, 0.345), (0.06, 0.345)], c)
    p.shape(ellipse(0.03, 0.54, 0.145, 0.17), c, shade=0.05)
    p.shape(ellipse(-0.025, 0.60, 0.025, 0.045, -25), SHINE, None)


def _umbrella(p, c):
    p.shape(ribbon([(0, -0.10), (0, 0.42)], 0.022), WOOD, line=0.012)
    p.stroke(curve((0, -0.10), (0.0, -0.16), (0.06, -0.13)), 0.03, WOOD)
    dome = [(0.265 * math.cos(math.pi * k / 16), 0.33 + 0.235 * math.sin(math.pi * k / 16)) for k in range(17)]
    hem = [(x, 0.33 + (0.035 if k % 2 else 0.0)) for k, x in enumerate((-0.265, -0.18, -0.09, 0.0, 0.09, 0.18, 0.265))][1:-1]
    p.shape(np.array([*dome, *hem]), c, shade=0.05)
    for x in (-0.1, 0.1):
        p.stroke(curve((0, 0.565), (x * 1.1, 0.50), (x, 0.335)), 0.012, darker(c))
    p.stroke([(0, 0.56), (0, 0.61)], 0.024)


def _flag(p, c):
    p.shape(ribbon([(0, -0.14), (0, 0.46)], 0.024), WOOD, line=0.012)
    p.shape(blob([(0.015, 0.46), (0.12, 0.43), (0.22, 0.465), (0.33, 0.43), (0.33, 0.25), (0.22, 0.285), (0.12, 0.25), (0.015, 0.28)], 4), c, shade=0.04)
    p.shape(ellipse(0, 0.475, 0.026, 0.026), GOLD, line=0.012)


def _book(p, c):
    p.shape(box(-0.10, -0.08, 0.12, 0.17, 0.015), c, shade=0.02)
    p.shape(box(-0.10, -0.08, -0.07, 0.17), darker(c, 0.35), None)
    p.shape(box(-0.035, 0.06, 0.085, 0.12), CREAM, None)
    p.shape([(0.128, -0.07), (0.145, -0.06), (0.145, 0.155), (0.128, 0.16)], CREAM, line=0.008)


def _kite(p, c):
    p.stroke(curve((0, 0), (0.02, 0.14), (0.12, 0.26)), 0.014)
    p.shape([(0.10, 0.22), (0.32, 0.36), (0.27, 0.68), (0.05, 0.50)], c, shade=0.03)
    p.shape([(0.27, 0.68), (0.05, 0.50), (0.165, 0.45)], lighter(c, 0.55), None)
    p.stroke([(0.10, 0.22), (0.27, 0.68)], 0.012)
    p.stroke([(0.05, 0.50), (0.32, 0.36)], 0.012)
    p.stroke(curve((0.10, 0.22), (0.22, 0.19), (0.20, 0.06)), 0.014)
    for x, y in ((0.185, 0.17), (0.205, 0.08)):
        p.shape([(x - 0.04, y + 0.025), (x + 0.04, y - 0.025), (x + 0.04, y + 0.025), (x - 0.04, y - 0.025)], GOLD, line=0.01)


def _gift(p, c):
    ribbon_colour = CREAM if sum(c) < 660 else (226, 58, 56)
    p.shape(box(-0.10, -0.08, 0.16, 0.12), c, shade=0.02)
    p.shape(box(-0.12, 0.09, 0.18, 0.16), c, shade=0.02)
    p.shape(box(0.01, -0.08, 0.05, 0.16), ribbon_colour, None)
    for s in (1, -1):
        p.shape(blob([(0.03, 0.165), (0.03 + s * 0.04, 0.23), (0.03 + s * 0.10, 0.22), (0.03 + s * 0.085, 0.165)], 4), ribbon_colour, line=0.012)


def _lantern(p, c):
    p.shape(ellipse(0.02, -0.10, 0.26, 0.26), (255, 232, 130, 60), None, glow=True)
    p.stroke(curve((-0.06, -0.01), (0.02, 0.09), (0.10, -0.01)), 0.02)
    p.shape([(-0.085, -0.02), (0.125, -0.02), (0.08, 0.04), (-0.04, 0.04)], c)
    p.shape(box(-0.08, -0.17, 0.12, -0.02), (255, 240, 150), glow=True)
    p.shape(blob([(0.02, -0.05), (0.055, -0.11), (0.02, -0.155), (-0.015, -0.11)], 4), (250, 150, 50), None, glow=True)
    p.shape(box(-0.10, -0.23, 0.14, -0.165, 0.015), c, shade=0.02)


def _bucket(p, c):
    p.stroke(curve((-0.085, -0.04), (0.02, 0.08), (0.125, -0.04)), 0.02, STEEL)
    p.shape([(-0.105, -0.03), (0.145, -0.03), (0.105, -0.23), (-0.065, -0.23)], c, shade=0.03)
    p.shape(ellipse(0.02, -0.03, 0.125, 0.035), darker(c, 0.45))
    p.shape(ellipse(0.02, -0.035, 0.095, 0.02), (130, 206, 246), None)


def _basket(p, c):
    p.shape(ribbon(curve((-0.12, -0.06), (0.02, 0.20), (0.16, -0.06), 10), 0.03), c, line=0.014)
    for x, fruit in ((-0.06, (226, 70, 60)), (0.03, (250, 190, 60)), (0.11, (120, 180, 70))):
        p.shape(ellipse(x, -0.055, 0.052, 0.05), fruit, line=0.012)
    p.shape(blob([(-0.14, -0.06), (0.02, -0.075), (0.18, -0.06), (0.14, -0.20), (0.02, -0.225), (-0.10, -0.20)], 4), c, shade=0.03)
    for k in range(3):
        p.stroke(curve((-0.12, -0.10 - 0.035 * k), (0.02, -0.12 - 0.035 * k), (0.16, -0.10 - 0.035 * k), 4), 0.01, darker(c, 0.3))


def _drum(p, c):
    p.shape(box(-0.12, -0.14, 0.18, 0.08), c, shade=0.03)
    for k in range(3):
        x = -0.12 + 0.1 * k
        p.stroke([(x, 0.07), (x + 0.05, -0.13), (x + 0.1, 0.07)], 0.014, GOLD)
    p.shape(ellipse(0.03, -0.14, 0.15, 0.035), c)
    p.shape(ellipse(0.03, 0.08, 0.15, 0.045), CREAM)
    for s in (1, -1):
        p.shape(ribbon([(0.03 + s * 0.03, 0.095), (0.03 + s * 0.16, 0.21)], 0.02), WOOD, line=0.01)
        p.shape(ellipse(0.03 + s * 0.025, 0.09, 0.024, 0.024), GOLD, line=0.01)


def _guitar(p, c):
    p.shape(ribbon([(0.02, 0.05), (0.20, 0.36)], 0.045), WOOD, line=0.014)
    p.shape(ribbon([(0.195, 0.35), (0.235, 0.42)], 0.075), (110, 70, 48), line=0.014)
    p.shape(blob([(0.05, 0.16), (0.13, 0.10), (0.11, 0.02), (0.13, -0.10), (0.02, -0.20), (-0.12, -0.15), (-0.15, -0.02), (-0.07, 0.03), (-0.06, 0.12)]), c, shade=0.04)
    p.shape(ellipse(0.0, -0.01, 0.042, 0.042), (70, 46, 42), None)
    p.shape(ribbon([(-0.075, -0.10), (-0.01, -0.135)], 0.024), (70, 46, 42), None)
    p.stroke([(-0.04, -0.11), (0.20, 0.34)], 0.01, CREAM)


def _key(p, c):
    p.shape(ellipse(0.0, 0.19, 0.095, 0.095), c, shade=0.03)
    p.shape(ellipse(0.0, 0.19, 0.042, 0.042), CREAM, line=0.012)
    p.shape(np.array([(-0.03, 0.11), (0.03, 0.11), (0.03, -0.05), (0.11, -0.05), (0.11, -0.09), (0.06, -0.09), (0.06, -0.125), (0.11, -0.125), (0.11, -0.17), (-0.03, -0.17)]), c)


def _letter(p, c):
    p.shape(box(-0.10, -0.07, 0.18, 0.12, 0.01), c, shade=0.02)
    p.stroke([(-0.10, 0.12), (0.04, 0.01), (0.18, 0.12)], 0.02)
    p.shape(blob([(0.04, -0.045), (0.085, 0.02), (0.065, 0.05), (0.04, 0.03), (0.015, 0.05), (-0.005, 0.02)], 4), (226, 58, 56) if c[0] < 220 or c[1] > 130 else CREAM, line=0.01)


def _ice_cream(p, c):
    p.shape([(-0.075, 0.09), (0.075, 0.09), (0.0, -0.12)], (232, 178, 108), shade=0.02)
    for s in (1, -1):
        p.stroke([(s * 0.045, 0.08), (-s * 0.02, -0.05)], 0.01, (178, 120, 66))
    p.shape(ellipse(0, 0.12, 0.105, 0.085), c, shade=0.03)
    p.shape(ellipse(0, 0.22, 0.082, 0.075), c, shade=0.03)
    p.shape(ellipse(0.0, 0.305, 0.03, 0.03), (226, 40, 60), line=0.012)
    p.shape(ellipse(-0.03, 0.24, 0.022, 0.016), SHINE, None)


def _teddy(p, c):
    muzzle = lighter(c, 0.55) if sum(c) < 640 else (226, 200, 180)
    for s in (1, -1):
        p.shape(ellipse(0.02 + s * 0.085, -0.17, 0.05, 0.042), c)
        p.shape(ellipse(0.02 + s * 0.115, -0.045, 0.05, 0.036, -s * 35), c)
        p.shape(ellipse(0.02 + s * 0.075, 0.165, 0.042, 0.042), c)
    p.shape(ellipse(0.02, -0.09, 0.095, 0.10), c, shade=0.03)
    p.shape(ellipse(0.02, 0.085, 0.11, 0.098), c, shade=0.03)
    p.shape(ellipse(0.02, 0.05, 0.05, 0.038), muzzle, None)
    for s in (1, -1):
        p.shape(ellipse(0.02 + s * 0.042, 0.105, 0.014, 0.016, corners=8), INK if sum(c) > 260 else CREAM, None)
    p.shape(ellipse(0.02, 0.062, 0.018, 0.013, corners=8), INK, None)


def _boat(p, c):
    p.stroke([(0.02, 0.0), (0.02, 0.32)], 0.024)
    p.shape([(0.045, 0.31), (0.045, 0.03), (0.20, 0.03)], CREAM, shade=0.02)
    p.shape([(-0.005, 0.27), (-0.005, 0.03), (-0.11, 0.03)], lighter(c, 0.6))
    p.shape(blob([(-0.16, 0.0), (0.02, -0.012), (0.22, 0.0), (0.14, -0.11), (0.02, -0.125), (-0.10, -0.11)], 4), c, shade=0.03)


def _pinwheel(p, c):
    p.shape(ribbon([(0, -0.16), (0, 0.26)], 0.02), WOOD, line=0.012)
    for k in range(4):
        a = math.radians(90 * k + 20)
        wing = np.array([(0, 0), (0.16, 0.0), (0.14, 0.12)]) @ np.array([(math.cos(a), math.sin(a)), (-math.sin(a), math.cos(a))]) + (0.0, 0.27)
        p.shape(wing, c if k % 2 == 0 else lighter(c, 0.55), line=0.014)
    p.shape(ellipse(0, 0.27, 0.028, 0.028), GOLD, line=0.012)


def _cup(p, c):
    p.shape(ellipse(0.135, 0.0, 0.06, 0.06), c).shape(ellipse(0.135, 0.0, 0.028, 0.032), CREAM, line=0.01)
    p.shape([(-0.095, 0.10), (0.12, 0.10), (0.095, -0.10), (-0.07, -0.10)], c, shade=0.03)
    p.shape(ellipse(0.0125, 0.10, 0.108, 0.032), (110, 70, 54), line=0.014)
    for x in (-0.02, 0.05):
        p.stroke([(x, 0.16), (x + 0.02, 0.20), (x - 0.01, 0.24), (x + 0.012, 0.28)], 0.016, (255, 255, 255, 200))


def _suitcase(p, c):
    p.stroke(np.array([(-0.05, -0.04), (-0.05, 0.03), (0.07, 0.03), (0.07, -0.04)]), 0.026)
    p.shape(box(-0.15, -0.24, 0.17, -0.03, 0.03), c, shade=0.03)
    for x in (-0.09, 0.11):
        p.shape(box(x - 0.018, -0.24, x + 0.018, -0.03), darker(c, 0.4), None)
    p.shape(box(-0.02, -0.075, 0.04, -0.035, 0.01), GOLD, line=0.009)


_PROPS = {
    "ball": _ball,
    "balloon": _balloon,
    "umbrella": _umbrella,
    "flag": _flag,
    "book": _book,
    "kite": _kite,
    "gift": _gift,
    "lantern": _lantern,
    "bucket": _bucket,
    "basket": _basket,
    "drum": _drum,
    "guitar": _guitar,
    "key": _key,
    "letter": _letter,
    "ice cream": _ice_cream,
    "teddy": _teddy,
    "boat": _boat,
    "pinwheel": _pinwheel,
    "cup": _cup,
    "suitcase": _suitcase,
}


@lru_cache(maxsize=1024)
def prop_piece(name: str, colour: tuple[int, int, int], light: tuple[float, float]) -> Piece:
    p = Piece(light)
    _PROPS[name](p, colour)
    return p


@lru_cache(maxsize=64)
def open_book(cover: tuple[int, int, int], light: tuple[float, float]) -> Piece:
    p = Piece(light)
    p.shape([(-0.19, 0.07), (0, 0.03), (0.19, 0.07), (0.19, -0.10), (0, -0.14), (-0.19, -0.10)], cover, shade=0.02)
    for s in (1, -1):
        p.shape([(0, 0.055), (s * 0.09, 0.098), (s * 0.168, 0.083), (s * 0.168, 0.058), (0, 0.02)], CREAM, line=0.009)
    p.stroke([(0, 0.03), (0, -0.13)], 0.016, darker(cover, 0.4))
    for s in (1, -1):
        p.shape(star(s * 0.098, -0.03, 0.036), lighter(cover, 0.6), None)
    return p


@lru_cache(maxsize=4)
def food(light: tuple[float, float]) -> Piece:
    """A sandwich at the mouth, with crumbs."""
    p = Piece(light)
    x, y = 0.05, -0.2
    for dx, dy in ((-0.13, -0.05), (0.17, -0.02), (0.19, -0.10), (-0.15, -0.13)):
        p.shape(ellipse(x + dx, y + dy, 0.015, 0.013, corners=8), (214, 160, 92), None)
    p.shape(blob([(x - 0.12, y - 0.045), (x + 0.12, y - 0.045), (x + 0.10, y - 0.085), (x - 0.10, y - 0.085)], 4), (226, 170, 98))
    p.shape(blob([(x - 0.135, y - 0.015), (x - 0.06, y - 0.035), (x, y - 0.015), (x + 0.07, y - 0.035), (x + 0.135, y - 0.015), (x, y - 0.055)], 4), (112, 190, 80), line=0.01)
    p.shape(box(x - 0.115, y - 0.02, x + 0.115, y + 0.002, 0.01), (232, 84, 70), line=0.008)
    p.shape(blob([(x - 0.125, y), (x - 0.09, y + 0.05), (x, y + 0.068), (x + 0.09, y + 0.05), (x + 0.125, y), (x, y - 0.012)], 4), (232, 178, 104), shade=0.02)
    return p


# --- marks -------------------------------------------------------------------------------------------------------------------------------

_TOPS = {"frog": 0.17, "lion": 0.20, "woman": 0.20, "girl": 0.19, "boy": 0.22, "man": 0.20, "alien": 0.20, "robot": 0.18, "dragon": 0.17, "duck": 0.19}


@lru_cache(maxsize=1024)
def mark_piece(mark: str, kind: str, turn: int, light: tuple[float, float]) -> Piece:
    from story_ldm.data.toonstories2.faces import layout_of

    p, y, at = Piece(light), _TOPS.get(kind, 0.165), layout_of(kind)
    if mark == "crown":
        p.shape([(-0.15, y - 0.02), (-0.175, y + 0.15), (-0.085, y + 0.075), (0, y + 0.18), (0.085, y + 0.075), (0.175, y + 0.15), (0.15, y - 0.02)], GOLD, shade=0.03)
        for x, c in ((-0.09, (226, 60, 70)), (0.0, (70, 150, 230)), (0.09, (226, 60, 70))):
            p.shape(ellipse(x, y + 0.03, 0.022, 0.022), c, None)
    elif mark == "top hat":
        p.shape(box(-0.125, y + 0.0, 0.125, y + 0.235, 0.02), (52, 48, 62), shade=0.03)
        p.shape(box(-0.125, y + 0.025, 0.125, y + 0.075), (200, 60, 80), None)
        p.shape(box(-0.215, y - 0.03, 0.215, y + 0.015, 0.022), (52, 48, 62))
    elif mark == "party hat":
        p.shape([(-0.13, y - 0.015), (0.0, y + 0.27), (0.13, y - 0.015)], (250, 96, 160), shade=0.03)
        for k, c in ((0.0, (255, 224, 90)), (0.4, (110, 214, 230))):
            a, b = y + 0.035 + k * 0.24, 0.108 - k * 0.115
            p.shape([(-b, a), (b, a + 0.03), (b - 0.02, a + 0.075), (-b + 0.02, a + 0.045)], c, None)
        p.shape(ellipse(0, y + 0.275, 0.048, 0.048), (255, 255, 255), shade=0.015)
    elif mark == "flower":
        x, c = 0.165, (255, 255, 255)
        for k in range(6):
            a = math.pi * k / 3
            p.shape(ellipse(x + 0.065 * math.sin(a), y - 0.015 + 0.065 * math.cos(a), 0.046, 0.046), c, line=0.014)
        for k in range(6):
            a = math.pi * k / 3
            p.shape(ellipse(x + 0.055 * math.sin(a), y - 0.015 + 0.055 * math.cos(a), 0.042, 0.042), c, None)
        p.shape(ellipse(x, y - 0.015, 0.043, 0.043), GOLD, line=0.01)
    elif mark == "glasses":
        x = 1.3 * at.shift * turn
        for s in (1, -1) if at.dx else (0,):
            ring = ellipse(x + s * max(at.dx, 0.09), at.y, 0.088, 0.088)
            p.shape(ring, (200, 236, 255, 50), None)
            p.stroke(np.concatenate([ring, ring[:1]]), 0.024, (214, 50, 90))
        if at.dx:
            p.stroke([(x - max(at.dx, 0.09) + 0.085, at.y + 0.01), (x + max(at.dx, 0.09) - 0.085, at.y + 0.01)], 0.022, (214, 50, 90))
    elif mark == "bow":
        for s in (1, -1):
            p.shape(blob([(s * 0.01, y + 0.04), (s * 0.13, y + 0.125), (s * 0.165, y + 0.04), (s * 0.12, y - 0.04)], 4), (240, 70, 130), shade=0.03)
        p.shape(ellipse(0, y + 0.04, 0.04, 0.045), (214, 40, 104))
    elif mark == "star":
        p.shape(star(0, 0, 0.115), (255, 206, 50), line=0.018)
        p.shape(star(-0.008, 0.008, 0.055), (255, 240, 150), None)
    elif mark == "scarf":
        c, d = (60, 190, 190), CREAM
        p.shape(blob([(0.10, 0.0), (0.19, -0.02), (0.20, -0.19), (0.10, -0.20)], 4), c, line=0.016)
        p.shape(box(0.10, -0.13, 0.195, -0.095), d, None)
        p.shape(blob([(-0.17, 0.04), (0, -0.005), (0.17, 0.04), (0.18, -0.025), (0, -0.085), (-0.18, -0.025)], 4), c, line=0.016)
        for x in (-0.1, 0.0, 0.1):
            p.shape(ribbon([(x - 0.01, 0.01), (x + 0.01, -0.06)], 0.03), d, None)
    return p


# --- what is drawn around a figure --------------------------------------------------------------------------------------------------------


def _letter_z(p: Piece, x: float, y: float, r: float) -> None:
    line = np.array([(x - r, y + r), (x + r, y + r), (x - r, y - r), (x + r, y - r)])
    for a, b in ((0, 1), (1, 2), (2, 3)):
        p.stroke(line[[a, b]], 0.06)
    for a, b in ((0, 1), (1, 2), (2, 3)):
        p.stroke(line[[a, b]], 0.028, (255, 255, 255), glow=True)


def _note(p: Piece, x: float, y: float) -> None:
    p.shape(ellipse(x, y, 0.042, 0.032, 20), INK, (255, 255, 255), line=0.012)
    p.stroke([(x + 0.034, y), (x + 0.034, y + 0.14), (x + 0.09, y + 0.105)], 0.05, (255, 255, 255))
    p.stroke([(x + 0.034, y), (x + 0.034, y + 0.14), (x + 0.09, y + 0.105)], 0.022)
    p.shape(ellipse(x, y, 0.042, 0.032, 20), INK, None)


def _dash(p: Piece, *line: tuple[float, float]) -> None:
    p.stroke(np.array(line), 0.044, INK)
    p.stroke(np.array(line), 0.022, (255, 255, 255))


@lru_cache(maxsize=64)
def effects(action: str, front: bool) -> Piece:
    """Lines of motion and the like, behind or before the figure."""
    p = Piece()
    if not front:
        if action == "sleep":  # a pillow
            p.shape(blob([(-0.68, 0.20), (-0.44, 0.22), (-0.20, 0.16), (-0.22, 0.0), (-0.46, -0.02), (-0.70, 0.0)]), (255, 252, 246), shade=0.05)
        elif action == "run":
            for y, a, b in ((0.52, -0.42, -0.60), (0.36, -0.46, -0.68), (0.20, -0.48, -0.62)):
                _dash(p, (a, y), (b, y))
            for x, y, r in ((-0.42, 0.035, 0.06), (-0.53, 0.03, 0.042)):
                p.shape(ellipse(x, y, r, r * 0.8), (244, 236, 222), line=0.014)
        elif action == "jump":
            for s in (1, -1):
                _dash(p, (s * 0.12, 0.12), (s * 0.12, 0.20))
            _dash(p, (0, 0.08), (0, 0.17))
        elif action == "fall":
            for x, y, dx, dy in ((0.50, 0.46, 0.06, 0.10), (0.38, 0.66, 0.03, 0.11), (-0.12, 0.80, -0.02, 0.11)):
                _dash(p, (x, y), (x + dx, y + dy))
        return p
    if action == "sleep":
        _letter_z(p, -0.30, 0.62, 0.05)
        _letter_z(p, -0.14, 0.78, 0.07)
    elif action == "dance":
        _note(p, -0.42, 0.62)
        _note(p, 0.44, 0.60)
    elif action == "cheer":
        for s in (1, -1):
            for a, r0, r1 in ((20, 0.50, 0.60), (48, 0.52, 0.62), (-4, 0.50, 0.60)):
                c, n = math.cos(math.radians(a)), math.sin(math.radians(a))
                _dash(p, (s * r0 * c, 0.62 + r0 * n), (s * r1 * c, 0.62 + r1 * n))
    elif action == "wave":
        _dash(p, *map(tuple, curve((0.44, 0.84), (0.51, 0.79), (0.50, 0.69), 5)))
        _dash(p, *map(tuple, curve((0.29, 0.86), (0.245, 0.81), (0.255, 0.74), 5)))
    elif action == "fall":
        for x, y, r in ((-0.62, 0.56, 0.06), (-0.50, 0.72, 0.05), (-0.70, 0.38, 0.045)):
            p.shape(star(x, y, r), (255, 220, 70), line=0.014)
    elif action in ("hug", "hold hands", "hold both"):
        x, y, r = (0.32, 1.04, 0.075) if action == "hug" else (0.37, 0.60, 0.05)
        p.shape(blob([(x, y - r), (x + r, y + 0.1 * r), (x + 0.85 * r, y + 0.75 * r), (x + 0.35 * r, y + 0.8 * r), (x, y + 0.4 * r), (x - 0.35 * r, y + 0.8 * r), (x - 0.85 * r, y + 0.75 * r), (x - r, y + 0.1 * r)], 4), (240, 80, 110), line=0.014)
    return p
