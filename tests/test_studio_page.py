"""The storyboard's page in a real browser: a short test wherever a Chromium is, and long ones.

pytest tests/test_studio_page.py             # apt-get install chromium; its path may be given in CHROMIUM
pytest tests/test_studio_page.py -m slow     # all of the page, and 20 users for STORY_STUDIO_MINUTES (5)
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, tiny_pipeline
from storyboards import MODEL, picture
from test_studio import STORY, asks

from story_ldm.app import artist as artists
from story_ldm.app import page
from story_ldm.app.studio import Studio

ALONE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def pipe(tokenizer):
    return tiny_pipeline(tokenizer)


@pytest.fixture
def window(tmp_path):
    """A page of a Chromium with an empty profile, which fails the test if it asks another host for anything, or has an error."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium, or give its path in CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=chromium, headless=True, args=[*ALONE], viewport={"width": 1280, "height": 860}
        )
        window = browser.pages[0]
        window.set_default_timeout(300_000)  # where other programs leave little of the CPUs
        wrong: list[str] = []
        window.on("request", lambda request: re.match(r"http://127\.0\.0\.1|data:|blob:", request.url) or wrong.append(request.url))
        window.on("pageerror", lambda error: wrong.append(str(error)))
        yield window
        browser.close()
        assert not wrong, wrong


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sentence(window, n: int):
    return window.get_by_label(f"Sentence {n}", exact=True)


def drawn(window) -> list[str]:
    return window.evaluate("[...document.querySelectorAll('.picture img')].map((one) => one.dataset.digest || '')")


def wait_for_frames(window, count: int) -> None:
    window.wait_for_function(f"document.querySelectorAll('.card.drawn:not(.stale)').length === {count} && !document.querySelector('.busy')")


def test_a_story_on_the_page(tmp_path, pipe, monkeypatch, window):
    """Typed, drawn, changed, drawn again, and there after a reload."""
    pytest.importorskip("gradio")
    monkeypatch.setattr(artists, "open_model", lambda model: pipe)
    board = Studio(tmp_path / "projects", {"tiny": MODEL}, "one key of one user")
    blocks, port = page.page(board), free_port()
    page.launch(blocks, port=port, quiet=True, prevent_thread_lock=True)
    try:
        window.goto(f"http://127.0.0.1:{port}/")
        window.wait_for_selector(".studio.ready")
        for n, text in enumerate(STORY, 1):
            window.wait_for_function(f"document.activeElement.ariaLabel === 'Sentence {n}'")
            window.keyboard.type(text)
            if n < len(STORY):
                window.keyboard.press("Enter")
        (project,) = board.ask({"do": "list", "key": board.key})["projects"]
        asks(board, "settings", board.key, project=project["id"], settings={"steps": 2})
        window.keyboard.press("Control+Enter")
        wait_for_frames(window, 3)
        before = drawn(window)
        sentence(window, 3).fill("Mia jumps.")
        window.wait_for_selector(".card.stale")
        window.get_by_role("button", name="Redraw this frame and all after it").nth(2).click()
        wait_for_frames(window, 3)
        after = drawn(window)
        assert after[:2] == before[:2] and after[2] != before[2]
        window.reload()
        window.wait_for_selector(".studio.ready")
        window.wait_for_function("document.querySelectorAll('.picture img[src]').length === 3")
        assert drawn(window) == after and sentence(window, 3).input_value() == "Mia jumps."
        sentence(window, 3).fill("Mia dances.")
        window.reload()  # at once, before it was sent
        window.wait_for_selector(".card.stale")
        assert sentence(window, 3).input_value() == "Mia dances."
    finally:
        blocks.close()


class Server:
    """`story-ldm studio` in a process of its own, with a tiny model that draws many steps."""

    def __init__(self, folder: Path, model: Path, *options: str):
        self.port, self.command = free_port(), ["studio", str(model), "--folder", str(folder), *options]
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-c", "from story_ldm.cli import main; main()", *self.command, "--port", str(self.port)]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert "The storyboard is at" in self.process.stdout.readline()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path, pipe):
    pytest.importorskip("gradio")
    pipe.save_pretrained(tmp_path / "tiny")
    server = Server(tmp_path / "projects", tmp_path / "tiny")
    yield server
    server.kill()


def write(window, sentences: list[str]) -> None:
    sentence(window, 1).fill(sentences[0])
    for n in range(1, len(sentences)):
        window.get_by_role("button", name="Add a sentence").click()
        sentence(window, n + 1).fill(sentences[n])


def set_steps(window, steps: int) -> None:
    window.get_by_role("button", name="Model and settings").click()
    window.get_by_label("Steps").fill(str(steps))
    window.keyboard.press("Tab")
    window.keyboard.press("Escape")


def test_what_the_server_refuses(tmp_path, pipe, monkeypatch):
    """Names of others that lead here, files by their path, and requests without the password."""
    pytest.importorskip("gradio")
    httpx = pytest.importorskip("httpx")  # Gradio's
    monkeypatch.setattr(artists, "open_model", lambda model: pipe)
    board = Studio(tmp_path / "projects", {"tiny": MODEL}, page.own_key(tmp_path / "projects"))
    port = free_port()
    blocks = page.page(board)
    page.launch(blocks, port=port, quiet=True, prevent_thread_lock=True, auth=lambda name, given: given == "right")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            question = {"data": {"do": "list", "key": board.key}, "component_id": 1, "fn_name": "ask", "session_hash": "x"}
            assert client.get("/", headers={"host": "evil.example"}).status_code == 400
            assert client.post("/gradio_api/component_server", json=question).status_code == 401
            assert board.key not in client.get("/").text
            assert client.post("/login", data={"username": "me", "password": "wrong"}).status_code == 400
            assert client.post("/login", data={"username": "me", "password": "right"}).status_code == 200
            assert client.get(f"/gradio_api/file={tmp_path}/projects/.key").status_code in (403, 404)
            page_of = client.get("/").text
            assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//(?!127)", page_of), "nothing is loaded from other hosts"
    finally:
        blocks.close()


@pytest.mark.slow
def test_all_of_the_page(server, window, tmp_path):
    """One of four versions, a picture of one's own, undo, stop, every form to save in, and a server that is killed during frame 4."""
    address = f"http://127.0.0.1:{server.port}/"
    window.goto(address)
    window.wait_for_selector(".studio.ready")
    write(window, [*STORY, "Bruno jumps.", "They wave."])
    set_steps(window, 2)
    window.get_by_role("button", name="Draw what is missing").click()
    wait_for_frames(window, 5)
    before = drawn(window)
    window.locator(".card").nth(4).get_by_role("button", name="Another version").click()
    window.wait_for_function("document.querySelectorAll('.version:not(.waiting) img[src]').length === 5")
    window.keyboard.press("4")
    window.wait_for_selector("dialog", state="detached")
    window.wait_for_function(f"document.querySelectorAll('.picture img')[4].dataset.digest !== '{before[4]}'")
    assert drawn(window)[:4] == before[:4]
    drop = """async ([selector, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "mine.png", { type: "image/png" }));
        document.querySelectorAll(selector)[0].dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }"""
    window.evaluate(drop, [".card", list(picture("green", (64, 64)))])
    window.wait_for_function("document.querySelectorAll('.card')[0].querySelector('.badge').textContent === 'your picture'")
    assert window.locator(".card.stale").count() == 4
    window.get_by_role("button", name="Undo").click()
    window.wait_for_function(f"document.querySelectorAll('.picture img')[0].dataset.digest === '{before[0]}'")
    window.get_by_role("button", name="Save as").click()
    opened = {"pdf": b"%PDF", "cbz": b"PK", "gif": b"GIF8", "png": b"\x89PNG", "zip": b"PK"}
    for label in ("Picture strip", "Single frames", "Comic pages", "Comic book", "Animation", "Training data", "This story"):
        window.get_by_label(label).check()
        with window.expect_download() as download:
            window.locator("dialog").get_by_role("button", name="Save", exact=True).click()
        content = Path(download.value.path()).read_bytes()
        assert content.startswith(opened[download.value.suggested_filename.rpartition(".")[2]]), label
        if content.startswith(b"PK"):
            assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    window.keyboard.press("Escape")

    set_steps(window, 500)
    window.get_by_role("button", name="Draw what is missing").click()
    window.wait_for_function("/step [1-9]/.test(document.querySelector('.said').textContent)")
    started = time.monotonic()
    window.get_by_role("button", name="Stop drawing").click()
    window.wait_for_function("!document.querySelector('.busy')")
    assert time.monotonic() - started < 20 and drawn(window)[0] == before[0]

    set_steps(window, 30)
    window.get_by_role("button", name="Draw what is missing").click()
    window.wait_for_function("document.querySelectorAll('.card')[3].classList.contains('drawing')")
    server.kill()
    kept = drawn(window)[:3]
    sentence(window, 5).fill("Written while there is no server.")
    window.wait_for_selector(".studio.offline")
    server.start()
    window.goto(address)
    window.wait_for_selector(".studio.ready:not(.offline)")
    window.wait_for_function("document.querySelectorAll('.card').length === 5")
    window.wait_for_function("Object.keys(localStorage).every((name) => !name.includes('draft'))")
    window.reload()
    window.wait_for_selector(".studio.ready")
    assert drawn(window)[:3] == kept and sentence(window, 5).input_value() == "Written while there is no server."
    window.get_by_role("button", name="Draw what is missing").click()
    wait_for_frames(window, 5)
    assert drawn(window)[:3] == kept


@pytest.mark.slow
def test_twenty_users_at_once(tmp_path, pipe):
    """Each has stories of their own, nothing of which is lost, and the server's memory stays level."""
    import psutil

    pytest.importorskip("gradio")
    httpx = pytest.importorskip("httpx")  # Gradio's
    pipe.save_pretrained(tmp_path / "tiny")
    server = Server(tmp_path / "projects", tmp_path / "tiny", "--users", "many")
    minutes = float(os.environ.get("STORY_STUDIO_MINUTES", 5))
    end, memory, wrong = time.monotonic() + 60 * minutes, [], []
    config = httpx.get(f"http://127.0.0.1:{server.port}/config", timeout=60).json()
    component = next(one["id"] for one in config["components"] if one["type"] == "html")

    def user(n: int) -> None:
        draw, written = random.Random(n), []

        def call(do: str, **question):
            body = {
                "data": {"do": do, "key": f"the key of user {n:04}", **question},
                "component_id": component,
                "fn_name": "ask",
                "session_hash": str(n),
            }
            reply = httpx.post(f"http://127.0.0.1:{server.port}{config['api_prefix']}/component_server", json=body, timeout=120)
            return reply.json()

        try:
            project = call("create")["project"]
            call("settings", project=project, settings={"steps": 1})
            while time.monotonic() < end:
                written.append(f"Sentence {len(written)} of user {n}.")
                call("add", project=project, sentences=[written[-1]]) if len(written) < 20 else time.sleep(0.5)
                if draw.random() < 0.1:
                    call("draw", project=project)
                frames = call("view", project=project)["story"]["frames"]
                assert [frame["sentence"] for frame in frames][1:] == written[:19][: len(frames) - 1]
                assert [row["id"] for row in call("list")["projects"]] == [project]
                time.sleep(0.2)
        except BaseException as error:
            wrong.append(f"user {n}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=user, args=(n,)) for n in range(20)]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.append(psutil.Process(server.process.pid).memory_info().rss)
            time.sleep(1)
    finally:
        server.kill()
    assert not wrong, wrong[:3]
    assert len(list((tmp_path / "projects").glob("[0-9a-f]*/[0-9a-f]*"))) == 20
    half = len(memory) // 2
    assert max(memory[half:]) < 1.15 * max(memory[: half + 1]), "memory grows"
