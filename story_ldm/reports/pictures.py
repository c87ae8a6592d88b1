"""Pictures of a report: bar charts of rates with their intervals, and the gallery of the same stories drawn by all systems.

    rate_bars(results, folder / "rates.png")              # all, named, referential, and consistency; requires matplotlib
    position_bars(results, folder / "positions.png")      # returns False, and writes no file, if there is one position only
    story_gallery([("truth", frames, None), ("story-ldm", drawn, weights)], sentences).save(folder / "gallery.png")

Colours are those of Okabe and Ito, which colour-blind readers can distinguish; from the ninth system on they repeat, hatched.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from story_ldm.metrics.cells import first_number, number
from story_ldm.reports.fonts import caption_lines, draw_line
from story_ldm.reports.strips import story_strip
from story_ldm.reports.tables import DRAWN, Result

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F")
RATES = ("characters", "background", "garment", "action")
CONSISTENT = (("pronoun", "right character"), ("later", "garment"), ("self", "mark kept"), ("self", "layout kept"))
POSITION_RATES = (*RATES, "mark kept", "layout kept")


# --- bars ------------------------------------------------------------------------------------------------------------------------------


class Panel(NamedTuple):
    title: str
    groups: list[str]  # labels below the bars
    cells: list[list[dict | None]]  # by system, then by group
    ceilings: list[float | None]  # by group


def rate_bars(results: list[Result], file: Path) -> bool:
    """Draw one panel per main rate, over all, named and referential frames, and one of consistency. Returns False if no system has any of these."""
    panels = [_panel(results, rate, [(row, rate) for row in DRAWN], list(DRAWN)) for rate in RATES]
    panels.append(_panel(results, "consistency", list(CONSISTENT), [f"{row}:\n{rate}" for row, rate in CONSISTENT]))
    return _draw([panel for panel in panels if panel], [result["system"] for result in results], file)


def position_bars(results: list[Result], file: Path) -> bool:
    """Draw the main rates by position in the story. Returns False if the stories have one position only."""
    positions = list(dict.fromkeys(name for result in results for name in result["by_position"]))
    if len(positions) < 2:
        return False
    by_position = [result | {"table": result["by_position"], "ceiling": {}} for result in results]
    panels = [_panel(by_position, rate, [(m, rate) for m in positions], positions, "position") for rate in POSITION_RATES]
    return _draw([panel for panel in panels if panel], [result["system"] for result in results], file)


def _panel(results: list[Result], title: str, where: list[tuple[str, str]], groups: list[str], of: str = "") -> Panel | None:
    """A panel of the groups that any system has; None if there are none."""
    cells = [[result["table"].get(row, {}).get(column) for row, column in where] for result in results]
    known = [n for n in range(len(where)) if any(number(row[n]) is not None for row in cells)]
    ceilings = [first_number(result["ceiling"].get(row, {}).get(column) for result in results) for row, column in where]
    if not known:
        return None
    title = f"{title} by {of}" if of else title
    return Panel(title, [groups[n] for n in known], [[row[n] for n in known] for row in cells], [ceilings[n] for n in known])


def _draw(panels: list[Panel], systems: list[str], file: Path) -> bool:
    if not panels:
        return False
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(9, 2.5 * rows), layout="constrained", dpi=150)
    places = figure.add_gridspec(rows, columns)
    width = 0.82 / len(systems)
    marks = set()
    for n, panel in enumerate(panels):
        last_alone = n == len(panels) - 1 and len(panels) % columns
        axes = figure.add_subplot(places[n // columns, :] if last_alone else places[n // columns, n % columns])
        for k, cells in enumerate(panel.cells):
            for g, cell in enumerate(cells):
                value = number(cell)
                if value is None:
                    continue
                x = g + (k - (len(systems) - 1) / 2) * width
                axes.bar(x, 100 * value, 0.9 * width, color=COLOURS[k % len(COLOURS)], hatch="///" if k >= len(COLOURS) else None, edgecolor="white")
                low, high = number(cell, "low"), number(cell, "high")
                if low is not None and high is not None:
                    axes.plot([x, x], [100 * low, 100 * high], color="#222222", linewidth=1.2)
                if (chance := number(cell, "chance")) is not None:
                    axes.plot([x - 0.45 * width, x + 0.45 * width], [100 * chance] * 2, color="#222222", linewidth=1.4, linestyle=":")
                    marks.add("chance")
        for g, ceiling in enumerate(panel.ceilings):
            if ceiling is not None:
                axes.plot([g - 0.45, g + 0.45], [100 * ceiling] * 2, color="#222222", linewidth=1.4, linestyle="--")
                marks.add("ceiling")
        axes.set_title(panel.title, fontsize=11)
        axes.set_xticks(range(len(panel.groups)), panel.groups, fontsize=10)
        axes.set_xlim(-0.6, len(panel.groups) - 0.4)
        axes.set_ylim(0, 103)
        axes.set_ylabel("%", fontsize=10)
        axes.tick_params(axis="y", labelsize=9)
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    handles: list[Patch | Line2D] = [
        Patch(facecolor=COLOURS[k % len(COLOURS)], hatch="///" if k >= len(COLOURS) else None) for k in range(len(systems))
    ]
    names = [textwrap.shorten(name, 40, placeholder="…") for name in systems]
    for mark, name, style in (("ceiling", "memoryless ceiling", "--"), ("chance", "by chance", ":")):
        if mark in marks:
            handles.append(Line2D([], [], color="#222222", linewidth=1.4, linestyle=style))  # type: ignore[arg-type]
            names.append(name)
    for across in range(min(4, len(names)), 0, -1):  # the largest number of columns that fits
        legend = figure.legend(handles, names, loc="outside upper center", ncols=across, fontsize=10, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)  # $ in a name is not mathematics
        if legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(2.5 * rows + 0.3 * -(-len(names) // across))
    figure.savefig(file)
    return True


# --- gallery ---------------------------------------------------------------------------------------------------------------------------

GalleryRow = tuple[str, list[Image.Image], ndarray | Sequence[ndarray] | None]  # name, frames, and memory weights (M, M) or None


def story_gallery(rows: list[GalleryRow], sentences: list[str], side: int = 128, title: str = "") -> Image.Image:
    """One story drawn by all systems: sentences, then one row of frames per system, each with its memory weights below if they are known.

    The first row is the truth. Frame m has the same column in all rows, positioned as in `story_strip`.
    """
    gap = side // 24
    bottom = side + gap + 1  # lower edge of the frames and their outlines in story_strip
    strip = story_strip(rows[0][1], sentences, side)
    parts = [_named(title, strip.crop((0, bottom, strip.width, strip.height)), side)]
    for name, frames, weights in rows:
        parts.append(_named(name, story_strip(frames, [""] * len(frames), side).crop((0, 0, strip.width, bottom)), side))
        if weights is not None and len(weights) > 1:
            parts.append(memory_map(weights, strip.width, side))
    return stacked(parts)


def memory_map(weights: ndarray | Sequence[ndarray], width: int, side: int) -> Image.Image:
    """Memory weights (M, M) → heat map of the lower triangle, to place below the frames. Row m: frames k < m, 0 is white, 1 blue.

    Frame 0 reads no memory and has no row. weights: a story's `memory_weights`; row m may have m entries or more.
    """
    gap, line = side // 24, max(11, side // 8)
    font = ImageFont.load_default(max(9, side // 12))
    picture = Image.new("RGB", (side + width, (len(weights) - 1) * line + 2 * gap + 2), "white")
    draw = ImageDraw.Draw(picture)
    for m in range(1, len(weights)):
        top = gap + (m - 1) * line
        draw.text((side - gap, top + line / 2), f"frame {m} looks at", fill=(90, 90, 90), font=font, anchor="rm")
        for k, weight in enumerate(weights[m][:m]):
            left = side + gap + k * (side + gap)
            strength = min(max(float(weight), 0.0), 1.0)
            colour = tuple(round(255 + strength * (end - 255)) for end in (0, 84, 148))
            draw.rectangle((left - 1, top, left + side, top + line - 2), fill=colour, outline=(205, 212, 220))
            ink = "white" if strength > 0.5 else (40, 40, 40)
            draw.text((left + side / 2, top + line / 2 - 1), f"{weight:.2f}", fill=ink, font=font, anchor="mm")
    return picture


def _named(name: str, picture: Image.Image, margin: int) -> Image.Image:
    """The picture with a name on its left."""
    size = max(11, margin // 10)
    sheet = Image.new("RGB", (margin + picture.width, picture.height), "white")
    sheet.paste(picture, (margin, 0))
    draw, left = ImageDraw.Draw(sheet), max(3, margin // 24)
    for n, words in enumerate(caption_lines(name, size, margin - left, columns=max(6, int((margin - left) / (size * 0.56))))):
        draw_line(draw, (left, left + n * size * 1.25), words, fill=(20, 20, 20))
    return sheet


def stacked(pictures: list[Image.Image], gap: int = 0) -> Image.Image:
    """Pictures stacked vertically, left-aligned."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures) + gap * (len(pictures) - 1)), "white")
    y = 0
    for picture in pictures:
        sheet.paste(picture, (0, y))
        y += picture.height + gap
    return sheet
