"""Pictures as frames: made square, read whole, and cut out of strips. Needs PIL alone."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Literal

from PIL import Image, ImageOps

Fit = Literal["crop", "pad"]
FITS = ("crop", "pad")


def square(picture: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """`size` × `size` RGB pixels: the middle of a longer picture (crop), or all of it on black (pad)."""
    return (ImageOps.fit if fit == "crop" else ImageOps.pad)(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)


def png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1, compress_type=zlib.Z_RLE)  # zlib's strategy for PNG: faster than level 3 at about its size
    return file.getvalue()


def strip_length(picture: Image.Image) -> int:
    """How many square frames a strip holds: its longer side over its shorter one."""
    return max(picture.size) // min(picture.size)


def strip_frame(strip: Image.Image, n: int) -> Image.Image:
    """Frame n of frames that are stacked along the longer side."""
    side = min(strip.size)
    x, y = (0, n * side) if strip.height >= strip.width else (n * side, 0)
    return strip.crop((x, y, x + side, y + side))
