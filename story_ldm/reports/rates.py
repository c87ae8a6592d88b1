"""Rates as a Markdown table."""

from __future__ import annotations

from story_ldm.files import markdown_table
from story_ldm.metrics.cells import number, shown
from story_ldm.metrics.story_rates import Table


def rates_markdown(table: Table, ceiling: Table | None = None) -> str:
    """One line per rate in percent, with its interval and the memoryless ceiling or chance."""
    lines = []
    for row, columns in table.items():
        for column, value in columns.items():
            best = (ceiling or {}).get(row, {}).get(column)
            chance = number(value, "chance")
            without = shown(number(best), 100) if best else "" if chance is None else f"{shown(chance, 100)} (chance)"
            rate, low, high = (shown(number(value, key), 100) for key in ("value", "low", "high"))
            lines.append([row, column, rate, f"{low} – {high}", value["count"], without])
    return markdown_table(("frames", "", "%", "95 % interval", "of", "without memory"), lines)
