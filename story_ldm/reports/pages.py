"""A report as a list of blocks (headings, notes, grids, pictures), and the two ways to write it: Markdown for a code host, one HTML file.

    blocks = [Heading("What is drawn"), Note("Shares in %."), Grid([("", "characters ↑")], [Row("story-ldm", [Cell("93.1", "92.5 – 93.7")])])]
    to_markdown(blocks)                     # refers to pictures by their names
    to_html(blocks, "A comparison", folder)   # holds the pictures of `folder` as data URIs: the file can be sent alone

Whatever a block says is plain text: names of systems come from files of others, so both writers escape it.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import NamedTuple

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; background: #fff; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .4rem; border-bottom: 1px solid #d0d7de; padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.grid { overflow-x: auto; margin: .6rem 0 1rem; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #e4e8ec; text-align: right; vertical-align: top; white-space: nowrap; }
thead th { vertical-align: bottom; font-weight: 600; white-space: normal; min-width: 3.5rem; }
thead .group { text-align: center; border-left: 1px solid #d0d7de; }
tr > :first-child { text-align: left; } small { color: #59636e; display: block; } tr.aside { color: #59636e; font-style: italic; }
td.words { white-space: normal; text-align: left; min-width: 14rem; } img { max-width: 100%; height: auto; }
.warning { border-left: 4px solid #bf8700; background: #fff8e5; padding: .4rem .8rem; }
.apart { border: 2px solid #bf8700; padding: 0 1rem 1rem; margin-top: 3rem; }
"""


class Heading(NamedTuple):
    text: str
    level: int = 2
    apart: bool = False  # whatever follows, to the end, does not belong to the rest


class Note(NamedTuple):
    text: str
    warning: bool = False


class Picture(NamedTuple):
    file: str  # its name within the report's folder
    says: str  # what it shows, for those who do not see it


class Cell(NamedTuple):
    text: str = "–"
    small: str = ""  # lines in small print beneath
    strong: bool = False


class Row(NamedTuple):
    name: str
    cells: list[Cell]
    aside: bool = False  # no system: in italics


class Grid(NamedTuple):
    head: list[tuple[str, str]]  # group and name of each column
    rows: list[Row]
    first: str = "system"


Block = Heading | Note | Picture | Grid


def to_markdown(blocks: list[Block]) -> str:
    parts = []
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {_plain(text)}")
            case Note(text, warning):
                parts.append(f"> **Warning:** {_plain(text)}" if warning else _plain(text))
            case Picture(file, says):
                parts.append(f"![{_plain(says)}]({file})")
            case Grid(head, rows, first):
                names = [first, *(f"{group}: {name}" if group else name for group, name in head)]
                lines = [[_plain(name) for name in names], ["---", *["---:"] * len(head)]]
                lines += [[_emphasised(row.name, row.aside), *(_markdown_cell(cell, row.aside) for cell in row.cells)] for row in rows]
                parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def _markdown_cell(cell: Cell, aside: bool) -> str:
    text = f"**{_plain(cell.text)}**" if cell.strong else _emphasised(cell.text, aside)
    return "<br>".join([text, *(f"<sub>{_plain(line)}</sub>" for line in cell.small.splitlines())])


def _emphasised(text: str, aside: bool) -> str:
    return f"*{_plain(text)}*" if aside and text else _plain(text)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def to_html(blocks: list[Block], title: str, folder: Path) -> str:
    parts, apart = [], False
    for block in blocks:
        match block:
            case Heading(text, level, begins):
                parts.append('<section class="apart">' if begins and not apart else "")
                apart |= begins
                parts.append(f"<h{level}>{html.escape(text)}</h{level}>")
            case Note(text, warning):
                parts.append(f'<p class="warning"><strong>Warning:</strong> {html.escape(text)}</p>' if warning else f"<p>{html.escape(text)}</p>")
            case Picture(file, says):
                data = base64.b64encode((folder / file).read_bytes()).decode()
                parts.append(f'<p><img alt="{html.escape(says)}" src="data:image/png;base64,{data}"></p>')
            case Grid():
                parts.append(f'<div class="grid"><table>\n{_html_head(block)}\n<tbody>\n{_html_rows(block)}\n</tbody></table></div>')
    parts.append("</section>" if apart else "")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    body = "\n".join(part for part in parts if part)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _html_head(grid: Grid) -> str:
    names = "".join(f"<th>{html.escape(name)}</th>" for _, name in grid.head)
    if not any(group for group, _ in grid.head):
        return f"<thead><tr><th>{html.escape(grid.first)}</th>{names}</tr></thead>"
    groups: list[list] = []
    for group, _ in grid.head:
        if groups and groups[-1][0] == group:
            groups[-1][1] += 1
        else:
            groups.append([group, 1])
    above = "".join(f'<th class="group" colspan="{span}">{html.escape(group)}</th>' for group, span in groups)
    return f"<thead><tr><th></th>{above}</tr><tr><th>{html.escape(grid.first)}</th>{names}</tr></thead>"


def _html_rows(grid: Grid) -> str:
    lines = []
    for row in grid.rows:
        cells = []
        for cell in row.cells:
            text = f"<strong>{html.escape(cell.text)}</strong>" if cell.strong else html.escape(cell.text)
            small = "".join(f"<small>{html.escape(line)}</small>" for line in cell.small.splitlines())
            cells.append(f"<td{' class=words' if len(cell.text) > 24 else ''}>{text}{small}</td>")
        lines.append(f'<tr{" class=aside" if row.aside else ""}><th scope="row">{html.escape(row.name)}</th>{"".join(cells)}</tr>')
    return "\n".join(lines)
