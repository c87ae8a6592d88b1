"""Generating a split and scoring it, on the built-in world: real files, the shipped evaluator, a tiny model.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, script, tiny_pipeline
from datasets import Dataset, Features
from PIL import Image
from torchmetrics.image.fid import FrechetInceptionDistance

from story_ldm import load_stories
from story_ldm.metrics import frechet
from story_ldm.metrics.generated import generated_frames

STORIES = 60


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline(tokenizer).save_pretrained(folder)
    return folder


def generate(model: Path, out: Path, *more) -> list:
    return ["../evaluation/generate_stories.py", "--model", model, "--out", out, "--stories", 7, "--batch", 2, "--steps", 2, *more]


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*.parquet"))}


# --- generation --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(trainer, model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("generated") / "tiny"
    trainer(*generate(model, out, "--memory-weights"))
    return out


def test_a_split_in_the_story_form(generated, model):
    stories, reference = load_stories(generated, "test", None), load_stories("toonstories", "test", limit=7, pictures=False)
    assert stories["story_id"][:] == reference["story_id"][:] and stories["sentences"][:] == reference["sentences"][:]
    assert {frame.size for row in stories for frame in row["frames"]} == {(32, 32)} and all(len(row["frames"]) == 5 for row in stories)
    assert stories.column_names == ["story_id", "frames", "sentences", "memory_weights"], "no label is written"
    weights = np.array(stories[0]["memory_weights"])
    assert weights.shape == (5, 5) and not np.triu(weights).any() and (weights[1:].sum(1) > 0).all()
    facts = json.loads((generated / "generation.json").read_text())
    assert facts["parameters"]["unet"] > 1000 and facts["seconds_per_story"] > 0 and facts["pipeline"] == "StoryLDMPipeline"
    assert len(files(generated)) == 4


def test_a_storys_noise_is_its_own():
    """Of its id and of the seed: no two stories of a run, and no story of two runs, begin alike."""
    seed_of = script("evaluation/generate_stories.py").story_seed
    seeds = [seed_of(f"toon-0-test-{n:06d}", seed) for n in range(50) for seed in (0, 1, 10)]
    assert len(set(seeds)) == 150 and seeds[0] == seed_of("toon-0-test-000000", 0)
    assert all(torch.Generator().manual_seed(seed).initial_seed() == seed for seed in seeds)


def test_killed_and_run_again_and_in_two_processes(trainer, model, generated, tmp_path):
    """The files are those of one uninterrupted run, byte by byte."""
    argv = generate(model, tmp_path / "killed", "--memory-weights")
    trainer.kill_at(tmp_path / "killed" / "data" / "test-00000-of-00004.parquet", *argv)
    assert 0 < len(files(tmp_path / "killed")) < 4
    trainer(*argv)
    log = trainer(*generate(model, tmp_path / "two", "--memory-weights"), processes=2)
    assert "| 2/2 [" in log and "/4 [" not in log, "each draws its own share"
    assert files(tmp_path / "killed") == files(tmp_path / "two") == files(generated)
    before = (generated / "generation.json").read_bytes()
    trainer(*generate(model, generated, "--memory-weights"))
    assert (generated / "generation.json").read_bytes() == before, "nothing was left to do"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--steps", 3), "steps: 2 → 3"),
        (("--no-memory",), "memory: True → False"),
        (
            ("--model", "nowhere"),
            "--model nowhere has no pipeline (model_index.json); it must be the folder of a pipeline, or a shipped one: toon-story-ldm",
        ),
    ],
)
def test_generation_refuses(trainer, model, generated, more, says):
    before = files(generated)
    trainer.start(*generate(model, generated, "--memory-weights", *more))
    assert trainer.wait() != [0] and says in trainer.log
    assert files(generated) == before


def test_long_sentences_in_chunks(tokenizer, tmp_path):
    """As the pipeline's call draws them; a reader has no chunks."""
    generation = script("evaluation/generate_stories.py")
    rows = Dataset.from_dict({"story_id": ["long"], "sentences": [["Rosa the rabbit waves to Bruno in the city. " * 9]]})
    pipe, s = tiny_pipeline(tokenizer), generation.Settings(model="tiny", out=tmp_path, steps=1, long_sentences="chunks")
    drawn = generation.draw(pipe, rows, s, type(pipe))
    how = {"generator": torch.Generator().manual_seed(generation.story_seed("long", 0)), "num_inference_steps": 1, "guidance_scale": 2.0}
    expected = pipe(rows["sentences"][0], long_sentences="chunks", **how).frames[0][0]
    assert np.array_equal(np.asarray(drawn[0]["frames"][0]), np.asarray(expected))
    (tmp_path / "model_index.json").write_text('{"_class_name": "StoryLDMPipeline"}')  # and no tokenizer: it has a reader
    with pytest.raises(ValueError, match=r"--long-sentences is chunks, and .* has no CLIP text encoder"):
        generation.main(replace(s, model=str(tmp_path)))


# --- scoring -----------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scorer():
    return script("evaluation/score_stories.py")


@pytest.fixture(scope="module")
def settings(scorer, tmp_path_factory):
    return scorer.Settings("truth", generated="toonstories", stories=STORIES, results=tmp_path_factory.mktemp("results"), resamples=20, ceiling=False)


def test_a_system_is_a_name(scorer, settings, monkeypatch, tmp_path):
    monkeypatch.setattr(scorer, "score", lambda s: pytest.fail("work has begun"))
    for name in ("../truth", str(tmp_path / "truth"), "..", "", "a\nb"):
        with pytest.raises(SystemExit, match=r"--system is .*; it must be a name"):
            scorer.main(replace(settings, system=name, results=tmp_path / "results"))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def reference() -> Dataset:
    return load_stories("toonstories", "test", limit=STORIES)


def written(folder: Path, reference: Dataset, **columns) -> Path:
    """The stories with some columns replaced, as the folder of a system."""
    (folder / "data").mkdir(parents=True)
    rows = {name: columns.get(name, reference[name][:]) for name in ("story_id", "frames", "sentences")}
    features = Features({name: reference.features[name] for name in rows})
    Dataset.from_dict(rows, features=features).to_parquet(str(folder / "data" / "test-00000-of-00001.parquet"))
    return folder


def test_the_truth_scored_against_itself(scorer, settings):
    scorer.main(settings)
    result = json.loads((settings.results / "truth.json").read_text())
    shares = [
        value["value"]
        for row, columns in result["table"].items()
        for column, value in columns.items()
        if row not in ("match", "pixels") and column != "other of the pronoun"
    ]
    assert len(shares) > 30 and min(shares) >= 0.98, "60 stories; the whole split is at 99.5 and more"
    assert result["table"]["pronoun"]["other of the pronoun"]["value"] <= 0.01
    assert all(abs(value["value"]) < 1e-3 < value["floor"] for value in result["distances"].values())
    assert result["table"]["pixels"]["ssim"]["value"] == pytest.approx(1, abs=2e-4)
    assert result["table"]["match"]["cosine"]["value"] == pytest.approx(result["table"]["match"]["cosine"]["truth"], rel=1e-4)
    assert len(result["story_ids"]) == len(result["per_story"]["all/characters"]["of"]) == STORIES
    cosine = result["per_story"]["match/cosine"]
    assert sum(cosine["right"]) / sum(cosine["of"]) == pytest.approx(result["table"]["match"]["cosine"]["value"], abs=1e-3)
    assert list(result["by_position"]) == ["0", "1", "2", "3", "4"]
    assert "| referential | characters |" in (settings.results / "truth.md").read_text()


def test_the_frames_of_other_stories_are_near_chance(scorer, settings, reference, tmp_path):
    frames = reference["frames"][:]
    other = frames[1:] + frames[:1]
    result = scorer.score(replace(settings, generated=str(written(tmp_path / "other", reference, frames=other)), system="other"))
    table = result["table"]
    assert table["all"]["characters"]["value"] < 0.15 and table["all"]["background"]["value"] < 0.3
    assert table["self"]["mark kept"]["count"] < 40, "few are shown at all"
    assert all(value["value"] < 0.3 * value["floor"] for value in result["distances"].values()), "the same pictures in all"
    assert table["match"]["r-precision"]["value"] < 0.2 and table["pixels"]["ssim"]["value"] < 0.7


def test_shuffled_frames_change_what_depends_on_their_order(scorer, settings, reference, tmp_path):
    order = [3, 0, 4, 2, 1]
    frames = [[row[m] for m in order] for row in reference["frames"]]
    result = scorer.score(replace(settings, generated=str(written(tmp_path / "shuffled", reference, frames=frames)), system="shuffled"))
    assert result["table"]["all"]["action"]["value"] < 0.3, "an action is of one frame; who is there often stays"
    assert abs(result["distances"]["fid_evaluator"]["value"]) < 1e-3, "the same frames in all"
    assert result["distances"]["fsd_evaluator"]["value"] > 0.05


def test_a_folder_of_pictures_scores_as_the_story_form(scorer, settings, reference, tmp_path):
    frames = [[frame.rotate(4) for frame in row] for row in reference["frames"]]
    for story_id, row in zip(reference["story_id"], frames, strict=True):
        (tmp_path / "pictures" / story_id).mkdir(parents=True)
        for m, frame in enumerate(row):
            frame.save(tmp_path / "pictures" / story_id / f"{m}.png")
    one = scorer.score(replace(settings, generated=None, frames=tmp_path / "pictures"))
    other = scorer.score(replace(settings, generated=str(written(tmp_path / "rotated", reference, frames=frames))))
    parts = ("table", "distances", "per_story", "by_position")
    one, other = (scorer.without_nan({part: result[part] for part in parts}) for result in (one, other))
    assert one == other


def test_full_text_is_taken_and_labels_stay(scorer, settings, reference, tmp_path):
    full = load_stories("toonstories", "test", text="full", limit=STORIES, pictures=False)["sentences"][:]
    result = scorer.score(replace(settings, generated=str(written(tmp_path / "full", reference, sentences=full))))
    assert result["table"]["referential"]["characters"]["count"] > 100


def spoiled(reference: Dataset, folder: Path, how: str) -> Path:
    ids, frames, sentences = (reference[name][:] for name in ("story_id", "frames", "sentences"))
    if how == "missing":
        return written(folder, reference.select(range(STORIES - 2)))
    if how == "foreign":
        ids[4] = "test/elsewhere"
    if how == "twice":
        ids[4] = ids[5]
    if how == "count":
        frames[4] = frames[4][:3]
    if how == "sentences":
        sentences[4] = ["He waves."] * 5
    if how == "size":
        frames[4][2] = frames[4][2].resize((32, 32))
    return written(folder, reference, story_id=ids, frames=frames, sentences=sentences)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "2 of 60 stories are missing; the first is "),
        ("foreign", "1 of 60 stories are missing"),
        ("twice", "occurs twice"),
        ("count", "has 5 sentences and 3 frames"),
        ("sentences", "was drawn for sentences that are not the reference's"),
        ("size", "has 32 × 32 pixels, not 64 × 64; use --resize"),
    ],
)
def test_bad_stories_are_named(scorer, settings, reference, tmp_path, how, says):
    bad = replace(settings, generated=str(spoiled(reference, tmp_path / "bad", how)), system="bad")
    with pytest.raises(SystemExit, match=r"^bad was not scored: "):
        try:
            scorer.main(bad)
        except SystemExit as error:
            assert says in str(error)
            raise
    assert not (settings.results / "bad.json").exists()


def test_bad_folders_are_named(scorer, settings, reference, tmp_path):
    for story_id, row in zip(reference["story_id"], reference["frames"], strict=True):
        (tmp_path / story_id).mkdir(parents=True)
        for m, frame in enumerate(row):
            frame.save(tmp_path / story_id / f"{m}.png")
    bad = replace(settings, generated=None, frames=tmp_path)
    spoiled = tmp_path / reference["story_id"][3] / "2.png"
    good = spoiled.read_bytes()
    for content, says in ((good[:100], "frame 2 of story"), (b"no picture", "cannot be read"), (None, "holds the pictures")):
        spoiled.unlink(missing_ok=True)
        if content is not None:
            spoiled.write_bytes(content)
        with pytest.raises(ValueError, match=says):
            scorer.score(bad)
    with pytest.raises(ValueError, match="is not a folder"):
        scorer.score(replace(bad, frames=tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="exactly one of --generated and --frames"):
        scorer.score(replace(bad, generated="x"))


def test_an_evaluator_of_another_world_or_a_bad_one_is_refused(scorer, settings, tmp_path):
    from test_evaluators import TINY

    from story_ldm.encoders.evaluator import FrameEvaluator

    FrameEvaluator(**TINY, characters=("Ann", "Bob")).save_pretrained(tmp_path / "other")
    FrameEvaluator(**TINY).save_pretrained(tmp_path / "bad")
    with pytest.raises(ValueError, match=r"trained for other characters, .*Ann"):
        scorer.score(replace(settings, evaluator=tmp_path / "other"))
    with pytest.raises(ValueError, match=r"on real frames; at least 0\.99 is required"):
        scorer.score(replace(settings, evaluator=tmp_path / "bad"))


# --- distances ---------------------------------------------------------------------------------------------------------------------------


def test_results_tell_no_path_of_this_machine(scorer):
    assert scorer.printable({"model": "/home/me/runs/plain/pipeline", "seed": 0}) == {"model": "plain/pipeline", "seed": 0}
    for kept in ({"model": "runs/plain/pipeline"}, {"model": "toon-story-ldm"}, {"seed": 0}):
        assert scorer.printable(kept) == kept


def test_interval_of_a_distance():
    """It holds the distance of 4,000 stories in nearly all of 20 samples of 200, and is nothing where both sides are the same."""
    generator = torch.Generator().manual_seed(0)
    stories = lambda count, shift: torch.randn(count, 1, 4, generator=generator) * 0.7 + torch.randn(count, 3, 4, generator=generator) + shift  # noqa: E731
    far = frechet.frechet_distance(stories(4000, 0.0).flatten(0, 1), stories(4000, 0.4).flatten(0, 1))
    story, inside = torch.arange(200).repeat_interleave(3), 0
    for seed in range(20):
        real, drawn = stories(200, 0.0).flatten(0, 1), stories(200, 0.4).flatten(0, 1)
        found = frechet.distance(real, drawn, story, resamples=50, seed=seed)
        assert found["low"] < found["value"] < found["high"]
        inside += found["low"] <= far <= found["high"]
    assert inside >= 16
    same = frechet.distance(real, real, story, resamples=10)
    assert abs(same["low"]) < 1e-6 and abs(same["high"]) < 1e-6


def test_interval_of_a_distance_is_the_normal_one():
    """Two clouds far apart, so that the distance is ‖μ - μ'‖² with a standard error of 2 ‖μ - μ'‖ √(2 / N): 2 · 1.96 of them are the interval."""
    generator, shift = torch.Generator().manual_seed(0), torch.tensor([30.0, 0.0])
    real, drawn = (torch.randn(400, 2, generator=generator) + x for x in (0 * shift, shift))
    found = frechet.distance(real, drawn, torch.arange(400), resamples=1500)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 2 * 30 * (2 / 400) ** 0.5, rel=0.09)


def test_the_floor_is_of_two_disjoint_halves():
    """Every other of the real ones: where they differ, so do the halves."""
    real = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) * 0.01 + torch.tensor([[0.0, 0.0], [3.0, 4.0]]).repeat(200, 1)
    assert frechet.distance(real, real)["floor"] == pytest.approx(25, rel=0.01)


def test_interval_of_a_distance_is_about_the_distance():
    """Few stories with many features: resamples are much farther apart than the samples are, and the interval is not."""
    generator = torch.Generator().manual_seed(0)
    real, drawn = (torch.randn(60, 30, generator=generator) for _ in range(2))
    found = frechet.distance(real, drawn, torch.arange(60), resamples=60)
    assert found["low"] < found["value"] < found["high"]
    assert (found["low"] + found["high"]) / 2 == pytest.approx(found["value"], rel=0.1)


def test_distance_is_torchmetrics_on_the_same_features():
    torch.manual_seed(0)
    real, drawn = torch.randn(300, 6), torch.randn(200, 6) * 1.5 + 0.3

    class Given(torch.nn.Module):
        num_features = 6

        def forward(self, x):
            return x

    metric = FrechetInceptionDistance(Given())
    few = torch.randn(5, 6), torch.randn(4, 6)  # of less than full rank
    for features in ((real, drawn), (real, real), few):
        metric.reset(), metric.update(features[0].double(), real=True), metric.update(features[1].double(), real=False)
        assert frechet.frechet_distance(*features) == float(metric.compute()), "to the same bits"
    with pytest.raises(ValueError, match="at least 2 real and 2 generated rows, got 300 and 1"):
        frechet.frechet_distance(real, drawn[:1])
    mean = (real.mean(0) - drawn.mean(0)).square().sum()
    a, b = np.cov(real.T.numpy()), np.cov(drawn.T.numpy())
    vectors = np.linalg.eigvals(a @ b)
    assert frechet.frechet_distance(real, drawn) == pytest.approx(float(mean) + np.trace(a + b) - 2 * np.sqrt(vectors.real).sum(), rel=1e-4)


class Scripted(torch.nn.Module):
    """Called as NVIDIA's Inception-v3 is."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return x.float().flatten(2).mean(2)


class ScriptedVideo(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean([2, 3, 4])


def test_networks_from_torchscript(tmp_path):
    torch.jit.script(Scripted()).save(tmp_path / "i.pt")
    torch.jit.script(ScriptedVideo()).save(tmp_path / "v.pt")
    frames, story = torch.randint(0, 256, (7, 3, 16, 16), dtype=torch.uint8), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    found = frechet.frame_features(frechet.open_network(tmp_path / "i.pt"), frames, batch=3)
    torch.testing.assert_close(found, frames.float().mean((2, 3)))
    found = frechet.video_features(frechet.open_network(tmp_path / "v.pt"), frames, story)
    assert found.shape == (2, 3) and torch.isfinite(found).all()
    (tmp_path / "bad.pt").write_bytes(b"weights")
    with pytest.raises(ValueError, match=r"bad.pt is not a TorchScript file"):
        frechet.open_network(tmp_path / "bad.pt")


def test_videos_are_normalised_by_colour(tmp_path):
    torch.jit.script(ScriptedVideo()).save(tmp_path / "v.pt")
    colour = torch.tensor([0, 51, 255], dtype=torch.uint8)
    found = frechet.video_features(frechet.open_network(tmp_path / "v.pt"), colour.view(1, 3, 1, 1).expand(4, -1, 16, 16), torch.zeros(4).long())
    expected = (torch.tensor([0, 0.2, 1]) - torch.tensor(frechet.KINETICS_MEAN)) / torch.tensor(frechet.KINETICS_STD)
    torch.testing.assert_close(found[0], expected, atol=1e-3, rtol=1e-3)


def test_story_features_depend_on_order():
    features, story = torch.randn(9, 4), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2])
    one, other = (frechet.story_features(features[order], story) for order in (torch.arange(9), torch.tensor([2, 0, 3, 1, 4, 5, 6, 7, 8])))
    torch.testing.assert_close(one[:, :4], other[:, :4])
    assert not torch.allclose(one[0, 4:], other[0, 4:]) and torch.equal(one[1:], other[1:])
    assert torch.equal(one[2, 4:], torch.zeros(4))


def test_a_change_counts_whichever_way_it_goes():
    """Frames that go one way and back change as much as frames that go on."""
    features, story = torch.tensor([[0.0], [1.0], [0.0], [0.0], [1.0], [2.0]]), torch.tensor([0, 0, 0, 1, 1, 1])
    assert frechet.story_features(features, story)[:, 1].tolist() == [1.0, 1.0]


def test_resized_pictures(reference, tmp_path):
    small = reference.select(range(3))
    frames = [[frame.resize((128, 128), Image.Resampling.NEAREST) for frame in row] for row in small["frames"]]
    stories = load_stories(written(tmp_path / "large", small, frames=frames), "test", None)
    assert torch.equal(generated_frames(stories, small, 64, resize=True), generated_frames(small, small, 64))


def test_a_larger_picture_is_averaged(reference, tmp_path):
    """A pixel is the mean of those it stands for, so that fine patterns do not become coarse ones."""
    one = reference.select([0])
    board = (255 * ((np.arange(128)[:, None] + np.arange(128)) % 2)).astype(np.uint8)
    frames = [[Image.fromarray(board).convert("RGB")] * len(one[0]["frames"])]
    drawn = generated_frames(load_stories(written(tmp_path / "large", one, frames=frames), "test", None), one, 64, resize=True)
    assert ((drawn.float() - 127.5).abs() <= 1).all()


@pytest.mark.slow
def test_scoring_is_quick(settings, tmp_path):
    """1,000 stories in under 3 minutes and 4 GB."""
    import resource
    import subprocess
    import sys

    started = time.monotonic()
    argv = [sys.executable, ROOT / "evaluation" / "score_stories.py", "--generated", "toonstories", "--system", "truth", "--results", tmp_path]
    subprocess.run(argv, check=True, cwd=ROOT)
    assert time.monotonic() - started < 180
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20
