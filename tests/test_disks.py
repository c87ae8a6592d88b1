"""Full disks and folders that cannot be written: every command ends in one clear line, and leaves no half file under its final name."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import test_training
from conftest import ROOT, tiny_pipeline
from PIL import Image
from published_copies import COPIES, save

# Runs a script in a mount namespace of its own, in which a folder is a disk of 16 kB or read-only, and lists what it has left in the folder.
ON_DISK = """
import ctypes, json, os, runpy, sys
from pathlib import Path

kind, folder, report, *sys.argv = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name} is not permitted")


NEWUSER, NEWNS, RDONLY, REMOUNT, BIND, REC, PRIVATE = 0x10000000, 0x20000, 1, 32, 4096, 16384, 1 << 18
owner, group = os.getuid(), os.getgid()
call("unshare", NEWUSER | NEWNS)
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {owner} 1"), ("gid_map", f"0 {group} 1")):
    Path("/proc/self", name).write_text(text)
call("mount", None, b"/", None, REC | PRIVATE, None)
at = os.fsencode(folder)
if kind == "full":
    call("mount", b"none", at, b"tmpfs", 0, b"size=16k")
else:
    call("mount", at, at, None, BIND, None)
    call("mount", None, at, None, REMOUNT | BIND | RDONLY, None)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    Path(report).write_text(json.dumps([str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file()]))
"""
SAVE = """
import sys
from pathlib import Path
from diffusers import AutoencoderKL
from story_ldm.one_line import one_line_errors
from story_ldm.training.checkpoints import save_component
with one_line_errors("save.py"):
    save_component(AutoencoderKL(), Path(sys.argv[1]))
"""


def may_mount() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.skipif(not may_mount(), reason="needs unshare -rm, to mount a small disk without being root"),
    pytest.mark.parametrize("kind", ["full", "read-only"]),
]


@pytest.fixture
def left_after(kind, trainer, tmp_path):
    """Function that runs a script on a disk in tmp_path / "out", checks that it ends in one line, and returns the files that it has left there."""
    (tmp_path / "out").mkdir()
    (tmp_path / "on_disk.py").write_text(ON_DISK)

    def run(script: str | Path, *argv) -> list[str]:
        trainer.start(str(tmp_path / "on_disk.py"), kind, tmp_path / "out", tmp_path / "left.json", ROOT / script, *argv)
        assert trainer.wait() == [2] and "Traceback" not in trainer.log, trainer.log[-3000:]
        said = [line for line in trainer.log.splitlines() if line.startswith(f"{'story-ldm' if script == CLI else Path(script).name}: ")]
        assert len(said) == 1 and any(why in said[0] for why in ("No space left", "Read-only", "is read-only", "could not be written")), trainer.log
        return [name for name in json.loads((tmp_path / "left.json").read_text()) if not name.startswith(".")]

    return run


CLI = "story_ldm/cli.py"


def test_a_conversion(left_after, tmp_path):
    copy = COPIES["folder"](tmp_path / "in")
    for m in range(3):
        save(Image.effect_noise((90, 90), 100), copy / "train" / "walk 0" / f"{m + 1}.png")
    assert left_after(CLI, "data", "convert", "folder", copy, "--out", tmp_path / "out", "--num-proc", 1) == []


def test_an_export_of_the_built_in_world(left_after, tmp_path):
    options = ["--split", "test", "--limit", 20, "--num-proc", 1]
    assert left_after(CLI, "data", "toonstories", "--out", tmp_path / "out", *options) == []


def test_a_picture(left_after, tmp_path):
    assert left_after(CLI, "preview", "--output", tmp_path / "out" / "sheet.png", "--stories", 2, "--size", 64) == []


def test_a_generation(left_after, tokenizer, tmp_path):
    tiny_pipeline(tokenizer).save_pretrained(tmp_path / "pipeline")
    argv = ["--model", tmp_path / "pipeline", "--out", tmp_path / "out", "--stories", 6, "--batch", 6, "--steps", 1]
    assert not [name for name in left_after("evaluation/generate_stories.py", *argv) if name.endswith(".parquet")]


def test_a_training(left_after, tmp_path):
    left = left_after("training/train_autoencoder.py", *test_training.command("autoencoder", tmp_path / "out", tmp_path)[1:], "--precision", "no")
    assert [name for name in left if name != "settings.json"] == []


def test_a_finished_model(left_after, tmp_path):
    """safetensors has errors of its own for what the system says."""
    (tmp_path / "save.py").write_text(SAVE)
    assert left_after(tmp_path / "save.py", tmp_path / "out" / "vae") == []
