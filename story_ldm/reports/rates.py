"""Rates as a Markdown table."""

from __future__ import annotations

from story_ldm.metrics.cells import number, shown
from story_ldm.metrics.story_rates import Table


def rates_markdown(table: Table, ceiling: Table | None = None) -> str:
    """One line a rate, in percent, with its interval, and what a painter without memory could reach."""
    lines = ["| frames | | % | 95 % interval | of | without memory |", "|---|---|---|---|---|---|"]
    for row, columns in table.items():
        for column, value in columns.items():
            beside = (ceiling or {}).get(row, {}).get(column)
            chance = number(value, "chance")
            without = shown(number(beside), 100) if beside else "" if chance is None else f"{shown(chance, 100)} (chance)"
            rate, low, high = (shown(number(value, key), 100) for key in ("value", "low", "high"))
            lines.append(f"| {row} | {column} | {rate} | {low} – {high} | {value['count']} | {without} |")
    return "\n".join(lines)
