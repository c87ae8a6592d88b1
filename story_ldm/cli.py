"""The command `story-ldm`.

story-ldm generate "Rosa the rabbit in a red shirt waves in the city." "She sits down." --output story.png
story-ldm generate --seed 7 --output story.png          # a story that the built-in world makes up
story-ldm preview --output sheet.png                    # a contact sheet of true stories; preview DIR: of a converted dataset
story-ldm data toonstories --out DIR                    # the built-in world as Parquet with a dataset card
story-ldm data convert pororo DIR --out data/pororo     # a public dataset, or stories of one's own, in the same form
story-ldm data check data/pororo                        # is it whole? (exit code 0)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from story_ldm.data.sources import SOURCES

SHIPPED_MODEL = Path(__file__).parents[1] / "checkpoints" / "toon-story-ldm"


def generate(
    sentences: tyro.conf.Positional[tuple[str, ...]] = (),
    /,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("story.png"),
    model: Path = SHIPPED_MODEL,
    seed: int = 0,
    steps: int = 20,
    guidance: float = 2.0,
    side: int = 192,
) -> None:
    """Draws a story, one frame a sentence, as one picture strip.

    Args:
        sentences: The story; without any, the built-in world makes one up from the seed.
        output: Where the picture goes.
        model: A trained pipeline's folder; the shipped model draws the built-in world only.
        seed: The same seed draws the same picture.
        steps: Diffusion steps a frame.
        guidance: How strongly text and memory are followed.
        side: Pixels a frame in the picture.
    """
    if not (model / "model_index.json").exists():
        raise SystemExit(f"{model} holds no pipeline (no model_index.json); give --model a folder that train_story_ldm.py made")
    if not output.parent.exists():
        raise SystemExit(f"{output.parent} does not exist; --output needs a folder that does")
    if output.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise SystemExit(f"--output is {output}; it must end in .png, .jpg or .webp")
    import torch

    from story_ldm.data.toonstories import make_story
    from story_ldm.pipelines import StoryLDMPipeline
    from story_ldm.reports.strips import story_strip

    if not sentences:
        sentences = tuple(make_story(split="test", index=seed).sentences["referential"])
        print("\n".join(sentences))
    pipe = StoryLDMPipeline.from_pretrained(model)
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    unknown = unknown_words(pipe.tokenizer, sentences)
    if unknown:
        print(f"warning: this model never read the word(s) {', '.join(unknown)}; {model / 'README.md'} lists what it knows", file=sys.stderr)
    try:
        frames = pipe(list(sentences), num_inference_steps=steps, guidance_scale=guidance, generator=torch.Generator().manual_seed(seed)).frames[0]
    except ValueError as error:
        raise SystemExit(f"story-ldm: {error}") from None
    beside = output.with_name(f".partial-{output.name}")
    story_strip(frames, list(sentences), side).save(beside)
    os.replace(beside, output)
    print(f"{output} written")


def unknown_words(tokenizer, sentences: tuple[str, ...]) -> list[str]:
    """Words that a tokenizer trained on a small corpus has never seen (it splits them); none for a large, general vocabulary."""
    if len(tokenizer) > 10_000:
        return []
    words = dict.fromkeys(word for s in sentences for word, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(s.lower()))
    return [word.lstrip("Ġ") for word in words if word.lstrip("Ġ").isalpha() and len(tokenizer.tokenize(word.lstrip("Ġ"))) > 1]


def toonstories(out: Path, size: int = 64, split: tuple[str, ...] = (), limit: int | None = None, seed: int = 0, num_proc: int = 2) -> None:
    """Writes the built-in world as Parquet in the story form, with a dataset card.

    Args:
        out: Folder to write to.
        size: Pixels a frame and side.
        split: Which splits; all of them by default.
        limit: Only the first stories of each split.
        seed: Seed of the world.
        num_proc: Processes.
    """
    from story_ldm.data.toonstories.export import export_toonstories

    export_toonstories(out, size=size, splits=split, limit=limit, seed=seed, num_proc=num_proc)


Sources = Literal[SOURCES]


def convert(
    source: tyro.conf.Positional[Sources],
    folder: tyro.conf.Positional[Path],
    /,
    out: Path,
    frame: str = "middle",
    seed: int = 0,
    text: Literal["full", "referential"] = "full",
    size: int | None = None,
    fit: Literal["crop", "pad"] = "crop",
    split: tuple[str, ...] = (),
    limit: int | None = None,
    drop_overlaps: bool = False,
    skip_broken: bool = False,
    num_proc: int = 2,
) -> None:
    """Writes a copy of a public dataset, or stories of one's own, as sharded Parquet in the story form, with a dataset card. The same command
    goes on where it stopped.

    Args:
        source: Which dataset; story_ldm/data/sources/<source>.py says how its folder must look.
        folder: The copy: a folder, or a zip or tar of it.
        out: Folder to write to.
        frame: Which frame of a shot of several: middle, first, random, or a number from 0.
        seed: Of --frame random.
        text: As published, or with names replaced by he, she, it and they where that can mean no other named character.
        size: Make frames so many pixels a side; without, they stay as they are.
        fit: How a picture that is not square gets that size: cut to its middle, or on black.
        split: Which splits; all of them by default.
        limit: Only the first stories of each split.
        drop_overlaps: Leave stories of an earlier split out that share a shot with a later one (train, validation, test).
        skip_broken: Leave broken stories out, count and list them, instead of stopping at the first.
        num_proc: Processes.
    """
    from story_ldm.data.faults import StoryDataError
    from story_ldm.data.sources.convert import Conversion, convert

    try:
        c = Conversion(source, frame, seed, text, size, fit, limit, drop_overlaps)
        record = convert(c, folder, out, split, skip_broken, num_proc)
    except StoryDataError as error:
        raise SystemExit(f"story-ldm: {error}") from None
    for name, part in record["splits"].items():
        print(f"{name}: {part['stories']:,} stories, {len(part['broken']):,} left out as broken, {part['dropped_overlaps']:,} dropped")
    print(f"{out} written; `story-ldm data check {out}` says whether it is whole")


def check(folder: tyro.conf.Positional[Path], /, source: Sources | None = None, partial: bool = False) -> None:
    """Tells what is there, missing or unreadable in a folder of stories; exit code 0 if it is whole, 1 if not.

    Args:
        folder: A folder in the story form; with --source, a copy as it was published, or a zip or tar of it.
        source: Which dataset the copy is of.
        partial: Fewer stories than published are as good.
    """
    from story_ldm.data.faults import StoryDataError
    from story_ldm.data.sources.check import check

    try:
        whole, report = check(folder, source, partial)
    except StoryDataError as error:
        raise SystemExit(f"story-ldm: {error}") from None
    print(report)
    raise SystemExit(0 if whole else 1)


DATA_COMMANDS = {"toonstories": toonstories, "convert": convert, "check": check}


def data(words: tyro.conf.Positional[tuple[str, ...]] = (), /) -> None:
    """Datasets: `story-ldm data --help` lists toonstories, convert and check."""
    tyro.extras.subcommand_cli_from_dict(DATA_COMMANDS, prog="story-ldm data", args=list(words))


def preview(
    dataset: tyro.conf.Positional[str] = "toonstories",
    /,
    output: Path = Path("preview.png"),
    split: str | None = None,
    stories: int = 8,
    size: int = 128,
    text: Literal["referential", "full"] = "referential",
    fit: Literal["crop", "pad"] = "pad",
) -> None:
    """Writes a contact sheet of stories with their sentences.

    Args:
        dataset: Name or folder that load_stories takes.
        output: Where the picture goes.
        split: Which split; by default validation where there is one, else test, else train.
        stories: How many.
        size: Pixels a frame and side.
        text: Which form of the sentences.
        fit: How pictures that are not square get that size: on black, or cut to their middle.
    """
    from story_ldm.data.stories import held_out_split, load_stories
    from story_ldm.reports.strips import story_sheet

    try:
        rows = load_stories(dataset, split or held_out_split(dataset), size, text, limit=stories, fit=fit)
    except (ValueError, OSError) as error:
        raise SystemExit(f"story-ldm: {error}") from None
    beside = output.with_name(f".partial-{output.name}")
    story_sheet(rows["frames"][:], rows["sentences"][:], side=size).save(beside)
    os.replace(beside, output)
    print(f"{output} written")


def main() -> None:
    if sys.argv[1:2] == ["data"]:  # has commands, and they options, of its own
        return data(tuple(sys.argv[2:]))
    tyro.extras.subcommand_cli_from_dict({"generate": generate, "data": data, "preview": preview}, prog="story-ldm", description=__doc__)


if __name__ == "__main__":
    main()
