"""Draws stories in free English and reads the pictures: is what the sentences say what is to be seen?

    python evaluation/free_english.py --model toon-story-ldm                     # draw, read by the frame evaluator, print the rates by kind
    python evaluation/free_english.py --model runs/reader/reader                 # a reader alone: what is understood, the ceiling of its pictures
    python evaluation/free_english.py --model runs/storybook/pipeline --text-only --out results/free-english.json
    python evaluation/free_english.py --model runs/reader-2/reader --stories tests/data/free_english_2.txt          # the stories of ToonStories 2

The stories are a development set, written by hand (`tests/data/free_english.txt`, whose header describes the form); --stories takes another file in
the same form. Rates in percent: frames with exactly the characters told, frames at the right place, and of the garments, actions, props and faces
that were told, those that are right on the one who is told to have them; of the hours and weathers told, those that are right. A refused story counts
as wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor
from tqdm.auto import tqdm

from story_ldm.data.frames import frames_tensor
from story_ldm.data.free_english import HandWrittenStory, read_stories
from story_ldm.data.toonstories import CHARACTERS
from story_ldm.encoders.evaluator import FrameEvaluator
from story_ldm.encoders.reader import Reader
from story_ldm.encoders.understood import UnderstoodCharacter, UnderstoodFrame
from story_ldm.files import json_object, markdown_table, model_folder, write_text
from story_ldm.metrics.understanding import FACTS, STATES, percent, understanding_counts
from story_ldm.model_folders import open_local
from story_ldm.one_line import one_line_errors
from story_ldm.pipelines.opening import pipeline_class


@dataclass
class Settings:
    model: str
    """Folder of a pipeline or of a reader, or the name of a shipped one."""
    stories: Path = Path("tests/data/free_english.txt")
    """File of stories written by hand."""
    text_only: bool = False
    """Do not draw: measure what the pipeline's reader understands."""
    steps: int | None = None
    """Diffusion steps per frame; by default the pipeline's own."""
    evaluator: Path | None = None
    """Frame evaluator that reads the pictures; by default the shipped one."""
    seed: int = 0
    """Seed of the noise."""
    by_story: bool = False
    """Also print each frame that is not as told."""
    out: Path | None = None
    """JSON file for counts and rates."""


Counts = dict[str, tuple[int, int]]
KIND_OF = {who.name: who.species for who in CHARACTERS}


def main(s: Settings) -> None:
    if s.steps is not None and s.steps < 1:
        raise SystemExit(f"--steps is {s.steps}; it must be at least 1")
    stories, folder = read_stories(s.stories), model_folder(s.model)
    reader = open_reader(folder, s.text_only)
    understood = read_alone(reader, stories) if reader else draw_and_read(s, folder, stories)
    groups: dict[str, list[tuple[Counts, bool]]] = {}
    for story, reading in zip(stories, understood, strict=True):
        refused = reading is None
        counts = understanding_counts([story.said], [reading or [UnderstoodFrame("", []) for _ in story.said]], each_kind_once=reader is None)
        for group in (story.level, f"{story.level}, {story.voice}"):
            groups.setdefault(group, []).append((counts, refused))
        if s.by_story and reading is not None:
            show_mistakes(story, reading, each_kind_once=reader is None)
    told = [fact for fact in (*FACTS, *STATES) if fact in FACTS or any(fact in counts for parts in groups.values() for counts, _ in parts)]
    table: dict[str, Any] = {}
    for group, parts in sorted(groups.items()):
        each = {fact: [counts.get(fact, (0, 0)) for counts, _ in parts] for fact in told}
        total = {fact: (sum(right for right, _ in found), sum(said for _, said in found)) for fact, found in each.items()}
        table[group] = {"stories": len(parts), "refused": sum(refused for _, refused in parts), "counts": total, "percent": percent(total)}
    rows = [
        [group, cell["stories"], cell["refused"], *(f"{cell['percent'][fact]:.1f}" if fact in cell["percent"] else "" for fact in told)]
        for group, cell in table.items()
    ]
    print(markdown_table(("", "stories", "refused", *told), rows))
    if s.out is not None:
        settings = {"model": s.model, "stories": s.stories.name, "drawn": reader is None, "steps": s.steps, "seed": s.seed}
        write_text(s.out, json.dumps({**settings, "rates": table}, indent=1))


def open_reader(folder: Path, text_only: bool) -> Reader | None:
    """The reader in a folder or in a pipeline's folder; None for a pipeline that is to draw.

    Raises SystemExit for another model, a pipeline without a reader if --text-only is set, and a reader that cannot say what it understood."""
    alone = (folder / "config.json").is_file()
    if not alone and not text_only:
        return None
    if not alone and not (folder / "reader").is_dir():
        raise SystemExit(f"--text-only is set and --model {folder} has no reader; without --text-only its pictures are read")
    file = folder / ("." if alone else "reader") / "config.json"
    if (kind := json_object(file).get("_class_name")) != "Reader":
        raise SystemExit(f"--model {folder} is a {kind}; it must be a reader, or a pipeline (model_index.json)")
    reader = open_local(Reader, file.parent, dtype=torch.float32).eval()
    if reader.config.labels is None:
        raise SystemExit(f"--model {folder} has a reader that was trained without labels, and cannot say what it understood")
    return reader


def read_alone(reader: Reader, stories: list[HandWrittenStory]) -> list[list[UnderstoodFrame] | None]:
    """What the reader understands, None for a story that it refuses."""
    read: list[list[UnderstoodFrame] | None] = []
    for n, story in enumerate(stories):
        try:
            read.append(reader.understand([story.sentences])[0])
        except ValueError as error:
            print(f"story {n + 1} is refused: {error}")
            read.append(None)
    return read


def draw_and_read(s: Settings, folder: Path, stories: list[HandWrittenStory]) -> list[list[UnderstoodFrame] | None]:
    """What the pictures show, None for a story that the pipeline refuses."""
    pipe = pipeline_class(folder).from_pretrained(folder)
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    pipe.set_progress_bar_config(disable=True)
    evaluator = open_local(FrameEvaluator, model_folder(s.evaluator or "toon-evaluator"), dtype=torch.float32).eval()
    seen = {KIND_OF.get(name, name) for name in evaluator.config.characters}
    if unknown := sorted({kind for story in stories for said in story.said for kind in said.who} - seen):
        raise SystemExit(f"--evaluator {s.evaluator or 'toon-evaluator'} does not read {', '.join(unknown)}; give one of the world of --stories")
    options = {} if s.steps is None else {"num_inference_steps": s.steps}
    read: list[list[UnderstoodFrame] | None] = []
    for n, story in enumerate(tqdm(stories, desc="stories")):
        try:
            frames = pipe(story.sentences, generator=torch.Generator().manual_seed(s.seed * 100_003 + n), **options).frames[0]
        except ValueError as error:
            tqdm.write(f"story {n + 1} is refused: {error}")
            read.append(None)
            continue
        read.append(as_understood(evaluator, evaluator.read(frames_tensor(frames))))
    return read


def as_understood(evaluator: FrameEvaluator, readings: dict[str, Tensor]) -> list[UnderstoodFrame]:
    """An evaluator's readings of frames, by the names of its labels; characters by kind."""
    config, frames = evaluator.config, []
    names = {"garment": config.garments, "action": config.actions, "prop": config.props, "background": config.backgrounds}
    names |= {**(config.frame_heads or {}), **(config.character_heads or {})}

    def read(head: str, *place: int) -> str | None:
        return names[head][int(readings[head][place])] if head in readings else None

    for m, present in enumerate(readings["characters"]):
        characters = []
        for c in present.nonzero()[:, 0].tolist():
            kind, prop = KIND_OF.get(config.characters[c], config.characters[c]), read("prop", m, c)
            worn, action, face = (read(head, m, c) for head in ("garment", "action", "face"))
            characters.append(UnderstoodCharacter(kind, worn, action or "", None if prop == "none" else prop, face))
        frames.append(UnderstoodFrame(read("background", m) or "", characters, time=read("time", m), weather=read("weather", m)))
    return frames


def show_mistakes(story: HandWrittenStory, reading: list[UnderstoodFrame], each_kind_once: bool) -> None:
    for sentences, said, read in zip(story.sentences, story.said, reading, strict=True):
        wrong = [fact for fact, (right, total) in understanding_counts([[said]], [[read]], each_kind_once).items() if right < total]
        if wrong:
            print(f"{story.level}, {story.voice}: {sentences}\n    {', '.join(wrong)} wrong: {read}\n    told: {said}")


if __name__ == "__main__":
    with one_line_errors("free_english.py"):
        main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
