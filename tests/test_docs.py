"""README, docs and examples: commands exist with their options, links lead somewhere, code compiles; slow: it runs, and the site builds."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
import tyro
from accelerate.commands.launch import launch_command_parser
from conftest import ROOT, script

from story_ldm import cli
from story_ldm.reports.tables import read_result

PAGES = [file for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))) if file.exists()]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text())


def cells(notebook: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def commands(page: Path) -> list[list[str]]:
    """Words of the commands of a page: lines of its bash blocks and inline code; of a notebook: lines that begin with "!"."""
    if page.suffix == ".ipynb":
        text = "\n".join(cells(page))
        options = dict(re.findall(r'^ *(\w+) = f?"(--[^"]*)"', text, re.M))
        lines = re.findall(r"^ *!(.*)$", text.replace("\\\n", " "), re.M)
        lines = [re.sub(r"\{(\w+)\}", lambda name: options.get(name[1], name[0]), line) for line in lines]
        lines = [re.sub(r"\{[\w()]+\}", "32", line) for line in lines]  # any other value
    else:
        lines = [line for kind, _, block in FENCE.findall(page.read_text()) if kind == "bash" for line in block.replace("\\\n", " ").splitlines()]
        lines += [code for code in re.findall(r"`([^`]+)`", prose(page)) if re.match(r"(story-ldm|accelerate|python3?|bash|pip) ", code)]
    words = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
    return [[word for word in line if not re.fullmatch(r"[A-Z]+=\w+", word)] for line in words if line]


def check_script(path: str, options: list[str]) -> None:
    """Parses the options as the script would; nothing is run."""
    assert (ROOT / path).is_file(), path
    if path.endswith(".py"):
        tyro.cli(script(path).Settings, args=options)


def check_story_ldm(words: list[str]) -> None:
    """The subcommand exists, and its help lists the options."""
    count = 2 if words[0] == "data" else 1
    help_text = io.StringIO()
    with patch.object(sys, "argv", ["story-ldm", *words[:count], "--help"]), contextlib.redirect_stdout(help_text), pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code in (0, None), words
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}\b", help_text.getvalue()), f"story-ldm {' '.join(words[:count])} has no option {option}"


def check_command(words: list[str]) -> None:
    match words:
        case ["accelerate", "launch", *rest]:
            launch = launch_command_parser().parse_args(rest)
            assert launch.config_file is None or (ROOT / launch.config_file).is_file(), launch.config_file
            check_script(launch.training_script, launch.training_script_args)
        case ["python" | "python3", "-m", module, *_]:
            assert module == "venv" or importlib.util.find_spec(module), module
        case ["python", path, *rest]:
            check_script(path, rest)
        case ["bash", path, *_]:
            assert (ROOT / path).is_file(), path
        case ["story-ldm" | ".venv/bin/story-ldm", *rest]:
            check_story_ldm(rest)
        case ["pip" | ".venv/bin/pip", "install", *rest]:
            extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2], re.M)
            assert {name for word in rest for inner in re.findall(r"^\.\[(.*)\]$", word) for name in inner.split(",")} <= set(extras), words
        case [".venv/bin/pytest" | "pytest" | "mkdocs" | "hf" | "pre-commit" | "ruff" | "mypy" | "git" | "cd" | ".", *_]:
            pass
        case _:
            raise AssertionError(f"unknown command: {' '.join(words)}")


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda file: str(file.relative_to(ROOT)))
def test_commands_exist_with_their_options(page):
    for words in commands(page):
        if "…" not in words:
            try:
                check_command(words)
            except SystemExit as refused:
                raise AssertionError(f"refused: {' '.join(words)}") from refused


def test_a_wrong_command_is_noticed():
    for command in ("python evaluation/score_stories.py --nothing", "story-ldm generate --nothing 1", "bash evaluation/nothing.sh"):
        with pytest.raises((AssertionError, SystemExit)):
            check_command(command.split())
    with pytest.raises(SystemExit):
        check_command("accelerate launch training/train_story_ldm.py --train nothing --output x".split())


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w -]", "", title.replace("`", "").lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    if page.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in json.loads(page.read_text())["cells"] if cell["cell_type"] == "markdown")
    else:
        text = prose(page)
    for link in LINK.findall(text):
        if ":" in link:
            assert link.startswith(("https://", "mailto:")), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and ROOT in (target, *target.parents), f"{link} leads nowhere"
        if anchor:
            assert target.suffix == ".md" and anchor in anchors(target), f"{link}: no such heading"
    assert not re.search(r"https?://(localhost|\d+\.\d+\.\d+\.\d+|[\w.-]*\.local)\b|http://", text)


@each_page
def test_python_blocks_compile(page):
    for kind, _, block in FENCE.findall(page.read_text()):
        if kind == "python":
            compile(block, str(page), "exec")
        if kind == "json":
            json.loads(block)


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert len([line for line in lines if re.match(r"python3 -m venv .*pytest", line)]) == 1  # .ci/run looks for it


def test_every_page_is_in_the_navigation():
    named = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in PAGES if ROOT / "docs" in page.parents}
    assert {notebook.stem for notebook in NOTEBOOKS} == {page.stem for page in (ROOT / "docs" / "tutorials").iterdir()}


def test_readmes_table_is_that_of_the_results():
    rows = re.findall(r"^\| \[[^\]]*\]\((results/[\w/-]+)\.md\)[^|]* \| (.*) \|$", (ROOT / "README.md").read_text(), re.M)
    assert len(rows) == 6
    for name, row in rows:
        result = read_result(ROOT / f"{name}.json")
        shares = [("all", "characters"), ("all", "background"), ("all", "garment"), ("pronoun", "right character")]
        shares += [("self", "mark kept"), ("self", "layout kept")]
        cells = [100 * result["table"][a][b]["value"] for a, b in shares] + [result["distances"]["fid_evaluator"]["value"]]
        assert row == " | ".join(f"{cell:.1f}" for cell in cells), name


@pytest.mark.parametrize("system", ["story_ldm", "ar_ldm", "story_gan", "dynamic_block_gan"])
def test_preset_tables(system):
    assert importlib.import_module(f"story_ldm.systems.{system}.presets").parameter_table() in (ROOT / "docs/reference/presets.md").read_text()


@each_notebook
def test_notebooks_have_no_outputs(notebook):
    book = json.loads(notebook.read_text())
    assert book["nbformat"] == 4 and not any(cell.get("outputs") for cell in book["cells"])
    ast.parse(as_program(notebook))


COMMANDS = {"accelerate launch": "-m accelerate.commands.launch", "story-ldm": "-m story_ldm.cli", "python": ""}  # by this Python, without a PATH


def as_program(notebook: Path) -> str:
    """The code cells as a Python program. As in IPython, {name} in a command is the variable's value; a command that fails ends the program."""

    def call(line: re.Match) -> str:
        name = next(name for name in COMMANDS if line[2].startswith(f"{name} "))
        command = f"{sys.executable} {COMMANDS[name]}{line[2].removeprefix(name)}"
        return f"{line[1]}subprocess.run(f{command!r}, shell=True, check=True)"

    text = re.sub(r"\\\n *", "", "\n".join(cells(notebook)))
    return "import subprocess\n" + re.sub(r"^( *)!(.*)$", call, text, flags=re.M)


def environment(folder: Path) -> dict[str, str]:
    own = {"WORK": str(folder / "work"), "QUICK": "1", "HF_DATASETS_CACHE": str(folder / "datasets"), "ACCELERATE_USE_CPU": "true"}
    return {**os.environ, **own, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


def run(folder: Path, program: str, where: Path) -> None:
    (folder / "work").mkdir()
    file = folder / "program.py"
    file.write_text(program)
    done = subprocess.run([sys.executable, file], cwd=where, env=environment(folder), capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.slow
@each_notebook
def test_notebooks_run(notebook, tmp_path):
    run(tmp_path, as_program(notebook), ROOT / "examples")


RUNNABLE = [page for page in PAGES if re.search("^```python run", page.read_text(), re.M)]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda file: file.stem)
def test_blocks_marked_as_runnable_run(page, tmp_path):
    blocks = [block for kind, mark, block in FENCE.findall(page.read_text()) if kind == "python" and mark.strip() == "run"]
    run(tmp_path, "\n".join(blocks), ROOT)


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None:
        pytest.skip('mkdocs is not installed: pip install -e ".[docs]"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "site" / "repository" / "results" / "story-ldm" / "index.html").is_file()
    assert "num_inference_steps" in (tmp_path / "site" / "reference" / "api" / "pipelines" / "index.html").read_text()
