"""Stories as pictures: a row of frames with their sentences below."""

from __future__ import annotations

from PIL import Image, ImageDraw

from story_ldm.data.pictures import as_rgb
from story_ldm.reports.fonts import caption_lines, draw_line


def story_strip(frames: list[Image.Image], sentences: list[str], side: int = 192) -> Image.Image:
    """One story as one picture: its frames in a row, each `side` pixels wide, sentences below."""
    size = max(11, side // 13)
    line = int(size * 1.35)
    columns = max(8, int(side / (size * 0.54)))
    texts = [caption_lines(text, size, side, columns) for text in sentences]
    gap, foot = side // 24, (max(map(len, texts)) + 1) * line
    strip = Image.new("RGB", (len(frames) * (side + gap) + gap, side + 2 * gap + foot), "white")
    draw = ImageDraw.Draw(strip)
    for m, (frame, text) in enumerate(zip(frames, texts, strict=True)):
        x = gap + m * (side + gap)
        resample = Image.Resampling.LANCZOS if frame.width >= side else Image.Resampling.BICUBIC
        strip.paste(as_rgb(frame).resize((side, side), resample), (x, gap))
        draw.rectangle((x - 1, gap - 1, x + side, gap + side), outline=(60, 60, 60))
        for n, words in enumerate(text):
            draw_line(draw, (x, side + 2 * gap + n * line), words, (20, 20, 20))
    return strip


def story_sheet(stories: list[list[Image.Image]], sentences: list[list[str]], side: int = 160) -> Image.Image:
    """Several stories as strips, stacked vertically."""
    strips = [story_strip(frames, text, side) for frames, text in zip(stories, sentences, strict=True)]
    sheet = Image.new("RGB", (max(s.width for s in strips), sum(s.height for s in strips)), "white")
    y = 0
    for strip in strips:
        sheet.paste(strip, (0, y))
        y += strip.height
    return sheet
