"""Numbers of a results table's cell, {"value", "low", "high", "count"}, and their format in print."""

from __future__ import annotations

from collections.abc import Iterable


def number(cell: dict | None, key: str = "value") -> float | None:
    """A number of a cell; None if it is missing, null or NaN, which mean that nothing was counted."""
    value = (cell or {}).get(key)
    return None if value is None or value != value else float(value)


def first_number(cells: Iterable[dict | None], key: str = "value") -> float | None:
    """The first number that is known."""
    return next((value for cell in cells if (value := number(cell, key)) is not None), None)


def shown(value: float | None, scale: float = 1, digits: int = 1) -> str:
    """`scale` · `value` with a fixed number of digits; a dash for None."""
    return "–" if value is None else f"{round(scale * value, digits) + 0.0:.{digits}f}"  # + 0.0 turns -0.0 into 0.0
