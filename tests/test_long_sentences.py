"""Sentences that are longer than a text encoder reads: an error that counts and names them, cut, or left out with their stories; never silently."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from published_copies import picture, rows, save

from story_ldm import cli
from story_ldm.data.long_sentences import WORDS, fit_sentences
from story_ldm.data.sources import StoryDataError
from story_ldm.data.sources.convert import Conversion, convert
from story_ldm.data.stories import fit_stories
from story_ldm.data.words import MAX_WORDS
from story_ldm.encoders.limits import folder_limit
from story_ldm.encoders.sentences import tokenize_sentences

pytestmark = pytest.mark.usefixtures("own_cache")
LONG = [f"Mia sees {'many ' * n}birds." for n in (100, 120)]


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=60).filter(str.strip))
def test_what_is_cut_is_a_beginning_that_fits(text):
    cut = WORDS.cut(text * 5)
    assert (text * 5).startswith(cut) and WORDS.lengths([cut])[0] <= MAX_WORDS


def test_cuts_are_between_words():
    assert WORDS.cut(LONG[0]) == "Mia sees " + " ".join(["many"] * 94) and WORDS.cut("Mia sits.") == "Mia sits."
    assert WORDS.cut("米," * 100) == "米," * 48  # no spaces
    assert WORDS.lengths([WORDS.cut(LONG[1])]) == [MAX_WORDS]


def forms() -> list[Dataset]:
    sentences = [["Mia sits.", LONG[0]], ["Mia waves.", "Mia sits."], [LONG[1], LONG[0]]]
    story = {"story_id": ["a", "b", "c"], "frames": [[], [], []], "sentences": sentences}
    return [Dataset.from_dict(story), Dataset.from_dict({**story, "sentences": [["Mia sits."] * 2, [LONG[1], "Mia sits."], ["Mia sits."] * 2]})]


def test_all_long_sentences_are_counted_and_named():
    with pytest.raises(ValueError, match=r"2 sentences are too long: sentence 'Mia sees .* has 124 words and .*; sentence .* has 104 words") as error:
        fit_stories(forms(), WORDS, "error")
    assert "--long-sentences cut shortens them, skip leaves their stories out" in str(error.value)
    with pytest.raises(ValueError, match="; and 1 more sentences are too long") as error:
        fit_sentences(["word " * 9999, *(f"{n} {LONG[0]}" for n in range(10))], WORDS, "error")
    assert len(str(error.value)) < 10_000 and "has 9999 words" in str(error.value) and "skip" not in str(error.value)


def test_cut_and_skip_say_what_they_do(capsys):
    short = fit_stories(forms(), WORDS, "cut")
    assert capsys.readouterr().err == "2 sentences are cut to 96 words and punctuation marks (--long-sentences cut)\n"
    assert short[0]["sentences"][0] == ["Mia sits.", WORDS.cut(LONG[0])] and short[1]["sentences"][1] == [WORDS.cut(LONG[1]), "Mia sits."]
    assert short[0].column_names == forms()[0].column_names
    first, *_ = forms()
    assert fit_stories([first], WORDS, "skip")[0]["story_id"] == ["b"]
    said = "2 of 3 stories have sentences of more than 96 words and punctuation marks and are left out (--long-sentences skip)\n"
    assert capsys.readouterr().err == said
    with pytest.raises(ValueError, match="skip leaves their stories out, but each story has one"):
        fit_stories(forms(), WORDS, "skip")  # each has one in one of its forms
    whole = [first.select([1])]
    assert fit_stories(whole, WORDS, "error") is whole and fit_stories(forms(), None, "error") and not capsys.readouterr().err


def test_a_story_typed_in(capsys):
    assert fit_sentences(["Mia sits.", LONG[0]], WORDS, "cut") == ["Mia sits.", WORDS.cut(LONG[0])]
    assert capsys.readouterr().err == "1 sentence is cut to 96 words and punctuation marks (--long-sentences cut)\n"
    with pytest.raises(ValueError, match="--long-sentences is skip; it must be error, cut or chunks"):
        cli.generate((LONG[0],), long_sentences="skip")


def test_limits_of_folders(tokenizer, damsm, tmp_path):
    assert folder_limit(tmp_path) is WORDS, "without a tokenizer, the reader reads"
    for part in ("tokenizer", "text_encoder"):
        shutil.copytree(damsm / part, tmp_path / "gan" / part)
    assert folder_limit(tmp_path / "gan") is None, "an LSTM has no limit"
    (tmp_path / "gan" / "text_encoder" / "config.json").write_text("[")
    with pytest.raises(ValueError, match="cannot be read as JSON"):
        folder_limit(tmp_path / "gan")
    tokenizer.save_pretrained(tmp_path / "clip" / "tokenizer")
    limit = folder_limit(tmp_path / "clip")
    assert limit.most == 32 and limit.lengths([limit.cut(LONG[0])])[0] <= 32 < limit.lengths([LONG[0]])[0]
    with pytest.raises(ValueError, match=r"1 sentence is too long: sentence 'Mia sees .* has .* tokens; this text encoder reads at most 32"):
        fit_sentences([LONG[0]], limit, "error")
    tokenize_sentences(tokenizer, [limit.cut(LONG[0])])  # which refuses what is too long


def test_conversions(tmp_path, capsys):
    copy, out = tmp_path / "in", tmp_path / "out"
    told = {"a": ["Mia sits.", LONG[0]], "b": ["Mia waves.", "Mia sits."], "c": [LONG[1], LONG[0]]}
    for story in told:
        for m in range(2):
            save(picture(f"{story}{m}"), copy / story / f"{m}.png")
    (copy / "stories.jsonl").write_text("\n".join(json.dumps({"story": story, "sentences": text}) for story, text in told.items()))

    def converted(how: str, out: Path = out) -> list[dict]:
        convert(Conversion("folder"), copy, out, num_proc=1, long_sentences=how)
        return rows(out)

    with pytest.raises(StoryDataError, match=r"2 sentences are too long: .*a frame may have at most 96"):
        converted("error")
    assert not list((out / "data").iterdir()) and not (out / "conversion.json").exists()
    cut = converted("cut")  # the same folder: only its files of long sentences are written again
    assert [row["sentences"] for row in cut] == [[WORDS.cut(sentence) for sentence in text] for text in told.values()]
    assert "3 sentences of 2 stories had more than 96 words and punctuation marks; they are cut." in (out / "README.md").read_text()
    assert [row["story_id"] for row in converted("skip")] == ["b"]
    record = json.loads((out / "conversion.json").read_text())
    assert record["long_sentences"] == "skip" and record["splits"]["train"]["long"] == {"sentences": 3, "stories": 2}
    assert "these are left out" in (out / "README.md").read_text()
    assert [row["sentences"] for row in converted("cut")] == [row["sentences"] for row in cut]
    with pytest.raises(StoryDataError, match="2 sentences are too long"):
        converted("error")
