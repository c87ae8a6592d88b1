"""The command `story-ldm`.

story-ldm generate "Rosa the rabbit in a red shirt waves in the city." "She sits down." --output story.png
story-ldm generate --seed 7 --output story.png          # a random story of the built-in world
story-ldm studio                                         # the storyboard, a page in your browser
story-ldm preview --output sheet.png                    # a contact sheet of real stories; preview DIR: of a converted dataset
story-ldm data toonstories --out DIR                    # the built-in world as Parquet with a dataset card; toonstories-2: the second
story-ldm data convert pororo DIR --out data/pororo     # a public dataset, or your own stories, in the same form
story-ldm data check data/pororo                        # exit code 0 if it is complete
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.extras import SubcommandApp

from story_ldm.data.long_sentences import LongDrawn, LongSentences, fit_sentences
from story_ldm.data.sources import SOURCES
from story_ldm.files import json_object, model_folder
from story_ldm.lean_imports import import_for_drawing, needs_diffusers_alone
from story_ldm.one_line import one_line_errors

if TYPE_CHECKING:
    Sources = str
else:
    Sources = Literal[SOURCES]
app, data = SubcommandApp(), SubcommandApp()
own_process = False  # whether this is the command, and not somebody's program that calls its functions


@app.command
def generate(
    sentences: tyro.conf.Positional[tuple[str, ...]] = (),
    /,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("story.png"),
    model: Path = Path("toon-story-ldm"),
    seed: int = 0,
    seeds: tuple[int, ...] = (),
    steps: int | None = None,
    guidance: float | None = None,
    memory_guidance: float | None = None,
    negative_prompt: str | None = None,
    memory: Literal["trained", "none", "reference", "consistent-attention", "prompt-surgery"] = "trained",
    side: int = 192,
    explain: bool = False,
    long_sentences: LongDrawn = "error",
) -> None:
    """Draws a story, one frame per sentence, as one picture strip.

    Args:
        sentences: The sentences of the story; without any, a random story of the built-in world is drawn.
        output: Picture to write (.png, .jpg or .webp).
        model: Folder of a trained pipeline, or the name of a shipped one, which draws the built-in world only.
        seed: Random seed of the noise, and of the random story.
        seeds: A seed for each frame instead; with those of the storyboard, its story is drawn again.
        steps: Diffusion steps per frame; by default the model's own, else 20, or those that fit a model made from a Stable Diffusion.
        guidance: Scale of classifier-free guidance, for text and memory; by default the model's own, else 2.0, or that of a Stable Diffusion.
        memory_guidance: Scale of the guidance by memory alone; by default that of --guidance.
        negative_prompt: What is not to be seen in any frame.
        memory: The visual memory that the model was trained with, none, or a form that needs no training.
        side: Width and height of each frame in the picture, in pixels.
        explain: Print what the model understood of each sentence before it draws: where, who, in what, doing what.
        long_sentences: What to do with sentences that are longer than the model reads: error, cut them, or chunks: a CLIP text
            encoder reads them in parts of its length. (skip is for datasets.)
    """
    model = model_folder(model)
    if not (model / "model_index.json").exists():
        raise ValueError(f"--model is {model}, which has no model_index.json; it must be the folder of a pipeline, or the name of a shipped one")
    _check_ranges(steps=(steps, 1, 1000), side=(side, 16, 4096), seed=(seed, 0, 2**63 - 1), guidance=(guidance, -1000, 1000))
    _check_ranges(memory_guidance=(memory_guidance, -1000, 1000))
    for value in seeds:
        _check_ranges(seeds=(value, 0, 2**63 - 1))
    _check_output(output)
    if seeds and len(seeds) != len(sentences):
        raise ValueError(f"--seeds has {len(seeds)} seeds, and there are {len(sentences)} sentences; give one for each, or --seed")
    if long_sentences == "skip":
        raise ValueError("--long-sentences is skip; it must be error, cut or chunks: one story is drawn, which skip would leave out")
    ar_ldm = json_object(model / "model_index.json").get("_class_name") == "ARLDMPipeline"
    wrong = {"--explain is given": explain, f"--memory is {memory}": memory not in ("trained", "none")}
    wrong["--long-sentences is chunks"] = long_sentences == "chunks"
    if ar_ldm and any(wrong.values()):
        what = next(option for option, given in wrong.items() if given)
        raise ValueError(f"{what}, and --model is {model}, an ARLDMPipeline: it has no reader, no such memory, and reads sentences whole")
    name = "story_ldm.pipelines.story_ldm"
    pipelines = import_for_drawing(name, lean=needs_diffusers_alone(model)) if own_process else import_module(name)
    import torch

    from story_ldm.data.pictures import save_picture
    from story_ldm.encoders.limits import encoder_limit, unknown_words
    from story_ldm.reports.strips import story_strip

    if not sentences:
        from story_ldm.data.toonstories import make_story

        sentences = tuple(make_story(split="test", index=seed).sentences["referential"])
        print("\n".join(sentences))
    kind = import_module("story_ldm.pipelines.ar_ldm").ARLDMPipeline if ar_ldm else pipelines.StoryLDMPipeline
    pipe = kind.from_pretrained(model)
    if long_sentences != "chunks":
        tokenizer = (pipe.tokenizer, pipe.history_tokenizer) if ar_ldm else pipe.tokenizer
        sentences = tuple(fit_sentences(sentences, encoder_limit(pipe.text_encoder, tokenizer), long_sentences))
    elif pipe.text_encoder is None:
        raise ValueError(f"--long-sentences is chunks, and {model} has a reader, which reads a sentence whole; only CLIP's are read in chunks")
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    unknown = [] if pipe.tokenizer is None else unknown_words(pipe.tokenizer, sentences)
    if unknown:
        print(f"warning: this model never read the word(s) {', '.join(unknown)}; {model / 'README.md'} lists what it knows", file=sys.stderr)
    if explain:
        for sentence, frame in zip(sentences, pipe.understand(list(sentences)), strict=True):
            print(f"{sentence}\n    {frame}")
    how: dict[str, Any] = {"num_inference_steps": steps, "guidance_scale": guidance, "use_memory": memory != "none"}
    how |= {"memory_guidance_scale": memory_guidance, "negative_prompt": negative_prompt}
    how |= {"seeds": list(seeds)} if seeds else {"generator": torch.Generator().manual_seed(seed)}
    if not ar_ldm:
        how["long_sentences"] = "chunks" if long_sentences == "chunks" else "error"
    if memory not in ("trained", "none"):
        how["memory"] = memory
    frames = pipe(list(sentences), **how).frames[0]
    save_picture(story_strip(frames, list(sentences), side), output)
    print(f"{output} written")


def _check_ranges(**options: tuple[float | None, float, float]) -> None:
    """Raises ValueError for an option (value, lowest, highest) that is out of its range. None, the default, is in any."""
    for name, (value, low, high) in options.items():
        if value is not None and not low <= value <= high:
            raise ValueError(f"--{name.replace('_', '-')} is {value}; it must be from {low:,} to {high:,}")


def _check_output(file: Path) -> None:
    """Raises ValueError for a picture that could not be written after all the work."""
    if not file.parent.exists():
        raise ValueError(f"{file.parent} does not exist; --output needs a folder that does")
    if file.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ValueError(f"--output is {file}; it must end in .png, .jpg or .webp")
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise ValueError(f"--output is {file}, which cannot be written: {'it is a folder' if file.is_dir() else f'{file.parent} is read-only'}")


@data.command
def toonstories(out: Path, size: int = 64, split: tuple[str, ...] = (), limit: int | None = None, seed: int = 0, num_proc: int = 2) -> None:
    """Writes the built-in world as Parquet in the story form, with a dataset card.

    Args:
        out: Folder to write to.
        size: Width and height of the frames, in pixels.
        split: Splits to write; all of them by default.
        limit: Number of stories to write per split, from the first; all by default.
        seed: Seed of the world.
        num_proc: Number of processes.
    """
    _export("toonstories", out, size, split, limit, seed, num_proc)


@data.command(name="toonstories-2")
def toonstories2(out: Path, size: int = 128, split: tuple[str, ...] = (), limit: int | None = None, seed: int = 0, num_proc: int = 2) -> None:
    """Writes ToonStories 2, the picture-book world, as Parquet in the story form, with a dataset card.

    Args:
        out: Folder to write to.
        size: Width and height of the frames, in pixels.
        split: Splits to write; all of them by default.
        limit: Number of stories to write per split, from the first; all by default.
        seed: Seed of the world.
        num_proc: Number of processes.
    """
    _export("toonstories-2", out, size, split, limit, seed, num_proc)


def _export(world: str, out: Path, size: int, splits: tuple[str, ...], limit: int | None, seed: int, num_proc: int) -> None:
    from story_ldm.data.toonstories.export import export_toonstories

    _check_ranges(size=(size, 8, 4096), limit=(1 if limit is None else limit, 1, 10**9), num_proc=(num_proc, 1, 1000))
    export_toonstories(out, size=size, splits=splits, limit=limit, seed=seed, num_proc=num_proc, dataset=world)


@data.command
def convert(
    source: tyro.conf.Positional[Sources],
    folder: tyro.conf.Positional[Path],
    /,
    out: Path,
    frame: Literal["middle", "first", "random"] | int = "middle",
    seed: int = 0,
    text: Literal["full", "referential"] = "full",
    size: int | None = None,
    fit: Literal["crop", "pad"] = "crop",
    background: str = "white",
    split: tuple[str, ...] = (),
    limit: int | None = None,
    drop_overlaps: bool = False,
    skip_broken: bool = False,
    num_proc: int = 2,
    unpacked_gb: float | None = None,
    long_sentences: LongSentences = "error",
) -> None:
    """Writes a copy of a public dataset, or your own stories, as sharded Parquet in the story form, with a dataset card. The same command
    resumes an interrupted conversion.

    Args:
        source: Format of the copy; story_ldm/data/sources/<source>.py describes the expected files.
        folder: The copy: a folder, or a zip or tar archive of it.
        out: Folder to write to.
        frame: Frame to take of a shot with several: middle, first, random, or its index from 0.
        seed: Random seed of --frame random.
        text: full: sentences as published; referential: names replaced by he, she, it or they where no other named character can be meant.
        size: Resize frames to this width and height, in pixels; by default they keep their size.
        fit: How --size makes frames square: crop to the centre, or pad with black.
        background: Colour under transparent parts of pictures, by its CSS name or #rrggbb.
        split: Splits to write; all of them by default.
        limit: Number of stories to write per split, from the first; all by default.
        drop_overlaps: Drop stories that share a shot with a story of a later split (order: train, validation, test).
        skip_broken: Skip broken stories and list them, instead of stopping at the first.
        num_proc: Number of processes.
        unpacked_gb: The most gigabytes that an archive may unpack to; by default 50 times its size, and at least 1.
        long_sentences: What to do with sentences of more than 96 words and punctuation marks, the reader's limit: error, cut them, or skip
            their stories. Training and drawing have the same option, with the limit of their text encoder.
    """
    from story_ldm.data.sources.convert import Conversion, convert
    from story_ldm.data.sources.record import said_of_long

    c = Conversion(source, str(frame), seed, text, size, fit, background, limit, drop_overlaps)
    record = convert(c, folder, out, split, skip_broken, num_proc, unpacked_gb, long_sentences)
    for name, part in record["splits"].items():
        print(f"{name}: {part['stories']:,} stories, {len(part['broken']):,} left out as broken, {part['dropped_overlaps']:,} dropped")
    if transparent := sum(part["transparent"] for part in record["splits"].values()):
        print(f"{transparent:,} pictures have transparent parts, which are laid on {background} (--background)")
    if long := said_of_long(record):
        print(f"{long.removesuffix('.')} (--long-sentences)")
    print(f"{out} written; `story-ldm data check {out}` reports whether it is complete")


@data.command
def check(folder: tyro.conf.Positional[Path], /, source: Sources | None = None, partial: bool = False, unpacked_gb: float | None = None) -> None:
    """Reports what a folder of stories holds and what is missing or unreadable; exit code 0 if it is complete, else 1.

    Args:
        folder: A folder in the story form; with --source, a dataset as published, or a zip or tar archive of it.
        source: Format of the published dataset.
        partial: Accept fewer stories than were published.
        unpacked_gb: The most gigabytes that an archive may unpack to; by default 50 times its size, and at least 1.
    """
    from story_ldm.data.sources.check import check

    whole, report = check(folder, source, partial, unpacked_gb=unpacked_gb)
    print(report)
    raise SystemExit(0 if whole else 1)


@app.command
def preview(
    dataset: tyro.conf.Positional[str] = "toonstories",
    /,
    output: Path = Path("preview.png"),
    split: str | None = None,
    stories: int = 8,
    size: int = 128,
    text: Literal["referential", "full", "free"] = "referential",
    fit: Literal["crop", "pad"] = "pad",
    background: str = "white",
) -> None:
    """Writes a contact sheet of stories with their sentences.

    Args:
        dataset: toonstories, toonstories-2, a folder in the story form, or hf://datasets/owner/name for one on the Hugging Face hub.
        output: Picture to write.
        split: Split to show; by default validation where there is one, else test, else train.
        stories: Number of stories.
        size: Width and height of the frames, in pixels.
        text: Form of the sentences: referential (she, there), full (all names), or free (as people write; built-in worlds only).
        fit: How frames become square: crop to the centre, or pad with black.
        background: Colour under transparent parts of pictures, by its CSS name or #rrggbb.
    """
    from story_ldm.data.pictures import save_picture
    from story_ldm.data.stories import held_out_split, load_stories
    from story_ldm.reports.strips import story_sheet

    _check_ranges(size=(size, 8, 4096), stories=(stories, 1, 1000))
    _check_output(output)
    rows = load_stories(dataset, split or held_out_split(dataset), size, text, limit=stories, fit=fit, background=background)
    save_picture(story_sheet(rows["frames"][:], rows["sentences"][:], side=size), output)
    print(f"{output} written")


@app.command
def studio(
    models: tyro.conf.Positional[tuple[str, ...]] = (),
    /,
    loras: tuple[Path, ...] = (),
    folder: Path = Path("stories"),
    host: str = "127.0.0.1",
    port: int = 7860,
    share: bool = False,
    users: Literal["auto", "one", "many"] = "auto",
    password: str | None = None,
) -> None:
    """Starts the storyboard, a page in your browser: write sentences, draw them, change one and keep the frames before it, save a comic.

    Args:
        models: Models to draw with, beside the shipped ones: folders of trained pipelines or Stable Diffusions, Stable Diffusions in
            one file, and FOLDER+ADAPTER for one with a memory adapter. The first one is the default.
        loras: LoRAs for the Stable Diffusions (.safetensors), whose weights are set on the page.
        folder: Folder of the stories, which are saved as you work.
        host: Address to serve at; 0.0.0.0 is open to your network.
        port: Port to serve at.
        share: Open a public address by Gradio's tunnel.
        users: one: all stories are yours; many: each browser has a key of its own, and its own stories; auto: one at 127.0.0.1, else many.
        password: Ask for it (with any name) before the page opens.
    """
    from importlib.util import find_spec

    _check_ranges(port=(port, 1, 65535))
    if find_spec("gradio") is None:
        raise ValueError('the storyboard needs the package gradio: pip install "story-ldm[studio]"')
    from story_ldm.app.page import serve

    serve(folder, models, host, port, share, users, password, loras)


app.command(data, name="data", help="Writes, converts and checks datasets.")


def main() -> None:
    global own_process
    own_process = True
    with one_line_errors("story-ldm"):
        app.cli(prog="story-ldm", description="Story visualization: sentences in, a consistent sequence of images out.")


if __name__ == "__main__":
    main()
