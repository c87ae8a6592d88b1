"""README.md of a trained pipeline: the command that made it, what it knows, sizes, the loss curve, sample strips, and measured tables."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from story_ldm.data import toonstories
from story_ldm.files import write_text


def write_model_card(
    folder: Path,
    settings,
    parameters: dict[str, int],
    curve: list,
    seen: int,
    samples: list[Path] = (),
    *,
    system: str = "Story-LDM",
    **how,
) -> None:
    """Writes the card of a finished run; the newest sample sheet is copied beside it. how: of `training_section`."""
    pipeline = json.loads((folder / "model_index.json").read_text())["_class_name"]
    if samples:
        shutil.copy(samples[-1], folder / "samples.png")
    text = f"""---
library_name: diffusers
license: mit
pipeline_tag: text-to-image
---
# {system} {settings.preset}, trained on {settings.dataset}

Opened by `{pipeline}.from_pretrained`. {_world() if settings.dataset == "toonstories" else ""}

{"![Validation stories drawn in training](samples.png)" if samples else ""}

## Training

{training_section(settings, parameters, curve, seen, **how)}
"""
    write_text(folder / "README.md", text)


def training_section(
    settings,
    parameters: dict[str, int],
    curve: list,
    seen: int,
    *,
    script: str = "train_story_ldm.py",
    columns: tuple[str, ...] = ("stories seen", "loss"),
) -> str:
    """The command, sizes, the loss curve, and all settings. columns: what a line of the curve holds."""
    command = shlex.join(["accelerate", "launch", f"training/{script}", *sys.argv[1:]])
    every = max(1, len(curve) // 20)
    return f"""`{command}` — {seen:,} stories seen.

{_table(("part", "parameters"), [(name, f"{count / 1e6:.2f} M") for name, count in parameters.items()])}

{_table(columns, curve[::every]) if curve else ""}

{_table(("setting", "value"), asdict(settings).items())}"""


def set_section(folder: Path, title: str, text: str) -> None:
    """Puts a section into the card in `folder`, in the place of the one with the same title if there is one."""
    file = folder / "README.md"
    card = file.read_text() if file.exists() else ""
    section = f"## {title}\n\n{text.strip()}\n"
    old = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", card, re.M | re.S)
    write_text(file, card[: old.start()] + section + "\n" + card[old.end() :] if old else f"{card.rstrip()}\n\n{section}".lstrip())


def _table(head: tuple[str, ...], rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _world() -> str:
    t = toonstories
    who = ", ".join(f"{c.name} the {c.species} ({c.pronoun})" for c in t.CHARACTERS)
    return f"""It draws the built-in world only: {who}; at the {", the ".join(t.PLACES)}; who {", ".join(t.ACTIONS)}, come, leave,
go somewhere and back; in shirts, with a prop ({", ".join(t.PROPS)}), in {", ".join(t.COLORS)}. Other words were never read by it."""
