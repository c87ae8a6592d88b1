"""What is held. Origin in the hand, y up, in figure heights."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from story_ldm.data.toonstories2.brush import INK, Piece, blob, box, curve, darker, ellipse, lighter, ribbon, xy
from story_ldm.data.toonstories2.heads import GOLD

WOOD, STEEL, CREAM, SHINE = (176, 120, 72), (168, 176, 190), (255, 246, 224), (255, 255, 255, 170)


def star(x: float, y: float, r: float, inner: float = 0.48, points: int = 5) -> np.ndarray:
    angles = [math.pi * k / points for k in range(2 * points)]
    return np.array(
        [(x + (r if k % 2 == 0 else r * inner) * math.sin(a), y + (r if k % 2 == 0 else r * inner) * math.cos(a)) for k, a in enumerate(angles)]
    )


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
    p.shape(blob(xy(".015 .46, .12 .43, .22 .465, .33 .43, .33 .25, .22 .285, .12 .25, .015 .28"), 4), c, shade=0.04)
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
    p.shape(blob(xy(".05 .16, .13 .1, .11 .02, .13 -.1, .02 -.2, -.12 -.15, -.15 -.02, -.07 .03, -.06 .12")), c, shade=0.04)
    p.shape(ellipse(0.0, -0.01, 0.042, 0.042), (70, 46, 42), None)
    p.shape(ribbon([(-0.075, -0.10), (-0.01, -0.135)], 0.024), (70, 46, 42), None)
    p.stroke([(-0.04, -0.11), (0.20, 0.34)], 0.01, CREAM)


def _key(p, c):
    p.shape(ellipse(0.0, 0.19, 0.095, 0.095), c, shade=0.03)
    p.shape(ellipse(0.0, 0.19, 0.042, 0.042), CREAM, line=0.012)
    p.shape(np.array(xy("-.03 .11, .03 .11, .03 -.05, .11 -.05, .11 -.09, .06 -.09, .06 -.125, .11 -.125, .11 -.17, -.03 -.17")), c)


def _letter(p, c):
    p.shape(box(-0.10, -0.07, 0.18, 0.12, 0.01), c, shade=0.02)
    p.stroke([(-0.10, 0.12), (0.04, 0.01), (0.18, 0.12)], 0.02)
    p.shape(
        blob(xy(".04 -.045, .085 .02, .065 .05, .04 .03, .015 .05, -.005 .02"), 4), (226, 58, 56) if c[0] < 220 or c[1] > 130 else CREAM, line=0.01
    )


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
