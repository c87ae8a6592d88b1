"""A wheel and a source distribution work as the checkout does: built, installed into an environment of its own, run from an empty folder.

pytest tests/test_install.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
NOT_SOURCE = shutil.ignore_patterns(".*", "build", "dist", "generated", "runs", "results", "__pycache__", "*.egg-info")


def not_source(folder: str, names: list[str]) -> set[str]:
    """Also what README's commands leave in the checkout: pictures and a folder of data at its top."""
    outputs = {name for name in names if name == "data" or name.endswith(".png")} if Path(folder) == ROOT else set()
    return {*NOT_SOURCE(folder, names), *outputs}


def run(*words, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, words)], cwd=cwd, env={**env, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of the checkout: building leaves files behind, and files of an earlier build would go into the wheel."""
    return Path(shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "story-ldm", ignore=not_source))


@pytest.fixture(scope="module")
def wheel(source) -> Path:
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index", "-w", "wheels", ".", cwd=source)
    (file,) = (source / "wheels").iterdir()
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` folder of an environment with the wheel and the packages of the running one, but not its editable installation."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    scripts = venv / ("Scripts" if os.name == "nt" else "bin")
    run(sys.executable, "-m", "pip", "--python", scripts / "python", "install", "-q", "--no-deps", "--no-index", wheel, cwd=venv.parent)
    (packages,) = venv.glob("**/site-packages")
    paths = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "running.pth").write_text("\n".join(paths))  # folders named in a .pth file have their own .pth files ignored: nothing editable
    return scripts


def test_the_installation_is_complete_and_not_the_checkout(installed, tmp_path):
    """One process, for its imports take seconds: where everything lies, and a script's help, as by `python -m`."""
    code = """
import runpy, sys
import story_ldm, story_ldm.cli, story_ldm.pipelines
from story_ldm.files import model_folder, shipped_models
print(story_ldm.__version__, story_ldm.__file__, story_ldm.pipelines.__file__, story_ldm.cli.__file__, sep="\\n")
print(*shipped_models().values(), model_folder("checkpoints/toon-damsm"), sep="\\n")
for script in ("training.train_story_ldm", "evaluation.generate_stories"):
    sys.argv = [script, "--help"]
    try:
        runpy.run_module(f"story_ldm.scripts.{script}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code
"""
    version, *lines = run(installed / "python", "-c", code, cwd=tmp_path).splitlines()
    files, shown = lines[:7], "\n".join(lines[7:])
    assert all(Path(file).is_relative_to(installed.parent) for file in files), files
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    assert shown.count("scripts/training/train_story_ldm.py") == shown.count("scripts/evaluation/generate_stories.py") == 1, shown
    assert shown.count("--seed ") == 2, shown


def test_the_scripts_are_modules_of_the_checkout_too():
    for folder in ("training", "evaluation"):
        for file in (ROOT / folder).glob("*.py"):
            assert Path(find_spec(f"story_ldm.scripts.{folder}.{file.stem}").origin) == file


def test_an_installation_draws_from_an_empty_folder(installed, tmp_path):
    run(installed / "story-ldm", "generate", "Bruno waves.", "He sits.", "--steps", 2, "--side", 64, cwd=tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["story.png"]
    with Image.open(tmp_path / "story.png") as picture:
        assert len(picture.convert("RGB").getcolors(10**6)) > 20


def test_the_wheel_has_every_module_and_what_models_need(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    places = {"story_ldm": "story_ldm", "pipelines": "story_ldm/pipelines", "training": "story_ldm/scripts/training"}
    places["evaluation"] = "story_ldm/scripts/evaluation"
    needed = [f"{inside}/{file.relative_to(ROOT / place)}" for place, inside in places.items() for file in (ROOT / place).rglob("*.py")]
    needed += [f"story_ldm/{file.relative_to(ROOT)}" for file in (ROOT / "checkpoints").rglob("*.[js][sa][of]*") if file.suffix != ".png"]
    needed += [f"story_ldm/{file.relative_to(ROOT / 'story_ldm')}" for file in (ROOT / "story_ldm").rglob("*.*") if "__pycache__" not in file.parts]
    needed += [f"story_ldm/scripts/{file.relative_to(ROOT)}" for file in (ROOT / "training").rglob("*.yaml")]
    missing = set(needed) - set(names)
    assert not missing, missing
    outside = [name for name in names if not name.startswith(("story_ldm/", "story_ldm-"))]
    assert not outside, outside
    assert not [name for name in names if name.endswith((".png", ".pt", ".pkl"))]


def test_the_source_distribution_is_the_repository(source):
    code = "from setuptools.build_meta import build_sdist; print(build_sdist('dist'))"
    name = run(sys.executable, "-c", code, cwd=source).splitlines()[-1]
    with tarfile.open(source / "dist" / name) as archive:
        names = {member.split("/", 1)[-1] for member in archive.getnames()}
    files = [file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    left_out = ("build/", "dist/", "wheels/", "story_ldm.egg-info/")
    missing = {file for file in files if not file.startswith(left_out)} - names
    assert not missing, missing
