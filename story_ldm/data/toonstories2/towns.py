"""Places that were built: city, castle, playground, farm; and rooms: kitchen, bedroom, living room, school. As in `nature.py`."""

from __future__ import annotations

import math

import numpy as np

from story_ldm.data.toonstories2.brush import Piece, blob, box, curve, darker, ellipse, lighter, mix, ribbon
from story_ldm.data.toonstories2.nature import FAINT, NATURE, Jitter, Stage, blossom, bush, cluster, ground, piece, pine, rise, tree, tufts

CREAM, WOOD = (255, 248, 232), (182, 126, 82)


def _city(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    for n in range(9):  # far towers
        h = 0.20 + 0.09 * ((n * 5 + k * 3) % 4)
        p.shape(box(n * 0.125 - 0.03, 0.7 - h - 0.12, n * 0.125 + 0.085, 0.74), (168, 186, 208), None)
    heights = ((0.52, 0.32, 0.60, 0.42), (0.28, 0.62, 0.36, 0.52), (0.58, 0.48, 0.26, 0.62), (0.42, 0.28, 0.44, 0.58))[k]
    walls = ((224, 108, 92), (92, 148, 190), (246, 196, 110), (134, 178, 134), (196, 138, 186))
    for n, h in enumerate(heights):
        x0, x1, top, c = n * 0.25 + 0.008, n * 0.25 + 0.242, j(0.73 - h), walls[(n + 2 * k) % 5]
        p.shape(box(x0, top, x1, 0.74), c, FAINT)
        p.shape(box(x1 - 0.035, top, x1, 0.74), darker(c, 0.18), None)
        roof = (n + k) % 3
        if roof == 0:
            p.shape([(x0 - 0.012, top), (x0 + 0.05, top - 0.07), (x1 - 0.05, top - 0.07), (x1 + 0.012, top)], darker(c, 0.4), FAINT)
        elif roof == 1:
            p.shape(box(x0 - 0.008, top - 0.022, x1 + 0.008, top + 0.012), lighter(c, 0.45), FAINT)
        else:
            p.stroke([(x0 + 0.12, top - 0.1), (x0 + 0.12, top)], 0.008, FAINT)
            p.shape(box(x0 + 0.03, top - 0.035, x1 - 0.03, top), darker(c, 0.1), FAINT)
        for row in range(int((h - 0.12) / 0.1)):
            for col in (0.035, 0.10, 0.165):
                y = top + 0.035 + row * 0.1
                p.shape(box(x0 + col - 0.005, y, x0 + col + 0.037, y + 0.055), "glass", FAINT, glow=True, line=0.004)
        if n in (k, (k + 2) % 4):  # a shop
            p.shape(box(x0 + 0.02, 0.665, x1 - 0.02, 0.74), "glass", FAINT, glow=True)
            for q in range(6):
                a = x0 + 0.01 + q * (x1 - x0 - 0.02) / 6
                p.shape([(a, 0.63), (a + 0.0357, 0.63), (a + 0.0357, 0.67), (a, 0.67)], (255, 255, 255) if q % 2 else ((226, 70, 66), (70, 130, 200), (90, 170, 100), (240, 150, 60))[k], FAINT, line=0.003)
        else:
            p.shape(box(x0 + 0.09, 0.665, x0 + 0.145, 0.74), darker(c, 0.5), FAINT)
    p.shape(box(-0.02, 0.735, 1.02, 0.80), (214, 210, 210), FAINT, line=0.004)
    for n in range(9):
        p.stroke([(n * 0.125, 0.74), (n * 0.135 - 0.05, 0.795)], 0.004, (176, 172, 178))
    p.shape(box(-0.02, 0.80, 1.02, 1.02), (126, 126, 142), None)
    for n in range(5):
        p.shape([(0.02 + n * 0.22, 0.885), (0.14 + n * 0.22, 0.885), (0.135 + n * 0.22, 0.905), (0.01 + n * 0.22, 0.905)], (250, 240, 200), None)
    x = j((0.9, 0.1, 0.52, 0.3)[k])  # a street lamp
    p.stroke([(x, 0.40), (x, 0.79)], 0.016, (74, 80, 96))
    p.shape(ellipse(x, 0.38, 0.085, 0.085), (255, 236, 150, 50), None, glow=True)
    p.shape([(x - 0.035, 0.36), (x + 0.035, 0.36), (x + 0.022, 0.415), (x - 0.022, 0.415)], "lamp", FAINT, glow=True)
    p.shape([(x - 0.045, 0.362), (x, 0.325), (x + 0.045, 0.362)], (74, 80, 96), FAINT)
    if k in (1, 3):
        tree(p, j(0.9 if k == 1 else 0.72), 0.78, 0.34, (96, 166, 92))
    return Stage(p, f, horizon=0.7)


def _tower(p: Piece, x: float, top: float, base: float, w: float, stone, roof, pointed: bool) -> None:
    p.shape(box(x - w, top, x + w, base), stone, FAINT)
    p.shape(box(x + 0.45 * w, top, x + w, base), darker(stone, 0.16), None)
    if pointed:
        p.shape([(x - 1.3 * w, top + 0.005), (x, top - 3.0 * w), (x + 1.3 * w, top + 0.005)], roof, FAINT)
        p.shape([(x + 0.3 * w, top), (x, top - 3.0 * w), (x + 1.3 * w, top + 0.005)], darker(roof, 0.2), None)
        p.stroke([(x, top - 3.0 * w - 0.05), (x, top - 3.0 * w)], 0.007, FAINT)
        p.shape([(x, top - 3.0 * w - 0.05), (x + 0.055, top - 3.0 * w - 0.035), (x, top - 3.0 * w - 0.015)], (255, 206, 70), FAINT, line=0.004)
    else:
        for n in range(4):
            a = x - 1.15 * w + n * 0.62 * w
            p.shape(box(a, top - 0.035, a + 0.42 * w, top + 0.012), stone, FAINT)
        p.shape(box(x - 1.15 * w, top, x + 1.15 * w, top + 0.03), stone, FAINT)
    y = top + 0.07
    p.shape(np.concatenate([curve((x - 0.018, y + 0.05), (x - 0.018, y - 0.02), (x, y - 0.02), 4), curve((x, y - 0.02), (x + 0.018, y - 0.02), (x + 0.018, y + 0.05), 4)[1:]]), "glass", FAINT, glow=True)


def _castle(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    stone = ((206, 204, 216), (232, 208, 186), (222, 190, 208), (184, 196, 206))[k]
    roof = ((86, 116, 196), (214, 84, 76), (148, 92, 180), (70, 150, 130))[k]
    for x in (0.1, 0.5, 0.9):
        p.shape(ellipse(x, 0.72, 0.34, 0.2), (156, 200, 140), None)
    towers = (((0.14, 0.26, True), (0.86, 0.26, True), (0.34, 0.34, False), (0.66, 0.34, False)), ((0.26, 0.16, True), (0.82, 0.38, False), (0.56, 0.30, True)), ((0.5, 0.2, True), (0.12, 0.36, False), (0.88, 0.36, False)), ((0.76, 0.18, True), (0.16, 0.34, True), (0.42, 0.36, False)))[k]
    for x, top, pointed in towers:
        _tower(p, j(x), top, 0.68, 0.075 if pointed else 0.062, stone, roof, pointed)
    wall = darker(stone, 0.07)
    p.shape(box(0.04, 0.49, 0.96, 0.70), wall, FAINT)
    for n in range(9):
        a = 0.04 + n * 0.1075
        p.shape(box(a, 0.455, a + 0.06, 0.497), wall, FAINT)
    for n in range(14):  # stones
        a, y = (0.08 + 0.19 * n + 0.05 * (n % 3)) % 0.86 + 0.05, 0.53 + 0.045 * (n % 4)
        p.shape(box(a, y, a + 0.05, y + 0.02, 0.006), darker(wall, 0.12), None)
    x = j((0.5, 0.42, 0.5, 0.58)[k])
    p.shape(np.concatenate([curve((x - 0.1, 0.71), (x - 0.1, 0.50), (x, 0.50)), curve((x, 0.50), (x + 0.1, 0.50), (x + 0.1, 0.71))[1:]]), (134, 88, 60), FAINT)
    for dx in (-0.05, 0.0, 0.05):
        p.stroke([(x + dx, 0.53), (x + dx, 0.70)], 0.006, (92, 60, 46))
    for s in (-1, 1):  # banners
        p.shape([(x + s * 0.2 - 0.035, 0.52), (x + s * 0.2 + 0.035, 0.52), (x + s * 0.2 + 0.035, 0.63), (x + s * 0.2, 0.60), (x + s * 0.2 - 0.035, 0.63)], roof, FAINT)
        p.shape(ellipse(x + s * 0.2, 0.555, 0.016, 0.016), (255, 206, 70), None)
    ground(p, rise(0.70, 0.685, 0.70), (132, 190, 104))
    p.shape(blob([(x - 0.09, 0.70), (x + 0.09, 0.70), (x + 0.14, 0.82), (x + 0.26, 1.03), (x - 0.30, 1.03), (x - 0.15, 0.82)], 4), (226, 206, 170), None)
    for bx in (0.06, 0.94):
        bush(p, j(bx), 0.72, 0.055, (92, 160, 92))
    tufts(f, ((0.04, 0.99), (0.96, 1.0)), (92, 150, 80), 0.045)
    return Stage(p, f)


def _playground(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    grass = ((150, 204, 104), (140, 198, 116), (166, 206, 96), (134, 196, 110))[k]
    for n in range(8):
        p.shape(ellipse(0.03 + 0.14 * n, 0.56, 0.1, 0.11 + 0.03 * (n % 3)), lighter((112, 176, 104), 0.3 + 0.07 * (n % 2)), None)
    ground(p, rise(0.60, 0.60, 0.60), grass)
    p.shape(ellipse(0.5, 0.84, 0.62, 0.16), (240, 214, 160), None)

    def swing(x: float, c) -> None:
        for s in (-1, 1):
            for q in (-0.05, 0.05):
                p.shape(ribbon([(x + s * 0.16, 0.24), (x + s * 0.16 + q * 1.2, 0.73)], 0.02), c, FAINT)
        p.shape(ribbon([(x - 0.18, 0.24), (x + 0.18, 0.24)], 0.026), c, FAINT)
        for sx in (-0.075, 0.075):
            for q in (-0.03, 0.03):
                p.stroke([(x + sx + q, 0.25), (x + sx + q, 0.56)], 0.007, (110, 104, 116))
            p.shape(box(x + sx - 0.042, 0.56, x + sx + 0.042, 0.582), (226, 84, 70), FAINT)

    def slide(x: float, s: int, c) -> None:
        for a in (-0.05, 0.05):
            p.shape(ribbon([(x + a, 0.33), (x + a, 0.73)], 0.018), (110, 130, 170), FAINT)
        for y in (0.45, 0.53, 0.61, 0.69):
            p.stroke([(x - 0.05, y), (x + 0.05, y)], 0.012, (110, 130, 170))
        p.shape(ribbon(np.concatenate([curve((x + s * 0.05, 0.38), (x + s * 0.15, 0.50), (x + s * 0.2, 0.60)), curve((x + s * 0.21, 0.62), (x + s * 0.25, 0.70), (x + s * 0.34, 0.70))]), 0.05), c, FAINT, 0.012)
        p.shape([(x - 0.09, 0.32), (x, 0.22), (x + 0.09, 0.32)], (250, 200, 70), FAINT)
        p.shape(box(x - 0.065, 0.375, x + 0.065, 0.40), c, FAINT)

    if k in (0, 3):
        swing(j(0.25 if k == 0 else 0.74), (86, 130, 210) if k == 0 else (150, 96, 190))
    if k in (0, 1):
        slide(j(0.86) if k == 0 else j(0.14), -1 if k == 0 else 1, (240, 96, 80) if k == 0 else (90, 180, 120))
    if k in (1, 2):  # a climbing dome
        x = j(0.74 if k == 1 else 0.24)
        c = (240, 130, 60) if k == 1 else (86, 140, 214)
        for w in (0.2, 0.12, 0.04):
            for s in (-1, 1):
                p.stroke(curve((x, 0.40), (x + s * w * 1.3, 0.44), (x + s * w, 0.72)), 0.014, c)
        for y, w in ((0.46, 0.135), (0.55, 0.19), (0.64, 0.2)):
            p.stroke(curve((x - w, y + 0.02), (x, y), (x + w, y + 0.02)), 0.013, darker(c, 0.15))
    if k in (2, 3):  # a seesaw
        x, c = (j(0.76) if k == 2 else j(0.22)), (240, 96, 110) if k == 2 else (250, 180, 60)
        p.shape([(x - 0.05, 0.73), (x, 0.60), (x + 0.05, 0.73)], (110, 110, 130), FAINT)
        p.shape(ribbon([(x - 0.21, 0.54), (x + 0.21, 0.68)], 0.03), c, FAINT)
        for s in (-1, 1):
            p.stroke([(x + s * 0.17, 0.61 + s * 0.057 - 0.055), (x + s * 0.17, 0.61 + s * 0.057)], 0.012, (110, 110, 130))
        tree(p, j(0.93 if k == 2 else 0.06), 0.64, 0.46, (98, 172, 92))
    if k == 2:
        p.shape(ellipse(j(0.5), 0.70, 0.11, 0.035), (226, 190, 130), (176, 110, 70), line=0.014)
    tufts(f, ((0.03, 1.0), (0.97, 1.0)), darker(grass, 0.2), 0.045)
    return Stage(p, f)


def _farm(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    ground(p, rise(0.54, 0.50, 0.56), (176, 206, 120))
    field = ((250, 214, 110), (206, 186, 96), (240, 200, 120), (190, 206, 100))[k]
    ground(p, rise(0.60, 0.57, 0.58), field)
    for n in range(12):
        p.stroke(curve((0.5 + (n - 5.5) * 0.06, 0.585), (0.5 + (n - 5.5) * 0.09, 0.63), (0.5 + (n - 5.5) * 0.16, 0.70), 4), 0.007, darker(field, 0.16))
    ground(p, rise(0.695, 0.685, 0.70), (146, 196, 96))
    x = j((0.26, 0.74, 0.72, 0.28)[k])
    c = ((206, 70, 62), (176, 92, 70), (206, 70, 62), (90, 130, 170))[k]
    p.shape([(x - 0.18, 0.69), (x - 0.18, 0.44), (x - 0.12, 0.30), (x, 0.22), (x + 0.12, 0.30), (x + 0.18, 0.44), (x + 0.18, 0.69)], c, FAINT)
    for dx in (-0.12, -0.06, 0.06, 0.12):
        p.stroke([(x + dx, 0.40), (x + dx, 0.68)], 0.005, darker(c, 0.2))
    p.shape(ribbon(np.array([(x - 0.21, 0.46), (x - 0.13, 0.285), (x, 0.20), (x + 0.13, 0.285), (x + 0.21, 0.46)]), 0.032), (110, 92, 100) if k != 3 else (226, 220, 210), FAINT)
    p.shape(box(x - 0.085, 0.50, x + 0.085, 0.69), CREAM, FAINT)
    p.shape(box(x - 0.07, 0.515, x + 0.07, 0.69), c, None)
    for a, b in (((-0.07, 0.515), (0.07, 0.69)), ((0.07, 0.515), (-0.07, 0.69))):
        p.stroke([(x + a[0], a[1]), (x + b[0], b[1])], 0.014, CREAM)
    p.shape(box(x - 0.035, 0.34, x + 0.035, 0.41), "glass", CREAM, glow=True, line=0.012)
    y = j((0.80, 0.2, 0.2, 0.82)[k])
    if k in (0, 2):  # a silo
        p.shape(box(y - 0.06, 0.34, y + 0.06, 0.69), (206, 212, 222), FAINT, 0.03)
        p.shape(np.concatenate([curve((y - 0.065, 0.345), (y - 0.06, 0.25), (y, 0.24)), curve((y, 0.24), (y + 0.06, 0.25), (y + 0.065, 0.345))[1:]]), (220, 96, 80), FAINT, 0.02)
        for q in (0.42, 0.50, 0.58):
            p.stroke([(y - 0.06, q), (y + 0.06, q)], 0.006, (160, 168, 184))
    else:  # a windmill
        p.shape([(y - 0.075, 0.69), (y - 0.045, 0.36), (y + 0.045, 0.36), (y + 0.075, 0.69)], CREAM, FAINT, 0.02)
        p.shape([(y - 0.06, 0.365), (y, 0.28), (y + 0.06, 0.365)], (176, 92, 70), FAINT)
        for a in range(4):
            r = math.radians(90 * a + 32)
            u, v = np.array([math.cos(r), math.sin(r)]), np.array([-math.sin(r), math.cos(r)])
            hub = np.array([y, 0.35])
            p.shape(np.array([hub + 0.04 * u, hub + 0.19 * u, hub + 0.19 * u + 0.05 * v, hub + 0.05 * u + 0.045 * v]), (255, 255, 255), FAINT, line=0.005)
            p.stroke([tuple(hub), tuple(hub + 0.2 * u)], 0.01, WOOD)
    for n in range(6):  # a rail fence
        q = 0.03 + 0.19 * n
        p.shape(box(q - 0.012, 0.64, q + 0.012, 0.74), WOOD, FAINT, line=0.005)
    for q in (0.66, 0.70):
        p.shape(box(-0.02, q, 1.02, q + 0.015), WOOD, FAINT, line=0.004)
    q = j((0.55, 0.45, 0.45, 0.55)[k])
    if k in (1, 2):  # bales of hay
        for dx, r in ((0.0, 0.062), (0.115, 0.052)):
            p.shape(ellipse(q + dx, 0.70, r, r), (240, 202, 100), FAINT, 0.02)
            p.shape(ellipse(q + dx, 0.70, r * 0.5, r * 0.5), (206, 160, 70), None).shape(ellipse(q + dx, 0.70, r * 0.36, r * 0.36), (240, 202, 100), None)
    else:  # a cow's or a sheep's head over the fence would be somebody: a heap of pumpkins instead
        for dx, y in ((-0.05, 0.745), (0.05, 0.75), (0.0, 0.705)):
            p.shape(ellipse(q + dx, y, 0.05, 0.04), (248, 146, 52), FAINT, 0.015)
            p.stroke(curve((q + dx, y - 0.035), (q + dx - 0.018, y), (q + dx, y + 0.035), 5), 0.006, (206, 104, 40))
            p.stroke([(q + dx, y - 0.04), (q + dx + 0.008, y - 0.058)], 0.012, (90, 140, 70))
    tufts(f, ((0.04, 1.0), (0.96, 0.995)), (104, 158, 74), 0.045)
    return Stage(p, f, horizon=0.55)


# --- rooms -------------------------------------------------------------------------------------------------------------------------------


def _walls(p: Piece, wall, floor, at: float = 0.70, stripes: bool = False) -> None:
    p.shape(box(-0.02, -0.02, 1.02, at), wall, None)
    if stripes:
        for n in range(10):
            p.shape(box(n * 0.105, -0.02, n * 0.105 + 0.045, at), lighter(wall, 0.22), None)
    p.shape(box(-0.02, at, 1.02, 1.02), floor, None)
    p.shape(box(-0.02, at - 0.035, 1.02, at), mix(wall, CREAM, 0.65), darker(wall, 0.35), line=0.004)


def _boards(p: Piece, floor, at: float = 0.70) -> None:
    for n in range(9):
        x = (n - 4) * 0.12
        p.stroke([(0.5 + x, at + 0.005), (0.5 + x * 1.9, 1.01)], 0.005, darker(floor, 0.25))


def _window(p: Piece, x: float, y0: float, y1: float, w: float, frame, curtain=None) -> tuple[float, float, float, float]:
    """Frame and curtains, over the sky; returns the opening."""
    opening = (x - w, y0, x + w, y1)
    for a, b, c, d in ((x - w - 0.018, y0 - 0.018, x + w + 0.018, y0), (x - w - 0.018, y1, x + w + 0.018, y1 + 0.02), (x - w - 0.018, y0, x - w, y1), (x + w, y0, x + w + 0.018, y1)):
        p.shape(box(a, b, c, d), frame, FAINT, line=0.004)
    p.shape(box(x - 0.007, y0, x + 0.007, y1), frame, None)
    p.shape(box(x - w, (y0 + y1) / 2 - 0.007, x + w, (y0 + y1) / 2 + 0.007), frame, None)
    p.shape(box(x - w - 0.035, y1 + 0.018, x + w + 0.035, y1 + 0.036), frame, FAINT, line=0.004)
    if curtain:
        for s in (-1, 1):
            edge = x + s * (w + 0.055)
            p.shape(blob([(edge, y0 - 0.04), (x + s * w * 0.72, y0 - 0.04), (x + s * w * 0.86, (y0 + y1) / 2), (x + s * w * 1.0, y1 + 0.05), (edge, y1 + 0.05)], 4), curtain, FAINT, 0.02)
        p.shape(ribbon([(x - w - 0.08, y0 - 0.045), (x + w + 0.08, y0 - 0.045)], 0.016), WOOD, FAINT, line=0.004)
    return opening


def _kitchen(k: int, j: Jitter) -> Stage:
    p, q, f = piece(), piece(), piece()
    wall = ((255, 232, 178), (190, 228, 220), (250, 206, 200), (206, 214, 240))[k]
    _walls(p, wall, (226, 196, 160), 0.74)
    for row in range(3):
        for n in range(8):
            y0, y1 = 0.74 + 0.09 * row, 0.74 + 0.09 * (row + 1)
            if (n + row) % 2:
                a = [(0.5 + (n + m - 4) * 0.15 * (0.9 + 0.9 * (y - 0.74)), y) for m, y in ((0, y0), (1, y0), (1, y1), (0, y1))]
                p.shape(a, (250, 236, 214), None)
    for n in range(12):  # tiles over the counter
        for row in range(2):
            p.shape(box(n * 0.088 - 0.02, 0.395 + 0.045 * row, n * 0.088 + 0.062, 0.435 + 0.045 * row), (250, 252, 252), darker(wall, 0.15), line=0.003)
    c = ((96, 160, 190), (240, 150, 96), (120, 178, 130), (176, 130, 200))[k]
    p.shape(box(-0.02, 0.51, 1.02, 0.75), c, FAINT)
    for n in range(6):
        p.shape(box(0.015 + n * 0.165, 0.54, 0.16 + n * 0.165, 0.72, 0.008), lighter(c, 0.16), darker(c, 0.25), line=0.004)
        p.shape(ellipse(0.135 + n * 0.165, 0.57, 0.009, 0.009, corners=8), (250, 240, 210), None)
    p.shape(box(-0.02, 0.485, 1.02, 0.515), (250, 246, 240), FAINT)
    fridge, stove, w = ((0.87, 0.60, 0.28), (0.13, 0.42, 0.72), (0.86, 0.22, 0.52), (0.14, 0.82, 0.46))[k]
    fridge, w = j(fridge), j(w)
    opening = _window(q, w, 0.08, 0.32, 0.135, (255, 255, 255), ((240, 110, 100), None, (110, 170, 220), (250, 190, 80))[k])
    fc = ((236, 242, 246), (250, 120, 104), (150, 212, 196), (250, 214, 110))[k]
    q.shape(box(fridge - 0.115, 0.17, fridge + 0.115, 0.76, 0.025), fc, FAINT, 0.03)
    q.stroke([(fridge - 0.11, 0.36), (fridge + 0.11, 0.36)], 0.008, FAINT)
    for y in (0.27, 0.42):
        q.shape(ribbon([(fridge - 0.08, y), (fridge - 0.08, y + 0.06)], 0.016), (180, 186, 198), FAINT, line=0.004)
    q.shape(box(stove - 0.09, 0.485, stove + 0.09, 0.75), (240, 240, 244), FAINT)  # a cooker with a pot
    q.shape(box(stove - 0.07, 0.57, stove + 0.07, 0.69, 0.01), (84, 84, 102), FAINT)
    for dx in (-0.05, 0.0, 0.05):
        q.shape(ellipse(stove + dx, 0.525, 0.013, 0.013, corners=10), (90, 90, 108), None)
    q.shape(box(stove - 0.06, 0.40, stove + 0.06, 0.483, 0.012), (226, 84, 76) if k != 1 else (90, 140, 200), FAINT, 0.02)
    q.shape(ribbon([(stove - 0.068, 0.40), (stove + 0.068, 0.40)], 0.016), (120, 124, 140), FAINT, line=0.004)
    q.shape(ellipse(stove, 0.382, 0.014, 0.012), (60, 60, 70), None)
    for dx in (-0.025, 0.025):
        q.stroke([(stove + dx, 0.36), (stove + dx + 0.014, 0.335), (stove + dx - 0.006, 0.31), (stove + dx + 0.008, 0.28)], 0.01, (255, 255, 255, 190))
    sx = j((0.6, 0.42, 0.22, 0.8)[k])  # a shelf, or a hood
    q.shape(box(sx - 0.11, 0.235, sx + 0.11, 0.25), WOOD, FAINT)
    for n, cc in enumerate(((240, 130, 90), (110, 170, 120), (100, 150, 210))):
        q.shape(box(sx - 0.085 + n * 0.063, 0.175, sx - 0.04 + n * 0.063, 0.235, 0.01), cc, FAINT, 0.01)
    return Stage(p, f, (opening,), q, False)


def _bedroom(k: int, j: Jitter) -> Stage:
    p, q, f = piece(), piece(), piece()
    wall = ((172, 204, 240), (248, 204, 222), (206, 230, 184), (198, 186, 232))[k]
    floor = ((206, 160, 118), (222, 184, 150), (190, 150, 110), (176, 140, 130))[k]
    _walls(p, wall, floor, 0.70)
    for n in range(28):  # wallpaper of stars or dots
        x, y = (n * 0.143 + 0.05 * ((n // 7) % 2)) % 1.0, 0.05 + 0.16 * (n // 7)
        p.shape(ellipse(x, y, 0.011, 0.011, corners=8), lighter(wall, 0.45), None)
    _boards(p, floor)
    x, w = j((0.26, 0.74, 0.27, 0.73)[k]), j((0.74, 0.26, 0.66, 0.30)[k])
    opening = _window(q, w, 0.08, 0.35, 0.14, CREAM, ((250, 200, 80), (150, 120, 200), (240, 120, 100), (90, 150, 200))[k])
    s = 1 if x < 0.5 else -1
    blanket = ((236, 96, 90), (110, 190, 200), (250, 206, 90), (150, 110, 200))[k]
    q.shape(box(x - s * 0.27, 0.40, x - s * 0.235, 0.76, 0.015), WOOD, FAINT)  # the bed, its head at the wall's side
    q.shape(blob([(x - s * 0.235, 0.46), (x - s * 0.13, 0.455), (x - s * 0.12, 0.53), (x - s * 0.13, 0.56), (x - s * 0.235, 0.56)], 4), (255, 255, 255), FAINT, 0.015)
    q.shape(box(x - 0.25, 0.545, x + 0.25, 0.70, 0.015), CREAM, FAINT)
    q.shape(blob([(x - s * 0.13, 0.525), (x, 0.505), (x + s * 0.2, 0.52), (x + s * 0.262, 0.56), (x + s * 0.262, 0.70), (x, 0.712), (x - s * 0.14, 0.70)], 4), blanket, FAINT, 0.03)
    for dx, y in ((-0.06, 0.59), (0.05, 0.64), (0.15, 0.58), (0.2, 0.66), (-0.02, 0.67)):
        q.shape(ellipse(x + s * dx, y, 0.02, 0.018), lighter(blanket, 0.5), None)
    q.shape(box(x + s * 0.245, 0.53, x + s * 0.28, 0.76, 0.012), WOOD, FAINT)
    t = j((0.62, 0.38, 0.92, 0.08)[k])  # a bedside table with a lamp, or a shelf of toys
    q.shape(box(t - 0.065, 0.57, t + 0.065, 0.73), lighter(WOOD, 0.2), FAINT, 0.015)
    q.shape(ellipse(t + 0.03, 0.635, 0.009, 0.009, corners=8), CREAM, None)
    q.shape(ellipse(t, 0.47, 0.11, 0.11), "halo", None, glow=True)
    q.stroke([(t, 0.50), (t, 0.565)], 0.014, (120, 110, 130))
    q.shape([(t - 0.03, 0.42), (t + 0.03, 0.42), (t + 0.055, 0.505), (t - 0.055, 0.505)], "lamp", FAINT, glow=True)
    a = j((0.42, 0.58, 0.28, 0.70)[k])  # a picture
    q.shape(box(a - 0.07, 0.13, a + 0.07, 0.29), ((250, 190, 70), (236, 110, 120), (110, 160, 210), (120, 190, 130))[k], FAINT)
    q.shape(box(a - 0.052, 0.148, a + 0.052, 0.272), CREAM, None)
    if k % 2:
        q.shape(blob([(a, 0.25), (a - 0.035, 0.205), (a - 0.02, 0.175), (a, 0.19), (a + 0.02, 0.175), (a + 0.035, 0.205)], 4), (236, 90, 110), None)
    else:
        q.shape([(a - 0.045, 0.265), (a - 0.01, 0.19), (a + 0.012, 0.23), (a + 0.022, 0.21), (a + 0.047, 0.265)], (96, 160, 110), None)
        q.shape(ellipse(a + 0.025, 0.175, 0.013, 0.013), (255, 200, 70), None)
    q.shape(ellipse(0.5, 0.86, 0.36, 0.085), lighter(blanket, 0.45), None).shape(ellipse(0.5, 0.86, 0.29, 0.065), lighter(blanket, 0.62), None)
    return Stage(p, f, (opening,), q, False)


def _living_room(k: int, j: Jitter) -> Stage:
    p, q, f = piece(), piece(), piece()
    wall = ((250, 222, 196), (196, 218, 206), (224, 206, 226), (250, 232, 170))[k]
    floor = ((182, 128, 92), (200, 158, 118), (166, 124, 104), (192, 140, 100))[k]
    _walls(p, wall, floor, 0.70, stripes=True)
    _boards(p, floor)
    sofa, fire, w = ((0.30, 0.84, 0.33), (0.70, 0.17, 0.66), (0.66, 0.17, 0.52), (0.30, 0.84, 0.22))[k]
    sofa, fire, w = j(sofa), j(fire), j(w)
    opening = _window(q, w, 0.07, 0.33, 0.145, (255, 255, 255), ((110, 150, 130), (224, 120, 90), (150, 120, 190), (236, 110, 100))[k])
    c = ((86, 140, 160), (226, 122, 92), (140, 110, 180), (104, 160, 110))[k]
    q.shape(box(sofa - 0.24, 0.45, sofa + 0.24, 0.68, 0.05), c, FAINT, 0.03)  # a sofa
    q.shape(box(sofa - 0.22, 0.58, sofa + 0.22, 0.70, 0.03), lighter(c, 0.16), FAINT, 0.02)
    q.stroke([(sofa, 0.585), (sofa, 0.69)], 0.006, darker(c, 0.3))
    for s in (-1, 1):
        q.shape(box(sofa + s * 0.205, 0.53, sofa + s * 0.275, 0.73, 0.03), c, FAINT, 0.02)
    q.shape(box(sofa - 0.16, 0.49, sofa - 0.05, 0.60, 0.02), (255, 214, 110), FAINT, 0.015)
    q.shape(box(sofa + 0.06, 0.50, sofa + 0.16, 0.60, 0.02), (250, 244, 230), FAINT, 0.015)
    if k in (0, 1):  # a fireplace
        q.shape(box(fire - 0.15, 0.41, fire + 0.15, 0.74), (196, 112, 88), FAINT)
        for row in range(6):
            for n in range(3):
                q.shape(box(fire - 0.14 + n * 0.1 + 0.03 * (row % 2), 0.45 + row * 0.05, fire - 0.07 + n * 0.1 + 0.03 * (row % 2), 0.475 + row * 0.05), (214, 136, 108), None)
        q.shape(box(fire - 0.175, 0.385, fire + 0.175, 0.42), lighter(WOOD, 0.1), FAINT)
        q.shape(np.concatenate([curve((fire - 0.095, 0.74), (fire - 0.095, 0.51), (fire, 0.51)), curve((fire, 0.51), (fire + 0.095, 0.51), (fire + 0.095, 0.74))[1:]]), (58, 44, 50), FAINT)
        for dx, h, cc in ((0, 0.15, (250, 130, 50)), (-0.035, 0.10, (250, 130, 50)), (0.035, 0.11, (250, 130, 50)), (0, 0.085, (255, 220, 90))):
            q.shape(blob([(fire + dx, 0.735 - h), (fire + dx + 0.035, 0.70), (fire + dx, 0.735), (fire + dx - 0.035, 0.70)], 4), cc, None, glow=True)
        q.shape(ellipse(fire + 0.09, 0.345, 0.028, 0.028), (255, 255, 255), (110, 80, 60), line=0.01)
        q.stroke([(fire + 0.09, 0.328), (fire + 0.09, 0.345), (fire + 0.10, 0.352)], 0.005)
    else:  # a bookcase
        q.shape(box(fire - 0.14, 0.16, fire + 0.14, 0.74), (150, 100, 66), FAINT)
        for row in range(4):
            y = 0.185 + row * 0.135
            q.shape(box(fire - 0.12, y, fire + 0.12, y + 0.115), (104, 68, 52), None)
            x = fire - 0.115
            for n in range(7):
                h, bw = 0.07 + 0.013 * ((n * 5 + row * 3) % 4), 0.024 + 0.006 * ((n + row) % 2)
                q.shape(box(x, y + 0.115 - h, x + bw, y + 0.115), ((226, 84, 76), (250, 196, 80), (96, 160, 120), (92, 130, 200), (176, 110, 180))[(n * 3 + row) % 5], (70, 46, 44), line=0.003)
                x += bw + 0.005
    lamp = j((0.62, 0.40, 0.93, 0.58)[k])
    q.shape(ellipse(lamp, 0.34, 0.13, 0.13), "halo", None, glow=True)
    q.stroke([(lamp, 0.38), (lamp, 0.74)], 0.014, (96, 84, 96))
    q.shape([(lamp - 0.04, 0.27), (lamp + 0.04, 0.27), (lamp + 0.075, 0.385), (lamp - 0.075, 0.385)], "lamp", FAINT, glow=True)
    q.shape(ellipse(lamp, 0.745, 0.05, 0.014), (96, 84, 96), None)
    rug = ((226, 110, 90), (96, 150, 170), (236, 180, 90), (120, 110, 190))[k]
    q.shape(ellipse(0.5, 0.875, 0.44, 0.095), rug, darker(rug, 0.3)).shape(ellipse(0.5, 0.875, 0.37, 0.073), lighter(rug, 0.45), None).shape(ellipse(0.5, 0.875, 0.31, 0.057), rug, None)
    return Stage(p, f, (opening,), q, False)


def _school(k: int, j: Jitter) -> Stage:
    p, q, f = piece(), piece(), piece()
    wall = ((250, 240, 200), (206, 230, 240), (222, 240, 206), (250, 220, 206))[k]
    floor = ((214, 176, 130), (190, 200, 206), (206, 180, 140), (214, 190, 170))[k]
    _walls(p, wall, floor, 0.70)
    p.shape(box(-0.02, 0.52, 1.02, 0.665), darker(wall, 0.12), None)
    _boards(p, floor)
    x, w = j((0.36, 0.64, 0.36, 0.60)[k]), j((0.85, 0.15, 0.86, 0.14)[k])
    board = ((48, 112, 88), (52, 74, 92), (48, 112, 88), (60, 120, 80))[k]
    q.shape(box(x - 0.29, 0.10, x + 0.29, 0.46), (176, 122, 78), FAINT)
    q.shape(box(x - 0.265, 0.125, x + 0.265, 0.435), board, None)
    chalk = (238, 244, 236)
    drawings = {
        0: [[(-0.2, 0.33), (-0.16, 0.2), (-0.12, 0.33)], [(-0.18, 0.285), (-0.14, 0.285)], [(-0.06, 0.2), (-0.06, 0.33), (-0.0, 0.31), (-0.0, 0.28), (-0.06, 0.265), (-0.01, 0.24), (-0.01, 0.215), (-0.06, 0.2)], [(0.14, 0.22), (0.09, 0.2), (0.06, 0.265), (0.09, 0.33), (0.14, 0.31)]],
        1: [[(-0.2, 0.22), (-0.17, 0.2), (-0.17, 0.33)], [(-0.09, 0.265), (-0.03, 0.265)], [(-0.06, 0.235), (-0.06, 0.295)], [(0.03, 0.22), (0.06, 0.2), (0.06, 0.33)], [(0.12, 0.25), (0.18, 0.25)], [(0.12, 0.285), (0.18, 0.285)]],
        2: [[(-0.12, 0.33), (-0.12, 0.24), (-0.05, 0.18), (0.02, 0.24), (0.02, 0.33), (-0.12, 0.33)], [(-0.07, 0.33), (-0.07, 0.28), (-0.03, 0.28), (-0.03, 0.33)], [(0.12, 0.33), (0.12, 0.22)]],
        3: [[(-0.2, 0.3), (-0.15, 0.2), (-0.1, 0.3), (-0.2, 0.3)], [(-0.02, 0.2), (0.08, 0.2), (0.08, 0.3), (-0.02, 0.3), (-0.02, 0.2)]],
    }[k]
    for line in drawings:
        q.stroke(np.array([(x + a, b) for a, b in line]), 0.011, chalk)
    if k in (2, 3):
        ring = ellipse(x + (0.12 if k == 2 else 0.18), 0.21 if k == 2 else 0.25, 0.045, 0.045)
        q.stroke(np.concatenate([ring, ring[:1]]), 0.010, chalk if k == 3 else (255, 226, 120))
    q.shape(box(x - 0.2, 0.455, x + 0.2, 0.47), (150, 100, 66), FAINT, line=0.004)
    for dx, c in ((-0.12, (255, 255, 255)), (-0.05, (255, 220, 120)), (0.1, (255, 170, 170))):
        q.shape(box(x + dx, 0.445, x + dx + 0.04, 0.456), c, None)
    opening = _window(q, w, 0.08, 0.40, 0.115, (255, 255, 255))
    d = j((0.86, 0.14, 0.14, 0.86)[k])  # a globe on a cupboard, or a clock
    q.shape(box(d - 0.12, 0.56, d + 0.12, 0.74), ((236, 150, 90), (110, 160, 200), (230, 110, 100), (130, 180, 120))[k], FAINT, 0.02)
    q.stroke([(d, 0.565), (d, 0.735)], 0.006, FAINT)
    if k in (0, 3):
        q.stroke([(d, 0.52), (d, 0.56)], 0.02, (110, 84, 70))
        q.shape(ellipse(d, 0.475, 0.055, 0.055), (92, 166, 226), FAINT, 0.02)
        for a, b, r in ((-0.02, -0.015, 0.022), (0.022, 0.012, 0.018), (-0.012, 0.03, 0.012)):
            q.shape(ellipse(d + a, 0.475 + b, r, r * 0.9), (110, 184, 96), None)
    else:
        for n, c in enumerate(((226, 84, 76), (250, 196, 80), (96, 160, 120), (92, 130, 200))):
            q.shape(box(d - 0.085 + n * 0.045, 0.475 + 0.012 * (n % 2), d - 0.047 + n * 0.045, 0.56), c, FAINT, line=0.004)
    for n in range(3 if k % 2 else 2):  # desks
        t = j(((0.3, 0.62), (0.4, 0.68, 0.92), (0.42, 0.7), (0.1, 0.36, 0.62))[k][n])
        for s in (-1, 1):
            q.stroke([(t + s * 0.075, 0.64), (t + s * 0.085, 0.755)], 0.012, (120, 126, 140))
        q.shape(box(t - 0.10, 0.615, t + 0.10, 0.65, 0.008), (232, 184, 122), FAINT, 0.01)
        q.shape(box(t - 0.05, 0.59, t + 0.02, 0.613), ((92, 130, 200), (226, 84, 76), (96, 170, 120))[n], FAINT, line=0.004)
    return Stage(p, f, (opening,), q, False)


PAINTERS = {
    **NATURE,
    "city": _city,
    "castle": _castle,
    "playground": _playground,
    "farm": _farm,
    "kitchen": _kitchen,
    "bedroom": _bedroom,
    "living room": _living_room,
    "school": _school,
}
__all__ = ["PAINTERS", "blossom", "cluster", "pine"]
