"""Heads of all kinds, without the face: origin in the middle of the head, y up, in figure heights, turned to the viewer (turn 0) or right (turn 1)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from story_ldm.data.toonstories2.brush import INK, Palette, Piece, blob, box, curve, darker, ellipse, lighter, ribbon

RX, RY = 0.245, 0.215  # of the usual head
PINK = (242, 150, 160)
GOLD = (250, 196, 52)


def _round(fat: float = 1.0, rx: float = RX, ry: float = RY) -> np.ndarray:
    """A head with full cheeks."""
    half = [(0, ry), (0.55 * rx, 0.86 * ry), (0.93 * rx, 0.35 * ry), (0.98 * rx * fat, -0.3 * ry), (0.62 * rx * fat, -0.86 * ry), (0, -ry)]
    return blob([*half, *((-x, y) for x, y in half[-2:0:-1])])


def _two(piece: Piece, t: int, x: float, make, **how) -> None:
    """A pair (ears, horns), the far one a little nearer to the middle and first."""
    for side in (1, -1):
        shift = (0.05 if side > 0 else 0.03) * -t
        points = make(side)
        piece.shape(points + (side * x + shift, 0), **how)


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
        _person(p, kind, t)
    else:
        _HEADS[kind](p, t)
    return p


@lru_cache(maxsize=64)
def behind(kind: str, turn: int, light: tuple[float, float]) -> Piece:
    """What of the head is behind the body: long hair."""
    p, t = Piece(light), turn
    if kind == "girl":
        for side in (1, -1):
            x = side * 0.26 - 0.05 * t
            p.shape(blob([(x - 0.03 * side, 0.10), (x + 0.07 * side, 0.06), (x + 0.10 * side, -0.12), (x + 0.03 * side, -0.26), (x - 0.03 * side, -0.08)]), "hair", shade=0.03)
            p.shape(ellipse(x - 0.005 * side, 0.085, 0.032, 0.032), (236, 84, 112))
    elif kind == "woman":
        p.shape(blob([(0, 0.25), (0.24, 0.14), (0.27, -0.1), (0.25, -0.36), (0.1, -0.40), (-0.1, -0.40), (-0.25, -0.36), (-0.27, -0.1), (-0.24, 0.14)]) - (0.04 * t, 0), "hair", shade=0.05)
    return p


# --- animals and the like ----------------------------------------------------------------------------------------------------------------


def _bear(p, t):
    _two(p, t, 0.185, lambda s: ellipse(0, 0.165, 0.085, 0.085), fill="fur", shade=0.03)
    _two(p, t, 0.185, lambda s: ellipse(0, 0.16, 0.045, 0.045), fill="pale", ink=None)
    p.shape(_round(1.05), "fur", shade=0.07)
    _muzzle(p, t, 0.115, 0.09)
    _nose(p, 0.09 * t, -0.045, 0.042)


def _rabbit(p, t):
    for inner in (False, True):
        _two(p, t, 0.10, lambda s: ellipse(s * 0.03, 0.36, 0.035 if inner else 0.068, 0.15 if inner else 0.20, -s * 9), fill="acc" if inner else "fur", ink=None if inner else INK, shade=0 if inner else 0.03)
    p.shape(_round(1.1, 0.23, 0.205), "fur", shade=0.06)
    _muzzle(p, t, 0.10, 0.07, fill="pale")
    _nose(p, 0.09 * t, -0.055, 0.03, (226, 104, 130))


def _fox(p, t):
    _two(p, t, 0.15, lambda s: _pointed(s, 0.1, 0.27, 0.10, 0.06), fill="fur", shade=0.03)
    _two(p, t, 0.155, lambda s: _pointed(s, 0.05, 0.17, 0.13, 0.05), fill="dark", ink=None)
    x = 0.06 * t
    p.shape(blob([(0, 0.20), (0.16, 0.16), (0.24, 0.02), (0.31, -0.10), (0.17, -0.16), (x, -0.235), (-0.17, -0.16), (-0.31, -0.10), (-0.24, 0.02), (-0.16, 0.16)]), "fur", shade=0.06)
    for s in (1, -1):
        p.shape(blob([(x, -0.03), (x + s * 0.12, -0.06), (s * 0.285, -0.095), (s * 0.17, -0.15), (x, -0.222)]), "pale", None)
    _nose(p, 0.10 * t, -0.075, 0.038)


def _mouse(p, t):
    _two(p, t, 0.22, lambda s: ellipse(s * 0.02, 0.15, 0.15, 0.15), fill="fur", shade=0.04)
    _two(p, t, 0.22, lambda s: ellipse(s * 0.02, 0.14, 0.095, 0.095), fill="acc", ink=None)
    p.shape(_round(0.9, 0.225, 0.2), "fur", shade=0.06)
    _muzzle(p, t, 0.09, 0.065, -0.10, out=0.11)
    for s in (1, -1):
        for dy in (0.0, -0.035):
            p.stroke([(s * 0.10 + 0.08 * t, -0.09 + dy), (s * 0.24 + 0.07 * t, -0.075 + 2 * dy)], 0.011)
    _nose(p, 0.12 * t, -0.055, 0.036, (226, 104, 130))


def _frog(p, t):
    _two(p, t, 0.145, lambda s: ellipse(0, 0.145, 0.10, 0.10), fill="fur", shade=0.03)
    p.shape(_round(1.06, 0.29, 0.19), "fur", shade=0.06)
    p.shape(ellipse(0.05 * t, -0.11, 0.20, 0.065), "pale", None)


def _duck(p, t):
    p.stroke(curve((0, 0.19), (0.0, 0.29), (0.07 - 0.14 * t, 0.29)), 0.06, INK, 0.05)
    p.stroke(curve((0, 0.19), (0.0, 0.28), (0.06 - 0.12 * t, 0.28)), 0.03, "fur", 0.02)
    p.shape(_round(1.0, 0.22, 0.21), "fur", shade=0.06)


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
    p.shape(_round(1.06, 0.25, 0.2), "fur", shade=0.06)
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
    p.shape(_round(1.0, 0.225, 0.215), "fur", shade=0.06)
    p.shape(ellipse(-0.10 + 0.06 * t, 0.045, 0.085, 0.095, 12), "dark", None)
    _muzzle(p, t, 0.125, 0.095, -0.09, out=0.11)
    _nose(p, 0.12 * t, -0.035, 0.048)
    _ear(p, -1, -0.2)
    if not t:
        _ear(p, 1, 0.2)


def _ear(p, s, x):
    """A hanging one."""
    p.shape(blob([(x - s * 0.05, 0.18), (x + s * 0.06, 0.13), (x + s * 0.10, -0.05), (x + s * 0.04, -0.19), (x - s * 0.03, -0.12), (x - s * 0.01, 0.06)]), "dark", shade=0.03)


def _pig(p, t):
    _two(p, t, 0.165, lambda s: np.array([(-s * 0.07, 0.12), (s * 0.07, 0.26), (s * 0.11, 0.24), (s * 0.09, 0.04)]), fill="fur", shade=0.03)
    p.shape(_round(1.1, 0.25, 0.215), "fur", shade=0.06)
    x = 0.11 * t
    p.shape(ellipse(x, -0.06, 0.10, 0.072), "acc", line=0.014, shade=0.02)
    for s in (1, -1):
        p.shape(ellipse(x + s * 0.036, -0.06, 0.017, 0.028), (150, 62, 84), None)


def _lion(p, t):
    ring = [(r * np.cos(a), r * np.sin(a)) for k in range(24) for a in (k * np.pi / 12,) for r in (0.355 if k % 2 else 0.30,)]
    p.shape(blob(ring, 3) - (0.03 * t, 0), "dark", shade=0.05)
    _two(p, t, 0.17, lambda s: ellipse(0, 0.16, 0.062, 0.062), fill="fur")
    p.shape(_round(1.0, 0.215, 0.2), "fur", shade=0.05)
    _muzzle(p, t, 0.11, 0.08)
    _nose(p, 0.09 * t, -0.05, 0.042, (120, 58, 46))


def _penguin(p, t):
    p.shape(_round(1.0, 0.23, 0.215), "fur", shade=0.06)
    x = 0.05 * t
    p.shape(blob([(x, 0.07), (x + 0.10, 0.13), (x + 0.175, 0.04), (x + 0.15, -0.11), (x, -0.185), (x - 0.15, -0.11), (x - 0.175, 0.04), (x - 0.10, 0.13)]), "pale", None)


def _owl(p, t):
    _two(p, t, 0.16, lambda s: np.array([(-s * 0.09, 0.14), (s * 0.07, 0.30), (s * 0.09, 0.04)]), fill="dark")
    p.shape(_round(1.04, 0.25, 0.215), "fur", shade=0.06)
    for s in (1, -1):
        p.shape(ellipse(s * 0.10 + 0.04 * t, 0.005, 0.125, 0.13), "pale", None)


def _elephant(p, t):
    for s in (1, -1):
        x = s * 0.27 - 0.05 * t
        p.shape(blob([(x - s * 0.1, 0.16), (x + s * 0.08, 0.19), (x + s * 0.16, 0.02), (x + s * 0.08, -0.18), (x - s * 0.06, -0.14)]), "fur", shade=0.04)
        p.shape(blob([(x - s * 0.06, 0.11), (x + s * 0.06, 0.13), (x + s * 0.11, 0.01), (x + s * 0.05, -0.12), (x - s * 0.04, -0.1)]), "acc", None)
    p.shape(_round(0.94, 0.22, 0.22), "fur", shade=0.06)


def trunk(p: Piece, t: int) -> None:
    """The elephant's, over its mouth."""
    x = 0.05 + 0.05 * t
    line = np.concatenate([curve((x, -0.02), (x + 0.02, -0.17), (x + 0.05 + 0.04 * t, -0.235), 6), curve((x + 0.07 + 0.04 * t, -0.25), (x + 0.13, -0.28), (x + 0.16, -0.20), 5)])
    p.shape(ribbon(line, 0.115, 0.062), "fur", shade=0.02)
    for k in (2, 4, 6):
        (ax, ay) = line[k]
        p.stroke([(ax - 0.03, ay - 0.005), (ax + 0.03, ay + 0.002)], 0.011, "fur-")


def _dragon(p, t):
    for k, y in enumerate((0.24, 0.15, 0.03)):  # a comb down the back of the head
        x = (0.0, -0.19, -0.25)[k] if t else 0.0
        if t or k == 0:
            p.shape([(x - 0.06, y - 0.05), (x - 0.03 * t, y + 0.09), (x + 0.06, y - 0.03)], "acc")
    _two(p, t, 0.13, lambda s: blob([(-s * 0.045, 0.15), (s * 0.02, 0.29), (s * 0.10, 0.36), (s * 0.085, 0.24), (s * 0.05, 0.13)], 4), fill=(250, 236, 200))
    x = 0.10 * t
    p.shape(blob([(0, 0.205), (0.15, 0.185), (0.23, 0.06), (0.22 + x, -0.06), (0.20 + x, -0.17), (x, -0.215), (-0.20 + 0.5 * x, -0.17), (-0.235, -0.05), (-0.23, 0.06), (-0.15, 0.185)]), "fur", shade=0.06)
    p.shape(ellipse(0.02 + x, -0.125, 0.17, 0.075), "pale", None)
    for s in (1, -1):
        p.shape(ellipse(1.1 * x + s * 0.06, -0.075, 0.018, 0.015), "fur-", None)


# --- people ------------------------------------------------------------------------------------------------------------------------------


def _person(p: Piece, kind: str, t: int) -> None:
    x = -0.035 * t  # the hair lies away from the face
    if kind == "boy":
        p.shape(ellipse(x, 0.06, 0.252, 0.2), "hair")
    if kind == "man":
        p.shape(ellipse(x, 0.05, 0.236, 0.2), "hair")
    for s in (1, -1) if not t else (-1,):
        p.shape(ellipse(s * 0.225 + 0.09 * t, -0.025, 0.05, 0.055), "fur")
    p.shape(_round(0.96, 0.225, 0.21), "fur", shade=0.05)
    f = 0.05 * t
    if kind == "girl":  # parted fringe
        p.shape(blob([(f, 0.235), (0.16, 0.21), (0.245, 0.09), (0.24, -0.03), (0.19, 0.06), (0.07 + f, 0.125), (f - 0.02, 0.10), (-0.13, 0.125), (-0.21, 0.03), (-0.245, -0.04), (-0.25, 0.09), (-0.16, 0.21)]), "hair", shade=0.03)
    elif kind == "boy":  # tousled
        p.shape(blob([(-0.24, 0.0), (-0.27, 0.13), (-0.17, 0.22), (-0.13, 0.29), (-0.05, 0.24), (0.03, 0.315), (0.09, 0.245), (0.20, 0.255), (0.20, 0.18), (0.265, 0.12), (0.235, 0.0), (0.19, 0.10), (0.10, 0.07), (0.05, 0.12), (-0.03, 0.075), (-0.10, 0.12), (-0.19, 0.09)], 4), "hair", shade=0.03)
    elif kind == "woman":  # swept to one side
        p.shape(blob([(0, 0.25), (0.17, 0.20), (0.25, 0.06), (0.245, -0.12), (0.20, 0.0), (0.11, 0.09), (-0.05, 0.135), (-0.16, 0.06), (-0.20, -0.06), (-0.25, -0.12), (-0.25, 0.08), (-0.16, 0.21)]), "hair", shade=0.03)
    else:  # short, with a beard
        p.shape(blob([(-0.235, 0.0), (-0.25, 0.12), (-0.13, 0.245), (0.06, 0.255), (0.20, 0.19), (0.24, 0.08), (0.23, 0.0), (0.185, 0.10), (0.05, 0.135), (-0.12, 0.12), (-0.19, 0.08)], 4), "hair", shade=0.03)
        p.shape(blob([(f - 0.08, -0.055), (f, -0.07), (f + 0.08, -0.055), (0.16, -0.095), (0.2, -0.09), (0.185, -0.17), (0.11, -0.245), (0, -0.265), (-0.11, -0.245), (-0.185, -0.17), (-0.2, -0.09), (-0.16, -0.095)], 4), "hair", shade=0.03)
        p.shape(ellipse(f, -0.125, 0.085, 0.052), "fur", None)
    p.shape(ellipse(0.075 * t, -0.04, 0.024 + 0.006 * t, 0.02), "fur-", None)  # the nose


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

_SKIN = ((255, 224, 196), (234, 184, 140), (176, 116, 76), (122, 78, 54))
_HAIR = ((246, 208, 96), (118, 72, 42), (58, 46, 60), (214, 92, 40), (190, 190, 200))
# fur, pale (muzzle, belly), accent (inside of ears, bill, …), dark (second colour)
_PELTS = {
    "bear": (((150, 98, 58), (226, 190, 146), (226, 190, 146), (104, 66, 42)), ((112, 78, 62), (206, 172, 140), (206, 172, 140), (80, 54, 46)), ((206, 160, 104), (246, 222, 182), (246, 222, 182), (160, 116, 70))),
    "rabbit": (((246, 240, 240), (255, 255, 255), (248, 176, 190), (210, 200, 206)), ((196, 164, 132), (244, 230, 214), (244, 178, 178), (150, 118, 92)), ((170, 172, 186), (236, 236, 242), (244, 178, 190), (130, 132, 148))),
    "fox": (((240, 128, 48), (255, 246, 234), (255, 246, 234), (92, 52, 44)), ((214, 96, 40), (255, 240, 222), (255, 246, 234), (80, 46, 42)), ((246, 156, 74), (255, 250, 240), (255, 246, 234), (110, 64, 48))),
    "mouse": (((168, 166, 178), (230, 228, 234), (246, 172, 186), (126, 124, 138)), ((198, 186, 176), (242, 236, 228), (246, 172, 186), (150, 138, 128)), ((140, 148, 170), (222, 226, 236), (246, 172, 186), (104, 110, 132))),
    "frog": (((122, 194, 70), (214, 236, 150), (214, 236, 150), (74, 140, 54)), ((84, 176, 112), (206, 240, 190), (206, 240, 190), (50, 122, 82)), ((160, 196, 60), (236, 240, 160), (236, 240, 160), (112, 142, 40))),
    "duck": (((255, 220, 84), (255, 240, 170), (250, 146, 44), (232, 172, 52)), ((250, 248, 240), (255, 255, 255), (250, 146, 44), (210, 208, 206)), ((196, 156, 112), (234, 210, 176), (246, 160, 60), (140, 106, 78))),
    "robot": (((140, 172, 196), (200, 220, 234), (250, 190, 70), (92, 116, 144)), ((196, 200, 206), (230, 234, 238), (250, 110, 80), (130, 136, 148)), ((128, 188, 176), (196, 230, 222), (250, 190, 70), (84, 134, 128))),
    "alien": (((182, 132, 226), (222, 190, 246), (150, 240, 130), (134, 88, 182)), ((110, 202, 196), (190, 238, 230), (250, 220, 90), (66, 150, 150)), ((150, 214, 110), (214, 240, 180), (250, 150, 210), (104, 164, 74))),
    "cat": (((248, 172, 86), (255, 240, 220), (246, 170, 176), (206, 116, 50)), ((150, 150, 166), (232, 232, 238), (246, 170, 176), (104, 104, 122)), ((244, 228, 204), (255, 252, 244), (246, 170, 176), (190, 160, 130))),
    "dog": (((226, 182, 128), (255, 242, 222), (240, 150, 150), (150, 96, 58)), ((246, 240, 232), (255, 255, 255), (240, 150, 150), (122, 84, 62)), ((186, 132, 86), (244, 222, 192), (240, 150, 150), (108, 70, 48))),
    "pig": (((250, 184, 190), (255, 214, 216), (242, 140, 156), (222, 140, 152)), ((240, 166, 160), (252, 206, 200), (226, 120, 124), (204, 122, 120)), ((252, 208, 200), (255, 230, 224), (244, 160, 160), (228, 166, 160))),
    "lion": (((250, 200, 100), (255, 236, 190), (255, 236, 190), (178, 92, 40)), ((238, 180, 96), (255, 228, 180), (255, 228, 180), (130, 70, 44)), ((252, 218, 140), (255, 242, 208), (255, 242, 208), (206, 128, 52))),
    "penguin": (((62, 72, 98), (255, 255, 255), (252, 164, 52), (42, 50, 72)), ((88, 112, 150), (255, 255, 255), (252, 164, 52), (62, 82, 116)), ((76, 70, 84), (255, 250, 240), (250, 140, 60), (54, 48, 62))),
    "owl": (((160, 112, 76), (244, 222, 184), (250, 176, 60), (112, 74, 52)), ((150, 140, 150), (236, 232, 236), (250, 176, 60), (104, 94, 108)), ((216, 180, 130), (250, 238, 212), (246, 156, 60), (164, 124, 80))),
    "elephant": (((156, 172, 196), (198, 210, 226), (240, 182, 196), (116, 130, 156)), ((180, 176, 184), (216, 212, 220), (240, 182, 190), (136, 132, 142)), ((136, 150, 188), (184, 196, 224), (240, 176, 196), (98, 110, 150))),
    "dragon": (((80, 178, 120), (236, 232, 160), (248, 150, 60), (46, 126, 88)), ((214, 84, 84), (252, 218, 160), (252, 190, 70), (150, 50, 62)), ((98, 134, 214), (216, 226, 250), (250, 170, 80), (60, 90, 166))),
}


@lru_cache(maxsize=2048)
def palette(kind: str, look: int, cloth: tuple[int, int, int]) -> Palette:
    """The colours that a figure's pieces name."""
    if kind in _PELTS:
        fur, pale, accent, dark = _PELTS[kind][look % 3]
        hair, leg, shoe = dark, fur, fur
    else:
        skin, hair = _SKIN[look // 5 % 4], _HAIR[look % 5]
        fur, pale, accent, dark = skin, skin, (232, 110, 110), hair
        leg, shoe = {"man": ((70, 82, 116), (74, 56, 52)), "boy": ((92, 112, 156), (236, 236, 240))}.get(kind, (skin, (176, 72, 92)))
    named = {"fur": fur, "pale": pale, "acc": accent, "dark": dark, "hair": hair, "leg": leg, "shoe": shoe, "cloth": cloth, "sole": lighter(shoe, 0.45)}
    return (*named.items(), *((f"{name}-", darker(c, 0.28 if name == "cloth" else 0.2)) for name, c in named.items()))  # type: ignore[misc]
