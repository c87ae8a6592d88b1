"""Fonts for captions in any script, and for emoji: Pillow's own where it has the characters, else those of the extra `fonts` (Noto).

lines = caption_lines("Mia sits. 米娅坐下。", size=14, width=180, columns=24)      # [[(words, font), …], …]
draw_line(draw, (x, y), lines[0], fill)
"""

from __future__ import annotations

import re
import sys
import textwrap
import unicodedata
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

PACKAGES = ("manimgx-fonts", "manimgx-fonts-cjk")  # Noto, under the Open Font License
UNSPACED = r"[\u0e00-\u0eff\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"  # scripts that write no spaces between words
Run = tuple[str, FreeTypeFont]


@cache
def font_files() -> tuple[Path, ...]:
    """The upright fonts of the installed packages, those of emoji last; none without fonttools, which reads what they have."""
    if find_spec("fontTools") is None:
        return ()
    found: list[Path] = []
    for package in PACKAGES:
        try:
            paths = sorted(str(file.locate()) for file in files(package) or () if file.suffix.lower() in (".ttf", ".otf", ".ttc"))
        except PackageNotFoundError:
            continue
        found += [Path(path) for path in paths if "Italic" not in path and "Bold" not in path]
    return tuple(sorted(found, key=lambda file: "Emoji" in file.name))


@cache
def characters(file: Path | None) -> frozenset[int]:
    """Code points of a font; of None, of Pillow's own."""
    default = ImageFont.load_default(12)
    try:
        from fontTools.ttLib import TTFont
    except ImportError:
        if file is not None:
            return frozenset()
        box = bytes(default.getmask("\U0010ffff"))  # what a font draws for characters that it lacks
        return frozenset(c for c in (*range(0x20, 0x530), *range(0x1E00, 0x2140)) if bytes(default.getmask(chr(c))) != box)
    source = str(file) if file is not None else BytesIO(default.font_bytes if isinstance(default, FreeTypeFont) else b"")
    with TTFont(source, lazy=True, fontNumber=0) as font:
        return frozenset(font.getBestCmap())


@cache
def opened(file: Path | None, size: int) -> FreeTypeFont:
    font = ImageFont.load_default(size) if file is None else ImageFont.truetype(str(file), size)
    assert isinstance(font, FreeTypeFont)
    if file is not None:
        with suppress(OSError, ValueError):  # of a font with one weight
            font.set_variation_by_name("Regular")
    return font


def font_for(text: str, size: int) -> FreeTypeFont | None:
    """The first font that has all characters of a text, or None."""
    needed = {ord(c) for c in text if not _is_silent(c)}
    return next((opened(file, size) for file in (None, *font_files()) if needed <= characters(file)), None)


def _is_silent(c: str) -> bool:
    """Whether a character needs no glyph: spaces, controls, joiners and variation selectors."""
    return c.isspace() or unicodedata.category(c) in ("Cf", "Cc") or 0xFE00 <= ord(c) <= 0xFE0F


def caption_lines(text: str, size: int, width: int, columns: int) -> list[list[Run]]:
    """Lines of a caption: of `columns` characters, as ever, if Pillow's own font has all of them, else of `width` pixels."""
    own = opened(None, size)
    return [[(line, own)] for line in textwrap.wrap(text, columns)] if font_for(text, size) is own else wrapped(text, size, width)


def wrapped(text: str, size: int, width: int) -> list[list[Run]]:
    """Lines of a text, at most `width` pixels wide, each as runs of one font. Characters that no font has are named on stderr, once."""
    whole, lines, left = font_for(text, size), list[list[Run]](), 0.0
    for word in re.findall(rf"{UNSPACED}|(?:(?!{UNSPACED})\S)+\s*|\s+", text):
        runs = [(word, whole)] if whole else _runs(word, size)
        length = sum(font.getlength(part) for part, font in runs)
        shown = length - (runs[-1][1].getlength(word[len(word.rstrip()) :]) if word.strip() else length)
        if not lines or (left + shown > width and word.strip()):
            lines, left = [*lines, []], 0.0
        line = lines[-1]
        for part, font in runs:
            if line and line[-1][1] is font:
                line[-1] = (line[-1][0] + part, font)  # together: a font joins letters, and turns what is read from right to left
            else:
                line.append((part, font))
        left += length
    return lines


def _runs(word: str, size: int) -> list[Run]:
    """A word in one font if any has all of it, else in parts, as for an emoji before a full stop."""
    if font := font_for(word, size):
        return [(word, font)]
    parts: list[tuple[str, FreeTypeFont | None]] = []
    for c in word:
        joins = parts and (_is_silent(c) or unicodedata.combining(c) or parts[-1][0].endswith("\u200d"))
        font = parts[-1][1] if joins else font_for(c, size)
        if parts and parts[-1][1] is font:
            parts[-1] = (parts[-1][0] + c, font)
        else:
            parts.append((c, font))
    for part, font in parts:
        if font is None:
            _warn(part.strip())
    return [(part, font or opened(None, size)) for part, font in parts]


@cache
def _warn(missing: str) -> None:
    why = "no installed font has it" if font_files() else 'pip install "story-ldm[fonts]" has fonts for many scripts, and for emoji'
    print(f"warning: {missing!r} is drawn as boxes: {why}", file=sys.stderr)


def draw_line(draw: ImageDraw.ImageDraw, place: tuple[float, float], line: list[Run], fill: tuple[int, int, int]) -> None:
    """Draws a line of `wrapped` from its upper left corner."""
    x, y = place
    base = max(font.getmetrics()[0] for _, font in line)
    for words, font in line:
        draw.text((x, y + base), words, fill=fill, font=font, anchor="ls")
        x += font.getlength(words)
