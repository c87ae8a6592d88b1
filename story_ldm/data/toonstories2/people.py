"""Heads of people and their hair. As in `heads.py`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from story_ldm.data.toonstories2.brush import Piece, blob, ellipse, xy

RX, RY = 0.245, 0.215  # of the usual head


def round_head(fat: float = 1.0, rx: float = RX, ry: float = RY) -> np.ndarray:
    """A head with full cheeks."""
    half = [(0, ry), (0.55 * rx, 0.86 * ry), (0.93 * rx, 0.35 * ry), (0.98 * rx * fat, -0.3 * ry), (0.62 * rx * fat, -0.86 * ry), (0, -ry)]
    return blob([*half, *((-x, y) for x, y in half[-2:0:-1])])


@lru_cache(maxsize=64)
def behind(kind: str, turn: int, light: tuple[float, float]) -> Piece:
    """What of the head is behind the body: long hair."""
    p, t = Piece(light), turn
    if kind == "girl":
        for side in (1, -1):
            x = side * 0.26 - 0.05 * t
            p.shape(
                blob(
                    [(x - 0.03 * side, 0.10), (x + 0.07 * side, 0.06), (x + 0.10 * side, -0.12), (x + 0.03 * side, -0.26), (x - 0.03 * side, -0.08)]
                ),
                "hair",
                shade=0.03,
            )
            p.shape(ellipse(x - 0.005 * side, 0.085, 0.032, 0.032), (236, 84, 112))
    elif kind == "woman":
        p.shape(blob(xy("0 .25, .24 .14, .27 -.1, .25 -.36, .1 -.4, -.1 -.4, -.25 -.36, -.27 -.1, -.24 .14")) - (0.04 * t, 0), "hair", shade=0.05)
    return p


def person(p: Piece, kind: str, t: int) -> None:
    x = -0.035 * t  # the hair lies away from the face
    if kind == "boy":
        p.shape(ellipse(x, 0.06, 0.252, 0.2), "hair")
    if kind == "man":
        p.shape(ellipse(x, 0.05, 0.236, 0.2), "hair")
    for s in (1, -1) if not t else (-1,):
        p.shape(ellipse(s * 0.225 + 0.09 * t, -0.025, 0.05, 0.055), "fur")
    p.shape(round_head(0.96, 0.225, 0.21), "fur", shade=0.05)
    f = 0.05 * t
    if kind == "girl":  # parted fringe
        p.shape(
            blob(
                [
                    (f, 0.235),
                    *xy(".16 .21, .245 .09, .24 -.03, .19 .06"),
                    (0.07 + f, 0.125),
                    (f - 0.02, 0.1),
                    *xy("-.13 .125, -.21 .03, -.245 -.04, -.25 .09, -.16 .21"),
                ]
            ),
            "hair",
            shade=0.03,
        )
    elif kind == "boy":  # tousled
        p.shape(
            blob(
                xy(
                    "-.24 0, -.27 .13, -.17 .22, -.13 .29, -.05 .24, .03 .315, .09 .245, .2 .255, .2 .18, "
                    ".265 .12, .235 0, .19 .1, .1 .07, .05 .12, -.03 .075, -.1 .12, -.19 .09"
                ),
                4,
            ),
            "hair",
            shade=0.03,
        )
    elif kind == "woman":  # swept to one side
        p.shape(
            blob(xy("0 .25, .17 .2, .25 .06, .245 -.12, .2 0, .11 .09, -.05 .135, -.16 .06, -.2 -.06, -.25 -.12, -.25 .08, -.16 .21")),
            "hair",
            shade=0.03,
        )
    else:  # short, with a beard
        p.shape(
            blob(xy("-.235 0, -.25 .12, -.13 .245, .06 .255, .2 .19, .24 .08, .23 0, .185 .1, .05 .135, -.12 .12, -.19 .08"), 4), "hair", shade=0.03
        )
        p.shape(
            blob(
                [
                    *xy("-.08 -.055, 0 -.07, .08 -.055", f),
                    *xy(".16 -.095, .2 -.09, .185 -.17, .11 -.245, 0 -.265, -.11 -.245, -.185 -.17, -.2 -.09, -.16 -.095"),
                ],
                4,
            ),
            "hair",
            shade=0.03,
        )
        p.shape(ellipse(f, -0.125, 0.085, 0.052), "fur", None)
    p.shape(ellipse(0.075 * t, -0.04, 0.024 + 0.006 * t, 0.02), "fur-", None)  # the nose
