"""Survey of human raters as a web page: the human evaluation of the dynamic-block GAN's paper (section 4.7, Table 3).

    pip install -e ".[survey]"
    python evaluation/survey.py --systems story-ldm=DIR plain-ldm=DIR storygan=DIR --samples 100 --raters 3 --database survey.sqlite --port 8000
    python evaluation/survey.py --database survey.sqlite --tally --output survey.json

Each DIR has generated stories in the story form. A sample is one story: its sentences, and one row of frames per system, labelled A, B, C … in an
order that differs by sample and rater and follows from a secret in the database; nothing sent to the browser names a system. Opening a sample
reserves it; at most `--raters` raters get it. A rater is known by a token that the server draws and puts into the address of the pages, at which the
rater may continue later; the name is a label only. The tally has shares with 95 % intervals (bootstrap over samples), and Fleiss' kappa.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from flask import Flask, Response, abort, redirect, render_template, request, url_for
from PIL import Image
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from story_ldm.app.survey_database import add_rater, name_of, open_database, read_answers, read_secret, store, take_turn
from story_ldm.data.pictures import as_rgb
from story_ldm.data.stories import load_stories
from story_ldm.files import check_name, markdown_table, write_text
from story_ldm.metrics.bootstrap import bootstrap_weights, share

CRITERIA = {
    "visual quality": "Which row has the best-looking pictures?",
    "alignment": "Which row best matches the sentences?",
    "consistency": "In which row do characters and places stay most consistent from picture to picture?",
}


@dataclass
class Settings:
    database: Path = Path("survey.sqlite")
    """SQLite file for settings, samples and answers; running the same command again resumes the survey."""
    systems: tuple[str, ...] = ()
    """NAME=DIR of each system; sentences are taken from the first."""
    split: str = "test"
    """Split of the generated stories."""
    size: int = 64
    """Width and height in pixels to which the frames of all systems are scaled."""
    samples: int = 100
    """Number of stories to ask about."""
    raters: int = 3
    """Number of raters per sample."""
    seed: int = 0
    """Seed for the choice of stories and the bootstrap."""
    minutes: float = 30.0
    """Minutes for which a sample is reserved for the rater who opened it."""
    reservations: int = 50
    """Number of samples that raters at one network address may have reserved at once; behind a proxy, all raters have its address."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 accepts connections from other machines."""
    port: int = 8000
    """Port to listen on."""
    tally: bool = False
    """Print the tally of the stored answers instead of starting the server."""
    output: Path | None = None
    """JSON file for the tally."""
    resamples: int = 1000
    """Number of bootstrap resamples for the tally's intervals."""


@dataclass
class Survey:
    systems: list[str]
    story_ids: list[str]
    sentences: list[list[str]]
    pictures: list[dict[str, list[bytes]]]  # of each sample, by system: one PNG per frame
    settings: dict  # on which the answers depend
    secret: str | int = ""  # of the database; without it nobody can compute which row is whose

    @property
    def labels(self) -> str:
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(self.systems)]

    def shown(self, sample: int, rater: str) -> dict[str, str]:
        """Label → system, in the order shown to this rater."""
        order = sorted(self.systems, key=lambda system: digest(self.secret, self.story_ids[sample], rater, system))
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
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it logs one line per picture
    server = make_server(s.host, s.port, survey_app(survey, s.database, s.minutes, s.reservations), threaded=True)
    print(f"{s.samples} samples of {len(survey.systems)} systems for {s.raters} raters each: http://{s.host}:{server.port}, Ctrl-C stops", flush=True)
    server.serve_forever()


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_survey(s: Settings) -> Survey:
    """Read the sampled stories of all systems. Raises SystemExit, which names the system, the story and what is missing."""
    named = [text.partition("=") for text in s.systems]
    systems = [name for name, _, _ in named]
    if not 2 <= len(systems) <= 26 or not all(name and folder for name, _, folder in named) or len(set(systems)) < len(systems):
        raise SystemExit(f"--systems is {' '.join(s.systems) or 'empty'}; it must be NAME=DIR of 2 to 26 systems with different names")
    for name in systems:
        try:
            check_name("--systems", name)
        except ValueError as error:
            raise SystemExit(str(error)) from None
    if min(s.samples, s.raters, s.reservations) < 1 or s.minutes <= 0:
        numbers = f"--samples is {s.samples}, --raters {s.raters}, --reservations {s.reservations} and --minutes {s.minutes:g}"
        raise SystemExit(f"{numbers}; all must be positive")
    story_ids: list[str] = []
    pictures: list[dict[str, list[bytes]]] = [{} for _ in range(s.samples)]
    sentences, content = [], {}
    for system, _, folder in named:
        try:
            stories = load_stories(folder, s.split, s.size)
        except (OSError, ValueError) as error:
            raise SystemExit(f"system {system}: {error}") from error
        ids = stories["story_id"][:]
        place = {story_id: n for n, story_id in enumerate(ids)}
        if len(place) < len(ids):
            raise SystemExit(f"system {system}: {folder} has story {next(i for n, i in enumerate(ids) if place[i] != n)} more than once")
        if not story_ids:
            if len(ids) < s.samples:
                raise SystemExit(f"--samples is {s.samples}, but system {system} has only {len(ids)} stories of {s.split}")
            story_ids = sorted(ids, key=lambda story_id: digest(s.seed, story_id))[: s.samples]
        pixels = hashlib.sha256()
        for sample, story_id in enumerate(story_ids):
            if story_id not in place:
                raise SystemExit(f"system {system} lacks story {story_id}, which {systems[0]} has; {folder} has {len(ids)} stories of {s.split}")
            row = stories[place[story_id]]
            if system == systems[0]:
                sentences.append(row["sentences"])
            if not row["frames"] or len(row["frames"]) != len(sentences[sample]):
                raise SystemExit(f"system {system}, story {story_id}: {len(row['frames'])} frames for {len(sentences[sample])} sentences")
            if None in row["frames"]:
                raise SystemExit(f"system {system}, story {story_id}: frame {row['frames'].index(None)} is missing")
            frames = [as_rgb(frame) for frame in row["frames"]]
            pixels.update(b"".join(frame.tobytes() for frame in frames))
            pictures[sample][system] = [bare_png(frame) for frame in frames]
        content[f"frames of {system}"] = pixels.hexdigest()
    settings = {name: getattr(s, name) for name in ("split", "size", "samples", "raters", "seed")}
    settings |= {"systems": systems, "criteria": list(CRITERIA), "sentences": digest(sentences), **content}
    return Survey(systems, story_ids, sentences, pictures, settings)


def bare_png(frame: Image.Image) -> bytes:
    """PNG of the pixels without metadata, which could reveal the system."""
    file = BytesIO()
    Image.frombytes("RGB", frame.size, frame.tobytes()).save(file, format="PNG")
    return file.getvalue()


def survey_app(survey: Survey, database: Path, minutes: float = 30.0, reservations: int = 50, clock: Callable[[], float] = time.time) -> Flask:
    """The web application. minutes: how long a sample is reserved. reservations: how many one address may have. clock: the time in seconds."""
    survey.secret = read_secret(database, survey.settings["seed"])
    app = Flask("survey", template_folder=str(Path(__file__).parent.resolve() / "templates"), static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 10_000

    def address() -> str:
        return digest(survey.secret, request.remote_addr)[:16]  # not the address itself, which need not be stored

    def known_rater() -> tuple[str, str]:
        """Token and name of the rater in the request; without a token of this survey, the request fails with status 400."""
        rater = request.args.get("rater", "")
        name = name_of(database, rater)
        return (rater, name) if name is not None else abort(400, "This is not the address of a rater of this survey. Please start again.")

    @app.get("/")
    def start() -> str:
        return render_template("survey.html", page="start", samples=len(survey.story_ids), questions=CRITERIA)

    @app.post("/")
    def begin():
        own_page_only()
        name = clean_name(request.form.get("name", "")) or abort(400, "Please enter your name or code (1 to 60 characters).")
        return redirect(url_for("rate", rater=add_rater(database, name, address())), 303)

    @app.get("/rate")
    def rate() -> str:
        rater, name = known_rater()
        turn = take_turn(database, rater, survey.settings["raters"], clock(), 60 * minutes, address(), reservations)
        if turn is None:
            abort(429, "Too many samples are open at your network address. Please answer one of them, or come back later.")
        sample, done, left = turn
        if sample is None:
            return render_template("survey.html", page="end", name=name, done=done, samples=len(survey.story_ids))
        content = {"sentences": survey.sentences[sample], "labels": survey.labels, "questions": CRITERIA}
        return render_template("survey.html", page="rate", rater=rater, name=name, sample=sample, number=done + 1, of=done + left, **content)

    @app.post("/rate")
    def answer():
        own_page_only()
        rater, _ = known_rater()
        sample = next((n for n in range(len(survey.story_ids)) if request.form.getlist("sample") == [str(n)]), None)
        if sample is None:
            abort(400, "This sample does not exist.")
        shown = survey.shown(sample, rater)
        chosen = {criterion: (label, shown[label]) for criterion, label in choices(request.form, survey.labels).items()}
        problem = store(database, sample, rater, survey.settings["raters"], clock(), chosen)
        return abort(400, problem) if problem else redirect(url_for("rate", rater=rater), 303)

    @app.get("/picture/<int:sample>/<label>/<int:frame>.png")
    def picture(sample: int, label: str, frame: int) -> tuple[bytes, dict[str, str]]:
        rater, _ = known_rater()
        if sample >= len(survey.story_ids) or label not in survey.shown(sample, rater) or frame >= len(survey.sentences[sample]):
            abort(404, "This picture does not exist.")
        return survey.pictures[sample][survey.shown(sample, rater)[label]][frame], {"Content-Type": "image/png"}

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException):
        rater = request.args.get("rater", "")
        known = rater if name_of(database, rater) is not None else ""
        return render_template("survey.html", page="error", message=error.description, rater=known), error.code

    @app.after_request
    def set_headers(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"  # another rater or survey has other pictures at the same address
        policy = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"  # the address has the rater's token
        return response

    return app


def clean_name(text: str) -> str:
    """The name in Unicode's form NFC, with single spaces; "" if it is empty, longer than 60 characters or not printable."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    return name if len(name) <= 60 and name.isprintable() else ""


def own_page_only() -> None:
    """Refuses a form that was sent from a page of another site, with status 403."""
    origin = request.headers.get("Origin")  # browsers send it with every POST
    if origin is not None and urlsplit(origin).netloc != request.host:
        abort(403, "Answers are accepted from the survey's own page only.")


def choices(form: MultiDict[str, str], labels: str) -> dict[str, str]:
    """Criterion → chosen label. A form without exactly one choice for each criterion fails with status 400."""
    if unknown := [name for name in form if name not in ("sample", *CRITERIA)]:
        abort(400, f"“{unknown[0]}” is not a question; the questions are {', '.join(CRITERIA)}.")
    for criterion in CRITERIA:
        given = form.getlist(criterion)
        if len(given) != 1:
            abort(400, f"Please choose one row for {criterion}; you chose {len(given) or 'none'}.")
        if given[0] not in [*labels]:
            abort(400, f"There is no row “{given[0]}” to choose for {criterion}; the rows are {', '.join(labels)}.")
    return {criterion: form[criterion] for criterion in CRITERIA}


def tally(database: Path, resamples: int = 1000, seed: int = 0) -> dict:
    """Share of each system with its interval, and the raters' agreement, by criterion. Raises SystemExit if there are no answers to count."""
    settings, answers = read_answers(database)
    if not answers:
        raise SystemExit(f"--database {database} has no answers yet")
    criteria = {}
    for criterion in settings["criteria"]:
        if not (picks := [(sample, settings["systems"].index(system)) for name, sample, system, _ in answers if name == criterion]):
            continue
        sample, choice = np.unique([n for n, _ in picks], return_inverse=True)[1], np.array([k for _, k in picks])
        weights, every = bootstrap_weights(sample.max() + 1, resamples, seed), np.ones(len(picks), bool)
        shares = {system: share(choice == k, every, sample, weights) for k, system in enumerate(settings["systems"])}
        counts = np.zeros((sample.max() + 1, len(shares)))
        np.add.at(counts, (sample, choice), 1)
        criteria[criterion] = {"systems": shares, "answers": len(picks), "samples": len(counts), **agreement(counts)}
    return {"protocol": "survey-1", "settings": settings, "raters": len({rater for *_, rater in answers}), "criteria": criteria}


def agreement(counts: np.ndarray) -> dict[str, float | None]:
    """Share of pairs of raters that agree, and Fleiss' kappa (1971), of samples with at least two raters. counts: choices (samples, systems)."""
    counts = counts[counts.sum(1) > 1]
    if not len(counts):
        return {"agreement": None, "kappa": None}
    raters = counts.sum(1)
    observed = ((counts * (counts - 1)).sum(1) / (raters * (raters - 1))).mean()
    by_chance = ((counts.sum(0) / counts.sum()) ** 2).sum()
    return {"agreement": float(observed), "kappa": float((observed - by_chance) / (1 - by_chance)) if by_chance < 1 else None}


def tally_markdown(result: dict) -> str:
    """One line per criterion: shares of choices in percent with their intervals."""
    rows = []
    for criterion in result["settings"]["criteria"]:
        if (of := result["criteria"].get(criterion)) is None:
            rows.append([criterion, *["–"] * len(result["settings"]["systems"]), 0, "–", "–"])
            continue
        cells = [f"{100 * x['value']:.2f} ({100 * x['low']:.1f} – {100 * x['high']:.1f})" for x in of["systems"].values()]
        agree = ["–" if of["kappa"] is None else f"{of['kappa']:.2f}", "–" if of["agreement"] is None else f"{100 * of['agreement']:.1f} %"]
        rows.append([criterion, *cells, of["answers"], *agree])
    seen = f"{max(of['samples'] for of in result['criteria'].values())} of {result['settings'].get('samples', '?')} samples"
    table = markdown_table(("choice (%)", *result["settings"]["systems"], "answers", "Fleiss' κ", "pairs that agree"), rows)
    return "\n".join([table, "", f"{seen} answered, by {result['raters']} raters; intervals: 95 %, bootstrap over samples."])
