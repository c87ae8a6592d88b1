"""Places that were built: city, castle, playground, farm. As in `scenery.py`."""

from __future__ import annotations

import math

import numpy as np

from story_ldm.data.toonstories2.brush import Piece, blob, box, curve, darker, ellipse, lighter, ribbon, xy
from story_ldm.data.toonstories2.scenery import FAINT, Jitter, Stage, bush, ground, piece, rise, tree, tufts

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
                p.shape(
                    [(a, 0.63), (a + 0.0357, 0.63), (a + 0.0357, 0.67), (a, 0.67)],
                    (255, 255, 255) if q % 2 else ((226, 70, 66), (70, 130, 200), (90, 170, 100), (240, 150, 60))[k],
                    FAINT,
                    line=0.003,
                )
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
    p.shape(
        np.concatenate(
            [
                curve((x - 0.018, y + 0.05), (x - 0.018, y - 0.02), (x, y - 0.02), 4),
                curve((x, y - 0.02), (x + 0.018, y - 0.02), (x + 0.018, y + 0.05), 4)[1:],
            ]
        ),
        "glass",
        FAINT,
        glow=True,
    )


def _castle(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    stone = ((206, 204, 216), (232, 208, 186), (222, 190, 208), (184, 196, 206))[k]
    roof = ((86, 116, 196), (214, 84, 76), (148, 92, 180), (70, 150, 130))[k]
    for x in (0.1, 0.5, 0.9):
        p.shape(ellipse(x, 0.72, 0.34, 0.2), (156, 200, 140), None)
    towers = (
        ((0.14, 0.26, True), (0.86, 0.26, True), (0.34, 0.34, False), (0.66, 0.34, False)),
        ((0.26, 0.16, True), (0.82, 0.38, False), (0.56, 0.30, True)),
        ((0.5, 0.2, True), (0.12, 0.36, False), (0.88, 0.36, False)),
        ((0.76, 0.18, True), (0.16, 0.34, True), (0.42, 0.36, False)),
    )[k]
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
    p.shape(
        np.concatenate([curve((x - 0.1, 0.71), (x - 0.1, 0.50), (x, 0.50)), curve((x, 0.50), (x + 0.1, 0.50), (x + 0.1, 0.71))[1:]]),
        (134, 88, 60),
        FAINT,
    )
    for dx in (-0.05, 0.0, 0.05):
        p.stroke([(x + dx, 0.53), (x + dx, 0.70)], 0.006, (92, 60, 46))
    for s in (-1, 1):  # banners
        p.shape(
            [(x + s * 0.2 - 0.035, 0.52), (x + s * 0.2 + 0.035, 0.52), (x + s * 0.2 + 0.035, 0.63), (x + s * 0.2, 0.60), (x + s * 0.2 - 0.035, 0.63)],
            roof,
            FAINT,
        )
        p.shape(ellipse(x + s * 0.2, 0.555, 0.016, 0.016), (255, 206, 70), None)
    ground(p, rise(0.70, 0.685, 0.70), (132, 190, 104))
    p.shape(blob(xy("-.09 .7, .09 .7, .14 .82, .26 1.03, -.3 1.03, -.15 .82", x, 0), 4), (226, 206, 170), None)
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
        p.shape(
            ribbon(
                np.concatenate(
                    [
                        curve((x + s * 0.05, 0.38), (x + s * 0.15, 0.50), (x + s * 0.2, 0.60)),
                        curve((x + s * 0.21, 0.62), (x + s * 0.25, 0.70), (x + s * 0.34, 0.70)),
                    ]
                ),
                0.05,
            ),
            c,
            FAINT,
            0.012,
        )
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
        p.stroke(
            curve((0.5 + (n - 5.5) * 0.06, 0.585), (0.5 + (n - 5.5) * 0.09, 0.63), (0.5 + (n - 5.5) * 0.16, 0.70), 4), 0.007, darker(field, 0.16)
        )
    ground(p, rise(0.695, 0.685, 0.70), (146, 196, 96))
    x = j((0.26, 0.74, 0.72, 0.28)[k])
    c = ((206, 70, 62), (176, 92, 70), (206, 70, 62), (90, 130, 170))[k]
    p.shape([(x - 0.18, 0.69), (x - 0.18, 0.44), (x - 0.12, 0.30), (x, 0.22), (x + 0.12, 0.30), (x + 0.18, 0.44), (x + 0.18, 0.69)], c, FAINT)
    for dx in (-0.12, -0.06, 0.06, 0.12):
        p.stroke([(x + dx, 0.40), (x + dx, 0.68)], 0.005, darker(c, 0.2))
    p.shape(
        ribbon(np.array([(x - 0.21, 0.46), (x - 0.13, 0.285), (x, 0.20), (x + 0.13, 0.285), (x + 0.21, 0.46)]), 0.032),
        (110, 92, 100) if k != 3 else (226, 220, 210),
        FAINT,
    )
    p.shape(box(x - 0.085, 0.50, x + 0.085, 0.69), CREAM, FAINT)
    p.shape(box(x - 0.07, 0.515, x + 0.07, 0.69), c, None)
    for a, b in (((-0.07, 0.515), (0.07, 0.69)), ((0.07, 0.515), (-0.07, 0.69))):
        p.stroke([(x + a[0], a[1]), (x + b[0], b[1])], 0.014, CREAM)
    p.shape(box(x - 0.035, 0.34, x + 0.035, 0.41), "glass", CREAM, glow=True, line=0.012)
    y = j((0.80, 0.2, 0.2, 0.82)[k])
    if k in (0, 2):  # a silo
        p.shape(box(y - 0.06, 0.34, y + 0.06, 0.69), (206, 212, 222), FAINT, 0.03)
        p.shape(
            np.concatenate([curve((y - 0.065, 0.345), (y - 0.06, 0.25), (y, 0.24)), curve((y, 0.24), (y + 0.06, 0.25), (y + 0.065, 0.345))[1:]]),
            (220, 96, 80),
            FAINT,
            0.02,
        )
        for q in (0.42, 0.50, 0.58):
            p.stroke([(y - 0.06, q), (y + 0.06, q)], 0.006, (160, 168, 184))
    else:  # a windmill
        p.shape([(y - 0.075, 0.69), (y - 0.045, 0.36), (y + 0.045, 0.36), (y + 0.075, 0.69)], CREAM, FAINT, 0.02)
        p.shape([(y - 0.06, 0.365), (y, 0.28), (y + 0.06, 0.365)], (176, 92, 70), FAINT)
        for sail in range(4):
            angle = math.radians(90 * sail + 32)
            u, v = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
            hub = np.array([y, 0.35])
            p.shape(
                np.array([hub + 0.04 * u, hub + 0.19 * u, hub + 0.19 * u + 0.05 * v, hub + 0.05 * u + 0.045 * v]), (255, 255, 255), FAINT, line=0.005
            )
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
            p.shape(ellipse(q + dx, 0.70, r * 0.5, r * 0.5), (206, 160, 70), None).shape(
                ellipse(q + dx, 0.70, r * 0.36, r * 0.36), (240, 202, 100), None
            )
    else:  # a cow's or a sheep's head over the fence would be somebody: a heap of pumpkins instead
        for dx, y in ((-0.05, 0.745), (0.05, 0.75), (0.0, 0.705)):
            p.shape(ellipse(q + dx, y, 0.05, 0.04), (248, 146, 52), FAINT, 0.015)
            p.stroke(curve((q + dx, y - 0.035), (q + dx - 0.018, y), (q + dx, y + 0.035), 5), 0.006, (206, 104, 40))
            p.stroke([(q + dx, y - 0.04), (q + dx + 0.008, y - 0.058)], 0.012, (90, 140, 70))
    tufts(f, ((0.04, 1.0), (0.96, 0.995)), (104, 158, 74), 0.045)
    return Stage(p, f, horizon=0.55)


TOWNS = {"city": _city, "castle": _castle, "playground": _playground, "farm": _farm}
