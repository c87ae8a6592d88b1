"""Places in the open: forest, beach, desert, moon, mountain, garden, sea, snow. Coordinates are those of the square frame, y downwards.

Each place has four layouts, which differ in what stands where and in its colours; figures cover the lower half only, and a layout can be told from
the rest. `j` shifts a thing a little, from story to story.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from story_ldm.data.toonstories2.brush import Colour, Piece, blob, box, curve, darker, ellipse, lighter, ribbon

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
    return np.concatenate([curve((-0.02, y0), (0.25, 2 * (y0 + y1) / 2 - (y0 + y1) / 2 + (y1 - y0) / 4), (0.5, y1)), curve((0.5, y1), (0.75, y1 + (y1 - y0) / 4), (1.02, y2))])


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
    p.shape(blob([(x - 0.6 * w, base - 0.55 * h), (x + 0.6 * w, base - 0.55 * h), (x + 0.7 * w, base - 0.1 * h), (x + 1.5 * w, base), (x - 1.5 * w, base), (x - 0.7 * w, base - 0.1 * h)], 4), (134, 90, 60), FAINT, 0.012)
    r = h * 0.25
    cluster(p, [(x - 0.8 * r, base - 0.56 * h, r * 0.85), (x + 0.85 * r, base - 0.58 * h, r * 0.85), (x - 0.35 * r, base - 0.8 * h, r * 0.85), (x + 0.45 * r, base - 0.78 * h, r * 0.9), (x, base - 0.6 * h, r)], leaf)
    if fruit:
        for dx, dy in ((-0.9, -0.5), (0.1, -0.72), (0.9, -0.6), (-0.3, -0.48), (0.45, -0.46)):
            p.shape(ellipse(x + dx * r, base + dy * h, 0.016, 0.016), fruit, FAINT, line=0.004)


def pine(p: Piece, x: float, base: float, h: float, leaf, snow: bool = False) -> None:
    p.shape(box(x - 0.014, base - 0.15 * h, x + 0.014, base), (120, 82, 60), FAINT)
    for k in range(3):
        y, w = base - h * (0.1 + 0.26 * k), h * (0.27 - 0.055 * k)
        points = [(x - w, y), (x - 0.4 * w, y - 0.16 * h), (x, y - 0.40 * h), (x + 0.4 * w, y - 0.16 * h), (x + w, y), (x + 0.45 * w, y + 0.02), (x, y + 0.008), (x - 0.45 * w, y + 0.02)]
        p.shape(points, leaf, FAINT)
        p.shape([(x + 0.12 * w, y - 0.34 * h), (x + w, y), (x + 0.45 * w, y + 0.018), (x + 0.25 * w, y - 0.1 * h)], darker(leaf, 0.18), None)
        if snow:
            p.shape([(x, y - 0.39 * h), (x + 0.45 * w, y - 0.16 * h), (x + 0.1 * w, y - 0.20 * h), (x - 0.2 * w, y - 0.13 * h), (x - 0.5 * w, y - 0.13 * h)], (255, 255, 255), None)


def bush(p: Piece, x: float, base: float, r: float, fill, flowers=None) -> None:
    cluster(p, [(x - 0.9 * r, base - 0.45 * r, 0.6 * r), (x + 0.9 * r, base - 0.45 * r, 0.6 * r), (x, base - 0.62 * r, 0.8 * r)], fill)
    if flowers:
        for dx, dy in ((-1.0, -0.5), (-0.4, -0.9), (0.1, -0.45), (0.5, -1.0), (1.0, -0.4)):
            p.shape(ellipse(x + dx * r, base + dy * r, 0.014, 0.014), flowers, None)


def rock(p: Piece, x: float, base: float, r: float, fill=(150, 148, 160)) -> None:
    p.shape(blob([(x - r, base), (x - 0.8 * r, base - 0.5 * r), (x - 0.2 * r, base - 0.85 * r), (x + 0.55 * r, base - 0.65 * r), (x + r, base - 0.1 * r), (x + 0.9 * r, base + 0.02)], 3), fill, FAINT, 0.25 * r)


def tufts(p: Piece, places, colour, r: float = 0.03) -> None:
    for x, y in places:
        p.shape([(x - r, y - 0.6 * r), (x - 0.3 * r, y), (x - 0.12 * r, y - 1.1 * r), (x + 0.15 * r, y), (x + r, y - 0.7 * r), (x + 0.5 * r, y + 0.2 * r), (x - 0.5 * r, y + 0.2 * r)], colour, None)


def blossom(p: Piece, x: float, y: float, colour, r: float = 0.016, stem: float = 0.05) -> None:
    p.stroke([(x, y), (x, y + stem)], 0.007, (74, 140, 70))
    for k in range(5):
        a = 2 * math.pi * k / 5
        p.shape(ellipse(x + r * math.sin(a), y - r * math.cos(a), 0.75 * r, 0.75 * r, corners=8), colour, None)
    p.shape(ellipse(x, y, 0.6 * r, 0.6 * r, corners=8), (255, 220, 90), None)


def _forest(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    leaf = ((86, 160, 78), (222, 132, 52), (44, 124, 96), (132, 178, 62))[k]
    grass = ((134, 196, 92), (214, 182, 94), (96, 164, 104), (166, 206, 90))[k]
    for n in range(9):  # a far wall of trees
        x, h = j(0.06 + 0.115 * n), 0.30 + 0.05 * ((n * 7 + k) % 3)
        p.shape(ellipse(x, 0.66 - h * 0.75, 0.085, h * 0.5) if k in (0, 1, 3) else np.array([(x - 0.1, 0.66), (x, 0.62 - h * 1.1), (x + 0.1, 0.66)]), lighter(leaf, 0.32 + 0.06 * (n % 2)), None)
    ground(p, rise(0.60, 0.63, 0.60), darker(grass, 0.12))
    ground(p, rise(0.66, 0.64, 0.68), grass)
    p.shape(blob([(0.42, 0.65), (0.56, 0.65), (0.60, 0.76), (0.78, 1.03), (0.24, 1.03), (0.46, 0.78)], 4), mix_path(grass), None)
    for x, h in (((0.10, 0.66), (0.30, 0.5), (0.93, 0.64)), ((0.07, 0.62), (0.70, 0.5), (0.93, 0.68)), ((0.08, 0.56), (0.36, 0.66), (0.64, 0.5), (0.93, 0.6)), ((0.50, 0.62), (0.06, 0.52), (0.95, 0.5)))[k]:
        (pine if k == 2 else tree)(p, j(x), 0.69, h, leaf)
    if k == 3:
        rock(p, j(0.78), 0.70, 0.07)
    for x in (((0.62, 0.72), (0.68, 0.73)), ((0.30, 0.73), (0.22, 0.72)), ((0.82, 0.73), (0.2, 0.73)), ((0.28, 0.72), (0.34, 0.73)))[k]:  # toadstools
        mx, my = j(x[0]), x[1]
        p.shape(box(mx - 0.01, my - 0.03, mx + 0.01, my + 0.005), (255, 244, 226), FAINT, line=0.005)
        p.shape(blob([(mx - 0.035, my - 0.025), (mx, my - 0.065), (mx + 0.035, my - 0.025), (mx, my - 0.02)], 4), (226, 66, 58), FAINT, line=0.005)
        p.shape(ellipse(mx - 0.008, my - 0.045, 0.007, 0.006, corners=8), (255, 255, 255), None)
    tufts(f, ((0.03, 0.99), (0.97, 1.0), (0.16, 1.0)), darker(grass, 0.22), 0.045)
    return Stage(p, f)


def mix_path(grass) -> tuple[int, int, int]:
    return lighter((214, 184, 126), 0.25) if grass[1] > 150 else (204, 176, 122)


def _beach(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    sea = ((48, 148, 218), (60, 120, 206), (42, 184, 190), (70, 160, 232))[k]
    sand = ((248, 222, 160), (242, 206, 150), (252, 232, 182), (238, 214, 164))[k]
    p.shape(box(-0.02, 0.46, 1.02, 0.70), sea, None)
    for y, dx in ((0.50, 0.0), (0.54, 0.13), (0.585, 0.05)):
        for n in range(4):
            x = (0.1 + 0.27 * n + dx) % 1.1
            p.stroke(curve((x - 0.05, y), (x, y - 0.012), (x + 0.05, y), 4), 0.008, lighter(sea, 0.45))
    if k == 1:
        p.shape(blob([(0.0, 0.47), (0.12, 0.40), (0.26, 0.42), (0.40, 0.47)], 4), (110, 150, 130), None)
    p.shape(np.array([*rise(0.635, 0.60, 0.64), (1.02, 0.72), (-0.02, 0.72)]), (255, 255, 255), None)
    ground(p, rise(0.655, 0.615, 0.66), darker(sand, 0.12))
    ground(p, rise(0.675, 0.64, 0.68), sand)
    x = j((0.76, 0.22, 0.14, 0.84)[k])
    if k in (0, 1):  # a sailing boat
        p.shape([(x - 0.12, 0.44), (x + 0.13, 0.44), (x + 0.08, 0.51), (x - 0.08, 0.51)], ((206, 84, 66), (70, 110, 180))[k], FAINT, 0.012)
        p.stroke([(x, 0.19), (x, 0.44)], 0.012, (120, 80, 56))
        p.shape([(x + 0.01, 0.20), (x + 0.01, 0.41), (x + 0.13, 0.41)], (255, 250, 240), FAINT, 0.012)
        p.shape([(x - 0.012, 0.25), (x - 0.012, 0.41), (x - 0.09, 0.41)], ((250, 200, 90), (240, 110, 90))[k], FAINT)
    for px, ph in (((0.1, 0.44),), (), ((0.16, 0.56), (0.06, 0.40)), ((0.82, 0.54),))[k]:  # palms
        px, top = j(px), 0.72 - ph
        lean = 0.06 if px < 0.5 else -0.06
        p.shape(ribbon(curve((px, 0.73), (px - lean * 0.4, 0.73 - ph * 0.5), (px + lean, top)), 0.042, 0.026), (178, 128, 84), FAINT)
        for dx, dy in ((-0.2, 0.09), (-0.16, -0.04), (-0.05, -0.12), (0.09, -0.11), (0.18, -0.01), (0.19, 0.11)):
            cx, cy = px + lean, top
            p.shape(ribbon(curve((cx, cy), (cx + dx * 0.55, cy + dy - 0.07), (cx + dx, cy + dy)), 0.042, 0.012), (66, 158, 84), FAINT)
        for dx in (-0.016, 0.016):
            p.shape(ellipse(px + lean + dx, top + 0.022, 0.019, 0.019), (140, 92, 58), FAINT, line=0.004)
    if k == 1:  # a sunshade
        x = j(0.82)
        p.stroke([(x, 0.36), (x - 0.02, 0.74)], 0.016, (250, 246, 236))
        p.shape(blob([(x - 0.17, 0.44), (x - 0.10, 0.35), (x + 0.02, 0.315), (x + 0.12, 0.36), (x + 0.18, 0.46), (x, 0.43)], 4), (240, 92, 84), FAINT, 0.02)
        p.shape(blob([(x - 0.05, 0.435), (x - 0.03, 0.37), (x + 0.01, 0.32), (x + 0.05, 0.37), (x + 0.06, 0.44), (x, 0.43)], 4), (255, 246, 236), None)
    if k == 3:  # a sand castle
        x = j(0.2)
        for dx, h in ((-0.06, 0.11), (0.06, 0.11), (0.0, 0.17)):
            p.shape(box(x + dx - 0.033, 0.73 - h, x + dx + 0.033, 0.73), darker(sand, 0.2), FAINT, 0.01)
            p.shape([(x + dx - 0.042, 0.73 - h), (x + dx, 0.67 - h), (x + dx + 0.042, 0.73 - h)], darker(sand, 0.28), FAINT)
    for sx, sy, c in ((0.06, 0.97, (250, 140, 130)), (0.94, 0.965, (255, 250, 240))):
        f.shape(ellipse(j(sx), sy, 0.024, 0.017), c, FAINT, 0.008, line=0.005)
    return Stage(p, f, horizon=0.47)


def _desert(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    sand = ((242, 198, 120), (232, 170, 110), (248, 214, 142), (226, 178, 126))[k]
    if k in (1, 3):  # table mountains
        for x, w, h in ((0.2, 0.17, 0.22), (0.82, 0.14, 0.3), (0.56, 0.1, 0.14))[: 2 + (k == 3)]:
            x = j(x if k == 1 else 1 - x)
            c = (206, 118, 84)
            p.shape([(x - w, 0.62), (x - 0.7 * w, 0.62 - h), (x + 0.65 * w, 0.62 - h), (x + w, 0.62)], c, FAINT)
            p.shape([(x + 0.3 * w, 0.62), (x + 0.25 * w, 0.62 - h), (x + 0.65 * w, 0.62 - h), (x + w, 0.62)], darker(c, 0.2), None)
            for y in (0.3, 0.6):
                p.stroke([(x - (0.74 + 0.2 * y) * w, 0.62 - h * (1 - y)), (x + (0.7 + 0.2 * y) * w, 0.62 - h * (1 - y))], 0.008, lighter(c, 0.3))
    if k == 2:  # pyramids
        for x, h in ((0.72, 0.34), (0.38, 0.22)):
            x = j(x)
            p.shape([(x - h * 0.85, 0.62), (x, 0.62 - h), (x + h * 0.85, 0.62)], (232, 184, 104), FAINT)
            p.shape([(x + 0.15 * h, 0.62), (x, 0.62 - h), (x + h * 0.85, 0.62)], (196, 140, 84), None)
    ground(p, rise(0.62, 0.56, 0.63) if k != 1 else rise(0.57, 0.63, 0.58), darker(sand, 0.16))
    ground(p, rise(0.60, 0.67, 0.62), lighter(sand, 0.12))
    ground(p, rise(0.70, 0.66, 0.72), sand)
    for y in (0.78, 0.86, 0.95):
        p.stroke(curve((0.1, y), (0.4, y - 0.03), (0.7, y + 0.01)), 0.007, darker(sand, 0.14))
    for x, h in (((0.13, 0.34), (0.86, 0.26)), ((0.90, 0.2), (0.46, 0.3)), ((0.1, 0.4),), ((0.15, 0.2), (0.55, 0.24), (0.9, 0.36)))[k]:
        x, c = j(x), (92, 160, 92)
        y = 0.74
        for s, low in ((-1, 0.5), (1, 0.36)):
            arm = np.array([(x, y - low * h), (x + s * 0.065, y - low * h), (x + s * 0.075, y - (low + 0.32) * h)])
            p.shape(ribbon(np.concatenate([curve(arm[0], arm[1], arm[2])]), 0.036), c, FAINT)
        p.shape(ribbon([(x, y), (x, y - h * 0.5), (x, y - h)], 0.062), c, FAINT, 0.015)
        for dx in (-0.012, 0.012):
            p.stroke([(x + dx, y - 0.9 * h), (x + dx, y - 0.06)], 0.005, darker(c, 0.25))
        p.shape(ellipse(x, y - h - 0.035, 0.018, 0.016), (250, 130, 160), FAINT, line=0.004)
    rock(p, j((0.66, 0.2, 0.88, 0.36)[k]), 0.74, 0.045, (200, 150, 110))
    return Stage(p, f)


def _moon(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    for n in range(34):
        x, y, r = ((n * 37 + k * 23) % 97) / 97, ((n * 53 + k * 31) % 67) / 105, 0.004 + 0.003 * (n % 3)
        p.shape(ellipse(x, y, r, r, corners=8), (255, 255, 230), None)
    x, y = j((0.2, 0.8, 0.5, 0.27)[k]), 0.2
    p.shape(ellipse(x, y, 0.2, 0.2), ((120, 160, 255, 50), (255, 190, 120, 50), (255, 130, 120, 50), (130, 230, 180, 50))[k], None)
    c = ((66, 140, 226), (240, 178, 96), (224, 104, 92), (104, 200, 150))[k]
    p.shape(ellipse(x, y, 0.14, 0.14), c, (30, 26, 50), 0.06)
    if k == 0:  # the earth
        for q in ([(-0.1, -0.06), (-0.03, -0.11), (0.02, -0.05), (-0.02, 0.0), (-0.06, 0.02)], [(0.03, 0.02), (0.09, 0.0), (0.08, 0.07), (0.04, 0.1)], [(-0.07, 0.06), (-0.03, 0.06), (-0.05, 0.1)]):
            p.shape(blob(q, 4) + (x, y), (112, 190, 96), None)
        p.shape(ribbon(curve((x - 0.1, y + 0.04), (x, y + 0.06), (x + 0.05, y + 0.03)), 0.014), (255, 255, 255), None)
    elif k == 1:  # rings
        for dy in (-0.05, 0.05):
            p.shape(ribbon(curve((x - 0.136, y + dy), (x, y + dy + 0.03), (x + 0.136, y + dy)), 0.02), lighter(c, 0.3), None)
        p.shape(ribbon(curve((x - 0.24, y + 0.05), (x + 0.02, y + 0.06), (x + 0.24, y - 0.05), 14), 0.032), (255, 226, 170), (30, 26, 50))
    else:
        for dx, dy, r in ((-0.04, -0.04, 0.035), (0.05, 0.02, 0.028), (-0.02, 0.07, 0.022)):
            p.shape(ellipse(x + dx, y + dy, r, r * 0.9), darker(c, 0.2), None)
    grey = ((196, 196, 208), (206, 194, 186), (182, 190, 204), (204, 192, 212))[k]
    ground(p, rise(0.62, 0.58, 0.64), darker(grey, 0.3))
    ground(p, rise(0.68, 0.65, 0.66), grey)
    for cx, cy, r in ((0.15, 0.73, 0.09), (0.62, 0.71, 0.07), (0.88, 0.84, 0.11), (0.40, 0.90, 0.09), (0.08, 0.95, 0.08)):
        cx = j((cx + 0.23 * k) % 1)
        p.shape(ellipse(cx, cy, r, r * 0.36), lighter(grey, 0.35), None)
        p.shape(ellipse(cx, cy + 0.007, r * 0.92, r * 0.29), darker(grey, 0.25), None)
    if k in (0, 2):  # a rocket
        x = j((0.82, 0.16)[k // 2])
        for s in (-1, 1):
            p.shape(blob([(x + s * 0.03, 0.58), (x + s * 0.10, 0.66), (x + s * 0.095, 0.74), (x + s * 0.03, 0.69)], 4), (226, 70, 66), (30, 26, 50))
        p.shape(blob([(x, 0.30), (x + 0.062, 0.43), (x + 0.068, 0.60), (x + 0.04, 0.71), (x - 0.04, 0.71), (x - 0.068, 0.60), (x - 0.062, 0.43)]), (240, 240, 246), (30, 26, 50), 0.03)
        p.shape(blob([(x, 0.30), (x + 0.05, 0.40), (x, 0.415), (x - 0.05, 0.40)], 4), (226, 70, 66), None)
        p.shape(ellipse(x, 0.50, 0.03, 0.03), (120, 206, 250), (30, 26, 50))
    else:  # a flag
        x = j(0.16 if k == 1 else 0.8)
        p.stroke([(x, 0.42), (x, 0.72)], 0.012, (240, 240, 240))
        p.shape(blob([(x, 0.42), (x + 0.07, 0.44), (x + 0.14, 0.42), (x + 0.14, 0.52), (x + 0.07, 0.54), (x, 0.52)], 4), (250, 190, 70), (30, 26, 50))
    return Stage(p, f, sky=False, fixed=(((14, 14, 42), (44, 34, 92)), ((30, 14, 54), (82, 40, 96)), ((8, 26, 56), (24, 70, 104)), ((36, 16, 42), (96, 42, 74)))[k])


def _mountain(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    stone = ((136, 144, 172), (168, 134, 140), (120, 146, 140), (128, 128, 164))[k]
    grass = ((140, 190, 104), (180, 190, 108), (112, 176, 112), (156, 186, 130))[k]
    p.shape([(-0.1, 0.64), (0.14, 0.40), (0.32, 0.56), (0.56, 0.36), (0.76, 0.54), (0.92, 0.42), (1.1, 0.64)], lighter(stone, 0.5), None)
    for x, h, w in (((0.3, 0.54, 0.36),), ((0.7, 0.54, 0.36),), ((0.2, 0.38, 0.26), (0.74, 0.50, 0.32)), ((0.14, 0.46, 0.24), (0.5, 0.34, 0.24), (0.86, 0.5, 0.24)))[k]:
        x, b = j(x), 0.66
        p.shape([(x - w, b), (x - 0.55 * w, b - 0.5 * h), (x - 0.4 * w, b - 0.56 * h), (x, b - h), (x + 0.35 * w, b - 0.6 * h), (x + 0.52 * w, b - 0.52 * h), (x + w, b)], stone, FAINT)
        p.shape([(x, b - h), (x + 0.35 * w, b - 0.6 * h), (x + 0.52 * w, b - 0.52 * h), (x + w, b), (x + 0.2 * w, b), (x + 0.12 * w, b - 0.4 * h), (x - 0.05 * w, b - 0.6 * h)], darker(stone, 0.22), None)
        p.shape([(x, b - h), (x + 0.28 * w, b - 0.68 * h), (x + 0.16 * w, b - 0.62 * h), (x + 0.06 * w, b - 0.70 * h), (x - 0.08 * w, b - 0.6 * h), (x - 0.18 * w, b - 0.68 * h), (x - 0.32 * w, b - 0.645 * h)], (255, 255, 255), None)
        p.shape([(x, b - h), (x + 0.28 * w, b - 0.68 * h), (x + 0.16 * w, b - 0.62 * h), (x + 0.06 * w, b - 0.70 * h), (x, b - 0.8 * h)], (206, 218, 240), None)
    ground(p, rise(0.62, 0.65, 0.60), darker(grass, 0.16))
    ground(p, rise(0.68, 0.66, 0.70), grass)
    for x, h in (((0.85, 0.36), (0.94, 0.28)), ((0.12, 0.38), (0.22, 0.28)), ((0.46, 0.34), (0.95, 0.26)), ((0.33, 0.28), (0.68, 0.32)))[k]:
        pine(p, j(x), 0.72, h, (58, 122, 96))
    rock(p, j((0.12, 0.9, 0.1, 0.95)[k]), 0.74, 0.07)
    rock(p, j((0.2, 0.82, 0.2, 0.06)[k]), 0.75, 0.045)
    for x, y in ((0.3, 0.78), (0.62, 0.76), (0.75, 0.8)):
        blossom(p, j(x), y, (255, 255, 255), 0.011, 0.03)
    tufts(f, ((0.05, 1.0), (0.95, 0.995)), darker(grass, 0.22), 0.045)
    return Stage(p, f)


def _garden(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    lawn = ((150, 208, 98), (130, 196, 96), (168, 212, 104), (140, 202, 120))[k]
    for n in range(7):
        p.shape(ellipse(j(0.02 + 0.16 * n), 0.56, 0.11, 0.12 + 0.02 * (n % 2)), lighter((104, 168, 92), 0.25 + 0.08 * (n % 2)), None)
    white = ((255, 255, 255), (196, 142, 92), (255, 244, 214), (150, 190, 220))[k]
    for n in range(15):  # a picket fence
        x = 0.005 + n * 0.071
        p.shape([(x, 0.66), (x, 0.515), (x + 0.023, 0.485), (x + 0.046, 0.515), (x + 0.046, 0.66)], white, FAINT, line=0.005)
    for y in (0.545, 0.615):
        p.shape(box(-0.02, y, 1.02, y + 0.022), darker(white, 0.1), FAINT, line=0.004)
    ground(p, rise(0.655, 0.645, 0.655), lawn)
    ground(p, rise(0.80, 0.77, 0.80), lighter(lawn, 0.14))
    x = j((0.82, 0.18, 0.5, 0.84)[k])
    if k in (0, 1):
        tree(p, x, 0.70, 0.62, (92, 172, 84), (230, 64, 58) if k == 0 else (250, 180, 60))
    if k == 2:  # an arch of roses
        for s in (-1, 1):
            p.shape(box(x + s * 0.14 - 0.012, 0.34, x + s * 0.14 + 0.012, 0.69), (255, 255, 255), FAINT)
        arch = curve((x - 0.14, 0.36), (x, 0.08), (x + 0.14, 0.36), 12)
        cluster(p, [(ax, ay, 0.042) for ax, ay in arch] + [(x + s * 0.14, y, 0.03) for s in (-1, 1) for y in (0.44, 0.53)], (86, 160, 84))
        for n, (ax, ay) in enumerate(arch):
            p.shape(ellipse(ax + (0.015 if n % 2 else -0.015), ay, 0.018, 0.018), (240, 90, 130), (160, 50, 90), line=0.004)
    if k == 3:  # a bird house on a pole and a pond
        p.shape(box(x - 0.011, 0.38, x + 0.011, 0.69), (160, 112, 74), FAINT)
        p.shape(box(x - 0.075, 0.25, x + 0.075, 0.39), (240, 130, 90), FAINT, 0.015)
        p.shape([(x - 0.105, 0.26), (x, 0.15), (x + 0.105, 0.26)], (110, 90, 150), FAINT)
        p.shape(ellipse(x, 0.315, 0.026, 0.026), (60, 44, 50), None)
        p.shape(ellipse(j(0.2), 0.76, 0.17, 0.05), (112, 196, 236), (120, 130, 130), line=0.012)
        p.shape(ellipse(0.16, 0.755, 0.035, 0.012), (104, 180, 100), None)
    beds = ((0.06, 0.16, 0.27, 0.38), (0.6, 0.72, 0.83, 0.94), (0.05, 0.15, 0.84, 0.95), (0.42, 0.53, 0.63, 0.5))[k]
    for n, bx in enumerate(beds):  # sunflowers, tulips, daisies
        bx = j(bx)
        h = 0.16 if k in (0, 1) else 0.09
        p.stroke([(bx, 0.70 - h), (bx, 0.715)], 0.01, (70, 140, 66))
        p.shape(ellipse(bx + 0.018, 0.69 - 0.3 * h, 0.02, 0.009, -30), (92, 164, 76), None)
        if k in (0, 1):
            for a in range(10):
                p.shape(ellipse(bx + 0.034 * math.cos(a * 0.628), 0.70 - h + 0.034 * math.sin(a * 0.628), 0.016, 0.016, corners=8), (255, 202, 52) if k == 0 else (250, 120, 160), None)
            p.shape(ellipse(bx, 0.70 - h, 0.025, 0.025), (122, 76, 48) if k == 0 else (255, 220, 90), None)
        else:
            c = ((236, 80, 90), (255, 206, 70), (176, 110, 220))[n % 3]
            p.shape(blob([(bx - 0.022, 0.69 - h), (bx - 0.01, 0.67 - h), (bx, 0.685 - h), (bx + 0.01, 0.67 - h), (bx + 0.022, 0.69 - h), (bx, 0.725 - h)], 3), c, FAINT, line=0.004)
    for x, y, c in ((0.04, 0.955, (255, 255, 255)), (0.96, 0.95, (255, 190, 210)), (0.90, 0.975, (255, 255, 255))):
        blossom(f, j(x), y, c, 0.017, 0.06)
    return Stage(p, f)


def _sea(k: int, j: Jitter) -> Stage:
    """On the deck of a ship, or of a raft."""
    p, f = piece(), piece()
    sea = ((40, 126, 200), (32, 150, 176), (62, 110, 190), (48, 160, 206))[k]
    p.shape(box(-0.02, 0.44, 1.02, 1.02), sea, None)
    x = j((0.22, 0.78, 0.74, 0.24)[k])
    if k == 0:  # an island with a palm
        p.shape(blob([(x - 0.18, 0.47), (x - 0.1, 0.42), (x, 0.395), (x + 0.12, 0.42), (x + 0.2, 0.47), (x, 0.475)], 4), (244, 214, 150), FAINT)
        p.shape(ribbon(curve((x, 0.42), (x - 0.02, 0.33), (x + 0.03, 0.25)), 0.024, 0.016), (170, 122, 80), FAINT)
        for dx, dy in ((-0.10, 0.05), (-0.06, -0.05), (0.04, -0.06), (0.11, 0.0), (0.09, 0.07)):
            p.shape(ribbon(curve((x + 0.03, 0.25), (x + 0.03 + dx * 0.6, 0.22 + dy), (x + 0.03 + dx, 0.25 + dy)), 0.026, 0.008), (70, 160, 84), FAINT, line=0.004)
    elif k == 1:  # a lighthouse on a rock
        rock(p, x, 0.47, 0.12)
        p.shape([(x - 0.048, 0.40), (x - 0.032, 0.16), (x + 0.032, 0.16), (x + 0.048, 0.40)], (255, 255, 255), FAINT, 0.015)
        for y in (0.20, 0.30):
            w = 0.034 + 0.016 * (y - 0.16) / 0.24
            p.shape([(x - w, y), (x + w, y), (x + w + 0.003, y + 0.05), (x - w - 0.003, y + 0.05)], (226, 70, 66), None)
        p.shape(box(x - 0.028, 0.11, x + 0.028, 0.16), (255, 236, 140), FAINT, glow=True)
        p.shape([(x - 0.042, 0.115), (x, 0.06), (x + 0.042, 0.115)], (226, 70, 66), FAINT)
    elif k == 2:  # a whale
        p.shape(blob([(x - 0.17, 0.47), (x - 0.13, 0.37), (x, 0.33), (x + 0.11, 0.38), (x + 0.16, 0.43), (x + 0.2, 0.34), (x + 0.25, 0.32), (x + 0.21, 0.42), (x + 0.18, 0.48)]), (92, 132, 190), FAINT, 0.03)
        p.shape(ellipse(x - 0.09, 0.42, 0.012, 0.013, corners=10), (40, 34, 50), None)
        for s in (-1, 1):
            p.stroke(curve((x - 0.03, 0.32), (x - 0.03 + s * 0.02, 0.22), (x - 0.03 + s * 0.07, 0.27)), 0.016, (200, 234, 255))
    else:  # a sailing ship
        p.shape(blob([(x - 0.17, 0.385), (x - 0.1, 0.40), (x + 0.1, 0.40), (x + 0.18, 0.37), (x + 0.12, 0.48), (x - 0.11, 0.48)], 3), (150, 96, 62), FAINT, 0.02)
        p.stroke([(x, 0.10), (x, 0.40)], 0.014, (110, 74, 54))
        p.shape(blob([(x - 0.11, 0.17), (x + 0.11, 0.16), (x + 0.14, 0.34), (x, 0.31), (x - 0.10, 0.35)], 4), (255, 248, 232), FAINT, 0.02)
        p.shape([(x, 0.10), (x + 0.07, 0.12), (x, 0.14)], (226, 70, 66), FAINT)
    for row, y in enumerate((0.475, 0.53, 0.595, 0.665)):
        c, w = lighter(sea, 0.1 + 0.09 * (row % 2)) if row else lighter(sea, 0.3), 0.09 + 0.02 * row
        top = [(-0.05 + n * w / 2, y - (0.016 if n % 2 else 0.0)) for n in range(int(2.3 / w) + 2)]
        wave = blob([*top, (top[-1][0], y + 0.07), (-0.05, y + 0.07)], 3)
        p.shape(wave, c, None)
        for n in range(1, len(top) - 1, 4):
            p.stroke(curve((top[n][0] - 0.02, y - 0.008), (top[n][0], y - 0.02), (top[n][0] + 0.02, y - 0.008), 4), 0.007, (255, 255, 255))
    wood = ((196, 142, 92), (178, 118, 80), (206, 160, 104), (166, 120, 92))[k]
    p.shape([(-0.02, 0.76), (1.02, 0.76), (1.02, 1.02), (-0.02, 1.02)], wood, FAINT)
    for n in range(9):
        top, low = 0.06 + 0.11 * n, 0.5 + (0.06 + 0.11 * n - 0.5) * 1.5
        p.stroke([(top, 0.765), (low, 1.01)], 0.006, darker(wood, 0.3))
    for n in range(7):  # the rail
        x = 0.02 + 0.16 * n
        p.shape(box(x - 0.011, 0.645, x + 0.011, 0.765), lighter(wood, 0.15), FAINT)
    p.shape(box(-0.02, 0.625, 1.02, 0.655), lighter(wood, 0.25), FAINT)
    x = j((0.88, 0.12, 0.1, 0.9)[k])
    p.shape(ellipse(x, 0.70, 0.055, 0.055), (240, 84, 76), FAINT)
    for a in (45, 135, 225, 315):
        p.shape(ellipse(x + 0.04 * math.cos(math.radians(a)), 0.70 + 0.04 * math.sin(math.radians(a)), 0.016, 0.016), (255, 255, 255), None)
    p.shape(ellipse(x, 0.70, 0.026, 0.026), lighter(sea, 0.2), FAINT)
    return Stage(p, f, horizon=0.45)


def _snow(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    white = ((240, 246, 254), (232, 240, 252), (246, 248, 255), (236, 246, 250))[k]
    ground(p, rise(0.50, 0.56, 0.46) if k % 2 else rise(0.48, 0.52, 0.58), darker(white, 0.16))
    ground(p, rise(0.60, 0.55, 0.62), darker(white, 0.08))
    for x, h in (((0.72, 0.30), (0.84, 0.42), (0.95, 0.34)), ((0.06, 0.4), (0.17, 0.3)), ((0.08, 0.3), (0.5, 0.26), (0.93, 0.36)), ((0.4, 0.3), (0.52, 0.42), (0.63, 0.28)))[k]:
        pine(p, j(x), 0.65, h, (76, 138, 120), snow=True)
    ground(p, rise(0.66, 0.64, 0.67), white)
    x = j((0.2, 0.78, 0.28, 0.16)[k])
    if k in (0, 3):  # a snowman
        for y, r in ((0.66, 0.10), (0.535, 0.075), (0.43, 0.058)):
            p.shape(ellipse(x, y, r, r * 0.95), (255, 255, 255), (110, 124, 160), 0.03)
        p.shape([(x, 0.43), (x + 0.07, 0.445), (x, 0.45)], (250, 140, 50), FAINT, line=0.004)
        for dx, y in ((-0.02, 0.415), (0.022, 0.415), (0, 0.51), (0, 0.55)):
            p.shape(ellipse(x + dx, y, 0.009, 0.01, corners=8), (50, 44, 60), None)
        p.shape(ribbon(curve((x - 0.055, 0.475), (x, 0.50), (x + 0.055, 0.475)), 0.026), ((226, 70, 66), (70, 120, 210))[k // 3], FAINT)
        p.shape(box(x - 0.042, 0.31, x + 0.042, 0.385), (70, 64, 84), FAINT)
        p.shape(box(x - 0.068, 0.38, x + 0.068, 0.397), (70, 64, 84), FAINT)
        for s in (-1, 1):
            p.stroke([(x + s * 0.07, 0.53), (x + s * 0.15, 0.47)], 0.012, (120, 84, 62))
    elif k == 1:  # an igloo
        p.shape(np.concatenate([curve((x - 0.2, 0.70), (x - 0.2, 0.43), (x, 0.42)), curve((x, 0.42), (x + 0.2, 0.43), (x + 0.2, 0.70))[1:]]), (226, 240, 252), (110, 134, 170), 0.04)
        for y, w in ((0.49, 0.145), (0.56, 0.18), (0.63, 0.195)):
            p.stroke(curve((x - w, y), (x, y - 0.03), (x + w, y), 8), 0.006, (150, 180, 210))
            for n in (-1, 0, 1):
                dx = n * 0.1 + (0.05 if y == 0.56 else 0)
                p.stroke([(x + dx * 0.8, y - 0.02), (x + dx * 0.85, y + 0.045)], 0.006, (150, 180, 210))
        p.shape(np.concatenate([curve((x - 0.075, 0.71), (x - 0.075, 0.57), (x, 0.57)), curve((x, 0.57), (x + 0.075, 0.57), (x + 0.075, 0.71))[1:]]), (70, 90, 130), (110, 134, 170))
    else:  # a log cabin under snow
        p.shape(box(x - 0.16, 0.47, x + 0.16, 0.67), (160, 106, 70), FAINT)
        for y in (0.51, 0.55, 0.59, 0.63):
            p.stroke([(x - 0.16, y), (x + 0.16, y)], 0.007, (112, 72, 52))
        p.shape(box(x + 0.04, 0.53, x + 0.11, 0.60), "glass", FAINT, glow=True)
        p.shape(box(x - 0.09, 0.53, x - 0.01, 0.67), (110, 66, 48), FAINT)
        p.shape(box(x + 0.07, 0.27, x + 0.12, 0.40), (170, 90, 80), FAINT)
        p.shape(blob([(x - 0.22, 0.49), (x - 0.1, 0.37), (x, 0.30), (x + 0.1, 0.37), (x + 0.22, 0.49), (x + 0.12, 0.475), (x, 0.49), (x - 0.12, 0.475)], 4), (255, 255, 255), (120, 134, 170), 0.03)
    if k == 3:  # a frozen pond
        p.shape(ellipse(j(0.76), 0.74, 0.2, 0.045), (176, 222, 244), (140, 170, 200), line=0.006)
        p.stroke([(0.68, 0.735), (0.76, 0.73)], 0.006, (255, 255, 255))
    for x, y, w in ((0.4, 0.80, 0.1), (0.8, 0.88, 0.12), (0.12, 0.86, 0.1)):
        p.stroke(curve((x - w, y), (x, y - 0.02), (x + w, y)), 0.008, darker(white, 0.1))
    f.shape(blob([(-0.06, 1.05), (-0.05, 0.965), (0.06, 0.95), (0.16, 0.99), (0.2, 1.05)], 4), (255, 255, 255), None)
    f.shape(blob([(0.84, 1.05), (0.88, 0.975), (0.97, 0.955), (1.06, 0.98), (1.06, 1.05)], 4), (255, 255, 255), None)
    return Stage(p, f, horizon=0.5)


NATURE = {"forest": _forest, "beach": _beach, "desert": _desert, "moon": _moon, "mountain": _mountain, "garden": _garden, "sea": _sea, "snow": _snow}
