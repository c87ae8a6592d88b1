"""Tales: every one has its form and says what its facts state; gaps are filled alike in the text and in the facts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from story_ldm.data.free_english import read_stories
from story_ldm.data.tale_gaps import GAP
from story_ldm.data.toonstories.tales import LONGEST, Tale, all_tales, fill, read_tales, told_tale
from story_ldm.data.toonstories.told import IGNORED
from story_ldm.data.toonstories.world import Dice
from story_ldm.data.toonstories2.told import TOLD_WORLDS
from story_ldm.encoders.reader import MAX_WORDS, split_words
from story_ldm.encoders.reading_loss import reading_loss
from story_ldm.metrics.understanding import told_frames

TALE = """
## a voice
@ A any name he
@ B duck noname she
{A} the {A.kind} is {in P}. {A.He} has a {A.color} shirt. | A | P | A:color | - | -
A duck comes and {V.s}; {A.he} {W.s}, with a {T}. | AB | P | - | B:V,A:W | A:T
Now {A}'s shirt is {A.color}, no longer {A.old}. Is she there, by the sofa? | A(B) | bedroom | A:new | - | A:T
The duck has {A.his} shirt on. | AB | bedroom | B:=A | B:stand | B:T
"""


def tale(tmp_path: Path, text: str = TALE) -> Tale:
    (tmp_path / "some.txt").write_text(text)
    return read_tales(tmp_path / "some.txt")[0]


@pytest.mark.parametrize("seed", range(20))
def test_gaps_are_filled_alike_in_text_and_facts(tmp_path, seed):
    dice = Dice(seed)
    story = fill(tale(tmp_path), dice, "train_wide")
    first, second, third, fourth = told_frames(story)
    kind = first.who[0]
    assert kind != "duck" and second.who == fourth.who == [kind, "duck"]
    assert third.who == [kind] and third.open == ["duck"] and third.place == fourth.place == "bedroom" != first.place == second.place
    ((_, color),), ((_, changed),) = first.garments, third.garments
    assert color != changed and fourth.garments == [(kind, changed), ("duck", changed)]
    assert second.garments == first.garments
    actions = dict(second.actions)
    assert len(set(actions.values())) == 2 and "stand" not in actions.values() and fourth.actions == [("duck", "stand")]
    assert second.props == [(kind, second.props[0][1])] and fourth.props == [("duck", second.props[0][1])]
    assert not GAP.search(" ".join(story.sentences))


def test_words_stand_in_the_text(tmp_path):
    """Where no slip changes a word and no synonym is drawn, a label's word is there."""
    plain = 0
    for seed in range(40):
        story = fill(tale(tmp_path), Dice(seed), "train_wide")
        color = told_frames(story)[0].garments[0][1]
        plain += re.search(rf"\b[aA] {color} shirt", story.sentences[0]) is not None
    assert plain > 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Hello. | A | forest | - | -", "6 columns"),
        ("Hello. | C | forest | - | - | -", "WHO is 'C'"),
        ("Hello. | A | sea | - | - | -", "'sea' is none of the places"),
        ("Hello. | A | forest | A:pink | - | -", "'pink' is none of the garments"),
        ("Hello. | A | forest | - | B:run | -", "B is not in WHO"),
        ("Hello. | A | forest | - | - | A:red hat", "PROP is 'A:red hat'"),
    ],
)
def test_a_tale_without_the_form_is_an_error(tmp_path, line, message):
    with pytest.raises(ValueError, match=rf"some.txt, line 4: .*{re.escape(message)}"):
        tale(tmp_path, f"## voice\n@ A fox name he\n@ B duck name she\n{line}\n")


def test_told_tales_are_pure_and_validation_has_its_own():
    assert told_tale(0, "train_wide", 5) == told_tale(0, "train_wide", 5) != told_tale(0, "train_wide", 6)
    assert not {id(one) for one in all_tales()} & {id(one) for one in all_tales(validation=True)}
    assert len(all_tales()) > 800 and len(all_tales(validation=True)) > 30
    assert [len(told_tale(0, "train_wide", n, LONGEST).sentences) for n in range(5)] == [LONGEST] * 5


def test_mentions_of_a_tales_beginning_follow_from_it():
    """Who is mentioned before they appear has no slot yet."""
    for one in all_tales()[::7]:
        whole = fill(one, Dice(0), "train_wide")
        taken = [sum(kind != IGNORED for kind in kinds) for kinds in whole.facts["kinds"]]
        assert all(slot < many for frame, many in zip(whole.mentions, taken, strict=True) for _, slots in frame for slot in slots)
    assert any(whole.mentions)


def test_no_story_of_the_development_set_is_a_tale():
    def bare(sentences: str) -> str:
        return " ".join(split_words(sentences))

    files = sorted((Path(__file__).with_name("data")).glob("free_english*.txt"))
    theirs = {bare(text) for file in files for story in read_stories(file) for text in story.sentences}
    ours = {bare(frame.sentences) for file, world in FILES for one in read_tales(file, world) for frame in one.frames}
    assert len(ours) > 3500 and not {text for text in theirs & ours if len(text.split()) > 6}


FILES = [(file, world) for world in TOLD_WORLDS.values() for file in sorted(world.tales.glob("*.txt"))]


@pytest.mark.parametrize(("file", "world"), FILES, ids=lambda part: getattr(part, "stem", ""))
def test_every_tale_says_what_its_facts_state(file, world):
    """Gaps and words of the facts stand in the text, everybody appears, no frame is longer than a reader reads."""
    wrong = []
    for one in read_tales(file, world):
        so_far, seen, worn = "", "", set()
        if not 3 <= len(one.frames) <= 8:
            wrong.append((one.where, "number of frames"))
        for frame in one.frames:
            text = frame.sentences
            so_far += f" {text}"
            seen += frame.who
            gaps = [gap[:1] + gap[1:].lower() for gap in GAP.findall(text)]
            worn |= set(frame.garments)
            wrong += [(text, gap) for gap in gaps if gap in one.cast and not one.cast[gap][1]]  # a name of the nameless
            wrong += [(text, gap) for gap in gaps if gap.endswith(".color") and gap[0] in "ABCD" and gap[0] not in worn]
            wrong += [(text, letter) for letter, value in frame.garments.items() if value in ("color", "new") and f"{letter}.color" not in gaps]
            wrong += [(text, value) for value in frame.garments.values() if value in world.labels["garments"] and value not in text.lower()]
            wrong += [(text, value) for value in frame.actions.values() if value in "VWX" and not re.search(rf"{{{value}\W", text)]
            if frame.place in "PQR" and not re.search(rf"{{([\w]+ )?{frame.place}}}", so_far):
                wrong.append((text, frame.place))
            wrong += [(text, value) for value in frame.props.values() if value in world.prop_letters and f"{{{value}" not in so_far]
            wrong += [(text, value) for value in frame.faces.values() if value in "FG" and not re.search(rf"{{{value}\W", text)]
            wrong += [(text, value) for value in frame.sky if value in "HY" and f"{{{value}}}" not in text]
            wrong += [(text, pair) for pair in world.pairs if list(frame.actions.values()).count(pair) % 2]
        if set(one.cast) != set(seen):
            wrong.append((one.where, "somebody never appears"))
        for number in range(3):
            told = fill(one, Dice(number), "train_wide")
            wrong += [(one.where, sentence) for sentence in told.sentences if len(split_words(sentence)) > MAX_WORDS]
    assert wrong == []


def test_whoever_may_be_seen_or_not_teaches_nothing():
    """An open character's logit does not change the loss."""
    facts = {"seen": torch.tensor([[[1, IGNORED]]])}
    losses = [reading_loss({"seen": torch.tensor([[[[0.5], [logit]]]])}, facts)[0] for logit in (-3.0, 3.0)]
    known = reading_loss({"seen": torch.tensor([[[[0.5], [0.5]]]])}, {"seen": torch.tensor([[[1, 0]]])})[0]
    assert losses[0] == losses[1] < known
