"""A report as a list of blocks (headings, notes, grids, pictures), and its output as Markdown or as one HTML file.

    blocks = [Heading("What is drawn"), Note("Shares in %."), Grid([("", "characters ↑")], [Row("story-ldm", [Cell("93.1", "92.5 – 93.7")])])]
    to_markdown(blocks)                     # refers to pictures by file name
    to_html(blocks, "A comparison", folder)   # self-contained: has the pictures of `folder` as data URIs

Texts in blocks are plain text, which both functions escape, because names of systems come from other people's files.
"""

from __future__ import annotations

import base64
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from story_ldm.files import markdown_table, plain_markdown


class Heading(NamedTuple):
    text: str
    level: int = 2
    apart: bool = False  # this heading and all blocks after it are framed, as not part of the measured results


class Note(NamedTuple):
    text: str
    warning: bool = False


class Picture(NamedTuple):
    file: str  # name in the report's folder
    alt: str  # text for readers who cannot see the picture


class Cell(NamedTuple):
    text: str = "–"
    small: str = ""  # lines in small print below
    strong: bool = False


class Row(NamedTuple):
    name: str
    cells: list[Cell]
    aside: bool = False  # not a system: printed in italics


class Grid(NamedTuple):
    head: list[tuple[str, str]]  # group and name of each column
    rows: list[Row]
    first: str = "system"


Block = Heading | Note | Picture | Grid


def to_markdown(blocks: list[Block]) -> str:
    """The report as Markdown."""
    parts = []
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {plain_markdown(text)}")
            case Note(text, warning):
                parts.append(f"> **Warning:** {plain_markdown(text)}" if warning else plain_markdown(text))
            case Picture(file, alt):
                parts.append(f"![{plain_markdown(alt)}]({file})")
            case Grid(head, rows, first):
                names = [first, *(f"{group}: {name}" if group else name for group, name in head)]
                lines = [[_emphasised(row.name, row.aside), *(_markdown_cell(cell, row.aside) for cell in row.cells)] for row in rows]
                parts.append(markdown_table(map(plain_markdown, names), lines, ["---", *["---:"] * len(head)], formatted=True))
    return "\n\n".join(parts) + "\n"


def _markdown_cell(cell: Cell, aside: bool) -> str:
    text = f"**{plain_markdown(cell.text)}**" if cell.strong else _emphasised(cell.text, aside)
    return "<br>".join([text, *(f"<sub>{plain_markdown(line)}</sub>" for line in cell.small.splitlines())])


def _emphasised(text: str, aside: bool) -> str:
    return f"*{plain_markdown(text)}*" if aside and text else plain_markdown(text)


def to_html(blocks: list[Block], title: str, folder: Path) -> str:
    """The report as one HTML page, by templates/report.html. folder: folder of the pictures' files. Requires jinja2."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(loader=PackageLoader("story_ldm.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    named = [(type(block).__name__, block) for block in blocks]
    return pages.get_template("report.html").render(blocks=named, title=title, encoded=lambda file: encoded(folder / file), groups=groups) + "\n"


def encoded(file: Path) -> str:
    """The content of a file in base64, for a data URI."""
    return base64.b64encode(file.read_bytes()).decode()


def groups(grid: Grid) -> list[tuple[str, int]]:
    """Groups of adjacent columns and the number of columns that each spans; empty if no column has a group."""
    spans = [(name, len(list(columns))) for name, columns in groupby(group for group, _ in grid.head)]
    return spans if any(name for name, _ in spans) else []
