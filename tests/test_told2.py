"""What the sentences of a story of ToonStories 2 tell: targets, tales, stories written by hand, and a reader that learns and says it."""

from __future__ import annotations

import pytest
import torch
from conftest import ROOT, WIDTH, script
from hypothesis import given, settings
from hypothesis import strategies as st

from story_ldm.data.free_english import SaidFrame, read_stories
from story_ldm.data.toonstories.tales import Tale, all_tales, fill, read_tales, told_tale
from story_ldm.data.toonstories.told import FIRST, IGNORED, told_story
from story_ldm.data.toonstories.world import Dice
from story_ldm.data.toonstories2 import SPLITS, TEXT_FORMS, make_story
from story_ldm.data.toonstories2.free import free_story
from story_ldm.data.toonstories2.tables import ACTIONS, FACES, KINDS
from story_ldm.data.toonstories2.told import LABELS, SECOND, told_facts
from story_ldm.data.toonstories2.world import KIND_PRONOUNS, kind_of
from story_ldm.data.words import MAX_WORDS, split_words
from story_ldm.encoders.reader import Reader
from story_ldm.encoders.reading_loss import reading_loss
from story_ldm.encoders.understood import UnderstoodCharacter, UnderstoodFrame
from story_ldm.metrics.understanding import percent, told_frames, understanding_counts

TALE = """
## a voice
@ A girl name any
@ B any noname he
@ C any noname any
{A} the {A.kind} is {in P} one {Y} {H}, {F}. A {B.kind} and a {C.kind} hug. | ABC | P | - | B:hug,C:hug | - | A:F | H, Y
{A} has a {T}, the {B.kind} a {U}, the {C.kind} some boat. {A} {V.s} {F.ly}. | ABC | P | - | A:V | A:T,B:U,C:boat | - | -
{A} goes. It rains now, and the {B.kind} is angry. | BC | P | - | - | B:U,C:boat | B:angry | rain
Back comes {A}, in {A.color}, to the farm. | ABC | farm | A:color | - | B:U | - | -
"""


@settings(deadline=None)
@given(split=st.sampled_from(list(SPLITS)), index=st.integers(0, 10**6), form=st.sampled_from(TEXT_FORMS), length=st.integers(1, 6))
def test_told_stories(split, index, form, length):
    story, told = make_story(0, split, index, length), told_story(0, split, index, form, length, world=SECOND)
    free = free_story(story) if form == "free" else None
    assert told.sentences == ([frame.text for frame in free] if free else story.sentences[form])
    slot_of: dict[int, int] = {}
    if free:
        first = {c: (m, r.start) for m in reversed(range(length)) for r in reversed(free[m].references) for c in r.who}
        slot_of = {c: slot for slot, c in enumerate(sorted(first, key=lambda c: first[c]))}
    for m, frame in enumerate(story.frames):
        row = {name: values[m] for name, values in told.facts.items()}
        assert (row["places"], row["times"], row["weathers"]) == (frame.place, frame.time, frame.weather)
        seen = [slot for slot in range(4) if row["seen"][slot]]
        assert sorted(row["kinds"][slot] for slot in seen) == sorted(map(kind_of, frame.characters))
        if len({kind_of(c) for c in story.cast}) < len(story.cast):
            continue
        of = {row["kinds"].index(kind_of(c)): c for c in frame.characters}
        for slot, c in of.items():
            k = frame.characters.index(c)
            held = frame.held.get(c)
            assert slot_of.get(c, slot) == slot and row["faces"][slot] == frame.faces[k] and row["actions"][slot] in (IGNORED, frame.actions[k])
            assert (row["props"][slot], row["prop_colors"][slot]) == ((1 + held[0], 1 + held[1]) if held else (0, 0))
            partner = row["partners"][slot]
            assert partner == IGNORED or (of[partner - 1] if partner else None) == frame.toward.get(c)
            assert partner != IGNORED or form == "free"


def test_slots_are_in_the_order_of_the_text():
    for index in range(60):
        story, told = make_story(0, "train", index), told_story(0, "train", index, "referential", world=SECOND)
        found = [told.sentences[0].lower().find(f"{story.names[c].full} the ".lower()) for c in story.frames[0].characters]
        order = [kind_of(c) for _, c in sorted(zip(found, story.frames[0].characters, strict=True))]
        assert min(found) >= 0 and told.facts["kinds"][0][: len(order)] == order


def test_mentions_are_words_of_those_who_are_meant():
    for index in range(15):
        told, story = told_story(0, "train_wide", index, "free", 4, world=SECOND), free_story(make_story(0, "train_wide", index, 4))
        for sentence, frame, mentions in zip(told.sentences, story, told.mentions, strict=True):
            for reference, (words, slots) in zip(frame.references, mentions, strict=True):
                assert split_words(sentence)[words.start : words.stop] == split_words(sentence[reference.start : reference.end])
                assert [told.facts["kinds"][-1][slot] for slot in slots] == [kind_of(c) for c in reference.who]


def test_facts_by_story_id():
    ids = [f"toon2-0-train_wide-{n:06d}" for n in range(2)]
    facts = told_facts(ids, [2, 3], "full", 4, SECOND)
    assert facts["faces"][2:] == told_story(0, "train_wide", 1, "full", 3, world=SECOND).facts["faces"] and len(facts["times"]) == 5
    assert told_facts(["toon-0-train_wide-000000"], [2], "full", 4, SECOND) is told_facts(ids, [2, 3], "full", 4) is None


# --- tales -----------------------------------------------------------------------------------------------------------------------------------


def tale(tmp_path, text: str, world=SECOND) -> Tale:
    (tmp_path / "some.txt").write_text(text)
    return read_tales(tmp_path / "some.txt", world)[0]


@pytest.mark.parametrize("seed", range(8))
def test_gaps_are_filled_alike_in_text_and_facts(tmp_path, seed):
    story = fill(tale(tmp_path, TALE), Dice(seed), "train_wide")
    first, second, third, fourth = told_frames(story, SECOND)
    kinds = first.who
    assert kinds[0] == "girl" and KIND_PRONOUNS.get(kinds[1], "he") == "he" and len(set(kinds)) == 3
    assert first.actions == [(kinds[1], "hug"), (kinds[2], "hug")] and dict(second.actions)["girl"] not in ("stand", *SECOND.pairs)
    face = first.faces[0][1]
    assert first.faces == second.faces == [("girl", face)] and face not in ("neutral", "angry") and third.faces == [(kinds[1], "angry")]
    assert fourth.faces == [(kinds[1], "angry")], "who comes back has no face"
    held = dict(second.props)
    assert (
        held[kinds[2]] == "boat"
        and held["girl"].split()[0] in LABELS["prop_colors"]
        and held["girl"].split(" ", 1)[1] != held[kinds[1]].split(" ", 1)[1]
    )
    assert (third.weather, fourth.weather, fourth.place) == ("rain", "rain", "farm") and story.facts["times"] == story.facts["times"][:1] * 4
    assert story.facts["prop_colors"][1][2] == IGNORED and "{" not in " ".join(story.sentences)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Hello. | A | forest | - | - | -", "8 columns, this one has 6"),
        ("Hello. | A | forest | - | - | - | A:glad | -", "'glad' is none of the faces"),
        ("Hello. | A | forest | - | - | - | - | noon", "SKY is 'noon'"),
        ("Hello. | A | forest | - | - | A:red hat | - | -", "PROP is 'A:red hat'"),
    ],
)
def test_a_tale_without_the_form_is_an_error(tmp_path, line, message):
    with pytest.raises(ValueError, match=f"some.txt, line 3: .*{message}"):
        tale(tmp_path, f"## voice\n@ A dragon name he\n{line}\n")


def test_of_a_lent_tale_nothing_is_known_that_it_may_tell(tmp_path):
    text = """
## a voice
@ A fox name he
@ B any noname any
{A} the fox is on the beach, in {A.color}, and a {B.kind} jumps. | AB | beach | A:color | B:jump | -
{A} reads by the sea all night, smiling, a cup in one hand. | AB | beach | - | A:sit | -
Then {A} waves {in P}. | AB | P | - | A:wave | -
"""
    told = fill(tale(tmp_path, text, FIRST), Dice(0), "train_wide", world=SECOND).facts
    neutral, unknown = [0, 0, IGNORED, IGNORED], [IGNORED] * 4
    assert told["faces"] == [neutral, unknown, unknown] and told["props"] == [neutral, unknown, unknown]
    assert told["times"] == [0, IGNORED, IGNORED] and told["weathers"] == [0, 0, 0] and told["partners"] == [unknown] * 3
    assert told["actions"][1] == unknown and told["weights"][1] == [0] * 4 and told["actions"][2][:2] == [ACTIONS.index("wave"), 0]
    assert told["places"][0] == 1 and told["places"][1] == IGNORED != told["places"][2]


def test_tales_of_both_worlds():
    tales = all_tales(world=SECOND)
    lent = [one for one in tales if one.world is FIRST]
    assert len(lent) > 3000 and len(tales) > len(lent) and not {*map(id, tales)} & {*map(id, all_tales(True, SECOND))}
    assert set(map(id, lent)) < set(map(id, all_tales()))
    assert told_tale(0, "train_wide", 5, world=SECOND) == told_tale(0, "train_wide", 5, world=SECOND) != told_tale(0, "train_wide", 5)


# --- stories written by hand -----------------------------------------------------------------------------------------------------------------

BY_HAND = """## easy | a
@ A girl she Ida
@ B dog it
Ida and her dog are sad, it is night. | AB | living room | - | - | A:red ice cream, B:ball | A:sad, B:sad | night
It rains. Ida sleeps. | A(B) | farm | A:pink | A:sleep | - | - | rain
The dog is back. | AB | farm | - | - | -
Now she is alone. | A | farm | - | - | - | A:neutral | day, clear
The dog. | AB | farm | - | - | -
"""


def test_stories_written_by_hand(tmp_path):
    file = tmp_path / "by_hand.txt"
    file.write_text(BY_HAND)
    first, second, third, fourth, fifth = read_stories(file)[0].said
    assert first.faces == [("girl", "sad"), ("dog", "sad")] and (first.time, first.weather) == ("night", None)
    assert first.props == [("girl", "red ice cream"), ("dog", "ball")]
    assert second.faces == [("girl", "sad")] and third.faces == first.faces and (third.time, third.weather) == ("night", "rain")
    assert (fourth.faces, fourth.time, fourth.weather) == ([("girl", "neutral")], "day", "clear")
    assert fifth.faces == [("girl", "neutral")], "who comes back has no face"
    for wrong in ("A:glad | -", "A:sad | midnight", "A:sad | - | -"):
        file.write_text(f"## easy | a\n@ A girl she Ida\nIda. | A | farm | - | - | - | {wrong}\n")
        with pytest.raises(ValueError, match="line 3 is 'Ida"):
            read_stories(file)
    file.write_text("## easy | a\n@ A girl she Ida\nIda. | A | farm | - | - | A:red hat\n")
    with pytest.raises(ValueError, match="line 3 is 'Ida"):
        read_stories(file)


def test_the_development_set_is_in_its_form():
    file = ROOT / "tests" / "data" / "free_english_2.txt"
    stories = read_stories(file)
    assert len(stories) >= 40 and any(frame.faces for story in stories for frame in story.said)
    assert all(len(split_words(text)) <= MAX_WORDS for story in stories for text in story.sentences)


def test_counts_of_faces_hours_and_weathers():
    said = SaidFrame(["girl", "dog"], "farm", faces=[("girl", "sad"), ("dog", "happy")], weather="rain")
    girl, dog = UnderstoodCharacter("girl", None, "hug", None, "sad", "dog"), UnderstoodCharacter("dog", "red", "hug", "red ball", "sad", "girl")
    read = UnderstoodFrame("farm", [girl, dog], "night", "rain")
    counts = understanding_counts([[said]], [[read]])
    assert counts == {
        **dict.fromkeys(("characters", "place", "weather"), (1, 1)),
        "faces": (1, 2),
        **dict.fromkeys(("garments", "actions", "props"), (0, 0)),
    }
    assert str(read) == "farm, night, rain | girl, sad: hug (to the dog) | dog in red, sad: hug (to the girl), with a red ball"
    assert "faces" not in understanding_counts([[SaidFrame(["dog"], "farm")]], [[read]])


def test_counts_of_what_is_told():
    """A reader that says it is right in each fact; faces and sky count from where they are told."""
    for index in range(12):
        told = told_story(0, "train_wide", index, "free", 5, world=SECOND)
        said = told_frames(told, SECOND)
        perfect = []
        for m, frame in enumerate(said):
            row = {name: values[m] for name, values in told.facts.items()}
            props = dict(frame.props) if len(set(frame.who)) == len(frame.who) else {}
            characters = [
                UnderstoodCharacter(
                    KINDS[row["kinds"][slot]],
                    (None, *LABELS["garments"])[row["garments"][slot]],
                    ACTIONS[max(0, row["actions"][slot])],
                    props.get(KINDS[row["kinds"][slot]]),
                    FACES[row["faces"][slot]],
                )
                for slot in range(4)
                if row["seen"][slot]
            ]
            perfect.append(UnderstoodFrame(frame.place, characters, LABELS["times"][row["times"]], LABELS["weathers"][row["weathers"]]))
        rates = percent(understanding_counts([said], [perfect]))
        assert {value for fact, value in rates.items() if fact != "props"} == {100.0}


# --- the reader ------------------------------------------------------------------------------------------------------------------------------


def tiny_reader(**settings) -> Reader:
    torch.manual_seed(0)
    words = ["the", "girl", "dog", "is", "sad", "night", "rains", "."]
    return Reader(words=words, labels=LABELS, **{"width": WIDTH, "heads": 2, "token_layers": 1, "layers": 1, **settings}).eval()


def test_understanding_says_faces_and_sky(tmp_path):
    tiny_reader().save_pretrained(tmp_path)
    reader = Reader.from_pretrained(tmp_path).eval()
    story = ["Ida the girl is sad.", "It is night. It rains.", "Her dog is sad."]
    (frames,) = reader.understand([story])
    for frame in frames:
        assert frame.time in LABELS["times"] and frame.weather in LABELS["weathers"]
        for c in frame.characters:
            assert c.face in FACES and c.partner in (None, *(other.kind for other in frame.characters))
    assert frames == tiny_reader().understand([story])[0] and str(frames[0]).startswith(
        f"{frames[0].place}, {frames[0].time}, {frames[0].weather} | "
    )


def test_the_script_trains_a_reader_of_this_world():
    """Each fact has a loss, which falls; every weight has a gradient."""
    module = script("training/train_reader.py")
    s = module.Settings(dataset="toonstories-2", batch=6, lengths=(2,))
    reader = tiny_reader(width=32).train()
    stream = module.StoryStream(s, 4)
    tokens, mask, facts = module.collate(reader)([stream[key] for key in next(module.keys(s, 0, 0, 1))])
    optimizer, before = torch.optim.AdamW(reader.parameters(), lr=8e-3), {}
    for _ in range(14):
        loss, losses = reading_loss(reader(tokens, mask)[1], facts)
        before = before or {name: loss.item() for name, loss in losses.items()}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(p.grad is not None for p in reader.parameters())
    assert set(losses) == {"seen", "mentions", *LABELS}
    assert {name for name, loss in losses.items() if loss.item() >= before[name] and name != "mentions"} == set(), (losses, before)
