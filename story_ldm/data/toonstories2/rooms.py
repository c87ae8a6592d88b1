"""Rooms: kitchen, bedroom, living room, school. As in `scenery.py`; hour and weather are seen through a window."""

from __future__ import annotations

import numpy as np

from story_ldm.data.toonstories2.brush import Piece, blob, box, curve, darker, ellipse, lighter, mix, ribbon, xy
from story_ldm.data.toonstories2.scenery import FAINT, Jitter, Stage, piece
from story_ldm.data.toonstories2.towns import CREAM, WOOD


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
    for a, b, c, d in (
        (x - w - 0.018, y0 - 0.018, x + w + 0.018, y0),
        (x - w - 0.018, y1, x + w + 0.018, y1 + 0.02),
        (x - w - 0.018, y0, x - w, y1),
        (x + w, y0, x + w + 0.018, y1),
    ):
        p.shape(box(a, b, c, d), frame, FAINT, line=0.004)
    p.shape(box(x - 0.007, y0, x + 0.007, y1), frame, None)
    p.shape(box(x - w, (y0 + y1) / 2 - 0.007, x + w, (y0 + y1) / 2 + 0.007), frame, None)
    p.shape(box(x - w - 0.035, y1 + 0.018, x + w + 0.035, y1 + 0.036), frame, FAINT, line=0.004)
    if curtain:
        for s in (-1, 1):
            edge = x + s * (w + 0.055)
            p.shape(
                blob(
                    [
                        (edge, y0 - 0.04),
                        (x + s * w * 0.72, y0 - 0.04),
                        (x + s * w * 0.86, (y0 + y1) / 2),
                        (x + s * w * 1.0, y1 + 0.05),
                        (edge, y1 + 0.05),
                    ],
                    4,
                ),
                curtain,
                FAINT,
                0.02,
            )
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
            p.shape(
                box(n * 0.088 - 0.02, 0.395 + 0.045 * row, n * 0.088 + 0.062, 0.435 + 0.045 * row), (250, 252, 252), darker(wall, 0.15), line=0.003
            )
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
        q.stroke(
            [(stove + dx, 0.36), (stove + dx + 0.014, 0.335), (stove + dx - 0.006, 0.31), (stove + dx + 0.008, 0.28)], 0.01, (255, 255, 255, 190)
        )
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
    q.shape(
        blob([(x - s * 0.235, 0.46), (x - s * 0.13, 0.455), (x - s * 0.12, 0.53), (x - s * 0.13, 0.56), (x - s * 0.235, 0.56)], 4),
        (255, 255, 255),
        FAINT,
        0.015,
    )
    q.shape(box(x - 0.25, 0.545, x + 0.25, 0.70, 0.015), CREAM, FAINT)
    q.shape(
        blob(
            [(x - s * 0.13, 0.525), (x, 0.505), (x + s * 0.2, 0.52), (x + s * 0.262, 0.56), (x + s * 0.262, 0.70), (x, 0.712), (x - s * 0.14, 0.70)],
            4,
        ),
        blanket,
        FAINT,
        0.03,
    )
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
                q.shape(
                    box(fire - 0.14 + n * 0.1 + 0.03 * (row % 2), 0.45 + row * 0.05, fire - 0.07 + n * 0.1 + 0.03 * (row % 2), 0.475 + row * 0.05),
                    (214, 136, 108),
                    None,
                )
        q.shape(box(fire - 0.175, 0.385, fire + 0.175, 0.42), lighter(WOOD, 0.1), FAINT)
        q.shape(
            np.concatenate(
                [curve((fire - 0.095, 0.74), (fire - 0.095, 0.51), (fire, 0.51)), curve((fire, 0.51), (fire + 0.095, 0.51), (fire + 0.095, 0.74))[1:]]
            ),
            (58, 44, 50),
            FAINT,
        )
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
                q.shape(
                    box(x, y + 0.115 - h, x + bw, y + 0.115),
                    ((226, 84, 76), (250, 196, 80), (96, 160, 120), (92, 130, 200), (176, 110, 180))[(n * 3 + row) % 5],
                    (70, 46, 44),
                    line=0.003,
                )
                x += bw + 0.005
    lamp = j((0.62, 0.40, 0.93, 0.58)[k])
    q.shape(ellipse(lamp, 0.34, 0.13, 0.13), "halo", None, glow=True)
    q.stroke([(lamp, 0.38), (lamp, 0.74)], 0.014, (96, 84, 96))
    q.shape([(lamp - 0.04, 0.27), (lamp + 0.04, 0.27), (lamp + 0.075, 0.385), (lamp - 0.075, 0.385)], "lamp", FAINT, glow=True)
    q.shape(ellipse(lamp, 0.745, 0.05, 0.014), (96, 84, 96), None)
    rug = ((226, 110, 90), (96, 150, 170), (236, 180, 90), (120, 110, 190))[k]
    q.shape(ellipse(0.5, 0.875, 0.44, 0.095), rug, darker(rug, 0.3)).shape(ellipse(0.5, 0.875, 0.37, 0.073), lighter(rug, 0.45), None).shape(
        ellipse(0.5, 0.875, 0.31, 0.057), rug, None
    )
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
    drawings: dict[int, list] = {
        0: [
            [(-0.2, 0.33), (-0.16, 0.2), (-0.12, 0.33)],
            [(-0.18, 0.285), (-0.14, 0.285)],
            xy("-.06 .2, -.06 .33, 0 .31, 0 .28, -.06 .265, -.01 .24, -.01 .215, -.06 .2"),
            [(0.14, 0.22), (0.09, 0.2), (0.06, 0.265), (0.09, 0.33), (0.14, 0.31)],
        ],
        1: [
            [(-0.2, 0.22), (-0.17, 0.2), (-0.17, 0.33)],
            [(-0.09, 0.265), (-0.03, 0.265)],
            [(-0.06, 0.235), (-0.06, 0.295)],
            [(0.03, 0.22), (0.06, 0.2), (0.06, 0.33)],
            [(0.12, 0.25), (0.18, 0.25)],
            [(0.12, 0.285), (0.18, 0.285)],
        ],
        2: [
            xy("-.12 .33, -.12 .24, -.05 .18, .02 .24, .02 .33, -.12 .33"),
            [(-0.07, 0.33), (-0.07, 0.28), (-0.03, 0.28), (-0.03, 0.33)],
            [(0.12, 0.33), (0.12, 0.22)],
        ],
        3: [[(-0.2, 0.3), (-0.15, 0.2), (-0.1, 0.3), (-0.2, 0.3)], [(-0.02, 0.2), (0.08, 0.2), (0.08, 0.3), (-0.02, 0.3), (-0.02, 0.2)]],
    }
    for line in drawings[k]:
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


INSIDE = {"kitchen": _kitchen, "bedroom": _bedroom, "living room": _living_room, "school": _school}
