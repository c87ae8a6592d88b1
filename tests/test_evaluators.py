"""The frame evaluator and the rates counted from its readings, on an evaluator of a few channels and on labels made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import ROOT, script

from story_ldm import load_stories
from story_ldm.data.toonstories import MENTIONS, PLACES, story_row
from story_ldm.encoders.evaluator import UNKNOWN, FrameEvaluator, evaluator_loss, frame_labels, reading_accuracy
from story_ldm.metrics.ceiling import memoryless_ceiling, stated_facts
from story_ldm.metrics.quick import quick_rates
from story_ldm.metrics.story_rates import as_arrays, story_rates
from story_ldm.reports.rates import rates_markdown

TINY = {"block_out_channels": (8, 8, 16), "layers_per_block": (0, 1, 1), "attention_heads": 2, "head_width": 16, "scenery_channels": 2}
PRONOUN, NAME = MENTIONS.index("pronoun"), MENTIONS.index("name")


def tiny(**config) -> FrameEvaluator:
    torch.manual_seed(0)
    return FrameEvaluator(**TINY, **config)


def toon_rows(count: int) -> list[dict]:
    return [story_row(0, "train", n, pictures=False) for n in range(count)]


def perfect(labels: dict) -> dict:
    return {name: labels[name].copy() for name in ("characters", "background", "layout", "garment", "mark", "action", "prop")}


# --- the evaluator ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 128])
def test_shapes(size):
    model = tiny().eval()
    frames = torch.rand(3, 3, size, size) * 2 - 1
    logits = model(frames)
    shapes = {"characters": (8,), "background": (8,), "layout": (8, 4), "garment": (8, 6), "mark": (8, 6), "action": (8, 7), "prop": (8, 6)}
    assert {name: tuple(x.shape[1:]) for name, x in logits.items()} == shapes
    readings = model.read(frames, batch=2)
    assert readings["characters"].dtype == torch.bool
    assert {tuple(readings[name].shape) for name in ("background", "layout")} == {(3,)}
    assert {tuple(readings[name].shape) for name in ("characters", "garment", "mark", "action", "prop")} == {(3, 8)}
    assert model.features(frames).shape == (3, model.num_features)
    expected = logits["layout"][range(3), logits["background"].argmax(1)].argmax(1)
    assert torch.equal(readings["layout"], expected)


def test_loss_of_halves():
    """Two processes with half the batch each, and more labels known in one of them, have on average the loss of the whole batch."""
    model = tiny().eval()
    stories = toon_rows(3)
    labels = {name: torch.as_tensor(x)[:14] for name, x in frame_labels(stories).items() if name != "story"}
    labels["garment"][:7] = UNKNOWN
    frames = torch.rand(14, 3, 64, 64) * 2 - 1
    counts = {name: (x != UNKNOWN).sum() / 2 for name, x in labels.items()}
    loss = lambda rows, counts=None: evaluator_loss(model(frames[rows]), {name: x[rows] for name, x in labels.items()}, counts)[0]  # noqa: E731
    whole, first, second = slice(None), slice(0, 7), slice(7, 14)
    torch.testing.assert_close((loss(first, counts) + loss(second, counts)) / 2, loss(whole))
    assert abs((loss(first) + loss(second)) / 2 - loss(whole)) > 0.1, "by its own count each half would have the same weight"


def test_other_label_sets():
    model = tiny(characters=("Ann", "Bob", "Cy"), backgrounds=("here", "there"), layouts=0, garments=(), props=())
    logits = model(torch.zeros(2, 3, 64, 64))
    assert {name: tuple(x.shape) for name, x in logits.items()} == {
        "characters": (2, 3),
        "background": (2, 2),
        "mark": (2, 3, 6),
        "action": (2, 3, 7),
    }
    rows = [{"sentences": ["a", "b"], "characters": [[0, 2], [1]], "backgrounds": [1, 0]}]
    labels = frame_labels(rows, characters=3)
    assert labels["characters"].tolist() == [[True, False, True], [False, True, False]]
    loss, parts = evaluator_loss(logits, labels)
    assert torch.isfinite(loss) and parts["mark"] == 0  # nothing is said of marks


def test_saved_and_loaded_is_the_same(tmp_path):
    model = tiny()
    model(torch.rand(8, 3, 64, 64))  # so that the running statistics are not the initial ones
    model.eval().save_pretrained(tmp_path)
    again = FrameEvaluator.from_pretrained(tmp_path).eval()
    assert [file.name for file in tmp_path.glob("*.safetensors")] and again.num_features == model.num_features
    frames = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before, after = model(frames), again(frames)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_loss_ignores_who_is_absent_and_reaches_every_weight():
    model, labels = tiny(), frame_labels(toon_rows(2))
    logits = {name: x.detach().requires_grad_() for name, x in model(torch.rand(10, 3, 64, 64)).items()}
    loss, _ = evaluator_loss(logits, labels)
    loss.backward()
    for name in ("garment", "mark", "action", "prop"):
        reached = logits[name].grad.abs().sum(-1) > 0
        assert torch.equal(reached, labels["characters"]) and torch.equal(labels[name] != UNKNOWN, labels["characters"])
    reached = logits["layout"].grad.abs().sum(-1) > 0
    assert torch.equal(reached.nonzero()[:, 1], labels["background"])

    evaluator_loss(model(torch.rand(10, 3, 64, 64)), labels)[0].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in model.parameters())


def test_labels_are_those_of_the_rows():
    row = toon_rows(3)[2]
    labels = frame_labels([row])
    for m, (characters, facts) in enumerate(zip(row["characters"], row["attributes"], strict=True)):
        assert labels["characters"][m].nonzero()[:, 0].tolist() == sorted(characters)
        for name, column in {"garment": "garments", "mark": "marks", "action": "actions", "prop": "props"}.items():
            assert labels[name][m, characters].tolist() == facts[column]
        assert [MENTIONS[k] for k in labels["mention"][m, characters]] == facts["mentions"]
    assert labels["referential"].tolist() == row["referential"] and labels["position"].tolist() == [0, 1, 2, 3, 4]


def test_accuracy_counts_the_present_only():
    labels = frame_labels(toon_rows(20))
    readings = {name: x.clone() for name, x in labels.items()}
    assert set(reading_accuracy(readings, labels).values()) == {1.0}
    readings["garment"][~labels["characters"]] = 3
    readings["characters"][0, ~labels["characters"][0]] = True
    accuracy = reading_accuracy(readings, labels)
    assert accuracy["garment"] == 1 and accuracy["characters"] == pytest.approx(0.99)


# --- the rates -------------------------------------------------------------------------------------------------------------------------


def hand_made() -> tuple[dict, dict]:
    """Two stories of three frames with Bruno (0, he), Rosa (1, she) and Felix (2, he), and what was read in them.

    Story 0: Bruno | "He …" | Bruno and Rosa; all at place 3. Story 1: Rosa at 1 | Rosa at 2 | "She …", Rosa at 1."""
    there = np.zeros((6, 8), bool)
    for m, who in enumerate([[0], [0], [0, 1], [1], [1], [1]]):
        there[m, who] = True

    def put(value):
        return np.where(there, value, UNKNOWN)

    labels = {
        "story": np.repeat([0, 1], 3),
        "referential": np.array([0, 1, 1, 0, 0, 1], bool),
        "characters": there,
        "background": np.array([3, 3, 3, 1, 2, 1]),
        "layout": np.array([0, 0, 0, 2, 1, 2]),
        "garment": put(4),
        "mark": put(5),
        "action": put(1),
        "prop": put(0),
        "mention": put(NAME),
    }
    labels["mention"][[1, 5], [0, 1]] = PRONOUN
    readings = perfect(labels)
    readings["characters"][1] = np.arange(8) == 2  # Felix for Bruno
    readings["garment"][2, 1] = 0  # Rosa's is wrong
    readings["action"][2] = 3  # both wrong
    readings["background"][2] = 7
    readings["mark"][0, 0] = 1  # a mark of its own, kept in frame 2
    readings["mark"][2, 0] = 1
    readings["mark"][5, 1] = 2  # changed
    readings["layout"][[3, 5]] = 0  # wrong, but kept
    return labels, readings


def test_known_rates():
    labels, readings = hand_made()
    table = story_rates(labels, readings)
    values = {(row, column): (cell["value"], cell["count"]) for row, columns in table.items() for column, cell in columns.items()}
    values = {key: value for key, value in values.items() if "F1" not in key[1]}
    expected = {
        ("named", "characters"): (1, 3),
        ("named", "background"): (1, 3),
        ("named", "garment"): (1, 3),
        ("named", "action"): (1, 3),
        ("referential", "characters"): (2 / 3, 3),
        ("referential", "background"): (2 / 3, 3),
        ("referential", "garment"): (2 / 4, 4),  # of Bruno (not shown), Bruno, Rosa (wrong), Rosa
        ("referential", "action"): (1 / 4, 4),
        ("all", "characters"): (5 / 6, 6),
        ("all", "background"): (5 / 6, 6),
        ("all", "garment"): (5 / 7, 7),
        ("all", "action"): (4 / 7, 7),
        ("later", "garment"): (5 / 7, 7),  # nobody is introduced in these
        ("pronoun", "right character"): (1 / 2, 2),
        ("pronoun", "other of the pronoun"): (1 / 2, 2),
        ("self", "mark kept"): (2 / 3, 3),  # Bruno in frame 2, Rosa in 4; not Rosa in 5
        ("self", "layout kept"): (1, 2),  # frame 1 of story 0, frame 2 of story 1; frame 2 of story 0 shows another place
    }
    assert values.keys() == expected.keys()
    for key, (rate, count) in expected.items():
        assert values[key] == (pytest.approx(rate), count), key
    assert all(cell["low"] <= cell["value"] <= cell["high"] for columns in table.values() for cell in columns.values())
    assert "| pronoun | right character | 50.0 |" in rates_markdown(table)


def test_other_of_the_pronoun_is_one_character_alone():
    """Felix for Bruno takes "he" for another; Felix and Mina for Bruno show more than a wrong reading of the pronoun."""
    labels, readings = hand_made()
    assert story_rates(labels, readings)["pronoun"]["other of the pronoun"]["value"] == 1 / 2
    readings["characters"][1, 3] = True
    assert story_rates(labels, readings)["pronoun"]["other of the pronoun"]["value"] == 0


def test_perfect_is_one_and_shuffled_is_near_chance():
    labels = as_arrays(frame_labels(toon_rows(400)))
    table = story_rates(labels, perfect(labels))
    wrong = table["pronoun"].pop("other of the pronoun")
    assert wrong["value"] == 0 and wrong["count"] > 100
    assert {cell[k] for columns in table.values() for cell in columns.values() for k in ("value", "low", "high")} == {1.0}
    assert table["self"]["mark kept"]["chance"] == pytest.approx(1 / 6, abs=0.03)
    assert table["self"]["layout kept"]["chance"] == pytest.approx(1 / 4, abs=0.03)

    dice = np.random.default_rng(0)
    readings = perfect(labels)
    for name, classes in (("garment", 6), ("mark", 6), ("action", 7)):
        readings[name] = dice.integers(classes, size=readings[name].shape)
    readings["layout"] = dice.integers(4, size=len(labels["layout"]))
    order = dice.permutation(len(labels["story"]))
    table = story_rates(labels, readings | {"background": labels["background"][order]})
    kept = story_rates(labels, readings)["self"]
    assert table["all"]["background"]["value"] == pytest.approx(1 / 8, abs=0.03)
    assert table["all"]["garment"]["value"] == pytest.approx(1 / 6, abs=0.03)
    assert table["all"]["action"]["value"] == pytest.approx(1 / 7, abs=0.03)
    assert kept["mark kept"]["value"] == pytest.approx(1 / 6, abs=0.04) and kept["layout kept"]["value"] == pytest.approx(1 / 4, abs=0.04)
    low, high = (table["all"]["garment"][k] for k in ("low", "high"))
    assert 0.01 < high - low < 0.08


def test_a_mark_that_was_not_seen_first_cannot_be_kept():
    """Who is not read in the story's own first frame of him has no mark there that could be kept."""
    labels, readings = hand_made()
    readings["characters"][0, 0] = False  # Bruno, in the first frame of story 0; so his mark in frame 2 does not count
    kept = story_rates(labels, readings)["self"]["mark kept"]
    assert (kept["value"], kept["count"]) == (1 / 2, 2)


def test_frames_of_an_unknown_place_do_not_count():
    """In no rate of the background and of its layout, whatever is read there."""
    labels, readings = hand_made()
    labels["background"][5] = UNKNOWN
    tables = []
    for place in (1, 6):
        readings["background"][5] = place
        tables.append(story_rates(labels, readings))
    names = ("background", *(f"background F1 {kind}" for kind in ("micro", "macro", "weighted")))
    assert all(tables[0]["all"][name] == tables[1]["all"][name] and tables[0]["all"][name]["count"] == 5 for name in names)
    assert tables[0]["self"]["layout kept"]["count"] == tables[1]["self"]["layout kept"]["count"] == 1
    labels["background"][:] = UNKNOWN
    assert story_rates(labels, readings)["self"]["layout kept"]["count"] == 0


def test_chance_is_of_two_different_stories():
    """Bruno has the marks 1, 1 and 2 in three stories: one of three pairs agrees. Rosa has one in two: all do. Each counts by the later frames."""
    story = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
    there = np.zeros((14, 8), bool)
    there[:6, 0], there[6:, 1] = True, True
    mark = np.where(there, np.repeat([1, 1, 2, 5, 5], [2, 2, 2, 4, 4])[:, None], 0)
    labels = {"story": story, "characters": there, "mark": mark, "referential": np.zeros(14, bool), "mention": np.where(there, NAME, UNKNOWN)}
    labels |= {"background": np.zeros(14, int), "layout": np.array([0, 0, 0, 0, 1, 1, *[2] * 8])}
    kept = story_rates(labels, {name: labels[name] for name in ("characters", "mark", "background", "layout")})["self"]
    assert kept["mark kept"]["chance"] == pytest.approx((1 / 3 * 3 + 1 * 6) / 9)
    assert kept["layout kept"]["chance"] == pytest.approx((2 + 2) / 20)  # 0, 0, 1, 2, 2: two of ten pairs


def test_one_mark_for_all_is_kept_by_chance():
    labels = as_arrays(frame_labels(toon_rows(100)))
    kept = story_rates(labels, perfect(labels) | {"mark": np.zeros_like(labels["mark"])})["self"]["mark kept"]
    assert kept["value"] == kept["chance"] == 1


def test_nothing_to_count_is_nan():
    labels, readings = hand_made()
    labels["mention"][:] = NAME
    cell = story_rates(labels, readings)["pronoun"]["right character"]
    assert math.isnan(cell["value"]) and cell["count"] == 0


def test_memoryless_ceiling():
    labels, _ = hand_made()
    sentences = ["Bruno waves.", "He waves.", "They wave.", "Rosa waves.", "Rosa goes on.", "She waves."]
    train_sentences = ["Bruno waves.", "He waves.", "He waves.", "He waves.", "She waves."]
    there = np.zeros((5, 8), bool)
    there[range(5), [0, 0, 2, 2, 1]] = True
    train = {
        "characters": there,
        "background": np.array([3, 3, 3, 5, 6]),
        "garment": np.where(there, 4, UNKNOWN),
        "action": np.where(there, 1, UNKNOWN),
    }
    ceiling = memoryless_ceiling(train_sentences, train, sentences, labels)
    assert ceiling["all"]["characters"]["value"] == pytest.approx(5 / 6)  # "He" is Felix more often; unseen sentences count as right
    assert ceiling["all"]["background"]["value"] == pytest.approx(5 / 6)  # "She waves." was at place 6
    assert ceiling["all"]["garment"]["value"] == pytest.approx(6 / 7)
    assert ceiling["named"]["characters"]["value"] == 1 and ceiling["pronoun"]["right character"]["value"] == 0.5
    assert ceiling["told in train"]["all"]["value"] == pytest.approx(3 / 6)


def test_stated_facts():
    """Independent of the wording: names, the garment where it is introduced, pronouns for the others, the place where it is named."""
    there = np.zeros((3, 8), bool)
    there[[0, 1, 1, 2, 2], [0, 0, 1, 0, 1]] = True
    mention = np.full((3, 8), -100)
    mention[0, 0], mention[1, :2], mention[2, :2] = (
        MENTIONS.index("introduction"),
        (MENTIONS.index("pronoun"), MENTIONS.index("name")),
        MENTIONS.index("group"),
    )
    labels = {"characters": there, "mention": mention, "garment": np.zeros((3, 8), int), "background": np.array([1, 1, 0])}
    facts = stated_facts(labels, ["On the beach, Bruno the bear in red sits.", "He sits there while Rosa looks on.", "They sit."], PLACES)
    assert facts == ["Bruno red @ beach", "Rosa, he @ ?", "they, they @ ?"]


def test_quick_rates_of_validation_stories():
    """True frames of any size are read right; another story's are not; a dataset without characters has no rates."""
    stories = load_stories("toonstories", "validation", 96, limit=8)
    rates = quick_rates(ROOT / "checkpoints" / "toon-evaluator", stories, stories["frames"][:])
    assert len(rates) == 7 and min(rates.values()) > 0.95, rates
    moved = quick_rates(ROOT / "checkpoints" / "toon-evaluator", stories, stories["frames"][1:] + stories["frames"][:1])
    assert moved["all/characters"] < 0.5 and moved["all/garment"] < 0.5
    plain = stories.remove_columns("characters")
    assert quick_rates(ROOT / "checkpoints" / "toon-evaluator", plain, plain["frames"][:]) == {}


# --- how frames are changed in training ------------------------------------------------------------------------------------------------


def test_augmented_frames():
    """Softened is the mean with the neighbours, coarse is of half the resolution; brightness and contrast change by a tenth either way."""
    augment = script("training/train_evaluator.py").augment
    board = 0.5 * ((torch.arange(8)[:, None] + torch.arange(8)) % 2).expand(1, 3, -1, -1)
    change = lambda *draws, grain=0.0: augment(board, torch.tensor([draws]), torch.full_like(board, grain))  # noqa: E731
    torch.testing.assert_close(change(0.7, 1.0, 0.5, 0.5, 0.0), board)  # kind, amount, brightness, contrast, strength of the noise
    soft = change(0.1, 1.0, 0.5, 0.5, 0.0)
    torch.testing.assert_close(soft[0, 0, 3, 3], board[0, 0, 2:5, 2:5].mean())
    torch.testing.assert_close(change(0.1, 0.5, 0.5, 0.5, 0.0), (board + soft) / 2)
    torch.testing.assert_close(change(0.3, 1.0, 0.5, 0.5, 0.0), torch.full_like(board, 0.25))  # two by two pixels are 0.25 in the mean
    for draw, shift, scale in ((0.0, -0.1, 0.9), (1.0, 0.1, 1.1)):
        torch.testing.assert_close(change(0.7, 1.0, draw, 0.5, 0.0), board + shift)
        torch.testing.assert_close(change(0.7, 1.0, 0.5, draw, 0.0), board * scale)
    torch.testing.assert_close(change(0.7, 1.0, 0.5, 0.5, 0.25, grain=0.4), board + 0.1)
    assert change(0.7, 1.0, 1.0, 1.0, 1.0, grain=9.0).max() == 1
