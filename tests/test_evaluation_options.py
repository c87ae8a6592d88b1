"""Every option of the evaluation scripts has a help text, and choices are checked by the parser."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ("evaluation/generate_stories.py", "evaluation/score_stories.py", "evaluation/compare_systems.py", "story_ldm/app/survey.py")


@pytest.mark.parametrize("file", FILES)
def test_every_option_has_help(file):
    tree = ast.parse((ROOT / file).read_text())
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    for n, field in enumerate(body):
        if isinstance(field, ast.AnnAssign):
            text = body[n + 1].value if n + 1 < len(body) and isinstance(body[n + 1], ast.Expr) else None
            assert isinstance(text, ast.Constant) and isinstance(text.value, str) and len(text.value) > 10, field.target.id


@pytest.mark.parametrize("option", ("text", "dtype"))
def test_a_choice_that_does_not_exist(option, tmp_path):
    command = [sys.executable, ROOT / "evaluation/generate_stories.py", "--model", "toon-story-ldm", "--out", tmp_path / "out", f"--{option}", "foo"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and f"--{option}" in done.stderr and "Traceback" not in done.stderr and not (tmp_path / "out").exists()
