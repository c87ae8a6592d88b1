"""More places in the open: beach, sea, snow, moon. As in `scenery.py`."""

from __future__ import annotations

import math

import numpy as np

from story_ldm.data.toonstories2.brush import blob, box, curve, darker, ellipse, lighter, moved, ribbon, xy
from story_ldm.data.toonstories2.scenery import FAINT, Jitter, Stage, ground, piece, pine, rise, rock


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
        p.shape(blob(xy("-.17 .44, -.1 .35, .02 .315, .12 .36, .18 .46, 0 .43", x, 0), 4), (240, 92, 84), FAINT, 0.02)
        p.shape(blob(xy("-.05 .435, -.03 .37, .01 .32, .05 .37, .06 .44, 0 .43", x, 0), 4), (255, 246, 236), None)
    if k == 3:  # a sand castle
        x = j(0.2)
        for dx, h in ((-0.06, 0.11), (0.06, 0.11), (0.0, 0.17)):
            p.shape(box(x + dx - 0.033, 0.73 - h, x + dx + 0.033, 0.73), darker(sand, 0.2), FAINT, 0.01)
            p.shape([(x + dx - 0.042, 0.73 - h), (x + dx, 0.67 - h), (x + dx + 0.042, 0.73 - h)], darker(sand, 0.28), FAINT)
    for sx, sy, c in ((0.06, 0.97, (250, 140, 130)), (0.94, 0.965, (255, 250, 240))):
        f.shape(ellipse(j(sx), sy, 0.024, 0.017), c, FAINT, 0.008, line=0.005)
    return Stage(p, f, horizon=0.47)


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
        for q in (
            [(-0.1, -0.06), (-0.03, -0.11), (0.02, -0.05), (-0.02, 0.0), (-0.06, 0.02)],
            [(0.03, 0.02), (0.09, 0.0), (0.08, 0.07), (0.04, 0.1)],
            [(-0.07, 0.06), (-0.03, 0.06), (-0.05, 0.1)],
        ):
            p.shape(moved(blob(q, 4), x, y), (112, 190, 96), None)
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
        p.shape(blob(xy("0 .3, .062 .43, .068 .6, .04 .71, -.04 .71, -.068 .6, -.062 .43", x, 0)), (240, 240, 246), (30, 26, 50), 0.03)
        p.shape(blob([(x, 0.30), (x + 0.05, 0.40), (x, 0.415), (x - 0.05, 0.40)], 4), (226, 70, 66), None)
        p.shape(ellipse(x, 0.50, 0.03, 0.03), (120, 206, 250), (30, 26, 50))
    else:  # a flag
        x = j(0.16 if k == 1 else 0.8)
        p.stroke([(x, 0.42), (x, 0.72)], 0.012, (240, 240, 240))
        p.shape(blob([(x, 0.42), (x + 0.07, 0.44), (x + 0.14, 0.42), (x + 0.14, 0.52), (x + 0.07, 0.54), (x, 0.52)], 4), (250, 190, 70), (30, 26, 50))
    return Stage(
        p,
        f,
        sky=False,
        fixed=(((14, 14, 42), (44, 34, 92)), ((30, 14, 54), (82, 40, 96)), ((8, 26, 56), (24, 70, 104)), ((36, 16, 42), (96, 42, 74)))[k],
    )


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
            p.shape(
                ribbon(curve((x + 0.03, 0.25), (x + 0.03 + dx * 0.6, 0.22 + dy), (x + 0.03 + dx, 0.25 + dy)), 0.026, 0.008),
                (70, 160, 84),
                FAINT,
                line=0.004,
            )
    elif k == 1:  # a lighthouse on a rock
        rock(p, x, 0.47, 0.12)
        p.shape([(x - 0.048, 0.40), (x - 0.032, 0.16), (x + 0.032, 0.16), (x + 0.048, 0.40)], (255, 255, 255), FAINT, 0.015)
        for y in (0.20, 0.30):
            w = 0.034 + 0.016 * (y - 0.16) / 0.24
            p.shape([(x - w, y), (x + w, y), (x + w + 0.003, y + 0.05), (x - w - 0.003, y + 0.05)], (226, 70, 66), None)
        p.shape(box(x - 0.028, 0.11, x + 0.028, 0.16), (255, 236, 140), FAINT, glow=True)
        p.shape([(x - 0.042, 0.115), (x, 0.06), (x + 0.042, 0.115)], (226, 70, 66), FAINT)
    elif k == 2:  # a whale
        p.shape(blob(xy("-.17 .47, -.13 .37, 0 .33, .11 .38, .16 .43, .2 .34, .25 .32, .21 .42, .18 .48", x, 0)), (92, 132, 190), FAINT, 0.03)
        p.shape(ellipse(x - 0.09, 0.42, 0.012, 0.013, corners=10), (40, 34, 50), None)
        for s in (-1, 1):
            p.stroke(curve((x - 0.03, 0.32), (x - 0.03 + s * 0.02, 0.22), (x - 0.03 + s * 0.07, 0.27)), 0.016, (200, 234, 255))
    else:  # a sailing ship
        p.shape(blob(xy("-.17 .385, -.1 .4, .1 .4, .18 .37, .12 .48, -.11 .48", x, 0), 3), (150, 96, 62), FAINT, 0.02)
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
        x = 0.06 + 0.11 * n
        p.stroke([(x, 0.765), (1.5 * x - 0.25, 1.01)], 0.006, darker(wood, 0.3))
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
    for x, h in (
        ((0.72, 0.30), (0.84, 0.42), (0.95, 0.34)),
        ((0.06, 0.4), (0.17, 0.3)),
        ((0.08, 0.3), (0.5, 0.26), (0.93, 0.36)),
        ((0.4, 0.3), (0.52, 0.42), (0.63, 0.28)),
    )[k]:
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
        p.shape(
            np.concatenate([curve((x - 0.2, 0.70), (x - 0.2, 0.43), (x, 0.42)), curve((x, 0.42), (x + 0.2, 0.43), (x + 0.2, 0.70))[1:]]),
            (226, 240, 252),
            (110, 134, 170),
            0.04,
        )
        for y, w in ((0.49, 0.145), (0.56, 0.18), (0.63, 0.195)):
            p.stroke(curve((x - w, y), (x, y - 0.03), (x + w, y), 8), 0.006, (150, 180, 210))
            for n in (-1, 0, 1):
                dx = n * 0.1 + (0.05 if y == 0.56 else 0)
                p.stroke([(x + dx * 0.8, y - 0.02), (x + dx * 0.85, y + 0.045)], 0.006, (150, 180, 210))
        p.shape(
            np.concatenate([curve((x - 0.075, 0.71), (x - 0.075, 0.57), (x, 0.57)), curve((x, 0.57), (x + 0.075, 0.57), (x + 0.075, 0.71))[1:]]),
            (70, 90, 130),
            (110, 134, 170),
        )
    else:  # a log cabin under snow
        p.shape(box(x - 0.16, 0.47, x + 0.16, 0.67), (160, 106, 70), FAINT)
        for y in (0.51, 0.55, 0.59, 0.63):
            p.stroke([(x - 0.16, y), (x + 0.16, y)], 0.007, (112, 72, 52))
        p.shape(box(x + 0.04, 0.53, x + 0.11, 0.60), "glass", FAINT, glow=True)
        p.shape(box(x - 0.09, 0.53, x - 0.01, 0.67), (110, 66, 48), FAINT)
        p.shape(box(x + 0.07, 0.27, x + 0.12, 0.40), (170, 90, 80), FAINT)
        p.shape(blob(xy("-.22 .49, -.1 .37, 0 .3, .1 .37, .22 .49, .12 .475, 0 .49, -.12 .475", x, 0), 4), (255, 255, 255), (120, 134, 170), 0.03)
    if k == 3:  # a frozen pond
        p.shape(ellipse(j(0.76), 0.74, 0.2, 0.045), (176, 222, 244), (140, 170, 200), line=0.006)
        p.stroke([(0.68, 0.735), (0.76, 0.73)], 0.006, (255, 255, 255))
    for x, y, w in ((0.4, 0.80, 0.1), (0.8, 0.88, 0.12), (0.12, 0.86, 0.1)):
        p.stroke(curve((x - w, y), (x, y - 0.02), (x + w, y)), 0.008, darker(white, 0.1))
    f.shape(blob([(-0.06, 1.05), (-0.05, 0.965), (0.06, 0.95), (0.16, 0.99), (0.2, 1.05)], 4), (255, 255, 255), None)
    f.shape(blob([(0.84, 1.05), (0.88, 0.975), (0.97, 0.955), (1.06, 0.98), (1.06, 1.05)], 4), (255, 255, 255), None)
    return Stage(p, f, horizon=0.5)


SHORES = {"beach": _beach, "sea": _sea, "snow": _snow, "moon": _moon}
