"""Hour and weather: the sky with sun, moon, stars and clouds, the light on everything, and rain, snow, wind, fog and lightning before it."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image

from story_ldm.data.toonstories2.brush import Canvas, Palette, Piece, Tint, blob, box, curve, ellipse, mix, ribbon, xy
from story_ldm.data.toonstories2.scenery import cluster, piece

RGB = tuple[int, int, int]
_SKIES: dict[str, tuple[RGB, RGB, RGB]] = {  # from the top to the horizon
    "day": ((92, 176, 244), (150, 208, 250), (214, 240, 252)),
    "evening": ((104, 84, 168), (244, 128, 110), (255, 214, 134)),
    "night": ((16, 22, 62), (34, 46, 102), (70, 84, 146)),
}
_VEILS: dict[str, tuple[RGB, float]] = {  # what covers the sky, and how much
    "clear": ((255, 255, 255), 0.0),
    "rain": ((140, 154, 174), 0.75),
    "snow": ((196, 208, 226), 0.7),
    "wind": ((190, 222, 226), 0.3),
    "fog": ((214, 220, 222), 0.85),
    "storm": ((100, 104, 132), 0.85),
}
_HOURS: dict[str, Tint] = {"day": (1.0, 1.0, 1.0), "evening": (1.0, 0.85, 0.80), "night": (0.46, 0.53, 0.84)}
_AIRS: dict[str, Tint] = {
    "clear": (1.0, 1.0, 1.0),
    "rain": (0.84, 0.88, 0.95),
    "snow": (0.94, 0.97, 1.0),
    "wind": (0.98, 1.0, 0.98),
    "fog": (0.94, 0.95, 0.96),
    "storm": (0.74, 0.77, 0.86),
}
_FOGS: dict[str, Tint] = {"day": (1.0, 1.0, 1.0), "evening": (1.0, 0.86, 0.82), "night": (0.62, 0.67, 0.86)}
_CLOUDS: dict[str, RGB] = {
    "clear": (255, 255, 255),
    "rain": (122, 134, 156),
    "snow": (206, 216, 232),
    "wind": (240, 248, 250),
    "fog": (226, 230, 232),
    "storm": (82, 84, 110),
}


def light(time: str, weather: str, inside: bool = False) -> tuple[Tint, Tint]:
    """The tints of scenery and of figures, which stay clearer, for garments are to be told apart at night. Rooms have lamps."""
    full = tuple(a * b for a, b in zip(_HOURS[time], _AIRS[weather], strict=True))

    def soft(share: float) -> Tint:
        return tuple(round(1 - (1 - v) * share, 4) for v in full)  # type: ignore[return-value]

    return (soft(0.55), soft(0.2)) if inside else (soft(1.0), soft(0.3))


def sky_colours(time: str, weather: str) -> tuple[RGB, RGB, RGB]:
    veil, share = _VEILS[weather]
    shade = {"day": (1.0, 1.0, 1.0), "evening": (0.92, 0.72, 0.74), "night": (0.34, 0.38, 0.58)}[time]
    veil = tuple(round(v * s) for v, s in zip(veil, shade, strict=True))  # type: ignore[assignment]
    return tuple(mix(c, veil, share) for c in _SKIES[time])  # type: ignore[return-value]


def gradient(side: int, colours, horizon: float) -> Image.Image:
    """A square of the colours from top to horizon, the last of them below."""
    y = np.linspace(0, 1, side) / horizon * (len(colours) - 1)
    column = np.stack([np.interp(y, np.arange(len(colours)), [c[k] for c in colours]) for k in range(3)], 1)
    return Image.fromarray(np.rint(column).astype(np.uint8)[:, None]).resize((side, side), Image.Resampling.NEAREST)


def scenery_palette(time: str, weather: str) -> Palette:
    dark = time != "day" or weather == "storm"
    return (
        ("glass", (255, 222, 124) if dark else (176, 218, 240)),
        ("lamp", (255, 232, 140) if dark else (250, 232, 196)),
        ("halo", (255, 232, 130, 70 if dark else 0)),
    )


@lru_cache(maxsize=256)
def heavens(time: str, weather: str, layout: int, horizon: float) -> Piece:
    """Sun or moon, stars and clouds."""
    p = piece()
    x = (0.80, 0.17, 0.64, 0.36)[layout]
    clear = weather in ("clear", "wind")
    if time == "night" and clear:
        for n in range(26):
            r = 0.0045 + 0.002 * (n % 3)
            p.shape(ellipse(((n * 41 + layout * 17) % 101) / 101, ((n * 29 + layout * 13) % 89) / 89 * 0.46, r, r, corners=8), (255, 250, 214), None)
    if clear or weather == "snow":
        veil = 255 if clear else 150
        if time == "day":
            for r, a in ((0.16, 40), (0.12, 60)):
                p.shape(ellipse(x, 0.13, r, r), (255, 246, 180, a), None)
            p.shape(ellipse(x, 0.13, 0.082, 0.082), (255, 226, 90, veil), None)
        elif time == "evening":
            for r, a in ((0.22, 50), (0.165, 70)):
                p.shape(ellipse(x, horizon - 0.10, r, r), (255, 190, 110, a), None)
            p.shape(ellipse(x, horizon - 0.10, 0.12, 0.12), (255, 110, 70, veil), None)
        else:
            p.shape(ellipse(x, 0.14, 0.14, 0.14), (230, 236, 255, 40), None)
            p.shape(blob(xy("-.02 .05, -.09 .1, -.085 .19, 0 .235, .08 .2, 0 .175, -.035 .12", x, 0), 4), (255, 246, 206, veil), None)
    c = _CLOUDS[weather]
    if time != "day":
        c = mix(c, (255, 176, 150) if time == "evening" else (44, 52, 96), 0.35 if time == "evening" else 0.75)
    spots: tuple[tuple[float, float], ...] = ((0.28, 0.13), (0.62, 0.22)) if layout % 2 == 0 else ((0.72, 0.12), (0.40, 0.21))
    if weather in ("rain", "storm", "snow"):
        spots = ((0.10, 0.07), (0.38, 0.04), (0.66, 0.08), (0.93, 0.05))
    for n, (cx, cy) in enumerate(spots if weather != "fog" else ()):
        r = 0.062 if weather not in ("rain", "storm") else 0.10
        cluster(
            p,
            [
                (cx - 1.5 * r, cy + 0.2 * r, 0.65 * r),
                (cx + 1.5 * r, cy + 0.2 * r, 0.7 * r),
                (cx - 0.5 * r, cy - 0.15 * r, r),
                (cx + 0.6 * r, cy - 0.1 * r, 0.9 * r),
            ],
            c,
            mix(c, (60, 70, 110), 0.3 if n else 0.2),
        )
    return p


@lru_cache(maxsize=4)
def lightning(layout: int) -> Piece:
    p = piece()
    x = (0.25, 0.72, 0.44, 0.58)[layout]
    bolt = xy(".03 .09, -.075 .29, -.01 .28, -.06 .46, .09 .23, .025 .235, .1 .09", x)
    return p.shape(bolt, (255, 240, 120), (255, 255, 230), line=0.008)


@lru_cache(maxsize=64)
def falling(weather: str, seed: int) -> Piece:
    """What falls or blows before everything."""
    p, dice = piece(), random.Random(seed)
    if weather in ("rain", "storm"):
        for n in range(64 if weather == "rain" else 81):
            rows = 8 if weather == "rain" else 9
            x, y, drop = (n % rows + dice.random()) / rows * 1.1, (n // rows + dice.random()) / rows * 1.05 - 0.05, 0.055 + 0.03 * dice.random()
            s = 0.25 if weather == "rain" else 0.5
            p.shape([(x, y), (x + 0.0065, y), (x - s * drop + 0.0045, y + drop), (x - s * drop, y + drop)], (214, 234, 255, 190), None)
        for _ in range(8):
            x, y = dice.random(), 0.8 + 0.18 * dice.random()
            p.shape(ellipse(x, y, 0.022, 0.007), (226, 240, 255, 150), None)
    elif weather == "snow":
        for n in range(81):
            x, y, r = (n % 9 + dice.random()) / 9, (n // 9 + dice.random()) / 9, 0.008 + 0.008 * dice.random()
            p.shape(ellipse(x, y, r, r, corners=8), (255, 255, 255, 235), None)
    elif weather == "wind":
        for y, x, w in ((0.16, 0.10, 0.30), (0.34, 0.52, 0.34), (0.55, 0.05, 0.26), (0.74, 0.62, 0.28)):
            curl = np.concatenate(
                [
                    curve((x, y), (x + 0.5 * w, y + 0.02), (x + w, y)),
                    curve((x + w, y), (x + w + 0.06, y - 0.025), (x + w + 0.025, y - 0.06)),
                    curve((x + w + 0.02, y - 0.06), (x + w - 0.03, y - 0.05), (x + w - 0.005, y - 0.025)),
                ]
            )
            p.shape(ribbon(curl, 0.006, 0.013), (255, 255, 255, 225), None)
        for n in range(11):
            x, y, a = dice.random(), 0.08 + 0.84 * dice.random(), 180 * dice.random()
            c = ((232, 130, 50), (206, 84, 60), (246, 196, 70), (130, 178, 80))[n % 4]
            p.shape(ellipse(x, y, 0.022, 0.011, a), c, (110, 70, 50), line=0.004)
    elif weather == "fog":
        p.shape(box(-0.02, -0.02, 1.02, 1.02), (230, 235, 238, 46), None)
        for n, y in enumerate((0.86, 0.93, 1.0)):
            h, x = 0.05, 0.2 * dice.random()
            p.shape(
                blob([(-0.3, y), (0.1 + x, y - h), (0.5, y - 0.3 * h), (0.8 - x, y - h), (1.3, y), (0.7 + x, y + h), (0.3, y + 0.6 * h)]),
                (236, 240, 242, (70, 90, 110)[n]),
                None,
            )
    return p


def mist(canvas: Canvas, time: str) -> None:
    """Fog between scenery and figures."""
    p = piece()
    p.shape(box(-0.02, -0.02, 1.02, 1.02), (230, 236, 240, 125), None)
    for n, y in enumerate((0.22, 0.46, 0.66)):
        h, x = 0.065, 0.14 * (n % 2)
        p.shape(
            blob([(-0.3, y), (0.1 + x, y - h), (0.5, y - 0.3 * h), (0.8 - x, y - h), (1.3, y), (0.7 + x, y + h), (0.3, y + 0.6 * h)]),
            (250, 252, 253, 90),
            None,
        )
    canvas.paint(p, tint=_FOGS[time])


def paint_window(canvas: Canvas, opening: tuple[float, float, float, float], time: str, weather: str, layout: int) -> None:
    """The sky through a window."""
    x0, y0, x1, y1 = opening
    w, h = x1 - x0, y1 - y0
    p, colours = piece(), sky_colours(time, weather)
    for n in range(12):
        y = n / 11 * 2
        c = mix(colours[0], colours[1], y) if y <= 1 else mix(colours[1], colours[2], y - 1)
        p.shape(box(x0, y0 + h * n / 12, x1, y1), c, None)
    hill: tuple[int, ...] = (104, 168, 96) if weather != "snow" else (240, 246, 252)
    tint = light(time, weather)[0]
    hill = tuple(min(255, round(v * t)) for v, t in zip(hill, tint, strict=True))
    cx, cy = x0 + w * (0.28 if layout % 2 else 0.72), y0 + h * 0.3
    if weather in ("clear", "wind"):
        if time == "day":
            p.shape(ellipse(cx, cy, 0.042, 0.042), (255, 226, 90), None)
        elif time == "evening":
            p.shape(ellipse(cx, y0 + h * 0.62, 0.055, 0.055), (255, 110, 70), None)
        else:
            p.shape(ellipse(cx, cy, 0.038, 0.038), (255, 246, 206), None)
            p.shape(ellipse(cx + 0.016, cy - 0.01, 0.031, 0.031), mix(colours[0], colours[1], 0.5), None)
            for a, b in ((0.2, 0.2), (0.45, 0.45), (0.85, 0.75), (0.55, 0.15), (0.12, 0.62)):
                p.shape(ellipse(x0 + w * (a if layout % 2 == 0 else 1 - a), y0 + h * b, 0.006, 0.006, corners=8), (255, 250, 214), None)
    p.shape(np.concatenate([curve((x0, y1 - 0.06), ((x0 + x1) / 2, y1 - 0.11), (x1, y1 - 0.05)), [(x1, y1), (x0, y1)]]), hill, None)
    dice = random.Random(layout * 8 + 1)
    if weather in ("rain", "storm"):
        for _ in range(26):
            x, y, drop = x0 + 0.02 + dice.random() * (w - 0.03), y0 + dice.random() * (h - 0.055), 0.05
            p.shape([(x, y), (x + 0.007, y), (x - 0.010, y + drop), (x - 0.016, y + drop)], (226, 240, 255, 215), None)
        if weather == "storm":
            p.shape(
                np.array(xy(".03 0, -.05 .1, -.005 .1, -.04 .2, .06 .075, .015 .075, .06 0")) * min(1.0, h / 0.24) + (cx, y0 + 0.01),
                (255, 240, 120),
                None,
            )
    elif weather == "snow":
        for _ in range(26):
            p.shape(
                ellipse(x0 + 0.01 + dice.random() * (w - 0.02), y0 + 0.01 + dice.random() * (h - 0.02), 0.009, 0.009, corners=8),
                (255, 255, 255),
                None,
            )
        p.shape(blob([(x0, y1), (x0 + 0.3 * w, y1 - 0.02), (x0 + 0.7 * w, y1 - 0.015), (x1, y1)], 4), (255, 255, 255), None)
    elif weather == "wind":
        for n in range(7):
            p.shape(
                ellipse(x0 + w * (0.12 + 0.13 * n), y0 + h * (0.15 + 0.7 * dice.random()), 0.018, 0.009, 180 * dice.random()),
                ((232, 130, 50), (206, 84, 60), (246, 196, 70))[n % 3],
                None,
            )
        for b in (0.35, 0.6):
            p.stroke(curve((x0 + 0.15 * w, y0 + b * h), (x0 + 0.5 * w, y0 + b * h + 0.02), (x0 + 0.8 * w, y0 + b * h - 0.01)), 0.009, (255, 255, 255))
    elif weather == "fog":
        p.shape(box(x0, y0, x1, y1), (232, 236, 238, 150), None)
        for b in (0.3, 0.55, 0.8):
            p.stroke(curve((x0 + 0.02, y0 + b * h), (x0 + 0.5 * w, y0 + b * h - 0.015), (x1 - 0.02, y0 + b * h)), 0.024, (246, 248, 250))
    canvas.paint(p)
