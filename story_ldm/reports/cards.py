"""Model cards (README.md) of trained models: training command, licence, sizes, loss curve, settings, samples and measured tables.

    write_model_card(folder, run_record(s), parameters, curve, seen)         # a pipeline's card
    write_training_section(folder, run_record(s), parameters, seen=seen)     # section "Training" and licence of a part of one
    set_section(folder, "Measured", tables)

`record` comes from `story_ldm.training.run.run_record`.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, ModelCard, ModelCardData

from story_ldm.data import toonstories
from story_ldm.data.stories import WORLDS, hub_name
from story_ldm.data.toonstories2 import tables as toonstories2
from story_ldm.files import code_span, markdown_table, plain_markdown, regular_file, write_text

LICENCE = ("license", "license_name", "license_link")  # the hub's names


def write_model_card(
    folder: Path,
    record: Mapping[str, Any],
    parameters: Mapping[str, int],
    curve: Sequence[Sequence],
    seen: int,
    samples: Sequence[Path] = (),
    *,
    system: str = "Story-LDM",
    **how: Any,
) -> None:
    """Write the card of a finished pipeline and copy the newest sample sheet into its folder.

    record: a run's settings, including `dataset`, `license` and, where there is one, `preset`. curve: rows of the loss curve. seen: number of stories
    seen in training. samples: sample sheets, the newest last. how: keyword arguments of `training_section`."""
    pipeline = json.loads(regular_file(folder / "model_index.json").read_text())["_class_name"]
    if samples:
        shutil.copy(samples[-1], folder / "samples.png")
    facts = ModelCardData(library_name="diffusers", pipeline_tag="text-to-image", **model_licence(record))
    text = f"""---
{facts}
---
# {" ".join(filter(None, (system, record.get("preset"))))}, trained on {plain_markdown(record["dataset"])}

Opened by `{pipeline}.from_pretrained`; in plain diffusers, without the package story_ldm, from a local copy of this folder
(`hf download OWNER/NAME --local-dir FOLDER`), by the code in its pipeline.py:

```python
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("FOLDER", custom_pipeline="pipeline", trust_remote_code=True)
frames = pipe(["Sentence of the first frame.", "Sentence of the second frame."]).frames[0]
```

{_world(str(record["dataset"]))}

{"![Validation stories drawn in training](samples.png)" if samples else ""}

## Training

{training_section(record, parameters, curve, seen, **how)}
"""
    write_text(folder / "README.md", text)


def write_training_section(
    folder: Path, record: Mapping[str, Any], parameters: Mapping[str, int], curve: Sequence[Sequence] = (), *, seen: int, **how: Any
) -> None:
    """Write the section "Training" and the licence into the card of a component or an adapter. how: keyword arguments of `training_section`."""
    set_section(folder, "Training", training_section(record, parameters, curve, seen, **how))
    if licence := model_licence(record):
        card = ModelCard(regular_file(folder / "README.md").read_text(), ignore_metadata_errors=True)
        for key, value in licence.items():
            card.data[key] = value
        write_text(folder / "README.md", str(card))


def model_licence(record: Mapping[str, Any]) -> dict[str, str]:
    """The licence of a model as metadata of its card: the setting `license`, or else that of its `dataset`. Empty if neither names one, or if
    the model has weights of another one (`init_from`, `text_from`, `teacher`), whose licence is not known. An adapter has none of those."""
    if record.get("license"):
        return {"license": record["license"]}
    other = next((record[name] for name in ("init_from", "text_from", "teacher") if record.get(name)), None)
    return {} if other and record.get("train", "all") == "all" else dataset_licence(record["dataset"])


def dataset_licence(dataset: str | Path) -> dict[str, str]:
    """The licence of a dataset from the metadata of its card (README.md), in its folder or on the hub; mit for the built-in worlds. Empty if they do
    not name one."""
    if str(dataset) in WORLDS:
        return {"license": "mit"}
    try:
        card = DatasetCard.load(hub_name(dataset) or regular_file(Path(dataset, "README.md")), ignore_metadata_errors=True)
    except Exception as error:  # no card, no network, or metadata that cannot be parsed, which raises YAML's own errors
        print(f"warning: the licence of {dataset} is unknown ({type(error).__name__}); the model's card will not name one", file=sys.stderr)
        return {}
    return {key: value for key in LICENCE if (value := card.data.get(key))}


def training_section(
    record: Mapping[str, Any],
    parameters: Mapping[str, int],
    curve: Sequence[Sequence],
    seen: int,
    *,
    script: str = "train_story_ldm.py",
    columns: Sequence[str] = ("stories seen", "loss"),
) -> str:
    """Training command, sizes, loss curve and all settings as Markdown. columns: names of the numbers in a row of the curve."""
    command = shlex.join(["accelerate", "launch", f"training/{script}", *sys.argv[1:]])
    every = max(1, len(curve) // 20)
    return f"""{code_span(command)} — {seen:,} stories seen.

{_table(("part", "parameters"), ((name, f"{count / 1e6:.2f} M") for name, count in parameters.items()))}

{_table(columns, curve[::every]) if curve else ""}

{_table(("setting", "value"), record.items())}"""


def _table(head: Sequence[str], rows: Iterable[Iterable]) -> str:
    return markdown_table(head, rows, ["---"] * len(head))


def set_section(folder: Path, title: str, text: str) -> None:
    """Write a section into the card in `folder`; a section with the same title is replaced."""
    file = folder / "README.md"
    card = regular_file(file).read_text() if file.exists() else ""
    section = f"## {title}\n\n{text.strip()}\n"
    old = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", card, re.M | re.S)
    write_text(file, card[: old.start()] + section + "\n" + card[old.end() :] if old else f"{card.rstrip()}\n\n{section}".lstrip())


def _world(dataset: str) -> str:
    """What a model of a built-in world draws; empty for other datasets."""
    if dataset == "toonstories-2":
        u = toonstories2
        return f"""It draws the picture-book world only: {", ".join(u.KINDS)}, by any name; in the {", the ".join(u.PLACES)};
who {", ".join(u.ACTIONS)}, come, leave, go somewhere and back; with a {", ".join(u.FACES)} face; in shirts, with a prop ({", ".join(u.PROPS)}),
in {", ".join(u.COLORS)}; by {", ".join(u.TIMES)}; in {", ".join(u.WEATHERS)} weather. It was trained on no other words."""
    if dataset != "toonstories":
        return ""
    t = toonstories
    who = ", ".join(f"{c.name} the {c.species} ({c.pronoun})" for c in t.CHARACTERS)
    return f"""It draws the built-in world only: {who}; at the {", the ".join(t.PLACES)}; who {", ".join(t.ACTIONS)}, come, leave,
go somewhere and back; in shirts, with a prop ({", ".join(t.PROPS)}), in {", ".join(t.COLORS)}. It was trained on no other words."""
