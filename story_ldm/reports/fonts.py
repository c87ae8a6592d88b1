"""Fonts for captions in any script: Pillow's own where it has the characters, else those of the extra `fonts` (Noto and others).

lines = wrapped("Mia sits. 米娅坐下。", size=14, width=180)      # [[(words, font), …], …]
draw_line(draw, (x, y), lines[0], fill)
"""

from __future__ import annotations

import re
import sys
import unicodedata
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

PACKAGES = (  # their fonts, in this order
    *("fontpkg-noto-sans", "fontpkg-noto-sans-arabic", "fontpkg-heebo", "fontpkg-noto-sans-devanagari", "fontpkg-hind-siliguri"),
    *("fontpkg-noto-sans-tamil", "fontpkg-noto-sans-telugu", "fontpkg-noto-sans-thai", "fontpkg-noto-sans-khmer", "manimgx-fonts-cjk"),
)
UNSPACED = r"[\u0e00-\u0eff\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"  # scripts that write no spaces between words
Run = tuple[str, FreeTypeFont]


@cache
def font_files() -> tuple[Path, ...]:
    """The upright fonts of the installed packages; none without fonttools, which reads what they have."""
    if find_spec("fontTools") is None:
        return ()
    found: list[Path] = []
    for package in PACKAGES:
        try:
            paths = sorted(str(file.locate()) for file in files(package) or () if file.suffix.lower() in (".ttf", ".otf", ".ttc"))
        except PackageNotFoundError:
            continue
        upright = [path for path in paths if "Italic" not in path]
        regular = [path for path in upright if "Regular" in path]
        found += map(Path, (regular or upright)[:1])
    return tuple(found)


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
    needed = {ord(c) for c in text if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc") and not 0xFE00 <= ord(c) <= 0xFE0F}
    return next((opened(file, size) for file in (None, *font_files()) if needed <= characters(file)), None)


def wrapped(text: str, size: int, width: int) -> list[list[Run]]:
    """Lines of a text, at most `width` pixels wide, each as runs of one font. Words that no font has are named on stderr, once."""
    whole, lines, left = font_for(text, size), list[list[Run]](), 0.0
    for word in re.findall(rf"{UNSPACED}|(?:(?!{UNSPACED})\S)+\s*|\s+", text):
        font = whole or font_for(word.strip(), size)
        if font is None:
            _warn(word.strip())
            font = opened(None, size)
        length = font.getlength(word)
        if not lines or (left + font.getlength(word.rstrip()) > width and word.strip()):
            lines, left = [*lines, []], 0.0
        line = lines[-1]
        if line and line[-1][1] is font:
            line[-1] = (line[-1][0] + word, font)  # together: a font joins letters, and turns what is read from right to left
        else:
            line.append((word, font))
        left += length
    return lines


@cache
def _warn(word: str) -> None:
    why = "no installed font has it" if font_files() else 'pip install "story-ldm[fonts]" has fonts for many scripts'
    print(f"warning: {word!r} is drawn as boxes: {why}", file=sys.stderr)


def draw_line(draw: ImageDraw.ImageDraw, place: tuple[float, float], line: list[Run], fill: tuple[int, int, int]) -> None:
    """Draws a line of `wrapped` from its upper left corner."""
    x, y = place
    base = max(font.getmetrics()[0] for _, font in line)
    for words, font in line:
        draw.text((x, y + base), words, fill=fill, font=font, anchor="ls")
        x += font.getlength(words)
