"""The command `story-ldm` and the shipped checkpoints, as a newcomer meets them.

pytest tests/test_cli.py
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import pytest
import torch
from conftest import tiny_pipeline
from PIL import Image

from story_ldm import cli, load_stories
from story_ldm.data.frames import frames_tensor
from story_ldm.data.toonstories import make_story
from story_ldm.encoders.damsm import embed_frames, embed_sentences, load_damsm
from story_ldm.encoders.evaluator import FrameEvaluator, frame_labels, reading_accuracy
from story_ldm.metrics.matching import r_precision
from story_ldm.reports.cards import set_section
from story_ldm.systems.story_ldm.presets import PRESETS, parameter_table

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline(tokenizer).save_pretrained(folder)
    return folder


def story_ldm(monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", ["story-ldm", *map(str, words)])
    cli.main()


def test_generate_draws_the_sentences(model, tmp_path, monkeypatch, capsys):
    file = tmp_path / "story.png"
    for _ in range(2):
        story_ldm(monkeypatch, "generate", "Bruno waves.", "He sits.", "--model", model, "--output", file, "--steps", 2, "--side", 64)
    with Image.open(file) as picture:
        assert picture.width > 2 * 64 and picture.height > 64 and len(picture.convert("RGB").getcolors(10**6)) > 20
    assert [f.name for f in tmp_path.iterdir()] == ["story.png"], "nothing half-written is left"
    assert "warning" not in capsys.readouterr().err


def test_generate_makes_a_story_up_and_the_same_seed_the_same_one(model, tmp_path, monkeypatch, capsys):
    pictures = []
    for seed in (3, 3, 4):
        story_ldm(monkeypatch, "generate", "--seed", seed, "--model", model, "--output", tmp_path / "s.png", "--steps", 1)
        pictures.append((tmp_path / "s.png").read_bytes())
        assert make_story(split="test", index=seed).sentences["referential"][0] in capsys.readouterr().out
    assert pictures[0] == pictures[1] != pictures[2]


def test_generate_names_words_it_never_read(model, tmp_path, monkeypatch, capsys):
    story_ldm(monkeypatch, "generate", "Bruno eats spaghetti.", "--model", model, "--output", tmp_path / "s.png", "--steps", 1)
    assert "eats, spaghetti" in capsys.readouterr().err


def test_generate_cuts_long_sentences(model, tmp_path, monkeypatch, capsys):
    output = tmp_path / "s.png"
    story_ldm(monkeypatch, "generate", "Bruno waves. " * 99, "--model", model, "--output", output, "--steps", 1, "--long-sentences", "cut")
    assert output.exists() and "1 sentence is cut to 32 tokens (--long-sentences cut)\n" in capsys.readouterr().err
    cut = output.read_bytes()
    story_ldm(monkeypatch, "generate", "Bruno waves. " * 99, "--model", model, "--output", output, "--steps", 1, "--long-sentences", "chunks")
    assert output.read_bytes() != cut and "is cut" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model", "nowhere"), "--model is nowhere, which has no model_index.json"),
        (("--output", "missing/story.png"), "missing does not exist"),
        (("--output", "story.txt"), "must end in"),
        (("--steps", 0), "--steps is 0; it must be from 1 to 1,000"),
        (("--side", 1), "--side is 1; it must be from 16 to 4,096"),
        (("--seed", -1), "--seed is -1; it must be from 0"),
        (("--guidance", "nan"), "--guidance is nan; it must be from"),
        (("word " * 99,), "tokens; this text encoder reads at most 32: --long-sentences cut shortens them"),
        (("--long-sentences", "skip"), "--long-sentences is skip; it must be error, cut or chunks"),
    ],
)
def test_generate_refuses(model, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=says) as end:
        options = words if words[0].startswith("--") else ()
        sentence = "Bruno waves." if options else words[0]
        story_ldm(monkeypatch, "generate", sentence, *(() if "--model" in words else ("--model", model)), *options)
    assert not list(tmp_path.iterdir()) and end.value.code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("preview", "nowhere"), "nowhere has no train-"),
        (("preview", "--stories", 0), "--stories is 0; it must be from 1 to 1,000"),
        (("preview", "--size", -4), "--size is -4; it must be from 8"),
        (("preview", "--output", "missing/a.png"), "missing does not exist; --output needs a folder that does"),
        (("preview", "--background", "whit"), "background is 'whit'; it must be a colour"),
        (("data", "check", "nowhere"), "nowhere has no <split>"),
        (("data", "convert", "folder", "nowhere", "--out", "out"), "nowhere does not exist"),
        (("data", "convert", "folder", ".", "--out", "out", "--size", 1), "--size is 1; it must be at least 8"),
        (("data", "convert", "folder", ".", "--out", "file/out"), "Not a directory: 'file/out'"),
        (("data", "toonstories", "--out", "out", "--size", 0), "--size is 0; it must be from 8"),
        (("data", "toonstories", "--out", "out", "--limit", 0), "--limit is 0; it must be from 1"),
        (("data", "toonstories", "--out", "out", "--split", "tests"), "--split is 'tests'; ToonStories has train"),
        (("data", "toonstories-2", "--out", "out", "--split", "tests"), "--split is 'tests'; ToonStories 2 has train"),
    ],
)
def test_wrong_input_of_every_command_is_one_line(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as end:
        story_ldm(monkeypatch, *words)
    said = capsys.readouterr().err
    assert end.value.code == 2 and says in said and said.startswith("story-ldm: ") and said.count("\n") == 1


def test_data_and_preview(tmp_path, monkeypatch):
    story_ldm(monkeypatch, "data", "toonstories", "--out", tmp_path / "world", "--split", "test", "--limit", 2, "--size", 16, "--num-proc", 1)
    assert len(load_stories(tmp_path / "world", "test", 16)) == 2
    story_ldm(monkeypatch, "preview", tmp_path / "world", "--size", 16, "--stories", 2, "--output", tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height > 2 * 16


@pytest.mark.parametrize("command", [cli.generate, cli.preview, cli.toonstories, cli.toonstories2, cli.convert, cli.check])
def test_every_option_has_help(command):
    helped = [line.strip().split(": ")[0] for line in command.__doc__.split("Args:")[1].splitlines() if ": " in line]
    assert set(inspect.signature(command).parameters) <= set(helped)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("data", "convert", "nothing", "x", "--out", "y"), "invalid choice 'nothing' for argument 'source'"),
        (("data", "convert", "pororo", "x", "--out", "y", "--frame", "last"), "Error parsing --frame"),
        (("preview", "--text", "half"), "invalid choice 'half' for argument '--text'"),
        (("data",), "{toonstories, toonstories-2, convert, check}"),
    ],
)
def test_choices_are_choices(monkeypatch, capsys, words, says):
    with pytest.raises(SystemExit) as end:
        story_ldm(monkeypatch, *words)
    text = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert end.value.code == 2 and says in text, text


def test_presets_are_the_sizes_they_name():
    table = parameter_table()
    assert all(name in table for name in PRESETS)
    assert "895.51 M | 35.99 M" in table  # Stable Diffusion 1.5's 859.52 M, and the memory


def test_a_section_of_the_card_is_replaced(tmp_path):
    for text in ("one", "two"):
        set_section(tmp_path, "Measured", text)
        set_section(tmp_path, "Other", "stays")
    card = (tmp_path / "README.md").read_text()
    assert card.count("## Measured") == card.count("## Other") == 1 and "two" in card and "one" not in card


def test_shipped_model_is_small_and_safe():
    folder = ROOT / "checkpoints" / "toon-story-ldm"
    files = [f for f in folder.rglob("*") if f.is_file()]
    weights = [f for f in files if f.suffix not in (".json", ".md", ".png")]
    assert {f.suffix for f in weights} == {".safetensors"}
    assert sum(f.stat().st_size for f in weights) <= 40e6
    known = (folder / "README.md").read_text()
    assert all(name in known for name in ("Bruno", "Zix", "forest", "umbrella", "purple"))


@pytest.mark.parametrize(("split", "least"), [("test", 0.995), ("test_compositional", 0.99)])
def test_shipped_evaluator_reads_real_frames(split, least):
    """Every head that a rate uses; some of the split is read again here."""
    folder = ROOT / "checkpoints" / "toon-evaluator"
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 8e6
    promised = json.loads((folder / "accuracy.json").read_text())[split]
    assert all(promised[head] >= least for head in ("characters", "background", "layout", "garment", "mark", "action"))
    stories = load_stories("toonstories", split, limit=60)
    evaluator = FrameEvaluator.from_pretrained(folder, dtype=torch.float32).eval()
    found = reading_accuracy(evaluator.read(torch.cat([frames_tensor(row["frames"]) for row in stories])), frame_labels(stories))
    assert all(found[head] >= 0.985 for head in ("characters", "background", "layout", "garment", "mark", "action")), found


def test_shipped_matched_encoders_know_real_frames():
    """R-precision as its file promises, of which some is measured again here, over fewer sentences."""
    folder = ROOT / "checkpoints" / "toon-damsm"
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) <= 2.5e6
    promised = json.loads((folder / "accuracy.json").read_text())["validation"]["r_precision"]
    assert promised >= 0.85
    text_encoder, image_encoder, tokenizer = load_damsm(folder)
    stories = load_stories("toonstories", "test", limit=60)
    texts = [text for row in load_stories("toonstories", "test", text="full", limit=60, pictures=False)["sentences"] for text in row]
    images = embed_frames(image_encoder, torch.cat([frames_tensor(row["frames"]) for row in stories]))
    found = r_precision(embed_sentences(text_encoder, tokenizer, texts), images, texts).double().mean()
    assert found >= promised - 0.06
