"""Pictures as frames: made square, encoded, saved, and cut out of strips. Imports PIL only."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps, UnidentifiedImageError

from story_ldm.files import regular_file, written_beside

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # those that docs/reference/datasets.md names; for EPS, PIL starts Ghostscript
UNREADABLE = (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError)  # all that PIL raises for bad files
Fit = Literal["crop", "pad"]
FITS = ("crop", "pad")


def open_picture(source: Path | bytes) -> Image.Image:
    """Opens a picture, a file or its content, in one of `FORMATS`; the one function that opens pictures of others. The pixels are not read yet.

    Raises one of `UNREADABLE`."""
    try:
        return Image.open(BytesIO(source) if isinstance(source, bytes) else regular_file(source), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnidentifiedImageError(f"it is none of the formats {', '.join(FORMATS)}") from None


def square(picture: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """The picture as `size` × `size` RGB pixels: cropped to its centre, or padded with black."""
    return (ImageOps.fit if fit == "crop" else ImageOps.pad)(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)


def swap_red_blue(picture: Image.Image) -> Image.Image:
    """An RGB picture with its red and blue channels exchanged."""
    return Image.merge("RGB", picture.split()[::-1])


def png(picture: Image.Image) -> bytes:
    """The picture encoded as PNG."""
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1, compress_type=zlib.Z_RLE)  # zlib's strategy for PNG: faster than level 3 at about its size
    return file.getvalue()


def save_picture(picture: Image.Image, file: Path) -> None:
    """Writes a picture atomically, in the format given by the file's suffix. Raises ValueError for a suffix that PIL cannot write."""
    kind = Image.registered_extensions().get(file.suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"{file} has the suffix {file.suffix!r}; pictures are written as .png, .jpg, .webp, …")
    with written_beside(file) as partial:
        picture.save(partial, format=kind)


def strip_length(picture: Image.Image) -> int:
    """Number of square frames in a strip: its longer side divided by its shorter side."""
    return max(picture.size) // min(picture.size)


def strip_frame(strip: Image.Image, n: int) -> Image.Image:
    """Frame `n` of a strip of square frames along its longer side."""
    side = min(strip.size)
    x, y = (0, n * side) if strip.height >= strip.width else (n * side, 0)
    return strip.crop((x, y, x + side, y + side))
