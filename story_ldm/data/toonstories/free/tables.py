"""All tables of a world's free form in one namespace."""

from __future__ import annotations

from types import SimpleNamespace

from story_ldm.data.toonstories.free import phrases, scenes


class Tables(SimpleNamespace):
    """Tables by their names. Caches may depend on one, hence the hash."""

    __hash__ = object.__hash__  # type: ignore[assignment]


TABLES = Tables(**{name: value for module in (phrases, scenes) for name, value in vars(module).items() if name.isupper()})  # the first world's
