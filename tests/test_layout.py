"""The order of the rooms and declared dependencies, read off every import, also those inside of functions. Nothing is imported here.

pytest tests/test_layout.py
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
# low to high: a room imports itself and lower ones; those of one line do not import each other
ROOMS = [
    "files",
    ("lean_imports", "locks", "model_folders", "one_line"),
    "nn",
    "data",
    "encoders",
    "systems",
    "metrics",
    "reports",
    "training",
    "pipelines",
    "app",
    "cli",
]
LEVEL = {room: n for n, rooms in enumerate(ROOMS) for room in ([rooms] if isinstance(rooms, str) else rooms)}
FOLDERS = {"story_ldm": "story_ldm", "pipelines": "story_ldm.pipelines"}  # of the library: folder → package
SCRIPTS = ("training", "evaluation", "benchmarks")


class Import(NamedTuple):
    where: str  # file:line
    importer: str
    imported: str
    lazy: bool  # inside of a function, or for type checkers only


def module_of(file: Path) -> str:
    folder, *inner = file.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS.get(folder, folder), *inner]).removesuffix(".__init__")


FILES = {module_of(file): file for folder in (*FOLDERS, *SCRIPTS) for file in sorted((ROOT / folder).rglob("*.py"))}


def imports_of(module: str) -> list[Import]:
    """Imported modules; of `from package import name` the submodule where name is one. Those for type checkers only count, too."""
    file, found = FILES[module], []

    def walk(node: ast.AST, lazy: bool) -> None:
        for child in ast.iter_child_nodes(node):
            targets = []
            if isinstance(child, ast.Import):
                targets = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom):
                package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
                start = ".".join(package[: len(package) - child.level + 1]) if child.level else ""
                base = ".".join(filter(None, [start, child.module]))
                targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in FILES else base for alias in child.names]
            found.extend(Import(f"{file.relative_to(ROOT)}:{child.lineno}", module, target, lazy) for target in dict.fromkeys(targets))
            for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"  # never run
            walk(child, lazy or for_types or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    walk(ast.parse(file.read_text(encoding="utf-8")), False)
    return found


IMPORTS = [one for module in FILES for one in imports_of(module)]
LIBRARY = [one for one in IMPORTS if one.importer.split(".")[0] == "story_ldm"]


def room(module: str) -> str:
    """The room of a module of the library; "" for the package itself."""
    return module.removeprefix("story_ldm").removeprefix(".").split(".")[0]


def test_every_module_is_in_a_room():
    assert {room(module) for module in FILES if module.startswith("story_ldm")} == {"", "scripts", *LEVEL}


def test_rooms_import_lower_rooms_only():
    upwards = []
    for one in LIBRARY:
        if one.imported.split(".")[0] != "story_ldm" or room(one.importer) == room(one.imported):
            continue
        if room(one.importer) in ("", "scripts") or room(one.imported) in ("", "scripts") or LEVEL[room(one.imported)] >= LEVEL[room(one.importer)]:
            upwards.append(f"{one.where} imports {one.imported}")
    assert not upwards, "\n".join(upwards)


def test_the_library_imports_no_scripts():
    bad = [one for one in LIBRARY if one.imported.split(".")[0] in (*SCRIPTS, "pipelines", "tests") or one.imported.startswith("story_ldm.scripts")]
    assert not bad, bad


def test_no_circle_of_imports():
    """At module level, where a circle ends in a half-initialized module."""
    graph = {module: {one.imported for one in IMPORTS if one.importer == module and not one.lazy} & FILES.keys() for module in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "fontTools": "fonttools"}  # of modules that are called otherwise
MAY_NEED_EXTRAS = ("story_ldm/app/", "evaluation/")  # at module level


def declared() -> tuple[set[str], set[str]]:
    """Distributions that a plain installation has, and those of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.match(r"[\w.-]+", requirement)[0].lower().replace("-", "_") for requirement in requirements}

    return names(project["dependencies"]), names([one for extra in project["optional-dependencies"].values() for one in extra])


def test_every_import_is_a_declared_dependency():
    plain, extra = declared()
    missing = []
    for one in IMPORTS:
        top = one.imported.split(".")[0]
        name = DISTRIBUTIONS.get(top, top).lower().replace("-", "_")
        may_be_extra = one.lazy or one.where.startswith(MAY_NEED_EXTRAS)
        if top not in (*sys.stdlib_module_names, "story_ldm") and name not in plain | (extra if may_be_extra else set()):
            missing.append(f"{one.where} imports {top}")
    assert not missing, "\n".join(missing)


def test_long_files_say_why():
    """A Python file over 350 lines gives the reason in its docstring."""
    for folder in (*FOLDERS, *SCRIPTS, "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text()
            if text.count("\n") > 350:
                docstring = ast.get_docstring(ast.parse(text)) or ""
                assert re.search(r"over 350 lines|long file", docstring, re.I), f"{file.relative_to(ROOT)} does not say why it is long"
