"""Faces: neutral, happy, sad, angry, surprised; asleep, with shut eyes. Coordinates as in `heads.py`."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from story_ldm.data.toonstories2.brush import INK, Piece, blob, curve, ellipse
from story_ldm.data.toonstories2.heads import trunk

MOUTH, TONGUE, BLUSH, TEAR, WHITE = (132, 40, 52), (240, 122, 130), (246, 120, 120, 120), (120, 196, 250), (255, 255, 255)


class Layout(NamedTuple):
    """Where a kind has its features."""

    dx: float = 0.095  # of the eyes, from the middle
    y: float = 0.03
    eye: float = 0.036  # half the height of an eye
    shift: float = 0.065  # of the eyes of a head turned aside
    mouth: float = -0.115
    mouth_shift: float = 0.09
    style: str = "mouth"  # or "beak", "screen"
    brow: float = 0.095  # above the eyes
    size: float = 1.0  # of the mouth


_LAYOUTS = {
    "bear": Layout(mouth=-0.13),
    "rabbit": Layout(mouth=-0.12, eye=0.042, dx=0.1),
    "fox": Layout(mouth=-0.15, size=0.85, dx=0.105),
    "mouse": Layout(mouth=-0.125, size=0.85, dx=0.085, mouth_shift=0.085),
    "frog": Layout(dx=0.145, y=0.15, eye=0.042, mouth=-0.08, size=1.5, brow=0.115, shift=0.02, mouth_shift=0.05),
    "duck": Layout(y=0.06, mouth=-0.075, style="beak", dx=0.09, size=1.1),
    "robot": Layout(style="screen", y=0.03, mouth=-0.085, dx=0.09, shift=0.045, mouth_shift=0.045, eye=0.04, brow=0.08),
    "alien": Layout(dx=0.0, y=0.055, eye=0.05, mouth=-0.125, mouth_shift=0.05, shift=0.05, brow=0.135),
    "cat": Layout(mouth=-0.115, eye=0.044, dx=0.11, size=0.85),
    "dog": Layout(mouth=-0.13, mouth_shift=0.11, dx=0.095, y=0.045),
    "pig": Layout(y=0.065, mouth=-0.16, dx=0.105, mouth_shift=0.08, size=0.8, brow=0.085),
    "lion": Layout(dx=0.085, mouth=-0.125, size=0.9, brow=0.085),
    "penguin": Layout(dx=0.075, y=0.025, mouth=-0.085, style="beak", size=0.75, shift=0.055, mouth_shift=0.075),
    "owl": Layout(dx=0.10, y=0.01, eye=0.06, mouth=-0.085, style="beak", size=0.6, shift=0.045, mouth_shift=0.07, brow=0.12),
    "elephant": Layout(dx=0.1, y=0.05, mouth=-0.15, mouth_shift=-0.075, size=0.8, shift=0.06),
    "dragon": Layout(dx=0.1, y=0.065, mouth=-0.14, mouth_shift=0.1, size=1.05, brow=0.085),
}
_PERSON = Layout(dx=0.09, y=0.0, mouth=-0.115, mouth_shift=0.055, shift=0.055, brow=0.085, size=0.9)


def layout_of(kind: str) -> Layout:
    return _LAYOUTS.get(kind, _PERSON)


@lru_cache(maxsize=1024)
def face(kind: str, mood: str, turn: int, light: tuple[float, float]) -> Piece:
    """`mood`: a name of FACES, or "asleep"."""
    at, p = layout_of(kind), Piece(light, line=0.014)
    x, mx = 1.3 * at.shift * turn, at.mouth_shift * (1.15 * turn if kind != "elephant" else 1.0)
    pairs = (0,) if at.dx == 0 else (1, -1)
    if at.style == "screen":
        _screen(p, mood, at, x)
        return p
    if mood in ("happy", "angry"):
        for s in (1, -1):
            reach = max(at.dx, 0.1) + 0.055
            colour = BLUSH if mood == "happy" else (226, 60, 60, 120)
            p.shape(ellipse(x + s * reach * (0.8 if s * turn > 0 else 1), at.y - 0.085 if kind != "frog" else -0.02, 0.042, 0.03), colour, None)
    for s in pairs:
        _eye(p, mood, x + s * at.dx * (0.86 if s * turn > 0 else 1), at.y, at.eye, s, big=kind in ("frog", "owl", "alien"))
    (_beak if at.style == "beak" else _mouth)(p, mood, mx, at.mouth, at.size)
    if kind == "elephant":
        trunk(p, turn)
    for s in pairs:
        _brow(p, mood, x + s * at.dx * (0.9 if s * turn > 0 else 1), at.y + at.brow, s)
    if mood == "sad":  # a big tear on the cheek
        tx, ty = x - (at.dx or 0.03) - 0.015, at.y - 0.10
        p.shape(blob([(tx, ty + 0.075), (tx + 0.033, ty), (tx, ty - 0.033), (tx - 0.033, ty)], 4), TEAR, (54, 104, 180), line=0.009)
        p.shape(ellipse(tx - 0.008, ty + 0.004, 0.009, 0.014, corners=8), WHITE, None)
    return p


def _eye(p: Piece, mood: str, x: float, y: float, r: float, s: int, big: bool) -> None:
    w = r * 0.78
    if mood == "asleep":
        p.stroke(curve((x - 1.4 * w, y + 0.004), (x, y - 0.045), (x + 1.4 * w, y + 0.004), 6), 0.021)
        return
    if mood == "happy":  # arcs of joy
        if big:
            p.shape(ellipse(x, y, r * 1.5, r * 1.5), WHITE, None)
        p.stroke(curve((x - 1.45 * w, y - 0.022), (x, y + 0.075), (x + 1.45 * w, y - 0.022), 6), 0.026)
        return
    if mood == "surprised":
        p.shape(ellipse(x, y, r * 1.65, r * 1.8), WHITE, line=0.016)
        p.shape(ellipse(x, y, r * 0.62, r * 0.7), INK, None)
        return
    if big:
        p.shape(ellipse(x, y, r * 1.5, r * 1.5), WHITE, INK, line=0.01)
        p.shape(ellipse(x, y - (0.012 if mood == "sad" else 0), r * 0.85, r * 0.95), INK, None)
    else:
        p.shape(ellipse(x, y, w, r), INK, None)
    p.shape(ellipse(x - 0.28 * r, y + 0.38 * r, 0.32 * r, 0.34 * r, corners=8), WHITE, None)
    if mood == "angry":  # a lid that slants inwards
        lid = np.array(
            [(x + s * 2.0 * r, y + 0.95 * r), (x + s * 2.0 * r, y + 1.6 * r), (x - s * 1.9 * r, y + 1.6 * r), (x - s * 1.9 * r, y - 0.1 * r)]
        )
        p.shape(
            lid if s else np.array([(x - 2 * r, y + 0.4 * r), (x + 2 * r, y + 0.4 * r), (x + 2 * r, y + 1.6 * r), (x - 2 * r, y + 1.6 * r)]),
            "fur",
            None,
        )


def _brow(p: Piece, mood: str, x: float, y: float, s: int) -> None:
    if mood == "angry":
        if s == 0:
            p.stroke([(x - 0.10, y), (x, y - 0.055), (x + 0.10, y)], 0.036)
        else:
            p.stroke([(x + s * 0.07, y + 0.012), (x - s * 0.075, y - 0.068)], 0.036, end=0.04)
    elif mood == "sad":
        if s == 0:
            p.stroke([(x - 0.10, y - 0.06), (x, y + 0.0), (x + 0.10, y - 0.06)], 0.026)
        else:
            p.stroke([(x + s * 0.07, y - 0.038), (x - s * 0.06, y + 0.025)], 0.026)
    elif mood == "surprised":
        p.stroke(curve((x - 0.05, y + 0.012), (x, y + 0.055), (x + 0.05, y + 0.012), 6), 0.021)


def _mouth(p: Piece, mood: str, x: float, y: float, k: float) -> None:
    if mood == "happy":
        w, d = 0.088 * k, 0.085 * min(k, 1.1)
        smile = np.concatenate(
            [
                curve((x - w, y + 0.022), (x, y + 0.0), (x + w, y + 0.022), 5),
                curve((x + w, y + 0.022), (x + 0.5 * w, y - d), (x, y - d), 5)[1:],
                curve((x, y - d), (x - 0.5 * w, y - d), (x - w, y + 0.022), 5)[1:-1],
            ]
        )
        p.shape(smile, MOUTH, line=0.013)
        p.shape(ellipse(x, y - 0.62 * d, 0.42 * w, 0.24 * d), TONGUE, None)
    elif mood == "sad":
        p.stroke(curve((x - 0.062 * k, y - 0.045), (x, y + 0.045), (x + 0.062 * k, y - 0.045), 7), 0.024)
    elif mood == "angry":  # bared teeth
        w = 0.08 * k
        p.shape(
            blob([(x - w, y - 0.04), (x - 0.55 * w, y + 0.018), (x + 0.55 * w, y + 0.018), (x + w, y - 0.04), (x, y - 0.028)], 4), WHITE, line=0.016
        )
        for dx in (-0.4, 0.0, 0.4):
            p.stroke([(x + dx * w, y + 0.015), (x + dx * w, y - 0.03)], 0.009)
    elif mood == "surprised":
        p.shape(ellipse(x, y - 0.02, 0.04 * k**0.5, 0.055), MOUTH, line=0.015)
        p.shape(ellipse(x, y - 0.048, 0.022, 0.016), TONGUE, None)
    elif mood == "asleep":
        p.shape(ellipse(x, y - 0.008, 0.022, 0.02), MOUTH, line=0.008)
    else:
        p.stroke(curve((x - 0.048 * k, y + 0.008), (x, y - 0.02), (x + 0.048 * k, y + 0.008), 6), 0.02)


def _beak(p: Piece, mood: str, x: float, y: float, k: float) -> None:
    """An upper and a lower bill in the accent colour."""
    w = 0.13 * k
    drop = {"happy": 0.085, "surprised": 0.10, "angry": 0.035}.get(mood, 0.0) * (0.6 + 0.4 * k)
    bend = {"happy": 0.03, "sad": -0.045, "angry": -0.025}.get(mood, 0.0)  # of the corners
    if drop:
        p.shape(
            blob([(x - 0.8 * w, y), (x + 0.8 * w, y), (x + 0.5 * w, y - drop), (x, y - 1.2 * drop), (x - 0.5 * w, y - drop)], 4), MOUTH, line=0.014
        )
        p.shape(blob([(x - 0.6 * w, y - 0.72 * drop), (x + 0.6 * w, y - 0.72 * drop), (x, y - 1.45 * drop)], 4), "acc", line=0.012)
    top = [(x, y + 0.06), (x + 0.6 * w, y + 0.03), (x + w, y + bend), (x + 0.5 * w, y - 0.03), (x, y - 0.034 + (0.014 if mood == "sad" else 0))]
    p.shape(blob([*top, *((2 * x - a, b) for a, b in top[-2:0:-1])], 4), "acc", line=0.014, shade=0.02)
    for s in (1, -1):
        p.shape(ellipse(x + s * 0.025, y + 0.03, 0.008, 0.008, corners=6), INK, None)


def _screen(p: Piece, mood: str, at: Layout, x: float) -> None:
    """A robot's display, in light."""
    c = {"sad": (120, 190, 255), "angry": (255, 104, 90)}.get(mood, (124, 250, 230))
    for s in (1, -1):
        ex, y, r = x + s * at.dx, at.y, at.eye
        if mood == "happy":
            p.stroke(curve((ex - 0.05, y - 0.02), (ex, y + 0.08), (ex + 0.05, y - 0.02), 6), 0.026, c)
        elif mood == "asleep":
            p.stroke(curve((ex - 0.045, y), (ex, y - 0.04), (ex + 0.045, y), 6), 0.02, c)
        elif mood == "surprised":
            p.shape(ellipse(ex, y, 0.055, 0.062), c, None).shape(ellipse(ex, y, 0.028, 0.034), (28, 44, 66), None)
        elif mood == "angry":
            p.shape([(ex - s * 0.055, y - 0.005), (ex + s * 0.055, y + 0.055), (ex + s * 0.05, y - 0.035), (ex - s * 0.035, y - 0.035)], c, None)
        elif mood == "sad":
            p.shape([(ex - s * 0.05, y + 0.05), (ex + s * 0.055, y - 0.015), (ex + s * 0.04, y - 0.04), (ex - s * 0.045, y - 0.03)], c, None)
        else:
            p.shape(ellipse(ex, y, 0.8 * r, r), c, None)
    y = at.mouth
    if mood == "happy":
        p.shape(blob([(x - 0.08, y + 0.025), (x, y + 0.012), (x + 0.08, y + 0.025), (x, y - 0.05)], 4), c, None)
    elif mood in ("sad", "angry"):
        p.stroke(curve((x - 0.07, y - 0.035), (x, y + 0.045), (x + 0.07, y - 0.035), 6), 0.024, c)
    elif mood == "surprised":
        p.shape(ellipse(x, y - 0.008, 0.034, 0.045), c, None).shape(ellipse(x, y - 0.008, 0.016, 0.025), (28, 44, 66), None)
    else:
        p.stroke([(x - 0.05, y), (x + 0.05, y)], 0.022, c)
    if mood == "sad":
        p.shape(
            blob([(x - 0.105, y + 0.085), (x - 0.08, y + 0.03), (x - 0.105, y + 0.005), (x - 0.13, y + 0.03)], 4), TEAR, (54, 104, 180), line=0.009
        )
