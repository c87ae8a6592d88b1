"""The SQLite database of a survey: its settings and samples, the raters, who may answer which sample until when, and the answers.

open_database(file, settings, story_ids)
rater = add_rater(file, "Mia", address)                                                 # a token
sample, done, left = take_turn(file, rater, raters, time.time(), 1800, address, 50)     # reserves a sample
problem = store(file, sample, rater, raters, time.time(), {"alignment": ("A", "story-ldm")})
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS secret (value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (rater TEXT PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS samples (sample INTEGER PRIMARY KEY, story_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS turns (sample INTEGER, rater TEXT, expires REAL NOT NULL, answered INTEGER NOT NULL, PRIMARY KEY (sample, rater));
CREATE TABLE IF NOT EXISTS answers (sample INTEGER, rater TEXT, criterion TEXT, system TEXT, label TEXT, time REAL,
    PRIMARY KEY (sample, rater, criterion));
"""
# samples that this rater has not answered, and that fewer than :raters others have answered or reserved; the one opened last comes first
OPEN = """
SELECT s.sample FROM samples s LEFT JOIN turns own ON own.sample = s.sample AND own.rater = :rater
WHERE NOT COALESCE(own.answered, 0) AND :raters > (
    SELECT COUNT(*) FROM turns t WHERE t.sample = s.sample AND t.rater != :rater AND (t.answered OR t.expires > :now)
) ORDER BY own.expires DESC, s.sample
"""

RESERVED = """
SELECT COUNT(*) FROM turns t JOIN raters r ON r.rater = t.rater
WHERE r.address = :address AND t.rater != :rater AND NOT t.answered AND t.expires > :now
"""


@contextmanager
def transaction(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection with an exclusive transaction, which is committed at the end of the block, or rolled back if it raises."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def open_database(database: Path, settings: dict, story_ids: list[str]) -> None:
    """Create or open the database. Raises SystemExit if it cannot be used, or holds a survey with other settings."""
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            connection.executescript(TABLES)
        with transaction(database) as connection:
            stored = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM settings")}
            if not stored:
                stored = settings
                connection.executemany("INSERT INTO settings VALUES (?, ?)", [(name, json.dumps(value)) for name, value in settings.items()])
                connection.executemany("INSERT INTO samples VALUES (?, ?)", enumerate(story_ids))
                connection.execute("INSERT INTO secret VALUES (?)", (secrets.token_hex(),))
    except (sqlite3.Error, ValueError) as error:
        raise SystemExit(f"--database {database} cannot be used as the database of a survey: {error}") from error
    changed = [f"  {name}: {stored.get(name)!r} → {settings.get(name)!r}" for name in stored | settings if stored.get(name) != settings.get(name)]
    if changed:
        raise SystemExit(f"--database {database} has a survey with other settings; use another file:\n" + "\n".join(changed))


def read_secret(database: Path, seed: int) -> str | int:
    """The database's secret, from which the order of the rows follows; the seed in a database of an older version, whose order it was."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        return (connection.execute("SELECT value FROM secret").fetchone() or (seed,))[0]


def add_rater(database: Path, name: str, address: str) -> str:
    """Store a new rater. Returns the token by which the rater is known."""
    rater = secrets.token_urlsafe(16)
    with transaction(database) as connection:
        connection.execute("INSERT INTO raters VALUES (?, ?, ?)", (rater, name, address))
    return rater


def name_of(database: Path, rater: str) -> str | None:
    """The name that a rater typed; None for a token that is not of this survey."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        return (connection.execute("SELECT name FROM raters WHERE rater = ?", (rater,)).fetchone() or (None,))[0]


def take_turn(
    database: Path, rater: str, raters: int, now: float, seconds: float, address: str = "", reservations: int = 1
) -> tuple[int | None, int, int] | None:
    """Reserve a sample for the rater. Returns its number (None if none is left), the count of samples answered, and the count still available.
    None if other raters at this address have as many `reservations`."""
    with transaction(database) as connection:
        connection.execute("UPDATE raters SET address = ? WHERE rater = ?", (address, rater))
        (reserved,) = connection.execute(RESERVED, {"address": address, "rater": rater, "now": now}).fetchone()
        if reserved >= reservations:
            return None
        available = connection.execute(OPEN, {"rater": rater, "raters": raters, "now": now}).fetchall()
        (done,) = connection.execute("SELECT COUNT(*) FROM turns WHERE rater = ? AND answered", (rater,)).fetchone()
        if available:
            reserve = "INSERT INTO turns VALUES (?, ?, ?, 0) ON CONFLICT (sample, rater) DO UPDATE SET expires = excluded.expires"
            connection.execute(reserve, (available[0][0], rater, now + seconds))
    return available[0][0] if available else None, done, len(available)


def store(database: Path, sample: int, rater: str, raters: int, now: float, chosen: dict[str, tuple[str, str]]) -> str | None:
    """Store a rater's answers to a sample. chosen: criterion → label and system. Returns None, or an error message if nothing was stored."""
    with transaction(database) as connection:
        turn = connection.execute("SELECT answered FROM turns WHERE sample = ? AND rater = ?", (sample, rater)).fetchone()
        if turn is None:
            return "This sample is not assigned to you."
        if turn[0]:
            query = "SELECT criterion, label, system FROM answers WHERE sample = ? AND rater = ?"
            before = {criterion: (label, system) for criterion, label, system in connection.execute(query, (sample, rater))}
            return None if before == chosen else "You have already answered this sample; your first answer is kept."  # None: pressed twice
        if (sample,) not in connection.execute(OPEN, {"rater": rater, "raters": raters, "now": now}).fetchall():
            return "Your reservation has expired and other raters have taken this sample. Your answer was not stored; please continue."
        connection.execute("UPDATE turns SET answered = 1 WHERE sample = ? AND rater = ?", (sample, rater))
        rows = [(sample, rater, criterion, system, label, now) for criterion, (label, system) in chosen.items()]
        connection.executemany("INSERT INTO answers (sample, rater, criterion, system, label, time) VALUES (?, ?, ?, ?, ?, ?)", rows)
    return None


def read_answers(database: Path) -> tuple[dict, list[tuple[str, int, str, str]]]:
    """The settings of the survey, and its answers: criterion, sample, chosen system, rater. Raises SystemExit if the file is not a survey."""
    if not database.exists():
        raise SystemExit(f"--database {database} does not exist; it must be the file of a survey")
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            settings = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM settings")}
            answers = connection.execute("SELECT criterion, sample, system, rater FROM answers").fetchall()
    except (sqlite3.Error, ValueError, TypeError, RecursionError) as error:
        raise SystemExit(f"--database {database} is not a survey: {error}") from error
    systems, criteria = (settings.get(name) for name in ("systems", "criteria"))
    if not (isinstance(systems, list) and isinstance(criteria, list) and all(isinstance(name, str) for name in systems + criteria)):
        raise SystemExit(
            f"--database {database} is not a survey: its systems and criteria are {systems!r} and {criteria!r}; they must be lists of names"
        )
    for criterion, sample, system, rater in answers:
        if criterion not in criteria or system not in systems or not isinstance(sample, int):
            answer = f"{rater!r} chose {system!r} for {criterion!r} of sample {sample!r}"
            raise SystemExit(f"--database {database} has an answer that its survey does not ask for: {answer}")
    return settings, answers
