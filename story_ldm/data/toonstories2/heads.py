"""Heads of animals and the like, without the face: origin in the middle of the head, y up, in figure heights, turned to the viewer (turn 0) or to the
right (turn 1)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from story_ldm.data.toonstories2.brush import INK, Piece, blob, box, curve, ellipse, moved, ribbon, xy
from story_ldm.data.toonstories2.people import person, round_head

GOLD = (250, 196, 52)


def _two(piece: Piece, t: int, x: float, make, **how) -> None:
    """A pair (ears, horns), the far one a little nearer to the middle and first."""
    for side in (1, -1):
        shift = (0.05 if side > 0 else 0.03) * -t
        points = make(side)
        piece.shape(moved(points, side * x + shift, 0), **how)


def _muzzle(p: Piece, t: int, rx=0.12, ry=0.085, y=-0.095, fill="pale", out=0.09) -> None:
    p.shape(ellipse(out * t, y, rx, ry), fill, None)


def _nose(p: Piece, x: float, y: float, r: float = 0.032, fill=INK) -> None:
    p.shape(blob([(x - r, y + 0.6 * r), (x + r, y + 0.6 * r), (x + 0.4 * r, y - 0.6 * r), (x - 0.4 * r, y - 0.6 * r)], 3), fill, None)
    p.shape(ellipse(x - 0.3 * r, y + 0.35 * r, 0.3 * r, 0.18 * r, corners=8), (255, 255, 255, 170), None)


def _pointed(side: int, w: float, h: float, y: float, out: float) -> np.ndarray:
    return np.array([(side * -w, y), (side * (out - 0.006), y + h), (side * (out + 0.01), y + h - 0.005), (side * w, y - 0.05)])


@lru_cache(maxsize=256)
def head(kind: str, turn: int, light: tuple[float, float]) -> Piece:
    p, t = Piece(light), turn
    if kind in ("girl", "boy", "woman", "man"):
        person(p, kind, t)
    else:
        _HEADS[kind](p, t)
    return p


# --- animals and the like ----------------------------------------------------------------------------------------------------------------


def _bear(p, t):
    _two(p, t, 0.185, lambda s: ellipse(0, 0.165, 0.085, 0.085), fill="fur", shade=0.03)
    _two(p, t, 0.185, lambda s: ellipse(0, 0.16, 0.045, 0.045), fill="pale", ink=None)
    p.shape(round_head(1.05), "fur", shade=0.07)
    _muzzle(p, t, 0.115, 0.09)
    _nose(p, 0.09 * t, -0.045, 0.042)


def _rabbit(p, t):
    _two(p, t, 0.10, lambda s: ellipse(s * 0.03, 0.36, 0.068, 0.20, -s * 9), fill="fur", shade=0.03)
    _two(p, t, 0.10, lambda s: ellipse(s * 0.03, 0.36, 0.035, 0.15, -s * 9), fill="acc", ink=None)
    p.shape(round_head(1.1, 0.23, 0.205), "fur", shade=0.06)
    _muzzle(p, t, 0.10, 0.07, fill="pale")
    _nose(p, 0.09 * t, -0.055, 0.03, (226, 104, 130))


def _fox(p, t):
    _two(p, t, 0.15, lambda s: _pointed(s, 0.1, 0.27, 0.10, 0.06), fill="fur", shade=0.03)
    _two(p, t, 0.155, lambda s: _pointed(s, 0.05, 0.17, 0.13, 0.05), fill="dark", ink=None)
    x = 0.06 * t
    p.shape(
        blob(
            [
                (0, 0.20),
                (0.16, 0.16),
                (0.24, 0.02),
                (0.31, -0.10),
                (0.17, -0.16),
                (x, -0.235),
                (-0.17, -0.16),
                (-0.31, -0.10),
                (-0.24, 0.02),
                (-0.16, 0.16),
            ]
        ),
        "fur",
        shade=0.06,
    )
    for s in (1, -1):
        p.shape(blob([(x, -0.03), (x + s * 0.12, -0.06), (s * 0.285, -0.095), (s * 0.17, -0.15), (x, -0.222)]), "pale", None)
    _nose(p, 0.10 * t, -0.075, 0.038)


def _mouse(p, t):
    _two(p, t, 0.22, lambda s: ellipse(s * 0.02, 0.15, 0.15, 0.15), fill="fur", shade=0.04)
    _two(p, t, 0.22, lambda s: ellipse(s * 0.02, 0.14, 0.095, 0.095), fill="acc", ink=None)
    p.shape(round_head(0.9, 0.225, 0.2), "fur", shade=0.06)
    _muzzle(p, t, 0.09, 0.065, -0.10, out=0.11)
    for s in (1, -1):
        for dy in (0.0, -0.035):
            p.stroke([(s * 0.10 + 0.08 * t, -0.09 + dy), (s * 0.24 + 0.07 * t, -0.075 + 2 * dy)], 0.011)
    _nose(p, 0.12 * t, -0.055, 0.036, (226, 104, 130))


def _frog(p, t):
    _two(p, t, 0.145, lambda s: ellipse(0, 0.145, 0.10, 0.10), fill="fur", shade=0.03)
    p.shape(round_head(1.06, 0.29, 0.19), "fur", shade=0.06)
    p.shape(ellipse(0.05 * t, -0.11, 0.20, 0.065), "pale", None)


def _duck(p, t):
    p.stroke(curve((0, 0.19), (0.0, 0.29), (0.07 - 0.14 * t, 0.29)), 0.06, INK, 0.05)
    p.stroke(curve((0, 0.19), (0.0, 0.28), (0.06 - 0.12 * t, 0.28)), 0.03, "fur", 0.02)
    p.shape(round_head(1.0, 0.22, 0.21), "fur", shade=0.06)


def _robot(p, t):
    p.stroke([(0, 0.19), (0, 0.33)], 0.035)
    p.shape(ellipse(0, 0.34, 0.045, 0.045), (250, 88, 72), shade=0.02)
    for s in (1, -1):
        p.shape(box(s * 0.22, -0.06, s * 0.30, 0.08, 0.03), "dark")
    p.shape(box(-0.24, -0.21, 0.24, 0.20, 0.06), "fur", shade=0.05)
    p.shape(box(-0.19 + 0.04 * t, -0.155, 0.19 + 0.04 * t, 0.135, 0.05), (28, 44, 66), None)


def _alien(p, t):
    for s in (1, -1):
        p.stroke(curve((s * 0.08, 0.18), (s * 0.12, 0.30), (s * 0.20 - 0.03 * t, 0.34)), 0.04)
        p.stroke(curve((s * 0.08, 0.18), (s * 0.12, 0.30), (s * 0.20 - 0.03 * t, 0.34)), 0.018, "fur")
        p.shape(ellipse(s * 0.21 - 0.03 * t, 0.35, 0.058, 0.058), "acc", shade=0.02)
    p.shape(blob([(0, 0.25), (0.19, 0.19), (0.26, 0.03), (0.17, -0.15), (0, -0.24), (-0.17, -0.15), (-0.26, 0.03), (-0.19, 0.19)]), "fur", shade=0.06)
    for x, y, r in ((-0.17, 0.12, 0.03), (0.12, 0.19, 0.022), (-0.19, 0.02, 0.018)):
        p.shape(ellipse(x, y, r, r), "fur-", None)


def _cat(p, t):
    _two(p, t, 0.15, lambda s: _pointed(s, 0.085, 0.17, 0.13, 0.03), fill="fur", shade=0.03)
    _two(p, t, 0.15, lambda s: _pointed(s, 0.045, 0.10, 0.145, 0.025), fill="acc", ink=None)
    p.shape(round_head(1.06, 0.25, 0.2), "fur", shade=0.06)
    for x in (-0.05, 0.0, 0.05):  # stripes on the forehead
        p.shape([(x - 0.013, 0.19), (x + 0.013, 0.19), (x * 0.9, 0.11)], "dark", None)
    for s in (1, -1):
        p.shape(ellipse(0.09 * t + s * 0.045, -0.10, 0.062, 0.05), "pale", None)
        for dy in (0.02, -0.02):
            p.stroke([(s * 0.13 + 0.07 * t, -0.09 + dy), (s * 0.30 + 0.05 * t, -0.08 + 2.5 * dy)], 0.012)
    _nose(p, 0.09 * t, -0.06, 0.028, (226, 104, 130))


def _dog(p, t):
    if t:
        _ear(p, 1, 0.185)
    p.shape(round_head(1.0, 0.225, 0.215), "fur", shade=0.06)
    p.shape(ellipse(-0.10 + 0.06 * t, 0.045, 0.085, 0.095, 12), "dark", None)
    _muzzle(p, t, 0.125, 0.095, -0.09, out=0.11)
    _nose(p, 0.12 * t, -0.035, 0.048)
    _ear(p, -1, -0.2)
    if not t:
        _ear(p, 1, 0.2)


def _ear(p, s, x):
    """A hanging one."""
    p.shape(
        blob([(x - s * 0.05, 0.18), (x + s * 0.06, 0.13), (x + s * 0.10, -0.05), (x + s * 0.04, -0.19), (x - s * 0.03, -0.12), (x - s * 0.01, 0.06)]),
        "dark",
        shade=0.03,
    )


def _pig(p, t):
    _two(p, t, 0.165, lambda s: np.array([(-s * 0.07, 0.12), (s * 0.07, 0.26), (s * 0.11, 0.24), (s * 0.09, 0.04)]), fill="fur", shade=0.03)
    p.shape(round_head(1.1, 0.25, 0.215), "fur", shade=0.06)
    x = 0.11 * t
    p.shape(ellipse(x, -0.06, 0.10, 0.072), "acc", line=0.014, shade=0.02)
    for s in (1, -1):
        p.shape(ellipse(x + s * 0.036, -0.06, 0.017, 0.028), (150, 62, 84), None)


def _lion(p, t):
    ring = [(r * np.cos(a), r * np.sin(a)) for k in range(24) for a in (k * np.pi / 12,) for r in (0.355 if k % 2 else 0.30,)]
    p.shape(blob(ring, 3) - (0.03 * t, 0), "dark", shade=0.05)
    _two(p, t, 0.17, lambda s: ellipse(0, 0.16, 0.062, 0.062), fill="fur")
    p.shape(round_head(1.0, 0.215, 0.2), "fur", shade=0.05)
    _muzzle(p, t, 0.11, 0.08)
    _nose(p, 0.09 * t, -0.05, 0.042, (120, 58, 46))


def _penguin(p, t):
    p.shape(round_head(1.0, 0.23, 0.215), "fur", shade=0.06)
    x = 0.05 * t
    p.shape(blob(xy("0 .07, .1 .13, .175 .04, .15 -.11, 0 -.185, -.15 -.11, -.175 .04, -.1 .13", x, 0)), "pale", None)


def _owl(p, t):
    _two(p, t, 0.16, lambda s: np.array([(-s * 0.09, 0.14), (s * 0.07, 0.30), (s * 0.09, 0.04)]), fill="dark")
    p.shape(round_head(1.04, 0.25, 0.215), "fur", shade=0.06)
    for s in (1, -1):
        p.shape(ellipse(s * 0.10 + 0.04 * t, 0.005, 0.125, 0.13), "pale", None)


def _elephant(p, t):
    for s in (1, -1):
        x = s * 0.27 - 0.05 * t
        p.shape(
            blob([(x - s * 0.1, 0.16), (x + s * 0.08, 0.19), (x + s * 0.16, 0.02), (x + s * 0.08, -0.18), (x - s * 0.06, -0.14)]), "fur", shade=0.04
        )
        p.shape(blob([(x - s * 0.06, 0.11), (x + s * 0.06, 0.13), (x + s * 0.11, 0.01), (x + s * 0.05, -0.12), (x - s * 0.04, -0.1)]), "acc", None)
    p.shape(round_head(0.94, 0.22, 0.22), "fur", shade=0.06)


def trunk(p: Piece, t: int) -> None:
    """The elephant's, over its mouth."""
    x = 0.05 + 0.05 * t
    line = np.concatenate(
        [
            curve((x, -0.02), (x + 0.02, -0.17), (x + 0.05 + 0.04 * t, -0.235), 6),
            curve((x + 0.07 + 0.04 * t, -0.25), (x + 0.13, -0.28), (x + 0.16, -0.20), 5),
        ]
    )
    p.shape(ribbon(line, 0.115, 0.062), "fur", shade=0.02)
    for k in (2, 4, 6):
        (ax, ay) = line[k]
        p.stroke([(ax - 0.03, ay - 0.005), (ax + 0.03, ay + 0.002)], 0.011, "fur-")


def _dragon(p, t):
    for k, y in enumerate((0.24, 0.15, 0.03)):  # a comb down the back of the head
        x = (0.0, -0.19, -0.25)[k] if t else 0.0
        if t or k == 0:
            p.shape([(x - 0.06, y - 0.05), (x - 0.03 * t, y + 0.09), (x + 0.06, y - 0.03)], "acc")
    _two(
        p,
        t,
        0.13,
        lambda s: blob([(-s * 0.045, 0.15), (s * 0.02, 0.29), (s * 0.10, 0.36), (s * 0.085, 0.24), (s * 0.05, 0.13)], 4),
        fill=(250, 236, 200),
    )
    x = 0.10 * t
    p.shape(
        blob(
            [
                (0, 0.205),
                (0.15, 0.185),
                (0.23, 0.06),
                (0.22 + x, -0.06),
                (0.20 + x, -0.17),
                (x, -0.215),
                (-0.20 + 0.5 * x, -0.17),
                (-0.235, -0.05),
                (-0.23, 0.06),
                (-0.15, 0.185),
            ]
        ),
        "fur",
        shade=0.06,
    )
    p.shape(ellipse(0.02 + x, -0.125, 0.17, 0.075), "pale", None)
    for s in (1, -1):
        p.shape(ellipse(1.1 * x + s * 0.06, -0.075, 0.018, 0.015), "fur-", None)


_HEADS = {
    "bear": _bear,
    "rabbit": _rabbit,
    "fox": _fox,
    "mouse": _mouse,
    "frog": _frog,
    "duck": _duck,
    "robot": _robot,
    "alien": _alien,
    "cat": _cat,
    "dog": _dog,
    "pig": _pig,
    "lion": _lion,
    "penguin": _penguin,
    "owl": _owl,
    "elephant": _elephant,
    "dragon": _dragon,
}
