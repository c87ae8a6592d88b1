"""Converted datasets as everything after them takes them: sizes, windows, mirrored copies, previews, and training to score."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, script
from PIL import Image
from published_copies import COUNTS, save

from story_ldm import cli, load_stories
from story_ldm.data import stories as reading
from story_ldm.data.sources import SOURCES
from story_ldm.data.sources.convert import Conversion, convert
from story_ldm.data.stories import held_out_split, one_length, story_lengths

pytestmark = pytest.mark.usefixtures("own_cache")


def test_crop_and_pad(tmp_path):
    save(Image.merge("RGB", [Image.linear_gradient("L").rotate(90).resize((48, 24))] * 3), tmp_path / "a" / "0.png")
    (tmp_path / "stories.jsonl").write_text('{"story": "a", "sentences": ["It is dark."]}')
    convert(Conversion("folder"), tmp_path, tmp_path / "out", num_proc=1)
    whole, cropped, padded = (
        np.asarray(load_stories(tmp_path / "out", "train", s, fit=f)[0]["frames"][0]) for s, f in ((None, "crop"), (24, "crop"), (24, "pad"))
    )
    assert whole.shape == (24, 48, 3) and cropped.shape == padded.shape == (24, 24, 3)
    assert np.array_equal(cropped, whole[:, 12:36]), "the middle, not squeezed"
    assert not padded[:6].any() and not padded[18:].any() and padded[12].max() > 200
    with pytest.raises(ValueError, match="fit is 'squeeze'; it must be crop or pad"):
        load_stories(tmp_path / "out", fit="squeeze")


def test_windows_and_flips(copies, tmp_path):
    convert(Conversion("pororo"), copies("pororo"), tmp_path / "p", num_proc=1)
    whole, cut = load_stories(tmp_path / "p", "train", 16), load_stories(tmp_path / "p", "train", 16, window=2)
    assert cut["story_id"][:3] == [f"{whole[0]['story_id']}-from-{n}" for n in (0, 2, 3)] and len(cut) == 15
    assert cut[1]["sentences"] == whole[0]["sentences"][2:4] and cut[1]["characters"] == whole[0]["characters"][2:4]
    assert cut[2]["frames"][1].tobytes() == whole[0]["frames"][4].tobytes() and cut.features == whole.features
    assert load_stories(tmp_path / "p", "train", window=9)["sentences"][:] == whole["sentences"][:], "short stories stay whole"
    with pytest.raises(ValueError, match="no story has 9 frames"):
        load_stories(tmp_path / "p", "train", window=9, short="drop")
    convert(Conversion("folder"), copies("folder"), tmp_path / "f", num_proc=1)
    plain, flipped = load_stories(tmp_path / "f", "train", 16), load_stories(tmp_path / "f", "train", 16, flip=True)
    assert len(flipped) == len(plain), "every story says left"
    plain, flipped = load_stories(tmp_path / "p", "train", 16), load_stories(tmp_path / "p", "train", 16, flip=True)
    assert len(flipped) == 2 * len(plain) and flipped[5]["story_id"] == f"{plain[0]['story_id']}-mirrored"
    a, b = (np.asarray(stories[n]["frames"][0]) for stories, n in ((plain, 0), (flipped, 5)))
    assert np.array_equal(a[:, ::-1], b)


def test_a_dataset_of_the_hub(copies, tmp_path, monkeypatch):
    """The same code opens a folder with a card as it opens a name; only the network is not there."""
    from story_ldm.data import stories

    convert(Conversion("pororo"), copies("pororo"), tmp_path / "out", num_proc=1)
    local = stories.load_dataset
    monkeypatch.setattr(stories, "load_dataset", lambda name, *a, **k: local(str(tmp_path / "out") if name == "me/pororo" else name, *a, **k))
    monkeypatch.setattr(stories, "get_dataset_split_names", lambda name: ["train", "test"])
    expected = load_stories(tmp_path / "out", "train", 16)
    for limit, count in ((None, 5), (2, 2)):
        found = load_stories("hf://datasets/me/pororo", "train", 16, limit=limit)
        assert len(found) == count and found.features == expected.features and found[1]["sentences"] == expected[1]["sentences"]
        assert found[1]["frames"][0].tobytes() == expected[1]["frames"][0].tobytes()
    assert (
        held_out_split("hf://datasets/me/pororo") == reading.tested_split("hf://datasets/me/pororo") == "test"
        and held_out_split(tmp_path / "out") == held_out_split("toonstories") == "validation"
    )
    with pytest.raises(FileNotFoundError, match="split train of no-one/nothing cannot be read from the hub"):
        load_stories("hf://datasets/no-one/nothing", "train")


def test_a_folder_that_is_missing_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    from story_ldm.data import stories

    for name in ("load_dataset", "get_dataset_split_names"):
        monkeypatch.setattr(stories, name, lambda *a, **k: pytest.fail("the hub was asked"))
    monkeypatch.chdir(tmp_path)
    for name in ("data/mine", Path("data/mine")):
        with pytest.raises(FileNotFoundError, match=r"data/mine has no train-\*\.parquet; .*; a dataset of the hub is hf://datasets/data/mine"):
            load_stories(name, "train")
        assert held_out_split(name) == reading.tested_split(name) == "train" and stories.dataset_digests(name) == {}
    for name in ("hf://datasets/mine", "hf://me/mine", "hf://datasets/me/mine/x", "hf://datasets/../mine"):
        with pytest.raises(ValueError, match=f"dataset is '{name}'; on the hub it must be hf://datasets/owner/name"):
            load_stories(name, "train")


def test_the_commands(copies, tmp_path, monkeypatch, capsys):
    def story_ldm(*words) -> int:
        monkeypatch.setattr(sys, "argv", ["story-ldm", *map(str, words)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code
        return 0

    out = tmp_path / "out"
    assert story_ldm("data", "convert", "pororo", copies("pororo"), "--out", out, "--num-proc", 1, "--text", "referential") == 0
    assert "train: 5 stories, 0 left out as broken" in capsys.readouterr().out
    assert story_ldm("data", "check", out) == 0 and "is complete: 0 faults" in capsys.readouterr().out
    assert story_ldm("data", "check", copies("clevr_sv"), "--source", "clevr_sv") == 1
    assert story_ldm("preview", out, "--size", 32, "--stories", 2, "--output", tmp_path / "sheet.png") == 0
    assert Image.open(tmp_path / "sheet.png").width > 5 * 32
    next((out / "data").glob("test-*")).unlink()
    assert story_ldm("data", "check", out) == 1
    capsys.readouterr()
    assert story_ldm("data", "convert", "pororo", tmp_path / "nowhere", "--out", tmp_path / "x") == 2
    assert f"story-ldm: {tmp_path / 'nowhere'} does not exist; it must be the folder or file of the copy" in capsys.readouterr().err
    assert story_ldm("data", "convert", "vist", copies("vist"), "--out", tmp_path / "x", "--text", "referential") == 2
    assert "story-ldm: --text referential requires characters" in capsys.readouterr().err
    assert story_ldm("preview", out, "--split", "test") == 2 and "no test-*.parquet" in capsys.readouterr().err
    for split in ("validation", "none is left but train"):
        assert story_ldm("preview", out, "--size", 32, "--stories", 2, "--output", tmp_path / f"{split}.png") == 0
        for file in (out / "data").glob("validation-*"):
            file.unlink()


TRAINED = ["pororo", "didemo"]  # with labels and without, of five frames and of three; the others by pytest -m slow


@pytest.mark.parametrize("source", [pytest.param(s, marks=() if s in TRAINED else pytest.mark.slow) for s in SOURCES])
def test_from_a_copy_to_a_score(source, copies, trainer, tmp_path):
    """Converted, trained for two steps, drawn and scored by the commands that the built-in world uses."""
    data = tmp_path / "data"
    convert(Conversion(source), copies(source), data, num_proc=1)
    common = ["--dataset", data, "--preset", "tiny", "--batch", 2, "--stories", 4, "--warmup", 1]
    trainer("train_autoencoder.py", *common, "--resolution", 16, "--flip", "--output", tmp_path / "vae")
    trainer("train_language_memory.py", *common, "--output", tmp_path / "text")
    made = ["--vae", tmp_path / "vae" / "vae", "--text", tmp_path / "text", "--cache", tmp_path / "cache", "--sample-every", 2, "--sample-stories", 1]
    trainer("train_story_ldm.py", *common, "--resolution", 16, "--flip", "--output", tmp_path / "ldm", *made)
    drawn = ["--model", tmp_path / "ldm" / "pipeline", "--dataset", data, "--out", tmp_path / "drawn", "--steps", 1, "--batch", 2]
    trainer("../evaluation/generate_stories.py", *drawn)
    evaluator = ROOT / "checkpoints" / "toon-evaluator"
    labelled = "characters" in load_stories(data, "train", None).features
    if labelled:
        trainer("train_evaluator.py", "--dataset", data, "--batch", 4, "--stories", 2, "--output", tmp_path / "evaluator", "--workers", 0)
        evaluator = tmp_path / "evaluator" / "evaluator"
    scorer = script("evaluation/score_stories.py")
    split = "test" if COUNTS[source][0][2] > 1 else "train"
    if split == "train":
        trainer("../evaluation/generate_stories.py", *[x if x != tmp_path / "drawn" else tmp_path / "train" for x in drawn], "--split", "train")
    where = tmp_path / ("drawn" if split == "test" else "train")
    wanted = scorer.Settings(
        *("tiny", str(where)), dataset=str(data), split=split, evaluator=evaluator, results=tmp_path / "results", resize=True, resamples=20
    )
    scorer.main(wanted)
    result = json.loads((tmp_path / "results" / "tiny.json").read_text())
    assert ("characters" in result["table"].get("all", {})) == labelled
    assert result["reference"]["frames"] == COUNTS[source][1] * result["reference"]["stories"] and "fid_evaluator" in result["distances"]


def test_stories_shorter_than_the_window(tmp_path, capsys):
    """They stay whole, or are dropped and counted, as the caller chooses; a longer story is cut in both cases."""
    load_stories("toonstories", "train", 16, limit=4, length=(2, 5, 3)).to_parquet(tmp_path / "train-0.parquet")
    whole = load_stories(tmp_path, "train", 16)
    kept, dropped = (load_stories(tmp_path, "train", 16, window=3, short=short) for short in ("keep", "drop"))
    assert story_lengths(kept) == [2, 3, 3, 3, 2] and story_lengths(dropped) == [3, 3, 3] and dropped["story_id"][:] == kept["story_id"][1:4]
    assert kept["story_id"][0] == whole["story_id"][0] and kept[0]["frames"][1].tobytes() == whole[0]["frames"][1].tobytes()
    assert "2 of 4 stories have fewer than 3 frames and are dropped" in capsys.readouterr().err
    assert one_length(dropped) == 3
    with pytest.raises(ValueError, match="stories have 2 to 3 frames, and this training needs one length: set --window 2"):
        one_length(kept)


@pytest.mark.slow
def test_ten_thousand_strips(tmp_path):
    """At 300 stories a second and more on two cores, in less than 1 GB with its processes."""
    import time

    import psutil

    copy = tmp_path / "copy"
    rng = np.random.default_rng(0)
    keys = [f"season/ep{n // 200}/{n % 200}" for n in range(10_000)]
    for key in keys:
        blobs = Image.fromarray(rng.integers(0, 255, (20, 4, 3), np.uint8)).resize((128, 640), Image.Resampling.BICUBIC)
        save(blobs, copy / f"{key}.png")
    np.save(copy / "descriptions.npy", {key: ["Pororo waves."] for key in keys})
    np.save(copy / "labels.npy", {key: np.eye(9, dtype=np.int64)[0] for key in keys})
    np.save(copy / "img_cache4.npy", np.array([f"{key}.png".encode() for key in keys[:-4]]))
    np.save(copy / "following_cache4.npy", np.array([[f"{keys[n + k]}.png".encode() for k in range(1, 5)] for n in range(len(keys) - 4)]))
    ids = np.empty(3, object)
    ids[:] = [list(range(9_000)), list(range(9_000, 9_500)), list(range(9_500, 9_996))]
    np.save(copy / "train_seen_unseen_ids.npy", ids)
    started = time.monotonic()
    argv = [sys.executable, "-m", "story_ldm.cli", "data", "convert", "pororo", copy, "--out", tmp_path / "out", "--num-proc", 2]
    process = psutil.Popen(list(map(str, argv)), cwd=ROOT)
    memory = 0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # a worker that has just ended
            memory = max(memory, sum(one.memory_full_info().pss for one in [process, *process.children(recursive=True)]) / 1e9)
        time.sleep(0.5)  # reading a process's maps takes time of its own
    speed = 9_996 / (time.monotonic() - started)
    print(f"{speed:.0f} stories/s, {memory:.2f} GB at most in all processes together")
    assert process.returncode == 0 and speed >= 300 and 0.05 < memory < 1


def test_the_library_of_sources_needs_no_torch():
    import subprocess

    code = "import sys, story_ldm.data.sources.convert, story_ldm.data.sources.pororo; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
