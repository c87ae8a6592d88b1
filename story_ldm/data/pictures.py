"""Pictures as frames: made square, encoded, saved, and cut out of strips. Imports PIL and numpy only."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from story_ldm.files import regular_file, written_beside

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # those that docs/reference/datasets.md names; for EPS, PIL starts Ghostscript
# all that PIL raises for bad files, whatever the format: RuntimeError is AVIF's
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, RuntimeError, LookupError, ArithmeticError, TypeError, struct.error)
Fit = Literal["crop", "pad"]
FITS = ("crop", "pad")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")  # read in any case; of several frames, the first
ORIENTATION = 0x0112  # the EXIF tag


def open_picture(source: Path | bytes) -> Image.Image:
    """Opens a picture, a file or its content, in one of `FORMATS`; the one function that opens pictures of others. The pixels are not read yet.

    Raises one of `UNREADABLE`."""
    try:
        return Image.open(BytesIO(source) if isinstance(source, bytes) else regular_file(source), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnidentifiedImageError(f"it is none of the formats {', '.join(FORMATS)}") from None


def as_rgb(picture: Image.Image, background: str = "white") -> Image.Image:
    """The picture as a viewer shows it, in 8-bit RGB: upright by its EXIF orientation, transparent parts laid on `background`, 16-bit grey scaled.

    Raises ValueError for pixels of 32 bits, whose white is unknown, and for a background that is no colour."""
    sixteen = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG")
    if _orientation(picture) not in (1, None):
        picture = ImageOps.exif_transpose(picture)
    if sixteen:  # convert("RGB") would clip it to white
        values, clear = np.asarray(picture, np.int64), picture.info.get("transparency")
        picture = Image.fromarray((values / 257).round().clip(0, 255).astype(np.uint8))
        if clear is not None:
            picture.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    elif picture.mode in ("I", "F"):
        kind = "floating-point numbers" if picture.mode == "F" else "32-bit integers"
        raise ValueError(f"its pixels are {kind}, whose white is unknown; save it with 8 or 16 bits per channel")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")  # convert("RGB") would show the hidden colours of transparent pixels
    return Image.alpha_composite(Image.new("RGBA", picture.size, (*colour(background), 255)), picture).convert("RGB")


def is_plain(picture: Image.Image) -> bool:
    """Whether any program shows an opened picture as `as_rgb` does; reads the header only."""
    return _orientation(picture) == 1 and not picture.has_transparency_data and picture.mode[0] not in "IF"


def _orientation(picture: Image.Image) -> int | None:
    """The number of EXIF, 1 for upright; None if the EXIF data is broken, for which `datasets` would fail."""
    try:
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow raises errors of many kinds
        return None


def colour(name: str) -> tuple[int, ...]:
    """Red, green and blue of a colour by its CSS name or #rrggbb. Raises ValueError for other text."""
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError:
        raise ValueError(f"background is {name!r}; it must be a colour: white, black, #ffeedd, …") from None


def square(picture: Image.Image, size: int, fit: Fit = "crop", background: str = "white") -> Image.Image:
    """The picture as `size` × `size` pixels of `as_rgb`: cropped to its centre, or padded with black."""
    return fitted(picture, size, size, fit, background)


def fitted(picture: Image.Image, height: int, width: int, fit: Fit = "crop", background: str = "white") -> Image.Image:
    """The picture as `height` × `width` pixels of `as_rgb`: cropped to its centre, or padded with black."""
    return (ImageOps.fit if fit == "crop" else ImageOps.pad)(as_rgb(picture, background), (width, height), Image.Resampling.LANCZOS)


def nearest_shape(picture: Image.Image, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of these sizes, (height, width) each, the one whose shape a picture has most nearly, as a viewer shows it; of several the first."""
    turned = _orientation(picture) in (5, 6, 7, 8)  # on its side
    shape = math.log(picture.width / picture.height) * (-1 if turned else 1)
    return min(sizes, key=lambda size: abs(math.log(size[1] / size[0]) - shape))


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
