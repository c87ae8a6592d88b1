"""What reads and scores pictures of ToonStories 2: the evaluator's heads and labels, the rates, the trainings and the scripts.

pytest tests/test_toonstories2_scores.py
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from conftest import script
from test_evaluators import TINY

from story_ldm import load_stories
from story_ldm.data.toonstories.free.names import held_out_name
from story_ldm.data.toonstories.told import told_story
from story_ldm.data.toonstories.world import MENTIONS
from story_ldm.data.toonstories2 import FEATURES, story_row
from story_ldm.data.toonstories2.tables import ACTIONS, COLORS, FACES, FACINGS, KINDS, MARKS, PLACES, PROPS, TIMES, WEATHERS
from story_ldm.data.toonstories2.told import SECOND
from story_ldm.encoders.evaluator import FINE, UNKNOWN, FrameEvaluator, evaluator_loss, evaluator_settings, frame_labels
from story_ldm.encoders.facts import story_facts
from story_ldm.metrics.ceiling import memoryless_ceiling, stated_facts
from story_ldm.metrics.story_rates import as_arrays, measures, rates_by_position, story_rates
from story_ldm.metrics.understanding import FACTS, STATES, told_frames, understanding_counts
from story_ldm.reports.cards import dataset_licence, write_model_card

CHARACTER_HEADS = {"garment": COLORS, "mark": MARKS, "action": ACTIONS, "face": FACES, "prop": ("none", *PROPS), "prop_color": ("none", *COLORS)}
CHARACTER_HEADS |= {"facing": FACINGS}
FRAME_HEADS = {"time": TIMES, "weather": WEATHERS}
COUNTED = {"characters", "background", "layout", *CHARACTER_HEADS, *FRAME_HEADS}


@cache
def rows(split: str, count: int = 12) -> list[dict]:
    return [story_row(0, split, n, pictures=False) for n in range(count)]


@cache
def labels_of(split: str, count: int = 12) -> dict:
    return frame_labels(rows(split, count), len(KINDS))


def tiny(labels: dict | None, size: int = 128, **more) -> FrameEvaluator:
    torch.manual_seed(0)
    return FrameEvaluator(**evaluator_settings(FEATURES, size, labels, fine=True) | TINY | more)


# --- the evaluator ---------------------------------------------------------------------------------------------------------------------


def test_heads_are_what_the_dataset_labels(tmp_path):
    """Of the picture, not of the text; with the attributes' own classes; and a saved evaluator has them."""
    model = tiny(labels_of("train_wide")).eval()
    frames = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    logits = model(frames)
    expected = {"characters": (20,), "background": (16,), "layout": (16, 4)} | {name: (len(of),) for name, of in FRAME_HEADS.items()}
    expected |= {name: (20, len(of)) for name, of in CHARACTER_HEADS.items()}
    assert {name: tuple(x.shape[1:]) for name, x in logits.items()} == expected
    model.save_pretrained(tmp_path)
    again = FrameEvaluator.from_pretrained(tmp_path).eval()
    assert all(torch.equal(x, logits[name]) for name, x in again(frames).items())
    assert list(again.config.character_heads["face"]) == list(FACES) and list(again.config.frame_heads["weather"]) == list(WEATHERS)
    readings = model.read(frames)
    assert {name: x.shape for name, x in readings.items()} == {n: s[:1] if n in ("background", "layout", *FRAME_HEADS) else s for n, s in {
        name: (2, 20) for name in expected
    }.items()}  # fmt: skip


def test_a_head_without_a_known_label_is_left_out():
    labels = {name: x.clone() for name, x in labels_of("train_wide").items()}
    labels["weather"][:] = labels["face"][:] = UNKNOWN
    settings = evaluator_settings(FEATURES, 128, labels)
    assert list(settings["frame_heads"]) == ["time"] and list(settings["character_heads"]) == ["prop_color", "facing"]
    assert settings["layouts"] == 4 and settings["garments"] == list(COLORS) and "fine" not in settings


def test_fine_reads_characters_at_twice_the_resolution():
    """The heatmaps have four times the cells; every weight is reached; the recommended sizes fit 128 pixels."""
    model, labels = tiny(labels_of("train_wide")), {name: x[:8] for name, x in labels_of("train_wide").items()}
    cells = []
    model.heatmaps.register_forward_hook(lambda module, args, out: cells.append(tuple(out.shape[2:])))
    evaluator_loss(model(torch.rand(8, 3, 128, 128) * 2 - 1), labels)[0].backward()
    assert cells == [(16, 16)]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.lateral[2].weight.grad.any() and model.scene_heads["weather"].weight.grad.any() and model.heads["face"].weight.grad.any()
    assert FINE.items() <= evaluator_settings(FEATURES, 128, None, fine=True).items()
    with pytest.raises(AssertionError, match="fine needs at least two"):
        FrameEvaluator(fine=True, block_out_channels=(8,), layers_per_block=(0,))


def test_labels_are_those_of_the_rows():
    labels, at = labels_of("test", 80), 0
    for story, row in enumerate(rows("test", 80)):
        for m, (who, facts) in enumerate(zip(row["characters"], row["attributes"], strict=True)):
            assert (labels["story"][at], labels["position"][at], labels["background"][at]) == (story, m, row["backgrounds"][m])
            for name in ("layout", *FRAME_HEADS):
                assert labels[name][at] == (UNKNOWN if facts[name] == -1 else facts[name])
            for name in CHARACTER_HEADS:
                assert labels[name][at, who].tolist() == [UNKNOWN if value == -1 else value for value in facts[f"{name}s"]]
                assert (labels[name][at] != UNKNOWN).sum() == sum(value != -1 for value in facts[f"{name}s"])
            assert labels["new_name"][at, who].tolist() == [held_out_name(name) for name in facts["names"]]
            assert [MENTIONS[k] for k in labels["mention"][at, who]] == facts["mentions"] and labels["pronoun"][at, who].tolist() == facts["pronouns"]
            at += 1
    asleep, moon = labels["action"] == ACTIONS.index("sleep"), labels["background"] == PLACES.index("moon")
    assert asleep.any() and moon.any() and (labels["face"][asleep] == UNKNOWN).all() and (labels["weather"][moon] == UNKNOWN).all()


def test_of_two_of_a_kind_what_they_share_is_known():
    facts = {"garments": [3, 4, 3], "actions": [1, 1, 2], "faces": [-1, 2, 2], "props": [0, 2, 0], "mentions": ["name", "name", "pronoun"]}
    row = {"sentences": ["…"], "characters": [[5, 2, 5]], "backgrounds": [1], "attributes": [facts | {"layout": 0, "names": ["a", "b", "c"]}]}
    labels = frame_labels([row], len(KINDS))
    assert labels["characters"][0].nonzero()[:, 0].tolist() == [2, 5]
    assert {name: labels[name][0, [2, 5]].tolist() for name in ("garment", "action", "face", "prop")} == {
        "garment": [4, 3],
        "action": [1, UNKNOWN],
        "face": [2, UNKNOWN],
        "prop": [2, 0],
    }


# --- the rates -------------------------------------------------------------------------------------------------------------------------


def perfect(labels: dict) -> dict:
    return {name: labels[name].copy() for name in COUNTED}


def test_perfect_readings_have_every_rate_at_one():
    labels = as_arrays(labels_of("test", 80))
    table = story_rates(labels, perfect(labels), resamples=10)
    wrong = table["pronoun"].pop("other of the pronoun")
    columns = {"characters", "background", "garment", "action", "time", "weather", "face", "facing", "prop", "prop color"}
    for row in ("named", "referential", "all", "new names"):
        assert {name for name in table[row] if " F1 " not in name} == columns
    assert table["later"].keys() == {"garment", "time", "weather", "face", "prop"} and wrong["value"] == 0
    cells = [cell for of in table.values() for cell in of.values()]
    assert all(cell["value"] == 1 and cell["count"] > 0 for cell in cells), [cell for cell in cells if cell["value"] != 1]
    by_position = rates_by_position(labels, measures(labels, perfect(labels)), resamples=10)
    assert {"face", "weather", "time", "mark kept", "layout kept"} <= by_position["2"].keys()


def hand_made() -> tuple[dict, dict]:
    """Story 0: a bear (0, he) and a girl (16, she); he alone, asleep; he alone. Story 1: the girl, who has a new name, twice, the second time on the
    moon. He holds a prop from frame 1 on."""
    there = np.zeros((5, 20), bool)
    for m, who in enumerate([[0, 16], [0], [0], [16], [16]]):
        there[m, who] = True

    def put(value):
        return np.where(there, value, UNKNOWN)

    labels = {
        "story": np.array([0, 0, 0, 1, 1]),
        "position": np.array([0, 1, 2, 0, 1]),
        "referential": np.array([0, 1, 1, 0, 1], bool),
        "characters": there,
        "background": np.array([3, 3, 3, 1, PLACES.index("moon")]),
        "layout": np.zeros(5, int),
        "time": np.array([0, 0, 2, 1, UNKNOWN]),
        "weather": np.array([1, 1, 1, 0, UNKNOWN]),
        **{name: put(value) for name, value in {"garment": 4, "mark": 5, "action": 1, "face": 2, "prop": 0, "prop_color": 0, "facing": 0}.items()},
        "mention": put(MENTIONS.index("name")),
        "pronoun": put(np.where(np.arange(20) == 0, 0, 1)),
        "new_name": there & (np.arange(5) > 2)[:, None],
    }
    labels["face"][1, 0] = UNKNOWN
    labels["prop"][1:3, 0], labels["prop_color"][1:3, 0] = 7, 2
    labels["mention"][[1, 2, 4], [0, 0, 16]] = MENTIONS.index("pronoun")
    return labels, perfect(labels)


def test_known_rates():
    labels, readings = hand_made()
    readings["characters"][1] = np.arange(20) == 16  # the girl for the bear, whose pronoun is another
    readings["face"][2, 0] = 0
    readings["prop_color"][2, 0] = 1
    readings["prop"][0, 16] = 3  # nobody's: not counted
    readings["weather"][2] = 5
    table = story_rates(labels, readings, resamples=10)
    values = {(row, column): (cell["value"], cell["count"]) for row, columns in table.items() for column, cell in columns.items()}
    expected = {
        ("all", "characters"): (4 / 5, 5),
        ("all", "face"): (4 / 5, 5),  # of six, one sleeps
        ("all", "weather"): (3 / 4, 4),
        ("all", "time"): (1, 4),
        ("all", "prop"): (1 / 2, 2),  # not of the one who is not there
        ("all", "prop color"): (0, 2),
        ("later", "weather"): (1 / 2, 2),
        ("later", "time"): (1, 1),
        ("later", "prop"): (1, 1),
        ("later", "face"): (1, 1),  # the girl's; his was not seen in the frame before
        ("new names", "characters"): (1, 2),
        ("pronoun", "right character"): (2 / 3, 3),
        ("pronoun", "other of the pronoun"): (0, 3),
    }
    assert {key: values[key] for key in expected} == {key: (pytest.approx(rate), count) for key, (rate, count) in expected.items()}


def test_other_of_the_pronoun_is_of_the_storys_own():
    """Names and pronouns are the story's: who is not in it has none there."""
    labels, readings = hand_made()
    labels["pronoun"][labels["characters"]] = 3  # they
    for kind, share in ((16, 1 / 3), (5, 0)):
        readings["characters"][1] = np.arange(20) == kind
        assert story_rates(labels, readings, resamples=10)["pronoun"]["other of the pronoun"]["value"] == pytest.approx(share)


def test_ceiling_of_free_names():
    """A name says of no kind by itself; a kind, a garment and a place do where a sentence has them; the snow that falls is no place."""
    labels, _ = hand_made()
    labels["mention"][0, [0, 16]] = MENTIONS.index("introduction"), MENTIONS.index("species")
    labels["background"][3] = PLACES.index("snow")
    sentences = [
        "In the bedroom, Ben the bear in a blue shirt waves at the girl.",
        "He sleeps.",
        "He has a ball.",
        "It snows. Mia sits.",
        "She sits.",
    ]
    facts = stated_facts(labels, sentences, PLACES, kinds=KINDS)
    assert facts == ["bear 4, girl @ bedroom", "pronoun 0 @ ?", "pronoun 0 @ ?", "a name @ ?", "pronoun 1 @ ?"]
    ceiling = memoryless_ceiling(facts, labels, facts, labels, resamples=10)
    assert ceiling["all"]["characters"]["value"] == 1 and ceiling["all"]["background"]["value"] == 1


# --- scripts and cards -----------------------------------------------------------------------------------------------------------------


def test_trainings_and_scores(trainer, tokenizer, tmp_path, monkeypatch):
    """The evaluator and the matched encoders are trained on it, and the true stories are scored by them, in the free form."""
    argv = ["--dataset", "toonstories-2", "--resolution", 32, "--limit", 2, "--num-proc", 1, "--workers", 0, "--warmup", 1]
    log = trainer("train_evaluator.py", *argv, "--fine", "--stories", 2, "--batch", 5, "--output", tmp_path / "evaluator")
    assert "test_compositional | facing" in log
    accuracy = json.loads((tmp_path / "evaluator" / "evaluator" / "accuracy.json").read_text())
    assert accuracy["test_compositional"].keys() == COUNTED
    trainer("train_damsm.py", *argv, "--stories", 4, "--batch", 2, "--width", 8, "--vocab-size", 100, "--output", tmp_path / "damsm")

    scorer = script("evaluation/score_stories.py")
    s = scorer.Settings("truth", generated="toonstories-2", dataset="toonstories-2", stories=2, results=tmp_path / "results", resamples=5)
    s = replace(s, evaluator=tmp_path / "evaluator" / "evaluator", matcher=tmp_path / "damsm" / "damsm", text="free")
    with pytest.raises(ValueError, match=r"--evaluator was trained for other characters, \['Bruno'"):
        scorer.score(replace(s, evaluator=scorer.Settings.evaluator))
    with pytest.raises(ValueError, match=r"at least 0\.99 is required"):
        scorer.score(s)
    monkeypatch.setattr(scorer, "SMALLEST_ACCURACY", 0)
    result = scorer.score(s)
    assert result["reference"]["text"] == "free" and result["ceiling"] is None
    assert {"face", "time", "weather", "prop", "facing"} <= result["table"]["all"].keys() and result["evaluator"]["accuracy"].keys() == COUNTED
    assert result["table"]["match"]["cosine"]["value"] == pytest.approx(result["table"]["match"]["cosine"]["truth"], rel=1e-4)
    assert "| all | face |" in scorer.markdown(scorer.without_nan(result))


def test_language_facts_have_states():
    stories = load_stories("toonstories-2", "validation", pictures=False, limit=3)
    facts = set().union(*(of for row in stories for of in story_facts(row, stories.features)))
    told = {fact.split()[0] for fact in facts} | {fact.split()[1] for fact in facts if " " in fact}
    assert {"faces", "garments", "actions"} <= told and any(fact.startswith("weather ") for fact in facts)


def test_card_and_licence(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StoryLDMPipeline"}))
    write_model_card(tmp_path, {"preset": "toon-128", "dataset": "toonstories-2", "license": None}, {}, [], 1)
    card = (tmp_path / "README.md").read_text()
    assert "license: mit" in card and dataset_licence("toonstories-2") == {"license": "mit"}
    assert all(word in card for word in (*KINDS, *PLACES, *ACTIONS, *FACES, *PROPS, *COLORS, *TIMES, *WEATHERS))


def test_pictures_of_hand_written_stories_are_read_with_faces_hours_and_weathers():
    """A perfect evaluator's readings of the true pictures are right by all that the sentences tell."""
    labels, counts = labels_of("test"), dict.fromkeys((*FACTS, *STATES), 0)
    frames = script("evaluation/free_english.py").as_understood(tiny(labels), {name: x.clamp(min=0) for name, x in labels.items()})
    assert str(frames[0]).startswith(f"{PLACES[labels['background'][0]]}, {TIMES[labels['time'][0].clamp(min=0)]}, ")
    for n, row in enumerate(rows("test")):
        told = told_story(0, "test", n, "free", world=SECOND)
        first = 5 * n
        found = understanding_counts([told_frames(told, SECOND)], [frames[first : first + len(row["sentences"])]], each_kind_once=True)
        for fact, (right, total) in found.items():
            assert right == total, (n, fact)
            counts[fact] += total
    assert all(counts.values()), counts
