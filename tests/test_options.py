"""Options of every command: each has a help text, and the parser refuses a value that is not one of an option's choices."""

from __future__ import annotations

import argparse
import re

import pytest
import tyro
from conftest import ROOT, script
from tyro.extras import get_parser

from story_ldm import cli

SCRIPTS = sorted(str(path.relative_to(ROOT)) for folder in ("training", "evaluation", "benchmarks") for path in (ROOT / folder).glob("*.py"))
TRAINING = [path for path in SCRIPTS if path.startswith("training/")]
COMMANDS = ("generate", "studio", "preview", "toonstories", "convert", "check")
DEFAULT = re.compile(r"\((default|required|optional|fixed|repeatable)[^()]*(\([^()]*\)[^()]*)*\)")  # added by tyro; a default may have parentheses
CHOICES = ("--preset", "--memory", "--text-form", "--precision", "--fit", "--optimizer", "--text", "--dtype")


def actions(settings: type | object) -> list[argparse.Action]:
    """The arguments and options of a script's Settings or of a command's function, other than --help."""
    return [action for action in get_parser(settings)._actions if action.dest != "help"]


def without_help(settings: type | object) -> list[str]:
    return [action.dest for action in actions(settings) if not DEFAULT.sub("", str(action.help or "")).strip(" .")]


def test_options_without_help_are_noticed():
    def documented(size: int = 64, where: str = "here (or there)") -> None:
        """Does nothing.

        Args:
            size: Pixels.
            where: A place.
        """

    def undocumented(size: int = 64, where: str = "here (or there)", *, name: str) -> None:
        """Does nothing."""

    assert without_help(documented) == [] and without_help(undocumented) == ["size", "where", "name"]


def test_scripts_and_commands_are_all_there():
    assert len(TRAINING) >= 7 and "evaluation/survey.py" in SCRIPTS and "benchmarks/bench_training.py" in SCRIPTS


@pytest.mark.parametrize("path", SCRIPTS)
def test_options_of_scripts_have_help(path):
    assert without_help(script(path).Settings) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_commands_have_help(name):
    assert without_help(getattr(cli, name)) == []


@pytest.mark.parametrize("path", [*TRAINING, "evaluation/generate_stories.py"])
def test_wrong_choices_are_refused(path, capsys):
    """With exit code 2 and the option's name, before anything is loaded."""
    settings = script(path).Settings
    options = {
        option
        for action in actions(settings)
        if (action.metavar and "{" in str(action.metavar)) or action.choices
        for option in action.option_strings
    }
    options &= {*CHOICES}
    if path in TRAINING:
        assert {"--precision", "--fit"} & options
        assert ("--preset" in options) == (not path.endswith(("train_damsm.py", "train_evaluator.py", "train_reader.py", "distill_story_ldm.py")))
    assert ("--dtype" in options) == path.endswith("generate_stories.py")
    for option in options:
        with pytest.raises(SystemExit) as stopped:
            tyro.cli(settings, args=[option, "foo"])
        message = capsys.readouterr()
        assert stopped.value.code == 2 and option in message.err + message.out and "foo" in message.err + message.out, option
