"""Places in the open: forest, desert, mountain, garden. As in `scenery.py`."""

from __future__ import annotations

import math

import numpy as np

from story_ldm.data.toonstories2.brush import blob, box, curve, darker, ellipse, lighter, ribbon
from story_ldm.data.toonstories2.scenery import (
    FAINT,
    Jitter,
    Stage,
    blossom,
    cluster,
    ground,
    path_colour,
    piece,
    pine,
    rise,
    rock,
    tree,
    tufts,
)


def _forest(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    leaf = ((86, 160, 78), (222, 132, 52), (44, 124, 96), (132, 178, 62))[k]
    grass = ((134, 196, 92), (214, 182, 94), (96, 164, 104), (166, 206, 90))[k]
    for n in range(9):  # a far wall of trees
        x, h = j(0.06 + 0.115 * n), 0.30 + 0.05 * ((n * 7 + k) % 3)
        p.shape(
            ellipse(x, 0.66 - h * 0.75, 0.085, h * 0.5) if k in (0, 1, 3) else np.array([(x - 0.1, 0.66), (x, 0.62 - h * 1.1), (x + 0.1, 0.66)]),
            lighter(leaf, 0.32 + 0.06 * (n % 2)),
            None,
        )
    ground(p, rise(0.60, 0.63, 0.60), darker(grass, 0.12))
    ground(p, rise(0.66, 0.64, 0.68), grass)
    p.shape(blob([(0.42, 0.65), (0.56, 0.65), (0.60, 0.76), (0.78, 1.03), (0.24, 1.03), (0.46, 0.78)], 4), path_colour(grass), None)
    for x, h in (
        ((0.10, 0.66), (0.30, 0.5), (0.93, 0.64)),
        ((0.07, 0.62), (0.70, 0.5), (0.93, 0.68)),
        ((0.08, 0.56), (0.36, 0.66), (0.64, 0.5), (0.93, 0.6)),
        ((0.50, 0.62), (0.06, 0.52), (0.95, 0.5)),
    )[k]:
        (pine if k == 2 else tree)(p, j(x), 0.69, h, leaf)
    if k == 3:
        rock(p, j(0.78), 0.70, 0.07)
    for spot in (((0.62, 0.72), (0.68, 0.73)), ((0.30, 0.73), (0.22, 0.72)), ((0.82, 0.73), (0.2, 0.73)), ((0.28, 0.72), (0.34, 0.73)))[
        k
    ]:  # toadstools
        mx, my = j(spot[0]), spot[1]
        p.shape(box(mx - 0.01, my - 0.03, mx + 0.01, my + 0.005), (255, 244, 226), FAINT, line=0.005)
        p.shape(blob([(mx - 0.035, my - 0.025), (mx, my - 0.065), (mx + 0.035, my - 0.025), (mx, my - 0.02)], 4), (226, 66, 58), FAINT, line=0.005)
        p.shape(ellipse(mx - 0.008, my - 0.045, 0.007, 0.006, corners=8), (255, 255, 255), None)
    tufts(f, ((0.03, 0.99), (0.97, 1.0), (0.16, 1.0)), darker(grass, 0.22), 0.045)
    return Stage(p, f)


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


def _mountain(k: int, j: Jitter) -> Stage:
    p, f = piece(), piece()
    stone = ((136, 144, 172), (168, 134, 140), (120, 146, 140), (128, 128, 164))[k]
    grass = ((140, 190, 104), (180, 190, 108), (112, 176, 112), (156, 186, 130))[k]
    p.shape([(-0.1, 0.64), (0.14, 0.40), (0.32, 0.56), (0.56, 0.36), (0.76, 0.54), (0.92, 0.42), (1.1, 0.64)], lighter(stone, 0.5), None)
    for x, h, w in (
        ((0.3, 0.54, 0.36),),
        ((0.7, 0.54, 0.36),),
        ((0.2, 0.38, 0.26), (0.74, 0.50, 0.32)),
        ((0.14, 0.46, 0.24), (0.5, 0.34, 0.24), (0.86, 0.5, 0.24)),
    )[k]:
        x, b = j(x), 0.66
        p.shape(
            [
                (x - w, b),
                (x - 0.55 * w, b - 0.5 * h),
                (x - 0.4 * w, b - 0.56 * h),
                (x, b - h),
                (x + 0.35 * w, b - 0.6 * h),
                (x + 0.52 * w, b - 0.52 * h),
                (x + w, b),
            ],
            stone,
            FAINT,
        )
        p.shape(
            [
                (x, b - h),
                (x + 0.35 * w, b - 0.6 * h),
                (x + 0.52 * w, b - 0.52 * h),
                (x + w, b),
                (x + 0.2 * w, b),
                (x + 0.12 * w, b - 0.4 * h),
                (x - 0.05 * w, b - 0.6 * h),
            ],
            darker(stone, 0.22),
            None,
        )
        p.shape(
            [
                (x, b - h),
                (x + 0.28 * w, b - 0.68 * h),
                (x + 0.16 * w, b - 0.62 * h),
                (x + 0.06 * w, b - 0.70 * h),
                (x - 0.08 * w, b - 0.6 * h),
                (x - 0.18 * w, b - 0.68 * h),
                (x - 0.32 * w, b - 0.645 * h),
            ],
            (255, 255, 255),
            None,
        )
        p.shape(
            [(x, b - h), (x + 0.28 * w, b - 0.68 * h), (x + 0.16 * w, b - 0.62 * h), (x + 0.06 * w, b - 0.70 * h), (x, b - 0.8 * h)],
            (206, 218, 240),
            None,
        )
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
                p.shape(
                    ellipse(bx + 0.034 * math.cos(a * 0.628), 0.70 - h + 0.034 * math.sin(a * 0.628), 0.016, 0.016, corners=8),
                    (255, 202, 52) if k == 0 else (250, 120, 160),
                    None,
                )
            p.shape(ellipse(bx, 0.70 - h, 0.025, 0.025), (122, 76, 48) if k == 0 else (255, 220, 90), None)
        else:
            c = ((236, 80, 90), (255, 206, 70), (176, 110, 220))[n % 3]
            p.shape(
                blob(
                    [(bx - 0.022, 0.69 - h), (bx - 0.01, 0.67 - h), (bx, 0.685 - h), (bx + 0.01, 0.67 - h), (bx + 0.022, 0.69 - h), (bx, 0.725 - h)],
                    3,
                ),
                c,
                FAINT,
                line=0.004,
            )
    for x, y, c in ((0.04, 0.955, (255, 255, 255)), (0.96, 0.95, (255, 190, 210)), (0.90, 0.975, (255, 255, 255))):
        blossom(f, j(x), y, c, 0.017, 0.06)
    return Stage(p, f)


NATURE = {"forest": _forest, "desert": _desert, "mountain": _mountain, "garden": _garden}
