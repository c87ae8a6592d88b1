"""The survey: blind, never too many raters a sample, nothing wrong stored, and counted right; in a real browser, too.

pytest tests/test_survey.py
pytest tests/test_survey.py -m slow     # needs selenium, and Debian's chromium and chromium-driver (or their paths in CHROMIUM, CHROMEDRIVER)

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from html import escape
from io import BytesIO
from itertools import product
from pathlib import Path
from threading import Thread

import datasets
import numpy as np
import pytest
from conftest import ROOT
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as Pictures
from PIL.PngImagePlugin import PngInfo

from story_ldm.app import survey
from story_ldm.data.toonstories import story_row

SYSTEMS = ("zebra-net", "okapi-net", "quagga-net")
FEATURES = Features(story_id=Value("string"), frames=List(Image()), sentences=List(Value("string")))
STORIES = 4
TOKENS: dict[tuple[Path, str], str] = {}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


def told(story: int, position: int) -> str:
    return f'<b onclick="alert({story})">{{{{ 7 * 7 }}}}</b> & "{position}"'


def png(system: int, story: int, position: int) -> dict:
    """One colour, which tells what it is, with a note in the file that no rater may see."""
    color = [60 * story, 60 * story, 60 * story]
    color[system] = 250 - position
    note, file = PngInfo(), BytesIO()
    note.add_text("Software", SYSTEMS[system])
    Pictures.new("RGB", (8, 8), tuple(color)).save(file, format="PNG", pnginfo=note)
    return {"bytes": file.getvalue(), "path": None}


def rows(system: int) -> list[dict]:
    """Stories of 2 and 3 frames."""
    length = [2 + story % 2 for story in range(STORIES)]
    return [
        {
            "story_id": f"story-{story}",
            "frames": [png(system, story, m) for m in range(length[story])],
            "sentences": [told(story, m) for m in range(length[story])],
        }
        for story in range(STORIES)
    ]


def written(folder: Path, stories: list[dict]) -> Path:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    Dataset.from_list(stories, features=FEATURES).to_parquet(folder / "data" / "test-00000.parquet")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[str]:
    return [f"{name}={written(tmp_path_factory.mktemp(name), rows(k))}" for k, name in enumerate(SYSTEMS)]


@pytest.fixture
def settings(folders, tmp_path):
    return survey.Settings(database=tmp_path / "survey.sqlite", systems=tuple(folders), size=8, samples=STORIES, raters=2)


def opened(s, clock=lambda: 1000.0):
    """A client of the survey, and the survey."""
    asked = survey.read_survey(s)
    survey.open_database(s.database, asked.settings, asked.story_ids)
    app = survey.survey_app(asked, s.database, s.minutes, s.reservations, clock)
    app.config["DATABASE"] = s.database
    return app.test_client(), asked


def token(client, name: str) -> str:
    """The token of a rater, who starts under a name once."""
    key = client.application.config["DATABASE"], name
    if key not in TOKENS:
        TOKENS[key] = client.post("/", data={"name": name}).headers["Location"].partition("?rater=")[2]
    return TOKENS[key]


def page(client, rater: str) -> str:
    return client.get("/rate", query_string={"rater": token(client, rater)}).text


def sample_on(html: str) -> int | None:
    found = re.search(r'name="sample" value="(\d+)"', html)
    return int(found[1]) if found else None


def post(client, rater: str | None, sample, **changes):
    """An answer, of which `changes` replace (or, by None, take away) parts."""
    form = {"sample": sample, "visual quality": "A", "alignment": "B", "consistency": "C"} | {n.replace("_", " "): v for n, v in changes.items()}
    return client.post(
        "/rate", query_string={} if rater is None else {"rater": token(client, rater)}, data={n: v for n, v in form.items() if v is not None}
    )


def rate_all(client, rater: str) -> list[int]:
    """The samples that the rater was given, until nothing is left."""
    given = []
    while (sample := sample_on(page(client, rater))) is not None:
        given.append(sample)
        assert post(client, rater, sample).status_code == 303
    return given


def stored(database: Path, query: str = "SELECT sample, rater, criterion, system, label FROM answers") -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_nothing_that_a_rater_receives_tells_the_system(settings):
    client, asked = opened(replace(settings, raters=3))
    replies, orders = [client.get("/")], {}
    for rater in ("ann", "bob", "c & d"):
        while (sample := sample_on((reply := client.get("/rate", query_string={"rater": token(client, rater)})).text)) is not None:
            story = int(asked.story_ids[sample][-1])
            assert all(escape(told(story, m)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in reply.text for m in range(2 + story % 2))
            assert "<b onclick" not in reply.text and "49" not in re.sub(r"<style>.*</style>", "", reply.text, flags=re.S)
            addresses = re.findall(r'<img src="([^"]+)"', reply.text)
            pictures = [client.get(address.replace("&amp;", "&")) for address in addresses]
            seen = [Pictures.open(BytesIO(p.data)).getpixel((3, 3)) for p in pictures]
            order = [int(np.argmax(color)) for color in seen[:: 2 + story % 2]]
            assert sorted(order) == [0, 1, 2], "every system has a row"
            wanted = [Pictures.open(BytesIO(png(k, story, m)["bytes"])).getpixel((3, 3)) for k in order for m in range(2 + story % 2)]
            assert seen == wanted, "the row's own frames in their order"
            orders[rater, sample] = tuple(order)
            replies += [reply, *pictures, post(client, rater, sample, alignment="D"), post(client, rater, sample)]
            assert dict(zip("ABC", (SYSTEMS[k] for k in order))) == asked.shown(sample, token(client, rater))
        replies.append(reply)
    replies += [client.get("/nothing"), client.get(f"/picture/0/zebra-net/0.png?rater={token(client, 'ann')}")]
    secrets = [*SYSTEMS, *(text.partition("=")[2] for text in settings.systems)]
    sent = [reply.data + str(reply.headers).encode() for reply in replies]
    assert not [(name, reply) for name in secrets for reply in sent if name.encode() in reply]
    assert len({orders["ann", n] for n in range(STORIES)}) > 1, "the order differs between samples"
    assert any(orders["ann", n] != orders["bob", n] for n in range(STORIES)), "and between raters"
    names = dict(stored(settings.database, "SELECT rater, name FROM raters"))
    for sample, rater, criterion, system, label in stored(settings.database):
        chosen = {"visual quality": 0, "alignment": 1, "consistency": 2}[criterion]
        assert label == "ABC"[chosen] and system == SYSTEMS[orders[names[rater], sample][chosen]]
    first = Counter(asked.shown(sample, f"rater {n}")["A"] for n in range(100) for sample in range(3))
    assert all(70 < count < 130 for count in first.values()) and len(first) == 3


def test_stories_are_drawn_by_the_seed_alone(settings, tmp_path):
    turned = [f"{name}={written(tmp_path / name, rows(k)[::-1])}" for k, name in enumerate(SYSTEMS)]
    asked, same = (survey.read_survey(replace(settings, samples=2, systems=tuple(systems))) for systems in (settings.systems, turned))
    assert same == asked and len(asked.story_ids) == 2
    drawn = {tuple(survey.read_survey(replace(settings, samples=2, seed=seed)).story_ids) for seed in range(6)}
    assert len(drawn) > 1


def test_a_sample_goes_to_so_many_raters_also_at_once(settings):
    client, _ = opened(settings)
    given = {f"rater {n}": [] for n in range(12)}

    def rate(rater: str) -> None:
        given[rater] += rate_all(client.application.test_client(), rater)

    threads = [Thread(target=rate, args=(rater,)) for rater in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(n for mine in given.values() for n in mine) == dict.fromkeys(range(STORIES), 2)
    assert all(len(set(mine)) == len(mine) for mine in given.values())
    assert Counter(row[0] for row in stored(settings.database)) == dict.fromkeys(range(STORIES), 2 * 3)
    assert Counter(row[0] for row in stored(settings.database, "SELECT sample FROM turns")) == dict.fromkeys(range(STORIES), 2)


def test_a_reservation_expires(settings):
    now = [0.0]
    client, _ = opened(replace(settings, samples=1, raters=1), lambda: now[0])
    assert sample_on(page(client, "ann")) == 0 and "Thank you" in page(client, "bob")
    now[0] += 29 * 60
    assert sample_on(page(client, "ann")) == 0, "looked at again, it is reserved anew"
    now[0] += 29 * 60
    assert sample_on(page(client, "bob")) is None
    now[0] += 2 * 60
    assert sample_on(page(client, "bob")) == 0
    late = post(client, "ann", 0)
    assert late.status_code == 400 and "other raters have taken this sample" in late.text and not stored(settings.database)
    now[0] += 31 * 60
    assert post(client, "bob", 0).status_code == 303, "late, but nobody took it"
    assert {row[1] for row in stored(settings.database)} == {token(client, "bob")}
    assert post(client, "ann", 0).status_code == 400 and len(stored(settings.database)) == 3


def test_a_rater_goes_on_where_he_stopped(settings):
    client, _ = opened(settings)
    first = sample_on(page(client, "Ann B"))
    assert sample_on(page(client, "Ann B")) == first and "1 of 4" in page(client, "Ann B")
    post(client, "Ann B", first)
    second = sample_on(page(client, "Ann B"))
    client, _ = opened(settings)  # started again
    html = page(client, "Ann B")
    assert sample_on(html) == second != first and "2 of 4" in html
    assert sorted([first, *rate_all(client, "Ann B")]) == list(range(STORIES))
    assert "You answered 4 samples" in page(client, "Ann B")


def test_a_rater_is_a_token_and_the_name_a_label(settings):
    """Who knows a name, which raters may tell each other, can neither see nor give the answers of that rater."""
    client, _ = opened(settings)
    sample = sample_on(page(client, "ann"))
    assert "<span>ann</span>" in page(client, "ann")
    for guess in ("ann", "", "0" * 22, token(client, "ann").swapcase()):
        assert client.get("/rate", query_string={"rater": guess}).status_code == 400
        assert client.get(f"/picture/{sample}/A/0.png", query_string={"rater": guess}).status_code == 400
    again = [client.post("/", data={"name": "ann"}).headers["Location"] for _ in range(20)]
    assert len({*again, f"/rate?rater={token(client, 'ann')}"}) == 21 and all(len(address) > 30 for address in again)
    assert {name for (name,) in stored(settings.database, "SELECT name FROM raters")} == {"ann"}
    for name in ("", " ", "x" * 61, "a\x00b"):
        reply = client.post("/", data={"name": name})
        assert reply.status_code == 400 and "Please enter your name" in reply.text
    hostile = client.post("/", data={"name": "<i>{{ 7 * 7 }}</i>"}).headers["Location"]
    assert "<span>&lt;i&gt;{{ 7 * 7 }}&lt;/i&gt;</span>" in client.get(hostile).text


def test_an_address_reserves_so_many_samples_at_once(settings):
    now = [0.0]
    client, _ = opened(replace(settings, reservations=3), lambda: now[0])

    def status(rater: str, address: str = "10.0.0.1") -> int:
        return client.get("/rate", query_string={"rater": token(client, rater)}, environ_base={"REMOTE_ADDR": address}).status_code

    assert [status(rater) for rater in ("ann", "bob", "cleo", "dan")] == [200, 200, 200, 429]
    assert status("ann") == 200, "goes on with the reserved sample"
    assert status("dan", "10.0.0.2") == 200 and status("dan") == 429, "wherever he began"
    assert post(client, "ann", sample_on(page(client, "ann"))).status_code == 303
    assert status("dan") == 200, "an answered sample is not reserved"
    now[0] += 31 * 60
    assert [status(rater) for rater in ("eve", "fay", "gus", "hal")] == [200, 200, 200, 429]
    columns = str(stored(settings.database, "SELECT * FROM raters"))
    assert "10.0.0" not in columns, "addresses are not stored"


def test_the_button_pressed_twice_stores_once(settings):
    client, _ = opened(settings)
    sample = sample_on(page(client, "ann"))
    assert [post(client, "ann", sample).status_code for _ in range(2)] == [303, 303]
    changed = post(client, "ann", sample, alignment="C")
    assert changed.status_code == 400 and "first answer is kept" in changed.text
    assert [row[4] for row in stored(settings.database)] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"alignment": None}, "choose one row for alignment; you chose none"),
        ({"consistency": ["A", "B"]}, "choose one row for consistency; you chose 2"),
        ({"beauty": "A"}, "“beauty” is not a question; the questions are visual quality, alignment, consistency"),
        ({"alignment": "D"}, "no row “D” to choose for alignment; the rows are A, B, C"),
        ({"alignment": "AB"}, "no row “AB”"),
        ({"alignment": ""}, "no row “”"),
        ({"visual_quality": "zebra-net"}, "no row “zebra-net”"),
        ({"alignment": "<i>"}, "no row “&lt;i&gt;”"),
        ({"sample": "3"}, "not assigned to you"),
        ({"sample": "99"}, "This sample does not exist"),
        ({"sample": "-1"}, "This sample does not exist"),
        ({"sample": "one"}, "This sample does not exist"),
        ({"sample": ["0", "1"]}, "This sample does not exist"),
        ({"sample": None}, "This sample does not exist"),
        ({"rater": None}, "not the address of a rater"),
        ({"rater": "bob"}, "not assigned to you"),
    ],
)
def test_bad_answers_are_refused_and_not_stored(settings, changes, says):
    client, _ = opened(settings)
    sample = sample_on(page(client, "ann"))
    assert sample == 0
    reply = post(client, **{"rater": "ann", "sample": sample} | changes)
    assert reply.status_code == 400 and says in reply.text
    assert not stored(settings.database) and stored(settings.database, "SELECT answered FROM turns") == [(0,)]


def test_other_bad_requests(settings):
    client, _ = opened(settings)
    page(client, "ann")
    for address in ("99/A/0", "0/D/0", "0/A/9", "0/A/x", f"{10**30}/A/0"):
        assert client.get(f"/picture/{address}.png?rater={token(client, 'ann')}").status_code == 404
    assert client.get("/rate").status_code == client.get("/picture/0/A/0.png").status_code == 400
    assert post(client, "ann", 0, alignment="A" * 10**6).status_code == 413 and not stored(settings.database)


def test_another_survey_is_kept_out_of_the_database(settings, tmp_path):
    opened(settings), opened(replace(settings, minutes=5))
    other = written(tmp_path / "other", [row | {"frames": row["frames"][::-1]} for row in rows(2)])
    for changes, says in (
        ({"seed": 1}, "seed: 0 → 1"),
        ({"raters": 3}, "raters: 2 → 3"),
        ({"samples": 3}, "samples: 4 → 3"),
        ({"systems": settings.systems[:2]}, "frames of quagga-net: .* → None"),
        ({"systems": (*settings.systems[:2], f"quagga-net={other}")}, "frames of quagga-net: "),
    ):
        with pytest.raises(SystemExit, match="other settings; use another file:\n(.*\n)*.*" + says):
            opened(replace(settings, **changes))
    (tmp_path / "notes.txt").write_text("no database at all, " * 100)
    with pytest.raises(SystemExit, match="cannot be used as the database"):
        opened(replace(settings, database=tmp_path / "notes.txt"))


def test_unequal_systems_are_refused_before_anything_is_served(settings, tmp_path):
    def said(k: int = 2, stories: list[dict] | None = None, **changes) -> str:
        systems = list(settings.systems)
        if stories is not None:
            systems[k] = f"{SYSTEMS[k]}={written(tmp_path / str(len(list(tmp_path.iterdir()))), stories)}"
        with pytest.raises(SystemExit) as refused:
            survey.main(replace(settings, **{"systems": tuple(systems)} | changes))
        return str(refused.value)

    short = rows(2)
    short[1] |= {"frames": short[1]["frames"][:2]}
    assert "story story-1 has 3 sentences and 2 frames; there must be one per sentence" in said(2, short)
    assert "system quagga-net lacks story story-3, which zebra-net has" in said(2, rows(2)[:3])
    assert "story story-0 occurs twice" in said(1, [*rows(1), rows(1)[0]])
    assert "--samples is 5, but system zebra-net has only 4 stories of test" in said(samples=5)
    assert "system zebra-net: " in said(split="val") and "has no val-*.parquet" in said(split="val")
    assert "NAME=DIR of 2 to 26 systems" in said(systems=settings.systems[:1])
    assert "NAME=DIR of 2 to 26 systems" in said(systems=("a=b", "a=c")) and "--systems is a b;" in said(systems=("a", "b"))
    assert "--systems is 'a/b'; it must be a name" in said(systems=("a/b=c", "d=e"))
    assert "--raters 0" in said(raters=0)
    assert not settings.database.exists()


def answered(database: Path, choices: dict[str, list[str]]) -> Path:
    """A database in which rater r chose choices[criterion][sample][r]."""
    asked = {"systems": ["a", "b"], "criteria": list(choices), "samples": 4, "seed": 0}
    survey.open_database(database, asked, [f"story-{n}" for n in range(4)])
    lines = [(n, f"rater {r}", criterion, k, "A", 0.0) for criterion, of in choices.items() for n, row in enumerate(of) for r, k in enumerate(row)]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)", lines)
    return database


def test_tally_counts_as_by_hand(tmp_path, capsys):
    choices = {"visual quality": ["aaa", "aab", "abb", "aaa"], "alignment": ["bbb"] * 4, "consistency": ["ab", "a", "a", "b"]}
    database = answered(tmp_path / "survey.sqlite", choices)
    survey.main(survey.Settings(database=database, tally=True, output=tmp_path / "tally.json", resamples=4000))
    result = json.loads((tmp_path / "tally.json").read_text())
    quality, alignment, consistency = result["criteria"].values()
    assert {name: (x["value"], x["count"]) for name, x in quality["systems"].items()} == {"a": (9 / 12, 12), "b": (3 / 12, 12)}
    assert quality["agreement"] == pytest.approx((1 + 1 / 3 + 1 / 3 + 1) / 4)
    assert quality["kappa"] == pytest.approx((2 / 3 - (0.75**2 + 0.25**2)) / (1 - (0.75**2 + 0.25**2)))
    every = np.percentile([np.mean(of) for of in product([1, 2 / 3, 1 / 3, 1], repeat=4)], [2.5, 97.5])  # all 4⁴ resamples
    assert [quality["systems"]["a"][end] for end in ("low", "high")] == pytest.approx(every, abs=0.05)
    assert alignment["systems"]["b"] == {"value": 1, "low": 1, "high": 1, "count": 12}
    assert alignment["agreement"] == 1 and alignment["kappa"] is None, "without a second choice kappa is undefined"
    assert consistency["systems"]["a"]["value"] == 3 / 5 and consistency["answers"] == 5
    assert consistency["agreement"] == 0 and consistency["kappa"] == -1, "of the one sample with two raters"
    table = capsys.readouterr().out
    assert "| visual quality | 75.00 (" in table and "| 12 | 0.11 | 66.7 % |" in table and "| 12 | – | 100.0 % |" in table
    assert "4 of 4 samples answered, by 3 raters" in table


def test_kappa_of_the_textbook():
    """Fleiss 1971, as in every textbook's example: 14 raters, 10 subjects, 5 categories."""
    rows = "0,0,0,0,14 0,2,6,4,2 0,0,3,5,6 0,3,9,2,0 2,2,8,1,1 7,7,0,0,0 3,2,6,3,0 2,5,3,2,2 6,5,2,1,0 0,2,2,3,7"
    found = survey.agreement(np.array([[int(n) for n in row.split(",")] for row in rows.split()]))
    assert found == pytest.approx({"agreement": 0.378, "kappa": 0.210}, abs=5e-4)


def test_tally_refuses(tmp_path):
    with pytest.raises(SystemExit, match="does not exist"):
        survey.tally(tmp_path / "none.sqlite")
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit, match="has no answers yet"):
        survey.tally(answered(tmp_path / "empty.sqlite", {}))
    (tmp_path / "notes.txt").write_text("no database at all, " * 100)
    with pytest.raises(SystemExit, match="is not a survey"):
        survey.tally(tmp_path / "notes.txt")


# --- in a browser ------------------------------------------------------------------------------------------------------------------------


def program(variable: str, *names: str) -> str:
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    assert found and Path(found).exists(), f"no {names[0]}: apt-get install chromium chromium-driver, or give its path in {variable}"
    return found


@pytest.fixture
def browser(tmp_path):
    chromium = program("CHROMIUM", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    driver = program("CHROMEDRIVER", "chromedriver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    alone = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", "--no-first-run")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", *alone):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(options, webdriver.ChromeService(driver))
    window.implicitly_wait(10)
    yield window
    window.quit()


@pytest.fixture
def address(tmp_path):
    """Three systems on the built-in world: the truth, one that blurs, one that forgets; 3 samples, one rater each."""
    stories = [{name: row[name] for name in FEATURES} for row in (story_row(0, "test", n, 64) for n in range(3))]
    drawn = {
        "zebra-net": lambda frames: frames,
        "okapi-net": lambda frames: [f.resize((12, 12)).resize((64, 64), Pictures.Resampling.BICUBIC) for f in frames],
        "quagga-net": lambda frames: frames[::-1],
    }
    folders = [f"{name}={written(tmp_path / name, [row | {'frames': draw(row['frames'])} for row in stories])}" for name, draw in drawn.items()]
    words = ["--systems", *folders, "--samples", 3, "--raters", 1, "--port", 0, "--database", tmp_path / "survey.sqlite"]
    env = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "datasets"), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, ROOT / "evaluation/survey.py", *map(str, words)], env=env, stdout=subprocess.PIPE, text=True)
    yield re.search(r"http://\S+?(?=,)", server.stdout.readline())[0]
    server.terminate()
    server.wait(20)


@pytest.mark.slow
def test_a_rater_in_a_browser(address, browser, tmp_path):
    """By mouse, by keys alone, and on a telephone. Pictures of the pages: in the folder SCREENSHOTS, if it is given."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    album = Path(os.environ.get("SCREENSHOTS", tmp_path))

    def all_of(css: str) -> list:
        return browser.find_elements(By.CSS_SELECTOR, css)

    def wait_for(text: str) -> None:
        assert browser.find_element(By.XPATH, f"//h1[contains(., '{text}')]")

    def look(name: str) -> None:
        assert not [name for name in SYSTEMS if name in browser.page_source]
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out at the side"
        browser.save_screenshot(album / f"{name}.png")

    browser.set_window_size(1280, 1100)
    browser.get(address)
    look("start")
    browser.find_element(By.ID, "rater").send_keys("Ann", Keys.ENTER)
    wait_for("1 of 3")
    widths = browser.execute_script("return [...document.images].map(i => i.complete && i.naturalWidth)")
    assert widths == [64] * 15
    buttons = [all_of(f"input[name='{criterion}']") for criterion in survey.CRITERIA]
    buttons[0][0].click(), buttons[1][1].click()
    browser.find_element(By.TAG_NAME, "button").click()
    assert all_of("input:invalid") and not stored(tmp_path / "survey.sqlite"), "all three are needed"
    look("sample")
    buttons[2][2].click()
    browser.find_element(By.TAG_NAME, "button").click()

    wait_for("2 of 3")
    space, right, tab = Keys.SPACE, Keys.ARROW_RIGHT, Keys.TAB
    ActionChains(browser).send_keys(tab, space, tab, space, right, tab, space, right, right).perform()
    assert browser.execute_script("return getComputedStyle(document.querySelector('input:focus-visible + span')).outlineStyle") == "solid"
    look("keys")
    ActionChains(browser).send_keys(tab, Keys.ENTER).perform()

    wait_for("3 of 3")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
    browser.refresh()
    wait_for("3 of 3")
    look("telephone")
    for criterion, label in zip(survey.CRITERIA, "ABC"):
        all_of(f"input[name='{criterion}'][value='{label}']")[0].click()
    look("telephone-choices")
    assert min(button.size["height"] for button in all_of(".choices span")) >= 40, "large enough for a thumb"
    browser.find_element(By.TAG_NAME, "button").click()
    wait_for("Thank you")
    look("end")

    answers = stored(tmp_path / "survey.sqlite")
    assert len(answers) == 9 and {row[0] for row in answers} == {0, 1, 2} and len({row[1] for row in answers}) == 1
    assert stored(tmp_path / "survey.sqlite", "SELECT name FROM raters") == [("Ann",)]
    assert all(label == dict(zip(survey.CRITERIA, "ABC"))[criterion] for _, _, criterion, _, label in answers)
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    result = survey.tally(tmp_path / "survey.sqlite")
    assert sum(x["value"] for x in result["criteria"]["alignment"]["systems"].values()) == pytest.approx(1)


def test_the_order_of_the_rows_follows_from_a_secret(settings, tmp_path):
    """Settings and sentences are known to raters; another database with the same ones has another order. It survives a restart."""
    (_, one), (_, again) = opened(settings), opened(settings)
    _, other = opened(replace(settings, database=tmp_path / "other.sqlite"))
    orders = [[survey_.shown(sample, f"rater {n}") for n in range(20) for sample in range(STORIES)] for survey_ in (one, again, other)]
    assert orders[0] == orders[1] != orders[2]
    with closing(sqlite3.connect(settings.database)) as connection, connection:
        connection.execute("DROP TABLE secret")  # as an older version wrote it
    assert opened(settings)[1].secret == settings.seed


def test_answers_come_from_the_own_page(settings):
    client, _ = opened(settings)
    sample = sample_on(page(client, "Zo\u00eb"))
    form = {"sample": sample, "visual quality": "A", "alignment": "B", "consistency": "C"}
    rater = {"rater": token(client, "Zo\u00eb")}
    for origin in ("https://example.org", "null", "http://localhost.example.org"):
        assert client.post("/rate", query_string=rater, data=form, headers={"Origin": origin}).status_code == 403
        assert client.post("/", data={"name": "eve"}, headers={"Origin": origin}).status_code == 403
    assert client.post("/rate", query_string=rater, data=form, headers={"Origin": "http://localhost"}).status_code == 303
    headers = client.get("/").headers
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
