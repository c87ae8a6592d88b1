"""The human evaluation of the dynamic-block GAN's paper (section 4.7, Table 3) as a web page: which system told this story best?

    pip install -e ".[survey]"
    python evaluation/survey.py --systems story-ldm=DIR plain-ldm=DIR storygan=DIR --samples 100 --raters 3 --database survey.sqlite --port 8000
    python evaluation/survey.py --database survey.sqlite --tally --output survey.json

Each DIR holds generated stories in the story form, as `generate_stories.py` writes them. A sample is one story: its sentences, and one row of
frames a system, called A, B, C … in an order that differs by sample and rater; nothing that a browser receives names a system. A rater names the
best row for each criterion. At most `--raters` raters are given a sample, also when they work at the same time: it is reserved for whoever opened
it. Answers are kept at once; who comes back under the same name goes on. The tally has shares, 95 % bootstrap over samples, and Fleiss' kappa.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from flask import Flask, abort, redirect, render_template, request, url_for
from PIL import Image
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from story_ldm.data.stories import load_stories
from story_ldm.files import write_text
from story_ldm.metrics.bootstrap import bootstrap_weights, share

CRITERIA = {
    "visual quality": "Which pictures look best?",
    "alignment": "Which pictures show best what the sentences say?",
    "consistency": "Where do characters and places best stay the same from picture to picture?",
}
TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS samples (sample INTEGER PRIMARY KEY, story_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS turns (sample INTEGER, rater TEXT, expires REAL NOT NULL, answered INTEGER NOT NULL, PRIMARY KEY (sample, rater));
CREATE TABLE IF NOT EXISTS answers (sample INTEGER, rater TEXT, criterion TEXT, system TEXT, label TEXT, time REAL,
    PRIMARY KEY (sample, rater, criterion));
"""
# samples that a rater has not answered and that too few others answered or have open; first the one that this rater opened last
OPEN = """
SELECT s.sample FROM samples s LEFT JOIN turns mine ON mine.sample = s.sample AND mine.rater = :rater
WHERE NOT COALESCE(mine.answered, 0) AND :raters > (
    SELECT COUNT(*) FROM turns t WHERE t.sample = s.sample AND t.rater != :rater AND (t.answered OR t.expires > :now)
) ORDER BY mine.expires DESC, s.sample
"""


@dataclass
class Settings:
    database: Path = Path("survey.sqlite")
    """Keeps settings, samples and answers; the same command again goes on with it."""
    systems: tuple[str, ...] = ()
    """NAME=DIR of each system; the sentences shown are those of the first."""
    split: str = "test"
    size: int = 64
    """Pixels a side of the frames that are shown, alike for all systems."""
    samples: int = 100
    raters: int = 3
    """So many are given each sample."""
    seed: int = 0
    """Of the choice of stories and of the order of the rows."""
    minutes: float = 30.0
    """So long a sample stays reserved for the rater who opened it."""
    host: str = "127.0.0.1"
    """0.0.0.0 lets other machines in."""
    port: int = 8000
    tally: bool = False
    """Count the answers instead of asking for more."""
    output: Path | None = None
    """JSON file of the tally."""
    resamples: int = 1000
    """Of the tally's bootstrap."""


@dataclass
class Survey:
    systems: list[str]
    story_ids: list[str]
    sentences: list[list[str]]
    pictures: list[dict[str, list[bytes]]]  # of each sample, by system: one PNG a frame
    settings: dict  # what the answers depend on

    @property
    def labels(self) -> str:
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(self.systems)]

    def shown(self, sample: int, rater: str) -> dict[str, str]:
        """Label → system, in the order in which this rater sees them."""
        order = sorted(self.systems, key=lambda system: digest(self.settings["seed"], self.story_ids[sample], rater, system))
        return dict(zip(self.labels, order, strict=True))


def main(s: Settings) -> None:
    if s.tally:
        result = tally(s.database, s.resamples, s.seed)
        print(tally_markdown(result))
        if s.output:
            s.output.parent.mkdir(parents=True, exist_ok=True)
            write_text(s.output, json.dumps(result, indent=1) + "\n")
        return
    survey = read_survey(s)
    open_database(s.database, survey.settings, survey.story_ids)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # its lines tell who asked for which picture
    server = make_server(s.host, s.port, survey_app(survey, s.database, s.minutes), threaded=True)
    print(f"{s.samples} samples of {len(survey.systems)} systems for {s.raters} raters each: http://{s.host}:{server.port}, until Ctrl-C", flush=True)
    server.serve_forever()


def digest(*parts) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_survey(s: Settings) -> Survey:
    """The sampled stories of all systems. Raises SystemExit that names the system, the story and what is missing."""
    named = [text.partition("=") for text in s.systems]
    systems = [name for name, _, _ in named]
    if not 2 <= len(systems) <= 26 or not all(name and folder for name, _, folder in named) or len(set(systems)) < len(systems):
        raise SystemExit(f"--systems takes NAME=DIR of 2 to 26 systems, each with a name of its own; it was given: {' '.join(s.systems) or 'none'}")
    if min(s.samples, s.raters) < 1 or s.minutes <= 0:
        raise SystemExit(f"--samples is {s.samples}, --raters {s.raters} and --minutes {s.minutes:g}; all must be above 0")
    story_ids, sentences, pictures, content = [], [], [{} for _ in range(s.samples)], {}
    for system, _, folder in named:
        try:
            stories = load_stories(folder, s.split, s.size)
        except (OSError, ValueError) as error:
            raise SystemExit(f"system {system}: {error}") from error
        ids = stories["story_id"][:]
        place = {story_id: n for n, story_id in enumerate(ids)}
        if len(place) < len(ids):
            raise SystemExit(f"system {system} holds story {next(i for n, i in enumerate(ids) if place[i] != n)} more than once in {folder}")
        if not story_ids:
            if len(ids) < s.samples:
                raise SystemExit(f"system {system} holds {len(ids)} stories of {s.split}, fewer than --samples {s.samples}")
            story_ids = sorted(ids, key=lambda story_id: digest(s.seed, story_id))[: s.samples]
        pixels = hashlib.sha256()
        for sample, story_id in enumerate(story_ids):
            if story_id not in place:
                raise SystemExit(f"system {system} lacks story {story_id}, which {systems[0]} has; {folder} holds {len(ids)} stories of {s.split}")
            row = stories[place[story_id]]
            if system == systems[0]:
                sentences.append(row["sentences"])
            if not row["frames"] or len(row["frames"]) != len(sentences[sample]):
                wanted = f"its {len(sentences[sample])} sentences in {systems[0]} need one each"
                raise SystemExit(f"system {system}, story {story_id}: {len(row['frames'])} frames, but {wanted}")
            if None in row["frames"]:
                raise SystemExit(f"system {system}, story {story_id}: frame {row['frames'].index(None)} is missing")
            frames = [frame.convert("RGB") for frame in row["frames"]]
            pixels.update(b"".join(frame.tobytes() for frame in frames))
            pictures[sample][system] = [bare_png(frame) for frame in frames]
        content[system] = pixels.hexdigest()
    settings = {name: getattr(s, name) for name in ("split", "size", "samples", "raters", "seed")}
    settings |= {"systems": systems, "criteria": list(CRITERIA), "sentences": digest(sentences)}
    settings |= {f"frames of {system}": content[system] for system in systems}
    return Survey(systems, story_ids, sentences, pictures, settings)


def bare_png(frame: Image.Image) -> bytes:
    """Pixels and nothing else: a picture's own notes could tell where it comes from."""
    file = BytesIO()
    Image.frombytes("RGB", frame.size, frame.tobytes()).save(file, format="PNG")
    return file.getvalue()


@contextmanager
def transaction(database: Path):
    """A connection that has the database to itself: all of what is done in it is kept, or nothing."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def open_database(database: Path, settings: dict, story_ids: list[str]) -> None:
    """Makes the database, or refuses to mix its answers with those to other questions. Raises SystemExit."""
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            connection.executescript(TABLES)
        with transaction(database) as connection:
            then = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM settings")}
            if not then:
                then = settings
                connection.executemany("INSERT INTO settings VALUES (?, ?)", [(name, json.dumps(value)) for name, value in settings.items()])
                connection.executemany("INSERT INTO samples VALUES (?, ?)", enumerate(story_ids))
    except sqlite3.Error as error:
        raise SystemExit(f"{database} cannot be used as the database of a survey: {error}") from error
    changed = [f"  {name}: {then.get(name)!r} → {settings.get(name)!r}" for name in then | settings if then.get(name) != settings.get(name)]
    if changed:
        raise SystemExit(f"{database} holds a survey with other settings; give another --database:\n" + "\n".join(changed))


def take_turn(database: Path, rater: str, raters: int, now: float, seconds: float) -> tuple[int | None, int, int]:
    """Reserves a sample for the rater: its number (None where nothing is left), how many are answered, how many can still be had."""
    with transaction(database) as connection:
        there = connection.execute(OPEN, {"rater": rater, "raters": raters, "now": now}).fetchall()
        (done,) = connection.execute("SELECT COUNT(*) FROM turns WHERE rater = ? AND answered", (rater,)).fetchone()
        if there:
            reserve = "INSERT INTO turns VALUES (?, ?, ?, 0) ON CONFLICT (sample, rater) DO UPDATE SET expires = excluded.expires"
            connection.execute(reserve, (there[0][0], rater, now + seconds))
    return there[0][0] if there else None, done, len(there)


def store(database: Path, sample: int, rater: str, raters: int, now: float, chosen: dict[str, tuple[str, str]]) -> str | None:
    """chosen: criterion → label and system. Returns None, or what is wrong where nothing is stored."""
    with transaction(database) as connection:
        turn = connection.execute("SELECT answered FROM turns WHERE sample = ? AND rater = ?", (sample, rater)).fetchone()
        if turn is None:
            return "This sample was not given to you."
        if turn[0]:
            query = "SELECT criterion, label, system FROM answers WHERE sample = ? AND rater = ?"
            before = {criterion: (label, system) for criterion, label, system in connection.execute(query, (sample, rater))}
            return None if before == chosen else "You answered this sample before; your first answer is kept."  # None: the button was pressed twice
        if (sample,) not in connection.execute(OPEN, {"rater": rater, "raters": raters, "now": now}).fetchall():
            return "This sample was open for so long that it went to other raters; your answer is not stored. Please go on with the next one."
        connection.execute("UPDATE turns SET answered = 1 WHERE sample = ? AND rater = ?", (sample, rater))
        rows = [(sample, rater, criterion, system, label, now) for criterion, (label, system) in chosen.items()]
        connection.executemany("INSERT INTO answers (sample, rater, criterion, system, label, time) VALUES (?, ?, ?, ?, ?, ?)", rows)
    return None


def survey_app(survey: Survey, database: Path, minutes: float = 30.0, clock=time.time) -> Flask:
    app = Flask("survey", template_folder=str(Path(__file__).parent.resolve() / "templates"), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 10_000

    @app.get("/")
    def start():
        return render_template("survey.html", page="start", samples=len(survey.story_ids), questions=CRITERIA)

    @app.get("/rate")
    def rate():
        rater = rater_name()
        sample, done, there = take_turn(database, rater, survey.settings["raters"], clock(), 60 * minutes)
        if sample is None:
            return render_template("survey.html", page="end", rater=rater, done=done, samples=len(survey.story_ids))
        asked = {"sentences": survey.sentences[sample], "labels": survey.labels, "questions": CRITERIA}
        return render_template("survey.html", page="rate", rater=rater, sample=sample, number=done + 1, of=done + there, **asked)

    @app.post("/rate")
    def answer():
        rater = rater_name()
        sample = next((n for n in range(len(survey.story_ids)) if request.form.getlist("sample") == [str(n)]), None)
        if sample is None:
            abort(400, "There is no such sample.")
        shown = survey.shown(sample, rater)
        chosen = {criterion: (label, shown[label]) for criterion, label in choices(request.form, survey.labels).items()}
        wrong = store(database, sample, rater, survey.settings["raters"], clock(), chosen)
        return abort(400, wrong) if wrong else redirect(url_for("rate", rater=rater), 303)

    @app.get("/picture/<int:sample>/<label>/<int:frame>.png")
    def picture(sample: int, label: str, frame: int):
        rater = rater_name()
        if sample >= len(survey.story_ids) or label not in survey.shown(sample, rater) or frame >= len(survey.sentences[sample]):
            abort(404, "There is no such picture.")
        return survey.pictures[sample][survey.shown(sample, rater)[label]][frame], {"Content-Type": "image/png"}

    @app.errorhandler(HTTPException)
    def error(wrong: HTTPException):
        return render_template("survey.html", page="error", message=wrong.description, rater=clean_name(request.args.get("rater", ""))), wrong.code

    @app.after_request
    def close_up(response):
        response.headers["Cache-Control"] = "no-store"  # of what another order, or another survey, shows under the same address
        response.headers["Content-Security-Policy"] = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'self'"
        return response

    return app


def clean_name(text: str) -> str:
    """The same name, however it was typed, or "" for none."""
    name = " ".join(text.split()).lower()
    return name if len(name) <= 60 and name.isprintable() else ""


def rater_name() -> str:
    return clean_name(request.args.get("rater", "")) or abort(400, "Please give your name or code, of 1 to 60 letters.")


def choices(form, labels: str) -> dict[str, str]:
    """Criterion → the label that is chosen; anything else than one choice for each criterion is refused."""
    unknown = [name for name in form if name not in ("sample", *CRITERIA)]
    if unknown:
        abort(400, f"Nobody asked for “{unknown[0]}”; the questions are {', '.join(CRITERIA)}.")
    for criterion in CRITERIA:
        given = form.getlist(criterion)
        if len(given) != 1:
            abort(400, f"Please choose one story for {criterion}; {len(given) or 'none'} came.")
        if given[0] not in [*labels]:
            abort(400, f"There is no story “{given[0]}” to choose for {criterion}; the stories are {', '.join(labels)}.")
    return {criterion: form[criterion] for criterion in CRITERIA}


def tally(database: Path, resamples: int = 1000, seed: int = 0) -> dict:
    """Shares of choices with intervals, and the raters' agreement, by criterion. Raises SystemExit where there is nothing to count."""
    if not database.exists():
        raise SystemExit(f"{database} does not exist; give the --database of a survey")
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            settings = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM settings")}
            answers = connection.execute("SELECT criterion, sample, system, rater FROM answers").fetchall()
    except sqlite3.Error as error:
        raise SystemExit(f"{database} is no survey: {error}") from error
    if not answers:
        raise SystemExit(f"{database} holds no answers yet")
    criteria = {}
    for criterion in settings["criteria"]:
        mine = [(sample, settings["systems"].index(system)) for name, sample, system, _ in answers if name == criterion]
        sample, choice = np.unique([n for n, _ in mine], return_inverse=True)[1], np.array([k for _, k in mine])
        weights, everything = bootstrap_weights(sample.max() + 1, resamples, seed), np.ones(len(mine), bool)
        shares = {system: share(choice == k, everything, sample, weights) for k, system in enumerate(settings["systems"])}
        counts = np.zeros((sample.max() + 1, len(shares)))
        np.add.at(counts, (sample, choice), 1)
        criteria[criterion] = {"systems": shares, "answers": len(mine), "samples": len(counts), **agreement(counts)}
    return {"protocol": "survey-1", "settings": settings, "raters": len({rater for *_, rater in answers}), "criteria": criteria}


def agreement(counts: np.ndarray) -> dict[str, float | None]:
    """counts: (samples, systems) choices. How often two raters of a sample agree, and Fleiss' kappa, over samples with two raters or more."""
    counts = counts[counts.sum(1) > 1]
    if not len(counts):
        return {"agreement": None, "kappa": None}
    raters = counts.sum(1)
    observed = ((counts * (counts - 1)).sum(1) / (raters * (raters - 1))).mean()
    by_chance = ((counts.sum(0) / counts.sum()) ** 2).sum()
    return {"agreement": float(observed), "kappa": float((observed - by_chance) / (1 - by_chance)) if by_chance < 1 else None}


def tally_markdown(result: dict) -> str:
    """One line a criterion, shares of choices in percent with their intervals."""
    systems = result["settings"]["systems"]
    lines = [f"| choice (%) | {' | '.join(systems)} | answers | Fleiss' κ | pairs that agree |", f"|---|{'---|' * (len(systems) + 3)}"]
    for criterion, of in result["criteria"].items():
        cells = [f"{100 * x['value']:.2f} ({100 * x['low']:.1f} – {100 * x['high']:.1f})" for x in of["systems"].values()]
        agree = ["–" if of["kappa"] is None else f"{of['kappa']:.2f}", "–" if of["agreement"] is None else f"{100 * of['agreement']:.1f} %"]
        lines.append(f"| {criterion} | {' | '.join(cells)} | {of['answers']} | {' | '.join(agree)} |")
    seen = f"{max(of['samples'] for of in result['criteria'].values())} of {result['settings']['samples']} samples"
    return "\n".join([*lines, "", f"{seen} answered, by {result['raters']} raters; intervals: 95 %, bootstrap over samples."])
