"""Samples of a training run: a picture of validation stories, and rates of a frame evaluator on them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from datasets import Dataset

from story_ldm.data.long_sentences import LongSentences
from story_ldm.data.pictures import save_picture
from story_ldm.data.stories import fit_stories, held_out_split, load_stories
from story_ldm.encoders.limits import encoder_limit
from story_ldm.files import model_folder
from story_ldm.metrics.quick import quick_rates
from story_ldm.reports.strips import story_sheet


def sample_stories(dataset: str, text: str, count: int, tokenizer: Any, long_sentences: LongSentences) -> Dataset:
    """The first `count` validation stories, without pictures."""
    limit = None if long_sentences == "skip" else count  # of which some may be left out
    stories = load_stories(dataset, held_out_split(dataset), text=text, limit=limit, pictures=False)
    fit = fit_stories([stories], encoder_limit(None, tokenizer), long_sentences)[0]
    return fit.select(range(min(count, len(fit))))


def sample_file(run: Path, step: int) -> Path:
    return run / "samples" / f"step-{step:08d}.png"


def report_samples(accelerator: Accelerator, run: Path, step: int, stories: Dataset, drawn: list, evaluator: Path | None) -> None:
    """Logs the rates of the drawn stories, and saves them as samples/step-N.png. evaluator: the shipped one, if None."""
    rates = quick_rates(model_folder(evaluator or "toon-evaluator"), stories, drawn, accelerator.device)
    print(" | ".join([f"step {step}", *(f"{name} {100 * value:.1f} %" for name, value in rates.items())]), file=sys.stderr)
    accelerator.log({f"validation/{name}": value for name, value in rates.items()}, step=step)
    sheet = story_sheet(drawn[:6], stories["sentences"][:6])
    sample_file(run, step).parent.mkdir(exist_ok=True)
    save_picture(sheet, sample_file(run, step))
