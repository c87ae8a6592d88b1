"""The reader: words, slots, causality, what it says it understood, its targets, and its place in the pipeline."""

from __future__ import annotations

import json
import random

import pytest
import torch
from conftest import ROOT, WIDTH, as_trained, script, tiny_unet, tiny_vae
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from story_ldm.cli import generate
from story_ldm.data.free_english import read_stories
from story_ldm.data.toonstories import ACTIONS
from story_ldm.data.toonstories.told import LABELS
from story_ldm.encoders.reader import (
    MAX_WORDS,
    NGRAMS,
    PAD,
    UNKNOWN,
    WORD,
    Reader,
    UnderstoodCharacter,
    UnderstoodFrame,
    ngram_buckets,
    sentence_numbers,
    split_words,
)
from story_ldm.encoders.reading_loss import reading_loss
from story_ldm.pipelines import StoryLDMPipeline

WORDS = ["the", "bear", "waves", "she", ".", "in", "red", "and"]
STORY = ["Luna the bear waves in a red shirt.", "She didn't sit down, and “Max” came.", "They run!"]


def tiny_reader(**settings) -> Reader:
    torch.manual_seed(0)
    return Reader(words=WORDS, labels=LABELS, **{"width": WIDTH, "heads": 2, "token_layers": 1, "layers": 2, **settings}).eval()


def read(reader: Reader, *stories: list[str]) -> torch.Tensor:
    with torch.no_grad():
        return reader(*reader.tokenize(list(stories)))[0].states


def test_words():
    assert split_words("Luna’s friends DIDN'T “run”—they can't…") == [
        *("luna", "'s", "friends", "did", "n't", '"', "run", '"', "-", "they", "ca", "n't", *"..."),
    ]
    assert split_words("Zoë, Øyvind & 小明: 12 ✓") == ["zoë", ",", "øyvind", "&", "小明", ":", "1", "2", "✓"]
    assert len(ngram_buckets("antidisestablishmentarianism")) == NGRAMS and ngram_buckets("luna") != ngram_buckets("lena")


def test_tokens():
    reader = tiny_reader()
    tokens, mask = reader.tokenize([["The bear.", "Quux"], ["She waves and waves."]])
    assert tokens.shape == (2, 2, 5, 2 + NGRAMS) and mask.sum(-1).tolist() == [[3, 1], [5, 0]]
    assert tokens[0, 0, :, 0].tolist() == [2, 3, 6, PAD, PAD] and tokens[0, 1, 0, 0] == UNKNOWN
    assert set(tokens[0, 1, 0, 1:].tolist()) >= {*ngram_buckets("quux"), PAD}


def test_sentences_of_a_frame():
    """Each updates the slots by itself. Marks that follow each other end one, and what is called out stays with who calls it."""
    for text, numbers in {
        "Bruno waves. He sits": "00011",
        "Wait... what?! No": "00001112",
        '"Hi!" says Max. Luna runs.': "0000000111",
        "": "0",
    }.items():
        tokens, _ = tiny_reader().tokenize([[text, "It is long, this second frame, and has no end"]])
        assert sentence_numbers(tokens[..., WORD])[0, 0, : len(numbers)].tolist() == [int(number) for number in numbers], text


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read(text):
    if len(split_words(text)) <= MAX_WORDS:
        assert read(tiny_reader(), [text]).isfinite().all()


def test_too_long_a_frame_is_refused_with_its_count():
    reader = tiny_reader()
    reader.tokenize([["word " * MAX_WORDS]])
    with pytest.raises(ValueError, match="has 97 words and punctuation marks; a frame may have 96: shorten or split it"):
        reader.tokenize([["fine"], ["word " * MAX_WORDS + "."]])


@pytest.mark.parametrize("positions", ["rotary", "absolute"])
def test_causality(positions):
    """Invariant 1: another sentence k leaves the slots before it bit-identical, whatever its length, and changes those from it on."""
    reader = tiny_reader(positions=positions)
    before = read(reader, STORY)
    for k, text in ((1, "No."), (2, "They run and run and run and run and never stop at all.")):
        after = read(reader, [*STORY[:k], text, *STORY[k + 1 :]])
        assert torch.equal(before[:, :k], after[:, :k])
        assert not torch.isclose(before[:, k:], after[:, k:]).all(-1).all(-1).any()
    assert torch.equal(before[:, :1], read(reader, STORY[:1])), "and so does a story's end"


def test_stories_together_are_stories_one_by_one():
    """Invariant 2, and a batch in training, whose sentences pass in other groups, is one in evaluation."""
    reader, other = tiny_reader(), ["The bear, the bear and the bear wave and wave and wave."]
    together = read(reader, STORY, other)
    for n, story in enumerate((STORY, other)):
        torch.testing.assert_close(together[n, : len(story)], read(reader, story)[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(read(reader.train(), STORY, other), together, atol=1e-5, rtol=1e-4)


def test_the_order_of_words_matters_and_unknown_words_differ():
    reader = tiny_reader()
    one, two = read(reader, ["Max waves and Luna sits."], ["Luna waves and Max sits."])
    assert (one - two).abs().max() > 1e-3
    one, two = read(reader, ["Quuxa waves."], ["Zorba waves."])
    assert (one - two).abs().max() > 1e-3, "letters tell unknown words apart"


def test_saved_and_opened(tmp_path):
    """Invariant 4."""
    reader = tiny_reader()
    reader.save_pretrained(tmp_path)
    opened = Reader.from_pretrained(tmp_path).eval()
    assert torch.equal(read(opened, STORY), read(reader, STORY)) and opened.understand([STORY]) == reader.understand([STORY])


def test_new_words_change_nothing_until_they_are_trained():
    reader = tiny_reader()
    grown = reader.with_words(["luna", "bear"]).eval()
    assert grown.config.words == [*WORDS, "luna"] and torch.equal(read(grown, STORY), read(reader, STORY))
    grown.word.weight.data[grown.rows["luna"]] += 1
    assert not torch.equal(read(grown, STORY), read(reader, STORY))


def test_positions_have_two_forms():
    with pytest.raises(ValueError, match="positions is 'none'; it must be rotary or absolute"):
        tiny_reader(positions="none")


def test_understanding_is_said_in_the_labels_words():
    reader = tiny_reader()
    frames = reader.understand([STORY, STORY[:1]])
    assert [len(story) for story in frames] == [3, 1]
    for frame in frames[0]:
        assert frame.place in LABELS["places"] and 1 <= len(frame.characters) <= 4
        for c in frame.characters:
            assert c.kind in LABELS["kinds"] and c.action in ACTIONS and c.garment in (None, *LABELS["garments"])
    silent = Reader(words=WORDS, width=WIDTH, heads=2)
    with pytest.raises(ValueError, match="trained without labels"):
        silent.understand([STORY])
    frame = UnderstoodFrame("moon", [UnderstoodCharacter("fox", "red", "wave", "blue ball"), UnderstoodCharacter("bear", None, "sit", None)])
    assert str(frame) == "moon | fox in red: wave, with a blue ball | bear: sit"


def test_the_development_set_is_in_its_form(tmp_path):
    stories = read_stories(ROOT / "tests" / "data" / "free_english.txt")
    assert len(stories) >= 120 and {story.level for story in stories} == {"easy", "hard"}
    for story in stories:
        for frame in story.said:
            assert frame.place in LABELS["places"] and frame.who and {*frame.who, *frame.open} <= set(LABELS["kinds"])
            assert {color for _, color in frame.garments} <= set(LABELS["garments"]) and {action for _, action in frame.actions} <= set(ACTIONS)
        tiny_reader().tokenize([story.sentences])
    bad = tmp_path / "bad.txt"
    bad.write_text("## easy | corpus words\n@ D duck she Dora\nDora waves. | D | forest | - | X:wave | -\n")
    with pytest.raises(ValueError, match="line 3 is 'Dora waves"):
        read_stories(bad)


def reader_pipeline() -> StoryLDMPipeline:
    reader = as_trained(tiny_reader())
    scheduler = DDIMScheduler(prediction_type="v_prediction", clip_sample=False)
    pipe = StoryLDMPipeline(tiny_vae(2, normalised=True), None, None, tiny_unet(), scheduler, reader=reader)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: StoryLDMPipeline, story: list[str]) -> torch.Tensor:
    return pipe(story, num_inference_steps=2, output_type="latent", generator=torch.Generator().manual_seed(0)).frames[0]


def test_pipeline_with_a_reader(tmp_path):
    pipe = reader_pipeline()
    drawn = draw(pipe, STORY)
    changed = draw(pipe, [*STORY[:2], "The bear runs, runs and runs away and nobody knows where."])
    assert torch.equal(drawn[:2], changed[:2]) and not torch.allclose(drawn[2], changed[2])
    understood = pipe.understand(STORY)
    assert len(understood) == 3 and pipe.understand([STORY])[0] == understood == pipe.reader.understand([STORY])[0]
    pipe.save_pretrained(tmp_path)
    opened = StoryLDMPipeline.from_pretrained(tmp_path)
    opened.set_progress_bar_config(disable=True)
    assert opened.text_encoder is None and torch.equal(draw(opened, STORY), drawn)
    with pytest.raises(ValueError, match="has 97 words"):
        pipe(["word " * 97])


def test_a_pipeline_has_one_reader(tokenizer):
    with pytest.raises(ValueError, match="needs a reader, or a text_encoder and a tokenizer, and not both"):
        StoryLDMPipeline(tiny_vae(), None, tokenizer, tiny_unet(), DDIMScheduler())
    with pytest.raises(ValueError, match="not both"):
        StoryLDMPipeline(tiny_vae(), torch.nn.Linear(1, 1), tokenizer, tiny_unet(), DDIMScheduler(), reader=tiny_reader())


def test_generate_explains(tmp_path, capsys):
    reader_pipeline().save_pretrained(tmp_path / "pipe")
    generate(tuple(STORY), output=tmp_path / "story.png", model=tmp_path / "pipe", steps=1, explain=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == STORY[0] and lines[1].split(" | ")[0].strip() in LABELS["places"] and (tmp_path / "story.png").exists()
    with pytest.raises(ValueError, match="has a text encoder instead of a reader"):
        generate(("Bruno the bear waves.",), output=tmp_path / "other.png", explain=True)
    assert not (tmp_path / "other.png").exists(), "nothing is drawn before it is refused"


def test_free_english_script(tmp_path, capsys):
    """On a reader, on a pipeline's reader, and on pictures; a story that is too long counts as wrong."""
    module = script("evaluation/free_english.py")
    pipe = reader_pipeline()
    pipe.save_pretrained(tmp_path / "pipe")
    pipe.reader.save_pretrained(tmp_path / "reader")
    stories = tmp_path / "stories.txt"
    long = "word " * 97
    stories.write_text(
        f"## easy | a\n@ B bear he Bruno\nBruno waves. | B | forest | B:red | B:wave | -\n\n## hard | b\n@ F fox she\n{long}| F | moon | - | - | -\n"
    )
    for model, more in (("reader", {}), ("pipe", {"text_only": True}), ("pipe", {"steps": 1})):
        out = tmp_path / "out.json"
        module.main(module.Settings(model=str(tmp_path / model), stories=stories, out=out, **more))
        rates = json.loads(out.read_text())["rates"]
        assert rates["hard"] == {"stories": 1, "refused": 1, "counts": rates["hard"]["counts"], "percent": {"characters": 0, "place": 0}}
        assert rates["easy"]["refused"] == 0 and rates["easy"]["counts"]["garments"][1] == 1
        assert "| hard, b | 1 | 1 | 0.0 | 0.0 |" in capsys.readouterr().out
    Reader(words=WORDS, width=WIDTH, heads=2).save_pretrained(tmp_path / "silent")
    for model, message in (
        ("silent", "trained without labels"),
        ("pipe/unet", "is a StoryUNet2DConditionModel"),
        ("pipe/scheduler", "has no pipeline"),
    ):
        with pytest.raises(SystemExit, match=message):
            module.main(module.Settings(model=str(tmp_path / model), stories=stories))
    with pytest.raises(SystemExit, match="has no reader"):
        module.main(module.Settings(model="toon-story-ldm", stories=stories, text_only=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype, tmp_path):
    reader_pipeline().save_pretrained(tmp_path)
    pipe = StoryLDMPipeline.from_pretrained(tmp_path, dtype=dtype)
    assert pipe.reader.dtype == dtype and pipe.understand(STORY)
    condition = pipe.encode_sentences([STORY])
    assert condition.states.dtype == dtype and condition.states.isfinite().all()


def test_a_reader_learns_to_bind():
    """Which colour is whose, from one sentence: with rotary positions in a few dozen steps."""
    torch.manual_seed(0)
    kinds, colors = ["bear", "frog"], ["red", "blue"]
    labels = {"kinds": kinds, "garments": colors, "places": ["moon"]}
    reader = Reader(words=[*kinds, *colors, "in", "and"], labels=labels, characters=2, scratch=1, width=32, heads=2, layers=1)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=3e-3)
    for _ in range(120):
        order = torch.randint(0, 2, (64, 2))
        texts = [[f"{kinds[a]} in {colors[b]} and {kinds[1 - a]} in {colors[1 - b]}"] for a, b in order.tolist()]
        logits = reader(*reader.tokenize(texts))[1]["garments"][:, 0]
        targets = torch.stack([order[:, 1], 1 - order[:, 1]], 1) + 1
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (logits.argmax(-1) == targets).float().mean() > 0.99


@pytest.mark.parametrize("frames", [2, 1])
def test_a_reader_learns_names(frames):
    """Who does what, told by names that no story had before, in another order than before, in the next frame or sentence. A reader whose slots keep
    no words reads names in the order of appearance, right in three of four cases here, also after 600 steps. What each name means in training is
    given."""
    torch.manual_seed(0)
    draw, kinds, actions = random.Random(0), ["bear", "frog", "duck"], ["waves", "sits"]
    labels = {"kinds": kinds, "actions": actions, "places": ["moon"]}
    reader = Reader(words=[*kinds, *actions, "the", "and", ","], labels=labels, characters=2, scratch=1, width=48, heads=2, layers=2)
    optimizer, right = torch.optim.AdamW(reader.parameters(), lr=4e-3), []
    while sum(right[-10:]) < 9.2 and len(right) < 100:  # about twenty steps
        stories, of_kinds, of_actions = [], torch.randint(0, 3, (64, 2)), torch.randint(0, 2, (64, 2))
        mentions = torch.zeros(64, frames, 2, 7 if frames == 2 else 13, dtype=torch.int8)
        mentions[:, 0, 0, :3] = mentions[:, 0, 1, 4:7] = 1
        for n, ((one, other), (x, y)) in enumerate(zip(of_kinds.tolist(), of_actions.tolist(), strict=True)):
            a, b = ("".join(draw.choices(["ba", "do", "ki", "lu", "me", "no", "pa", "ri", "su", "to", "va", "ze"], k=3)) for _ in range(2))
            says = [f"{a} {actions[x]}", f"{b} {actions[y]}"]
            draw.shuffle(says)
            first = torch.tensor([0, 3] if says[0].startswith(a) else [3, 0])
            mentions[n, -1, (0, 1), first if frames == 2 else first + 8] = 3 - frames
            told = [f"{a} the {kinds[one]} and {b} the {kinds[other]}", ", ".join(says)]
            stories.append(told if frames == 2 else [". ".join(told)])
        logits = reader(*reader.tokenize(stories))[1]
        loss, _ = reading_loss({"mentions": logits["mentions"]}, {"mentions": mentions})
        loss = loss + torch.nn.functional.cross_entropy(logits["actions"][:, -1].flatten(0, 1), of_actions.flatten())
        for m in range(frames):
            loss = loss + torch.nn.functional.cross_entropy(logits["kinds"][:, m].flatten(0, 1), of_kinds.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right.append((logits["actions"][:, -1].argmax(-1) == of_actions).float().mean().item())
    assert sum(right[-10:]) >= 9.2, right[::20]
