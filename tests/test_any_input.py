"""Fuzz of what is read and typed: stories, pictures, models, runs, surveys and commands. Right, or an error of this package; never a library's own.

pytest tests/test_any_input.py                     # 200 examples an entry point
pytest tests/test_any_input.py -m slow             # 2,000

Elsewhere: arguments of the pipelines (test_pipeline_arguments), sources of datasets (test_broken_sources), pickles (test_safe_files), adapters and
results files (test_right_models).
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sqlite3
import sys
from contextlib import closing, contextmanager

import pyarrow as pa
import pytest
import test_survey
from accelerate import Accelerator
from conftest import ROOT, script, tiny_pipeline, tiny_vae
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from test_real_files import BYTES, WHOLE
from test_story_gan_pipeline import tiny_pipeline as tiny_story_gan

from story_ldm import cli, load_stories
from story_ldm.app import survey
from story_ldm.data.faults import StoryDataError
from story_ldm.data.free_english import read_stories
from story_ldm.data.pictures import as_rgb
from story_ldm.data.sources.base import decoded
from story_ldm.data.sources.check import check
from story_ldm.encoders.autoencoder import open_autoencoder
from story_ldm.encoders.damsm import load_damsm
from story_ldm.files import json_object
from story_ldm.one_line import of_this_package
from story_ldm.pipelines import StoryGANPipeline, StoryLDMPipeline
from story_ldm.training.run import claim_run

pytestmark = pytest.mark.usefixtures("own_cache")
often = pytest.mark.parametrize("examples", [200, pytest.param(2000, marks=pytest.mark.slow)])
SCALARS = st.none() | st.booleans() | st.integers(-3, 300) | st.integers() | st.floats() | st.text(max_size=4)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=5)


def fuzz(examples: int, *strategies):
    """Calls the decorated function with that many examples, at once."""

    def run(function):
        settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)(given(*strategies)(function))()

    return run


@contextmanager
def own_errors():
    """Errors that end a command by one line may come out; others may not."""
    try:
        yield
    except SystemExit as error:
        assert isinstance(error.code, str)
    except OSError:
        pass
    except ValueError as error:
        if not of_this_package(error):
            raise


# stories and pictures


@often
def test_rows_of_parquet(examples, tmp_path):
    """Checks and loaders agree on them."""
    frame = st.sampled_from([{"bytes": BYTES, "path": None}, {"bytes": BYTES[:40], "path": None}, {"bytes": None, "path": "a.png"}, None])
    cells = JSON | st.binary(max_size=3) | st.lists(frame | SCALARS, max_size=3) | st.lists(st.lists(st.integers(-1, 2)), max_size=3)
    names = ["story_id", "frames", "sentences", "characters", "backgrounds", "referential", "attributes", "shots", "sentences_full", "other"]

    @fuzz(examples, st.lists(st.dictionaries(st.sampled_from(names), cells, max_size=2), min_size=1, max_size=2))
    def _(changes):
        try:
            table = pa.Table.from_pylist([{**WHOLE, "story_id": str(n), **change} for n, change in enumerate(changes)])
            parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
        except (pa.ArrowException, TypeError, OverflowError, UnicodeError):
            assume(False)
        whole = loaded = False
        with own_errors():
            whole, report = check(tmp_path)
            assert whole == ("is complete" in report)
        with own_errors():
            loaded = bool(load_stories(tmp_path, "train", None)[:])
        assert whole == loaded


@often
def test_damaged_pictures(examples):
    pictures = []
    for kind, mode in (
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "RGB"),
        ("AVIF", "RGB"),
    ):
        file = io.BytesIO()
        picture = Image.effect_noise((24, 16), 90)
        (picture.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)).save(file, kind)
        pictures.append(file.getvalue())
    changes = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4)

    @fuzz(examples, st.sampled_from(pictures), changes, st.none() | st.integers(0, 300))
    def _(data, changed, end):
        damaged = bytearray(data)
        for at, value in changed:
            at %= len(data)
            damaged[at : at + len(value)] = value
        try:
            assert as_rgb(decoded(bytes(damaged[:end]), "it")).mode == "RGB"
        except StoryDataError as error:
            assert str(error).startswith("it cannot be decoded")


@often
def test_stories_written_by_hand(examples, tmp_path):
    lines = (ROOT / "tests" / "data" / "free_english.txt").read_text(encoding="utf-8").splitlines()[-40:]
    file = tmp_path / "stories.txt"

    @fuzz(examples, st.lists(st.sampled_from(lines) | st.text(max_size=8), max_size=5), st.binary(max_size=2))
    def _(chosen, junk):
        file.write_bytes("\n".join(chosen).encode("utf-8", "replace") + junk)
        with own_errors():
            read_stories(file)


# models


@pytest.fixture(scope="module")
def models(tokenizer, damsm, tmp_path_factory):
    """Folder of a tiny model and the function that opens it, by kind."""
    folder = tmp_path_factory.mktemp("models")
    tiny_pipeline(tokenizer).save_pretrained(folder / "pipeline")
    tiny_story_gan(tokenizer).save_pretrained(folder / "gan")
    tiny_vae().save_pretrained(folder / "vae")
    opened = {"pipeline": StoryLDMPipeline.from_pretrained, "gan": StoryGANPipeline.from_pretrained, "vae": open_autoencoder}
    return {**{name: (folder / name, call) for name, call in opened.items()}, "damsm": (damsm, load_damsm)}


@pytest.mark.parametrize("kind", ["pipeline", "gan", "vae", "damsm"])
@often
def test_configs_of_models(examples, kind, models):
    folder, call = models[kind]
    examples //= 4 if kind == "pipeline" else 1  # it is slower, and the code is that of "gan"
    files = sorted(file for file in folder.rglob("*.json") if file.name != "vocab.json")

    @fuzz(examples, st.sampled_from(files), st.data())
    def _(file, data):
        before = file.read_text()
        content = json.loads(before)
        content = {name: value for name, value in content.items() if name != "vocab"}
        changed = data.draw(st.sampled_from([*content]))
        how = data.draw(st.sampled_from(["value", "gone", "other", "text"]))
        if how == "value":
            content[changed] = data.draw(JSON)
        elif how == "gone":
            del content[changed]
        try:
            other = data.draw(JSON) if how == "other" else content
            file.write_text(data.draw(st.text(max_size=3)) if how == "text" else json.dumps(other))
            with own_errors():
                call(folder)
        finally:
            file.write_text(before)


# runs and generations


@often
def test_settings_of_runs(examples, tmp_path):
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    record = {"batch": 8, "seed": 0, "dataset": "toonstories"}
    fields = st.dictionaries(st.sampled_from([*record, "data", "length", "other"]), JSON, max_size=3)

    @fuzz(examples, (fields | JSON).map(json.dumps) | st.text(max_size=4))
    def _(text):
        (tmp_path / "settings.json").write_text(text)
        with own_errors():
            claim_run(Accelerator(cpu=True), tmp_path, record, data={"train-0.parquet": "0123"})


@often
def test_settings_of_generations(examples, tmp_path):
    generating, scoring = script("evaluation/generate_stories.py"), script("evaluation/score_stories.py")
    how = {"model": "a", "seed": 0, "sentences": "0123", "long_sentences": "error"}
    fields = st.dictionaries(st.sampled_from([*how, "other"]), JSON, max_size=3)

    @fuzz(examples, (fields.map(lambda changed: {**how, **changed}) | JSON).map(json.dumps) | st.text(max_size=4))
    def _(text):
        (tmp_path / "generation.json").write_text(text)
        with own_errors():
            generating.claim(tmp_path, how)
            scoring.printable(json_object(tmp_path / "generation.json"))


# the survey


@often
def test_forms_of_raters(examples, tmp_path):
    folders = [f"{name}={test_survey.written(tmp_path / name, test_survey.rows(k))}" for k, name in enumerate(test_survey.SYSTEMS)]
    client, _ = test_survey.opened(survey.Settings(database=tmp_path / "survey.sqlite", systems=tuple(folders), size=8, samples=4, raters=2))
    rater = test_survey.token(client, "Mia")
    values = st.sampled_from(["0", "1", "A", "B", "C", rater]) | st.text(max_size=4)
    names = st.sampled_from(["rater", "sample", "visual quality", "alignment", "consistency"]) | st.text(max_size=4)

    @fuzz(examples, st.sampled_from(["/", "/rate", "/picture/0/A/0.png", "/picture/9/Z/9.png"]), st.booleans(), *[st.dictionaries(names, values)] * 2)
    def _(place, posted, query, form):
        query.setdefault("rater", rater)
        answer = client.post(place, query_string=query, data=form) if posted else client.get(place, query_string=query)
        assert answer.status_code in (200, 303, 400, 404, 405)


@often
def test_databases_of_surveys(examples, tmp_path):
    file = tmp_path / "survey.sqlite"
    asked = {"systems": ["a", "b"], "criteria": ["alignment"], "samples": 2, "seed": 0}
    survey.open_database(file, asked, ["one", "two"])
    answer = st.tuples(*[st.sampled_from([0, 1, "alignment", "a", "b", None]) | SCALARS] * 4)
    right = st.tuples(st.just("alignment"), st.integers(0, 2), st.sampled_from("ab"), st.sampled_from("xyz"))

    @fuzz(examples, st.sampled_from([*asked]), JSON.map(json.dumps) | st.text(max_size=3), st.lists(right | answer, max_size=4), st.booleans())
    def _(name, value, answers, whole):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.executemany("REPLACE INTO settings VALUES (?, ?)", [(n, json.dumps(v)) for n, v in asked.items()])
            if not whole:
                connection.execute("REPLACE INTO settings VALUES (?, ?)", (name, value.encode("utf-8", "replace").decode()))
            connection.execute("DELETE FROM answers")
            for row in answers:
                try:
                    connection.execute("INSERT OR IGNORE INTO answers (criterion, sample, system, rater) VALUES (?, ?, ?, ?)", row)
                except (OverflowError, UnicodeError):
                    assume(False)
        with own_errors():
            survey.tally_markdown(survey.tally(file, resamples=2))
        with own_errors():
            survey.open_database(file, asked, ["one", "two"])


# commands


@often
def test_options_of_commands(examples, tokenizer, tmp_path, monkeypatch, capsys):
    """Any words: done, or one line (of the parser, several) and exit code 2."""
    monkeypatch.chdir(tmp_path)
    parquet.write_table(pa.Table.from_pylist([WHOLE]), tmp_path / "train-00000-of-00001.parquet")
    tiny_pipeline(tokenizer).save_pretrained(tmp_path / "model")
    pipe = StoryLDMPipeline.from_pretrained(tmp_path / "model")
    monkeypatch.setattr(StoryLDMPipeline, "from_pretrained", lambda model: pipe)
    monkeypatch.setattr(pipe, "to", lambda device: pipe)
    values = [
        "0",
        "1",
        "-1",
        "2",
        "16",
        "1e9",
        "nan",
        "",
        "None",
        ".",
        "..",
        "a.png",
        "a.txt",
        "model",
        "no/where",
        "train",
        "test",
        "full",
        "cut",
        "white",
    ]
    option = st.tuples(
        st.sampled_from(["size", "split", "text", "fit", "background", "output", "num-proc", "seed", "partial"]), st.sampled_from(values)
    )
    more = {
        "generate": ["steps", "guidance", "side", "model", "explain", "long-sentences"],
        "preview": ["stories"],
        "data convert": ["frame", "skip-broken", "unpacked-gb", "long-sentences"],
        "data check": ["source", "unpacked-gb"],
        "data toonstories": ["limit"],
    }
    fixed = {
        "generate": ["Mia sits.", "--model", "model", "--steps", "1", "--side", "16"],
        "preview": [".", "--size", "16", "--stories", "1"],
        "data convert": ["folder", ".", "--out", "out"],
        "data check": ["."],
        "data toonstories": ["--out", "world", "--limit", "1", "--size", "16", "--split", "test", "--num-proc", "1"],
    }

    @fuzz(examples, st.sampled_from([*more]), st.data())
    def _(command, data):
        own = st.tuples(st.sampled_from(more[command]), st.sampled_from(values))
        options = data.draw(st.lists(own | option, max_size=2))
        words = [*fixed[command], *(word for name, value in options for word in (f"--{name}", value))]
        monkeypatch.setattr(sys, "argv", ["story-ldm", *command.split(), *words])
        code = 0
        for made in ("world", "out"):
            shutil.rmtree(made, ignore_errors=True)
        try:
            cli.main()
        except SystemExit as error:
            code = error.code or 0
        said = capsys.readouterr().err
        lines = [line for line in re.split(r"[\r\n]+", said) if line and "examples/s" not in line]  # no progress bars
        assert code in (0, 1, 2) and "Traceback" not in said
        assert code != 1 or command == "data check"
        assert code != 2 or (len(lines) == 1 and lines[0].startswith("story-ldm: ")) or "For full helptext" in said, said


def test_the_helper_lets_no_library_error_pass():
    with pytest.raises(ValueError), own_errors():
        json.loads("{")
    for error in (KeyError("a"), TypeError("b"), AssertionError("c")):
        with pytest.raises(type(error)), own_errors():
            raise error
    with own_errors():
        read_stories(ROOT / "README.md")
