"""Runs that would end with a wrong or empty product: refused before any work, noticed when they go on, or made whole."""

from __future__ import annotations

import errno
import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from accelerate import Accelerator
from conftest import script
from published_copies import COPIES, picture, rows, save
from pyarrow import parquet

from story_ldm.data.sources import StoryDataError
from story_ldm.data.sources.convert import Conversion, convert
from story_ldm.data.stories import dataset_digests
from story_ldm.data.story_form import is_damaged
from story_ldm.locks import FolderInUseError, hold, locked, release
from story_ldm.one_line import one_line_errors
from story_ldm.training.caches import _cached
from story_ldm.training.run import claim_run
from story_ldm.training.steps import whole_steps

pytestmark = pytest.mark.usefixtures("own_cache")
TRAININGS = ["autoencoder", "damsm", "dynamic_block_gan", "evaluator", "language_memory", "reader", "story_gan", "story_ldm"]
HOLDER = "import sys, pathlib; from story_ldm.locks import hold; hold(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"


@pytest.mark.parametrize("name", TRAININGS)
def test_less_than_one_step_is_refused(name, tmp_path):
    """Before anything is read or written; formerly "0 of 0 steps done", with a product."""
    training = script(f"training/train_{name}.py")
    s = replace(training.Settings(output=tmp_path / "run"), stories=1)
    s = replace(s, batch=8) if s.batch is not None else s
    with pytest.raises(ValueError, match=r"--stories is \d and a step takes \d+"):
        training.main(s)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("train", ["memory", "memory+lora"])
def test_stories_of_one_frame_train_no_memory(train, tmp_path):
    """Before a model is built; formerly they ended with an untrained product."""
    training, model = script("training/train_story_ldm.py"), Path(__file__).parents[1] / "checkpoints" / "toon-story-ldm"
    s = training.Settings(output=tmp_path / "run", train=train, init_from=model, lengths=(1,), stories=8, batch=8, limit=8, text=None)
    with pytest.raises(ValueError, match=r"--train is memory.*, but every story of toonstories has 1 frame, which reads no memory"):
        training.main(s)
    assert not (tmp_path / "run" / "pipeline").exists()


def test_whole_steps():
    assert whole_steps(24, 8) == 3 and whole_steps(31, 8) == 3 and whole_steps(8, 8) == 1
    for stories, batch in ((7, 8), (0, 8), (-8, 8), (8, 0), (8, -1)):
        with pytest.raises(ValueError, match=f"--stories is {stories} and a step takes {batch}"):
            whole_steps(stories, batch)


# --- what changes between two runs of one command ----------------------------------------------------------------------------------------


def test_a_changed_dataset_is_named(tmp_path):
    data, run, accelerator = tmp_path / "data", tmp_path / "run", Accelerator(cpu=True)
    data.mkdir()
    for split in ("train", "test"):
        parquet.write_table(pa.table({"story_id": [split]}), data / f"{split}-0.parquet")
    before = dataset_digests(data)
    assert sorted(before) == ["test-0.parquet", "train-0.parquet"] and dataset_digests("toonstories") == {}
    claim_run(accelerator, run, {"batch": 8}, data=before)
    (run / "checkpoints" / "step-00000001").mkdir(parents=True)
    claim_run(accelerator, run, {"batch": 8}, data=before)
    stamp = (data / "train-0.parquet").stat()
    parquet.write_table(pa.table({"story_id": ["tRain"]}), data / "train-0.parquet")
    os.utime(data / "train-0.parquet", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (data / "test-0.parquet").unlink()
    after = dataset_digests(data)
    with pytest.raises(SystemExit) as stopped:
        claim_run(accelerator, run, {"batch": 8}, data=after)
    lines = f"  test-0.parquet: {before['test-0.parquet']} → none\n  train-0.parquet: {before['train-0.parquet']} → {after['train-0.parquet']}"
    assert "the dataset has changed" in str(stopped.value) and lines in str(stopped.value)
    release(run)


def damage(file: Path, at: int = -200) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_damaged_cache_is_made_again(tmp_path):
    values, file, accelerator = torch.randn(100, 8).half(), tmp_path / "latents.npy", Accelerator(cpu=True)
    calls = []

    def parts(found: range):
        calls.append(found)
        return values[found.start : found.stop].split(40)

    for change in (lambda: None, lambda: damage(file), lambda: file.write_bytes(file.read_bytes()[:-100]), (tmp_path / "latents.sha256").unlink):
        change() if file.exists() else None
        assert torch.equal(_cached(accelerator, file, range(101), parts), values)
    assert len(calls) == 4
    assert torch.equal(_cached(accelerator, file, range(101), parts), values) and len(calls) == 4


def test_a_replaced_picture_and_a_damaged_shard_are_converted_again(tmp_path):
    copy, out = COPIES["folder"](tmp_path / "in"), tmp_path / "out"
    convert(Conversion("folder"), copy, out, num_proc=1)
    file, first = out / "data" / "train-00000-of-00001.parquet", rows(out)
    whole, stamp = file.read_bytes(), file.stat().st_mtime_ns
    convert(Conversion("folder"), copy, out, num_proc=1)
    assert file.stat().st_mtime_ns == stamp, "what is whole is not written again"
    at = whole.index(first[0]["frames"][0]["bytes"]) + 40
    damage(file, at)
    assert is_damaged(file)
    convert(Conversion("folder"), copy, out, num_proc=1)
    assert file.read_bytes() == whole
    save(picture("another", (48, 32)), copy / "train" / "walk 0" / "1.png")
    convert(Conversion("folder"), copy, out, num_proc=1)
    assert rows(out)[0]["frames"][0] != first[0]["frames"][0] and rows(out)[1:] == first[1:]


def test_a_copy_that_changes_without_another_size_or_time_is_converted_again(tmp_path, capsys):
    copy, out = COPIES["folder"](tmp_path / "in"), tmp_path / "out"
    frame = copy / "train" / "walk 0" / "1.png"
    frame.write_bytes(frame.read_bytes() + bytes(100))  # readers of PNG ignore what follows its end
    convert(Conversion("folder"), copy, out, num_proc=1)
    before = rows(out)
    os.utime(frame)  # a copy that is only copied once more is the same
    stamp = (out / "data" / "train-00000-of-00001.parquet").stat().st_mtime_ns
    convert(Conversion("folder"), copy, out, num_proc=1)
    assert (out / "data" / "train-00000-of-00001.parquet").stat().st_mtime_ns == stamp and "converted again" not in capsys.readouterr().err
    status, content = frame.stat(), picture("another", (48, 32))
    save(content, frame)
    frame.write_bytes(frame.read_bytes().ljust(status.st_size, b"\0"))
    os.utime(frame, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert frame.stat().st_size == status.st_size and frame.stat().st_mtime_ns == status.st_mtime_ns
    (copy / "more.txt").write_text("new")
    convert(Conversion("folder"), copy, out, num_proc=1)
    assert rows(out)[0]["frames"][0] != before[0]["frames"][0]
    assert "is converted again: more.txt (new), train/walk 0/1.png (changed)\n" in capsys.readouterr().err
    table = copy / "train" / "stories.jsonl"
    table.write_text(table.read_text().rpartition("\n")[0])
    with pytest.raises(StoryDataError, match=r"belongs to .* another copy \(changed since: train/stories.jsonl \(changed\)\); set another --out"):
        convert(Conversion("folder"), copy, out, num_proc=1)


def test_shards_are_whole_only_with_their_stories(tmp_path):
    from datasets import Dataset

    whole = script("evaluation/generate_stories.py").is_whole
    wanted = Dataset.from_dict({"story_id": ["a", "b"], "frames": [[], []], "sentences": [["Mia sits."], ["Mia waves. " * 100]]})
    file = tmp_path / "test-0.parquet"
    assert not whole(file, wanted)
    wanted.to_parquet(str(file), write_page_checksum=True)
    assert whole(file, wanted) and not whole(file, wanted.select([1, 0])) and not whole(file, wanted.select([0]))
    damage(file, file.read_bytes().index(b"Mia sits.") + 2)
    assert not whole(file, wanted)
    file.write_bytes(file.read_bytes()[:-30])
    assert not whole(file, wanted)


# --- two runs into one folder, full disks ------------------------------------------------------------------------------------------------


def test_a_folder_in_use_names_its_holder(tmp_path):
    folder = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    for call in (
        lambda: hold(folder),
        lambda: claim_run(Accelerator(cpu=True), folder, {}),
        lambda: convert(Conversion("folder"), tmp_path, folder, num_proc=1),
    ):
        with pytest.raises((FolderInUseError, SystemExit), match=f"run is in use by process {holder.pid} on .*, since .*; wait for it"):
            call()
    holder.kill()
    holder.wait()
    with locked(folder):
        hold(folder)  # a process may hold it twice
    assert not folder.exists() or not list(folder.iterdir())


def test_wrong_input_is_one_line(capsys):
    def fail(error: Exception):
        raise error

    for error in (ValueError("--size is 3"), OSError(errno.ENOSPC, "No space left on device", "out/data"), FileNotFoundError("no\nfile")):
        module = {"__name__": "story_ldm.data.stories", "error": error}
        with pytest.raises(SystemExit) as stopped, one_line_errors("story-ldm"):
            exec("raise error", module)
        assert stopped.value.code == 2
        out = capsys.readouterr().err
        assert out.startswith("story-ldm: ") and out.count("\n") == 1
    with pytest.raises(ValueError, match="a fault of the program"), one_line_errors("story-ldm"):
        exec("raise ValueError('a fault of the program')", {"__name__": "torch.nn"})


def test_a_list_of_differences_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped, one_line_errors("compare_systems.py"):
        raise SystemExit("--output is run, which holds other settings:\n  batch: 8 → 4\n  seed: 0 → 1")
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "compare_systems.py: --output is run, which holds other settings: batch: 8 → 4; seed: 0 → 1\n"
    for code in (0, 75, None):
        with pytest.raises(SystemExit) as stopped, one_line_errors("story-ldm"):
            raise SystemExit(code)
        assert stopped.value.code == code and not capsys.readouterr().err


WRONG = {
    "generate_stories": (["--model", "toon-story-ldm", "--out", "OUT", "--dataset", "MISSING"], "MISSING has no test-*.parquet"),
    "compare_systems": (["MISSING.json"], "MISSING.json cannot be read as a results file"),
    "free_english": (["--model", "toon-story-ldm", "--stories", "MISSING"], "No such file or directory: 'MISSING'"),
    "score_autoencoder": (["--vae", "MISSING"], "MISSING"),
    "score_stories": (["--system", "a", "--generated", "MISSING"], "a was not scored: MISSING has no test-*.parquet"),
    "survey": (["--database", "MISSING/a.sqlite", "--tally"], "--database MISSING/a.sqlite does not exist"),
    "without_training": (["--out", "OUT", "--dataset", "MISSING"], "MISSING has no test-*.parquet"),
}


@pytest.mark.parametrize("name", sorted(file.stem for file in (Path(__file__).parents[1] / "evaluation").glob("*.py")))
def test_wrong_input_of_evaluation_scripts_is_one_line(name, tmp_path, monkeypatch, capsys):
    argv, says = WRONG[name]
    monkeypatch.setattr(sys, "argv", [name, *(word.replace("OUT", str(tmp_path / "out")) for word in argv)])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(Path(__file__).parents[1] / "evaluation" / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2 and said[-1].startswith(f"{name}.py: ") and says in said[-1], said
    assert not any("Traceback" in line for line in said)


def test_samples_missing_after_a_kill_are_drawn(trainer, tmp_path):
    """A run killed after its last checkpoint and before its sample has both the sample and the card's picture after resuming."""
    vae, text = tmp_path / "vae", tmp_path / "text"
    tiny = ["--preset", "tiny", "--limit", 4, "--batch", 2, "--stories", 4]
    trainer("train_autoencoder.py", "--output", vae, *tiny)
    trainer("train_language_memory.py", "--output", text, *tiny)
    argv = ["train_story_ldm.py", "--output", tmp_path / "run", *tiny, "--vae", vae / "vae", "--text", text, "--cache", tmp_path / "cache"]
    argv += ["--sample-every", 2, "--sample-stories", 1]
    trainer(*argv)
    sample, card = tmp_path / "run" / "samples" / "step-00000002.png", tmp_path / "run" / "pipeline" / "samples.png"
    expected = sample.read_bytes()
    assert card.read_bytes() == expected and json.loads((tmp_path / "run" / "settings.json").read_text())["batch"] == 2
    sample.unlink(), card.unlink()
    trainer(*argv)
    assert sample.read_bytes() == card.read_bytes() == expected
