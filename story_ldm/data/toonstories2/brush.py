"""Shapes and how they reach pixels: outlines as polygons, cut once, then moved, coloured and filled by aggdraw.

A `Piece` is an ordered list of polygons in coordinates of its own; its colours are RGB, RGBA or names that a palette gives later, so that one
piece serves every garment, fur and hour. Building a piece costs a millisecond and painting one a tenth of that: pieces are cached by who makes
them. Pixels depend on nothing but numbers: corners are rounded to 1/32 of a pixel, which absorbs the last bits of sine and cosine, and the library
(Anti-Grain Geometry) fills them with integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import aggdraw
import numpy as np
from PIL import Image

INK = (62, 42, 50)
LINE = 0.02  # width of outlines, in figure heights
Colour = tuple[int, ...] | str
Tint = tuple[float, float, float]
Points = np.ndarray | Sequence
Palette = tuple[tuple[str, tuple[int, ...]], ...]  # name, colour
DAYLIGHT: Tint = (1.0, 1.0, 1.0)


def mix(a: Sequence[int], b: Sequence[int], share: float) -> tuple[int, int, int]:
    """The colour `share` of the way from a to b."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a[:3], b[:3], strict=True))  # type: ignore[return-value]


def darker(c: Colour, by: float = 0.2) -> Colour:
    """The shaded side of a colour, towards violet as in watercolours; of a named colour, the name with "-" behind it."""
    return c + "-" if isinstance(c, str) else (*mix(c, (58, 26, 84), by), *c[3:])


def lighter(c: tuple[int, ...], by: float = 0.35) -> tuple[int, int, int]:
    return mix(c, (255, 255, 255), by)


# --- outlines: arrays of shape (corners, 2) ---------------------------------------------------------------------------------------------


def xy(text: str, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Points written as "x y, x y, …", counted from (x, y)."""
    return moved([[float(v) for v in point.split()] for point in text.split(",")], x, y)


def moved(points, x: float, y: float) -> np.ndarray:
    return np.add(points, (x, y))


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0, corners: int = 0) -> np.ndarray:
    """`turn` in degrees."""
    n = corners or (14 if max(rx, ry) < 0.04 else 24 if max(rx, ry) < 0.12 else 40)
    a = np.arange(n) * (2 * math.pi / n)
    return moved(turned(np.stack([rx * np.cos(a), ry * np.sin(a)], 1), turn), x, y)


def box(x0: float, y0: float, x1: float, y1: float, round_: float = 0.0) -> np.ndarray:
    """An upright rectangle; `round_` is the radius of its corners."""
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    if not round_:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    r = min(round_, (x1 - x0) / 2, (y1 - y0) / 2)
    corners = ((x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180), (x1 - r, y0 + r, 270))
    return np.array([(x + r * math.cos(math.radians(a + d)), y + r * math.sin(math.radians(a + d))) for x, y, a in corners for d in (0, 30, 60, 90)])


def blob(points: Points, steps: int = 5) -> np.ndarray:
    """A smooth closed outline through the points (Catmull-Rom)."""
    p = np.array(points, dtype=float)
    a, b, c, d = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (v[:, None] for v in (a, b, c, d))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, 2)


def curve(start, bend, end, steps: int = 8) -> np.ndarray:
    """An open quadratic Bézier curve."""
    t = np.linspace(0, 1, steps + 1)[:, None]
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(end)


def ribbon(points: Points, start: float, end: float | None = None) -> np.ndarray:
    """A line as an outline with round ends, `start` to `end` wide."""
    p = np.array(points, dtype=float)
    step = np.gradient(p, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
    half = np.linspace(start, start if end is None else end, len(p))[:, None] / 2
    caps = []
    for k, sign in ((-1, 1), (0, -1)):
        a = math.atan2(normal[k, 1], normal[k, 0]) * 1.0 + (0 if sign > 0 else math.pi)
        angles = a - np.arange(1, 6) * (math.pi / 6)
        caps.append(p[k] + half[k] * np.stack([np.cos(angles), np.sin(angles)], 1))
    return np.concatenate([p + normal * half, caps[0], (p - normal * half)[::-1], caps[1]])


def turned(points: np.ndarray, degrees: float, about: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Anticlockwise where y points up."""
    if not degrees:
        return points
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - about) @ np.array([(c, s), (-s, c)]) + about


def _normals(p: np.ndarray) -> np.ndarray:
    """Outward at each corner; longer at sharp ones, so that an outline keeps its width, up to twice."""
    edge = np.roll(p, -1, 0) - p
    n = np.stack([edge[:, 1], -edge[:, 0]], 1) / np.maximum(np.hypot(edge[:, 0], edge[:, 1]), 1e-9)[:, None]
    if (p[:, 0] * np.roll(p[:, 1], -1) - p[:, 1] * np.roll(p[:, 0], -1)).sum() < 0:
        n = -n
    before = np.roll(n, 1, 0)
    return (n + before) / np.maximum(1 + (n * before).sum(1), 0.5)[:, None]


def grown(points: np.ndarray, by: float) -> np.ndarray:
    return points + _normals(points) * by


def shaded_side(points: np.ndarray, depth: float, light: tuple[float, float]) -> np.ndarray | None:
    """The crescent of an outline's inside that is turned away from the light."""
    n = _normals(points)
    away = np.maximum(0, -(n @ np.array(light)) / math.hypot(*light) - 0.1)
    if not (away == 0).any():
        return None
    start = int(np.argmax(away == 0))
    away, p, n = np.roll(away, -start), np.roll(points, -start, 0), np.roll(n, -start, 0)
    runs, k = [], 0
    while k < len(p):  # the longest stretch: what lies in the shade of a concave outline may come in several
        if away[k] > 0:
            end = k
            while end < len(p) and away[end] > 0:
                end += 1
            runs.append((end - k, k, end))
            k = end
        k += 1
    if not runs or max(runs)[0] < 3:
        return None
    _, first, last = max(runs)
    outer, inner = p[first:last], p[first:last] - n[first:last] * (away[first:last] * depth)[:, None]
    return np.concatenate([outer, inner[::-1]])


# --- pieces ------------------------------------------------------------------------------------------------------------------------------


class Piece:
    """Polygons to be painted one over the other. `light` points to where the light comes from, in the piece's own coordinates."""

    def __init__(self, light: tuple[float, float] = (-0.6, 0.8), line: float = LINE):
        self.light, self.line = light, line
        self.points: list[np.ndarray] = []
        self.colours: list[Colour] = []
        self.glows: list[bool] = []  # keeps its colour at any hour
        self._packed: tuple[np.ndarray, list[slice]] | None = None
        self._bounds: tuple | None = None
        self._brushes: dict[tuple, list] = {}

    def shape(self, points, fill: Colour, ink: Colour | None = INK, shade: float = 0.0, glow: bool = False, line: float | None = None) -> Piece:
        """An outline filled, with a line of `ink` around it and a shaded side `shade` deep."""
        points = np.asarray(points, dtype=float)
        if ink is not None:
            self._add(grown(points, self.line if line is None else line), ink, glow)
        self._add(points, fill, glow)
        if shade and (crescent := shaded_side(points, shade, self.light)) is not None:
            self._add(crescent, darker(fill), glow)
        return self

    def stroke(self, points, width: float, colour: Colour = INK, end: float | None = None, glow: bool = False) -> Piece:
        return self.shape(ribbon(points, width, end), colour, None, glow=glow)

    def _add(self, points: np.ndarray, colour: Colour, glow: bool = False) -> None:
        self.points.append(points)
        self.colours.append(colour)
        self.glows.append(glow)

    def extend(self, other: Piece, x: float = 0.0, y: float = 0.0, scale: float = 1.0, degrees: float = 0.0, flip: bool = False) -> Piece:
        for points, colour, glow in zip(other.points, other.colours, other.glows, strict=True):
            sized = points * ((-1, 1) if flip else (1, 1)) * scale
            self._add(moved(turned(sized, degrees), x, y), colour, glow)
        return self

    def turn(self, degrees: float, about: tuple[float, float]) -> Piece:
        self.points = [turned(p, degrees, about) for p in self.points]
        return self

    def packed(self) -> tuple[np.ndarray, list[slice]]:
        """All corners, and where each polygon has its coordinates in the flat list of them."""
        if self._packed is None:
            ends = np.cumsum([0, *map(len, self.points)]) * 2
            self._packed = np.concatenate(self.points or [np.zeros((0, 2))]), [slice(*pair) for pair in pairwise(ends.tolist())]
        return self._packed

    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """The least and greatest x and y, of what has any."""
        if self._bounds is None and self.points:
            corners = self.packed()[0]
            low, high = corners.min(0).tolist(), corners.max(0).tolist()
            self._bounds = (low[0], high[0]), (low[1], high[1])
        return self._bounds

    def brushes(self, palette: Palette, tint: Tint) -> list:
        if (known := self._brushes.get((palette, tint))) is None:
            named = dict(palette)
            colours = [named[c] if isinstance(c, str) else c for c in self.colours]
            known = [_brush(c if glow else tinted(c, tint)) for c, glow in zip(colours, self.glows, strict=True)]
            if len(self._brushes) >= 256:
                self._brushes.clear()
            self._brushes[palette, tint] = known
        return known


def tinted(colour: tuple[int, ...], tint: Tint) -> tuple[int, ...]:
    return (*(min(255, round(v * t)) for v, t in zip(colour[:3], tint, strict=True)), *colour[3:])


@lru_cache(maxsize=65536)
def _brush(colour: tuple[int, ...]) -> aggdraw.Brush:
    return aggdraw.Brush(colour[:3], colour[3] if len(colour) == 4 else 255)


class Canvas:
    """A square picture that is painted upon, `side` pixels wide."""

    def __init__(self, image: Image.Image):
        self.image, self.side = image, image.width
        self.draw = aggdraw.Draw(image)

    def paint(self, piece: Piece, x=0.0, y=0.0, scale=1.0, flip=False, up=False, palette: Palette = (), tint: Tint = DAYLIGHT, degrees=0.0) -> None:
        """Paints the piece with its origin at (x, y) of the frame, `scale` frames a unit; `up`: its y points up; `flip`: mirrored."""
        corners, slices = piece.packed()
        if not slices:
            return
        grain = self.side * 32
        placed = turned(corners, degrees) * ((-scale if flip else scale) * grain, (-scale if up else scale) * grain) + (x * grain, y * grain)
        flat = (np.rint(placed) / 32).ravel().tolist()
        polygon = self.draw.polygon
        for part, brush in zip(slices, piece.brushes(palette, tint), strict=True):
            polygon(flat[part], brush)

    def finished(self) -> Image.Image:
        self.draw.flush()
        return self.image
