"""A cell of a results table, {"value", "low", "high", "count"}, and its numbers as they are printed."""

from __future__ import annotations


def number(cell: dict | None, key: str = "value") -> float | None:
    """A number of a cell; None where nothing was counted (null, NaN, or no such cell)."""
    value = (cell or {}).get(key)
    return None if value is None or value != value else float(value)


def first_number(cells, key: str = "value") -> float | None:
    return next((value for cell in cells if (value := number(cell, key)) is not None), None)


def shown(value: float | None, scale: float = 1, digits: int = 1) -> str:
    return "–" if value is None else f"{round(scale * value, digits) + 0.0:.{digits}f}"  # + 0.0 makes -0.0 zero
