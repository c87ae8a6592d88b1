"""What is worn on top, what is eaten and read, and lines of motion around a figure. Marks have their origin in the middle of the head (or of the
chest), all else between the feet; y up, in figure heights."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from story_ldm.data.toonstories2.brush import INK, Piece, blob, box, curve, darker, ellipse, lighter, ribbon, xy
from story_ldm.data.toonstories2.faces import layout_of
from story_ldm.data.toonstories2.heads import GOLD
from story_ldm.data.toonstories2.props import CREAM, star

MARKS_ON_BODY = ("star", "scarf")


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
    p.shape(blob(xy("-.135 -.015, -.06 -.035, 0 -.015, .07 -.035, .135 -.015, 0 -.055", x, y), 4), (112, 190, 80), line=0.01)
    p.shape(box(x - 0.115, y - 0.02, x + 0.115, y + 0.002, 0.01), (232, 84, 70), line=0.008)
    p.shape(blob(xy("-.125 0, -.09 .05, 0 .068, .09 .05, .125 0, 0 -.012", x, y), 4), (232, 178, 104), shade=0.02)
    return p


# --- marks -------------------------------------------------------------------------------------------------------------------------------

_TOPS = {
    "frog": 0.17,
    "lion": 0.20,
    "woman": 0.20,
    "girl": 0.19,
    "boy": 0.22,
    "man": 0.20,
    "alien": 0.20,
    "robot": 0.18,
    "dragon": 0.17,
    "duck": 0.19,
}


@lru_cache(maxsize=1024)
def mark_piece(mark: str, kind: str, turn: int, light: tuple[float, float]) -> Piece:
    p, y, at = Piece(light), _TOPS.get(kind, 0.165), layout_of(kind)
    if mark == "crown":
        p.shape(xy("-.15 -.02, -.175 .15, -.085 .075, 0 .18, .085 .075, .175 .15, .15 -.02", 0, y), GOLD, shade=0.03)
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
        p.shape(
            blob(
                [
                    (x, y - r),
                    (x + r, y + 0.1 * r),
                    (x + 0.85 * r, y + 0.75 * r),
                    (x + 0.35 * r, y + 0.8 * r),
                    (x, y + 0.4 * r),
                    (x - 0.35 * r, y + 0.8 * r),
                    (x - 0.85 * r, y + 0.75 * r),
                    (x - r, y + 0.1 * r),
                ],
                4,
            ),
            (240, 80, 110),
            line=0.014,
        )
    return p
