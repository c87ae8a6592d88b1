"""What places are made of: ground, trees, bushes, rocks, flowers. Coordinates are those of the square frame, y downwards.

Each place has four layouts, which differ in what stands where and in its colours; figures cover the lower half only, and a layout can be told from
the rest. `j` shifts a thing a little, from story to story.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from story_ldm.data.toonstories2.brush import Colour, Piece, blob, box, curve, darker, ellipse, lighter

SUN_SIDE = (-0.6, -0.8)
THIN = 0.0065  # lines of scenery, in frames
FAINT = (70, 60, 80)
Jitter = Callable[[float], float]


class Stage(NamedTuple):
    """A place as pieces: `back` behind the figures, `fore` before them; through `windows` (x0, y0, x1, y1) the sky is seen, painted over `back`
    and under `frames`."""

    back: Piece
    fore: Piece
    windows: tuple[tuple[float, float, float, float], ...] = ()
    frames: Piece | None = None
    sky: bool = True
    horizon: float = 0.64
    fixed: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None  # a sky of its own, from top to horizon


def piece() -> Piece:
    return Piece(SUN_SIDE, THIN)


def ground(p: Piece, top, colour: Colour) -> None:
    """All below the line of points `top`."""
    p.shape(np.array([*top, (1.02, 1.02), (-0.02, 1.02)]), colour, None)


def rise(y0: float, y1: float, y2: float) -> np.ndarray:
    """A gentle line from left to right at the three heights."""
    return np.concatenate(
        [
            curve((-0.02, y0), (0.25, 2 * (y0 + y1) / 2 - (y0 + y1) / 2 + (y1 - y0) / 4), (0.5, y1)),
            curve((0.5, y1), (0.75, y1 + (y1 - y0) / 4), (1.02, y2)),
        ]
    )


def cluster(p: Piece, circles, fill, ink=FAINT) -> None:
    """Overlapping rounds as one shape: leaves, bushes, clouds."""
    for x, y, r in circles:
        p.shape(ellipse(x, y, r + THIN, (r + THIN) * 0.92), ink, None)
    for x, y, r in circles:
        p.shape(ellipse(x, y, r, r * 0.92), darker(fill, 0.14), None)
    for x, y, r in circles:
        p.shape(ellipse(x - 0.1 * r, y - 0.12 * r, r * 0.86, r * 0.76), fill, None)
    for x, y, r in circles:
        p.shape(ellipse(x - 0.3 * r, y - 0.36 * r, r * 0.4, r * 0.28, 20), lighter(fill, 0.22), None)


def tree(p: Piece, x: float, base: float, h: float, leaf, fruit=None) -> None:
    w = 0.022 + 0.03 * h
    p.shape(
        blob(
            [
                (x - 0.6 * w, base - 0.55 * h),
                (x + 0.6 * w, base - 0.55 * h),
                (x + 0.7 * w, base - 0.1 * h),
                (x + 1.5 * w, base),
                (x - 1.5 * w, base),
                (x - 0.7 * w, base - 0.1 * h),
            ],
            4,
        ),
        (134, 90, 60),
        FAINT,
        0.012,
    )
    r = h * 0.25
    cluster(
        p,
        [
            (x - 0.8 * r, base - 0.56 * h, r * 0.85),
            (x + 0.85 * r, base - 0.58 * h, r * 0.85),
            (x - 0.35 * r, base - 0.8 * h, r * 0.85),
            (x + 0.45 * r, base - 0.78 * h, r * 0.9),
            (x, base - 0.6 * h, r),
        ],
        leaf,
    )
    if fruit:
        for dx, dy in ((-0.9, -0.5), (0.1, -0.72), (0.9, -0.6), (-0.3, -0.48), (0.45, -0.46)):
            p.shape(ellipse(x + dx * r, base + dy * h, 0.016, 0.016), fruit, FAINT, line=0.004)


def pine(p: Piece, x: float, base: float, h: float, leaf, snow: bool = False) -> None:
    p.shape(box(x - 0.014, base - 0.15 * h, x + 0.014, base), (120, 82, 60), FAINT)
    for k in range(3):
        y, w = base - h * (0.1 + 0.26 * k), h * (0.27 - 0.055 * k)
        points = [
            (x - w, y),
            (x - 0.4 * w, y - 0.16 * h),
            (x, y - 0.40 * h),
            (x + 0.4 * w, y - 0.16 * h),
            (x + w, y),
            (x + 0.45 * w, y + 0.02),
            (x, y + 0.008),
            (x - 0.45 * w, y + 0.02),
        ]
        p.shape(points, leaf, FAINT)
        p.shape([(x + 0.12 * w, y - 0.34 * h), (x + w, y), (x + 0.45 * w, y + 0.018), (x + 0.25 * w, y - 0.1 * h)], darker(leaf, 0.18), None)
        if snow:
            p.shape(
                [
                    (x, y - 0.39 * h),
                    (x + 0.45 * w, y - 0.16 * h),
                    (x + 0.1 * w, y - 0.20 * h),
                    (x - 0.2 * w, y - 0.13 * h),
                    (x - 0.5 * w, y - 0.13 * h),
                ],
                (255, 255, 255),
                None,
            )


def bush(p: Piece, x: float, base: float, r: float, fill, flowers=None) -> None:
    cluster(p, [(x - 0.9 * r, base - 0.45 * r, 0.6 * r), (x + 0.9 * r, base - 0.45 * r, 0.6 * r), (x, base - 0.62 * r, 0.8 * r)], fill)
    if flowers:
        for dx, dy in ((-1.0, -0.5), (-0.4, -0.9), (0.1, -0.45), (0.5, -1.0), (1.0, -0.4)):
            p.shape(ellipse(x + dx * r, base + dy * r, 0.014, 0.014), flowers, None)


def rock(p: Piece, x: float, base: float, r: float, fill=(150, 148, 160)) -> None:
    p.shape(
        blob(
            [
                (x - r, base),
                (x - 0.8 * r, base - 0.5 * r),
                (x - 0.2 * r, base - 0.85 * r),
                (x + 0.55 * r, base - 0.65 * r),
                (x + r, base - 0.1 * r),
                (x + 0.9 * r, base + 0.02),
            ],
            3,
        ),
        fill,
        FAINT,
        0.25 * r,
    )


def tufts(p: Piece, places, colour, r: float = 0.03) -> None:
    for x, y in places:
        p.shape(
            [
                (x - r, y - 0.6 * r),
                (x - 0.3 * r, y),
                (x - 0.12 * r, y - 1.1 * r),
                (x + 0.15 * r, y),
                (x + r, y - 0.7 * r),
                (x + 0.5 * r, y + 0.2 * r),
                (x - 0.5 * r, y + 0.2 * r),
            ],
            colour,
            None,
        )


def blossom(p: Piece, x: float, y: float, colour, r: float = 0.016, stem: float = 0.05) -> None:
    p.stroke([(x, y), (x, y + stem)], 0.007, (74, 140, 70))
    for k in range(5):
        a = 2 * math.pi * k / 5
        p.shape(ellipse(x + r * math.sin(a), y - r * math.cos(a), 0.75 * r, 0.75 * r, corners=8), colour, None)
    p.shape(ellipse(x, y, 0.6 * r, 0.6 * r, corners=8), (255, 220, 90), None)


def path_colour(grass) -> tuple[int, int, int]:
    return lighter((214, 184, 126), 0.25) if grass[1] > 150 else (204, 176, 122)
