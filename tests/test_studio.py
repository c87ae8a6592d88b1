"""The storyboard's answers to its page; the page itself is in test_studio_page.py.

pytest tests/test_studio.py
"""

from __future__ import annotations

import asyncio
import base64
import io
import random
import re
import runpy
import sys

import pytest
from conftest import ROOT, tiny_pipeline
from PIL import Image
from storyboards import KEY, MODEL, OTHER, picture

from story_ldm import cli
from story_ldm.app import artist as artists
from story_ldm.app import page, studio
from story_ldm.app.studio import Studio

STORY = ["Bruno waves.", "He sits.", "Mia sits."]


@pytest.fixture(scope="module")
def pipe(tokenizer):
    return tiny_pipeline(tokenizer)


@pytest.fixture
def board(tmp_path, pipe, monkeypatch) -> Studio:
    monkeypatch.setattr(artists, "open_model", lambda model: pipe)
    return Studio(tmp_path / "projects", {"tiny": MODEL})


def asks(board: Studio, do: str, key: str = KEY, **question) -> dict:
    answer = board.ask({"do": do, "key": key, **question})
    assert "error" not in answer, answer["error"]
    return answer


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


# --- answers -------------------------------------------------------------------------------------------------------------------------------


def test_a_story_is_written_drawn_changed_and_saved(board):
    project = asks(board, "create")["project"]
    first = asks(board, "view", project=project)["story"]["frames"][0]["id"]
    asks(board, "sentence", project=project, frame=first, sentence=STORY[0])
    added = asks(board, "add", project=project, sentences=STORY[1:], after=first)["added"]
    asks(board, "settings", project=project, settings={"steps": 2})
    assert asks(board, "draw", project=project)["jobs"][0]["kind"] == "draw"
    assert board.artist.idle(60)
    view = asks(board, "view", project=project)
    before = [frame["drawn"]["picture"] for frame in view["story"]["frames"]]
    assert "story" not in asks(board, "view", project=project, seen=view["change"]), "what the page has seen is not sent again"
    with Image.open(io.BytesIO(base64.b64decode(asks(board, "picture", project=project, picture=before[0])["content"]))) as shown:
        assert shown.format == "PNG"
    asks(board, "redraw", project=project, frame=added[0])
    assert board.artist.idle(60)
    frames = asks(board, "view", project=project)["story"]["frames"]
    after = [frame["drawn"]["picture"] for frame in frames]
    assert after[0] == before[0] and after[1] != before[1] and after[2] != before[2], "nothing had changed: another seed"
    assert [frame["changed"] for frame in frames] == [[], [], []]
    code = asks(board, "code", project=project)
    assert "--seeds" in code["command"] and "num_inference_steps=2" in code["python"]
    assert base64.b64decode(asks(board, "export", project=project, kind="pdf")["content"]).startswith(b"%PDF")
    assert asks(board, "undo", project=project)["redo"]
    asks(board, "own", project=project, frame=first, content=base64_of(picture()))
    assert "a picture of your own" in board.ask({"do": "redraw", "key": KEY, "project": project, "frame": first})["error"]
    asks(board, "lock", project=project, frame=added[0], locked=True)
    assert "Frame 2 is locked" in board.ask({"do": "redraw", "key": KEY, "project": project, "frame": added[0]})["error"]


def test_stories_of_others_are_not_there(board):
    project = asks(board, "create")["project"]
    for do in studio.ANSWERS:
        if do not in ("hello", "list", "create", "import", "example"):
            answer = board.ask({"do": do, "key": OTHER, "project": project, "content": "", "settings": {}, "kind": "project"})
            assert answer == {"error": "there is no such story, or it is not yours"}, do
    assert asks(board, "list", OTHER)["projects"] == [] and len(asks(board, "list")["projects"]) == 1


def test_one_user_has_the_key_of_the_page(tmp_path, monkeypatch):
    board = Studio(tmp_path, {"tiny": MODEL}, page.own_key(tmp_path))
    assert page.own_key(tmp_path) == board.key and (tmp_path / ".key").stat().st_mode & 0o77 == 0
    assert "of an earlier start" in board.ask({"do": "list", "key": KEY})["error"]
    assert board.ask({"do": "list", "key": board.key}) == {"projects": []}


HOSTILE = [
    "../../etc/passwd",
    "\0",
    "\ud800",
    "a" * 5000,
    "${7*7}{{7*7}}",
    "<script>alert(1)</script>",
    "'; DROP TABLE",
    "/dev/zero",
    "\u202e..",
    "C:\\x",
]
VALUES = [*HOSTILE, None, -1, 2**70, float("nan"), float("inf"), True, [], {}, [[]], {"a": 1}, [None], ["x"] * 300, b"x"]


def test_hostile_questions_have_one_line_of_answer_and_write_no_file_elsewhere(board, tmp_path):
    """500 of them: wrong values for every field, and uploads that are no pictures and no stories."""
    draw = random.Random(0)
    project = asks(board, "create")["project"]
    first = asks(board, "view", project=project)["story"]["frames"][0]["id"]
    fields = ("frame", "sentence", "seed", "locked", "to", "picture", "content", "sentences", "after", "settings", "title", "kind", "options", "seen")
    outside = sorted(path for path in tmp_path.rglob("*") if "projects" not in path.parts)
    for _ in range(500):
        do = draw.choice([do for do in studio.ANSWERS if do not in ("example", "delete")])
        question = {name: draw.choice(VALUES) for name in draw.sample(fields, 5)}
        question |= {"frame": first} if draw.random() < 0.6 else {}
        question |= {"content": base64_of(draw.randbytes(200))} if draw.random() < 0.2 else {}
        question |= {"project": project if draw.random() < 0.8 else draw.choice(VALUES)}
        answer = board.ask({"do": do, "key": KEY, **question})
        assert "server's log" not in answer.get("error", ""), question
        assert isinstance(answer, dict) and "\n" not in answer.get("error", "") and str(tmp_path) not in answer.get("error", ""), answer
    for question in (None, [], "x", {}, {"do": "nothing"}, {"do": []}, {"do": "list", "key": 3}):
        assert "server's log" not in board.ask(question)["error"]
    assert sorted(path for path in tmp_path.rglob("*") if "projects" not in path.parts) == outside
    assert {path.name for path in (tmp_path / "projects").iterdir()} == {path.parent.name for path in (tmp_path / "projects").glob("*/*")}
    assert asks(board, "view", project=project)["story"], "the story is still whole"


def test_the_space_is_for_many_users(tmp_path, monkeypatch):
    served = []
    monkeypatch.setattr(page, "serve", lambda *words, **options: served.append((words, options)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELS", "one two")
    runpy.run_path(str(ROOT / "examples" / "space" / "app.py"))
    ((_, models), options) = served[0]
    assert models == ["one", "two"] and options == {"host": "0.0.0.0", "port": 7860, "users": "many", "password": None}


def test_the_command_says_what_is_missing_before_it_starts(tmp_path, monkeypatch, capsys):
    def story_ldm(*words) -> str:
        monkeypatch.setattr(sys, "argv", ["story-ldm", "studio", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 2 and not (tmp_path / "stories").exists()
        return capsys.readouterr().err

    assert f"{tmp_path} is no model to draw with" in story_ldm(tmp_path, "--folder", tmp_path / "stories")
    assert "--port is 0; it must be from 1 to 65,535" in story_ldm("--port", 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 'pip install "story-ldm[studio]"' in story_ldm()


def test_too_large_requests_are_not_read():
    def answered(length: str | None, *parts: bytes) -> tuple[list[dict], list[dict]]:
        sent, read = [], []
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]

        async def app(scope, receive, send):
            for _ in parts:
                read.append(await receive())

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        headers = [] if length is None else [(b"content-length", length.encode())]
        asyncio.run(page.BodyLimit(app, 10)({"type": "http", "headers": headers}, receive, send))
        return sent, read

    for length in ("11", "-1", "x"):
        sent, read = answered(length, b"a" * 11)
        assert sent[0]["status"] == 413 and not read, length
    sent, read = answered("10", b"a" * 10)
    assert not sent and read[0]["body"] == b"a" * 10
    sent, read = answered(None, b"a" * 6, b"a" * 6)
    assert [message["type"] for message in read] == ["http.request", "http.disconnect"], "of unknown length"


def test_the_page_names_no_other_host():
    for file in page.BOARD.iterdir():
        hosts = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text(encoding="utf-8")))
        assert hosts <= {"http://www.w3.org"}, file.name
