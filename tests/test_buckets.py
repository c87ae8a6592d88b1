"""Trainings on stories of several sizes: which size a story gets, batches of one size, their latents, and a whole run."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import script
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from PIL.Image import Exif
from test_diffusers_conventions import stable_diffusion

from story_ldm import load_stories
from story_ldm.data.pictures import nearest_shape
from story_ldm.training.caches import BucketLatents
from story_ldm.training.steps import BucketBatches, StepBatches

train = script("training/train_story_ldm.py")
SIZES = [(16, 16), (8, 24), (24, 8)]


def mixed(folder: Path) -> Path:
    """Nine stories of two or three pictures, wide, high and nearly square in turn."""
    rows = []
    for n in range(9):
        size = [(60, 20), (21, 63), (40, 36)][n % 3]
        frames = []
        for m in range(2 + n % 2):
            file = io.BytesIO()
            Pictures.fromarray(np.random.default_rng(10 * n + m).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(file, "PNG")
            frames.append({"bytes": file.getvalue(), "path": None})
        rows.append({"story_id": str(n), "frames": frames, "sentences": ["Rosa waves.", "She sits.", "Milo jumps."][: len(frames)]})
    features = Features({"story_id": Value("string"), "frames": List(Image()), "sentences": List(Value("string"))})
    folder.mkdir()
    Dataset.from_list(rows, features=features).to_parquet(str(folder / "train-00000-of-00001.parquet"))
    return folder


def test_a_story_gets_the_size_nearest_in_shape(tmp_path):
    stories = load_stories(mixed(tmp_path / "mixed"), size=SIZES)
    for n, story in enumerate(stories):
        assert {frame.size for frame in story["frames"]} == {[(24, 8), (8, 24), (16, 16)][n % 3]}
    turned = Pictures.new("RGB", (60, 20))
    exif = Exif()
    exif[0x0112] = 6  # shown on its side
    file = io.BytesIO()
    turned.save(file, "JPEG", exif=exif)
    assert nearest_shape(turned, SIZES) == (8, 24) and nearest_shape(Pictures.open(file), SIZES) == (24, 8)
    with pytest.raises(ValueError, match=r"size is \[\(16, 16\)\]; a built-in world is square"):
        load_stories("toonstories", size=[(16, 16)])
    with pytest.raises(ValueError, match="frames need at least 8 pixels per side"):
        load_stories(tmp_path / "mixed", size=[(16, 16), (4, 64)])


def test_batches_have_stories_of_one_size():
    """A pure function of seed and step, in which every story has its turn in every epoch."""
    buckets = torch.tensor([0, 1, 0, 0, 2, 0, 1, 0])
    batches = BucketBatches(buckets, 2, seed=3)
    steps = [batch for batch, _ in zip(batches, range(3 * batches.steps), strict=False)]
    assert batches.steps == 5
    assert all(len(batch) == 2 and len({int(buckets[row]) for row in batch}) == 1 for batch in steps)
    assert all({row for batch in steps[n : n + 5] for row in batch} == set(range(8)) for n in (0, 5, 10))
    assert steps[:5] != steps[5:10]
    for start in (1, 5, 7):
        assert [batch for batch, _ in zip(BucketBatches(buckets, 2, 3, start), range(8), strict=False)] == steps[start : start + 8]
    one, plain = (iter(batches) for batches in (BucketBatches(torch.zeros(6), 2, 3), StepBatches(6, 2, 3)))
    assert sorted(row for _ in range(3) for row in next(one)) == sorted(row for _ in range(3) for row in next(plain)) == list(range(6))


def test_latents_of_one_size_are_found_by_the_frames_number():
    buckets, lengths = torch.tensor([1, 0, 1]), torch.tensor([2, 3, 1])
    parts = [torch.arange(3.0).view(3, 1, 1, 1).expand(3, 4, 2, 2), 10 + torch.arange(3.0).view(3, 1, 1, 1).expand(3, 4, 1, 6)]
    latents = BucketLatents(parts, buckets, lengths)
    assert len(latents) == 6 and latents[torch.tensor([[2, 3, 4]])].shape == (1, 3, 4, 2, 2)
    assert latents[torch.tensor([[0, 1], [5, 5]])][:, :, 0, 0, 0].tolist() == [[10, 11], [12, 12]]


def test_a_training_on_stories_of_several_sizes(trainer, tokenizer, tmp_path):
    """To its end, with latents of each size. Which stories a resumed run reads: above."""
    stable_diffusion(tokenizer).save_pretrained(tmp_path / "sd")
    data, steps = mixed(tmp_path / "mixed"), 4
    argv = ["train_story_ldm.py", "--preset", "tiny", "--batch", 2, "--stories", 2 * steps, "--init-from", tmp_path / "sd", "--train", "memory"]
    argv += ["--dataset", data, "--buckets", "16x16", "8x24", "24x8", "--cache", tmp_path / "cache", "--sample-every", 0, "--log-every", 1]
    log = trainer(*argv, "--warmup", 2, "--output", tmp_path / "run")
    assert f"step {steps} | " in log and len(list((tmp_path / "cache").glob("latents-*.npy"))) == 3
    assert re.search(r"\| buckets \| .*8x24", (tmp_path / "run" / "adapter" / "README.md").read_text())


def test_wrong_buckets_are_refused(tmp_path):
    for settings, message in (
        ({"buckets": ("64",)}, "--buckets has '64'; it must be HEIGHTxWIDTH in pixels"),
        ({"buckets": ("16x24",)}, "--buckets is 16x24 with --dataset toonstories; the built-in world is square"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            train.check(train.Settings(**settings))
