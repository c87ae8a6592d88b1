"""Tokenizer, sentence states and language memory: what goes in comes out, later sentences never reach earlier ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, STORY, WIDTH, sentences_of, tiny_language_memory, tiny_text_encoder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from story_ldm.data.toonstories import FEATURES, story_row
from story_ldm.encoders import language_memory
from story_ldm.encoders.facts import story_facts, text_loss
from story_ldm.encoders.language_memory import FAR, LanguageMemory
from story_ldm.encoders.sentences import encode_stories, new_text_encoder, tokenize_stories, train_tokenizer


@pytest.fixture(scope="module")
def text_encoder(tokenizer) -> CLIPTextModel:
    return tiny_text_encoder(tokenizer)


def story_states(frames: int = 5, length: int = 4, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """States as if encoded alone and a mask of sentences of different lengths."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, length + 1, (batch, frames), generator=generator)
    return torch.randn(batch, frames, length, WIDTH, generator=generator), (torch.arange(length) < lengths[..., None]).long()


def test_tokenizer_knows_the_world(tokenizer, tmp_path):
    ids, mask = tokenize_stories(tokenizer, [STORY, STORY[::-1]])
    assert ids.shape == mask.shape == (2, 4, 32) and ids.max() < len(tokenizer)
    for m, sentence in enumerate(STORY):
        real = ids[0, m][mask[0, m].bool()]
        assert real[0] == tokenizer.bos_token_id and real[-1] == tokenizer.eos_token_id and torch.equal(ids[1, 3 - m], ids[0, m])
        words = tokenizer.decode(real, skip_special_tokens=True).replace(" .", ".")
        assert words == sentence.lower()
        assert len(real) - 2 == len(sentence.replace(".", " .").split()), "every word of the world is one token"
    tokenizer.save_pretrained(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} <= {".json", ".txt"}
    opened = CLIPTokenizer.from_pretrained(tmp_path)
    assert opened.get_vocab() == tokenizer.get_vocab() and opened.model_max_length == 32
    assert torch.equal(tokenize_stories(opened, [STORY])[0], ids[:1])


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=30))
@example(text="¡Ünïcödé 漢字 🐸 \u200b\x00\ufeff!")
def test_any_text_is_read(text, tokenizer):
    """No text is unknown to the tokenizer, and two that CLIP's normalisation tells apart are never the same tokens."""
    ids = tokenizer(text).input_ids
    assert all(0 <= i < len(tokenizer) for i in ids) and (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    normal = tokenizer.backend_tokenizer.normalizer.normalize_str(text)
    if "endoftext" not in normal and "startoftext" not in normal:
        decoded = tokenizer.decode(ids[1:-1], clean_up_tokenization_spaces=False)
        assert "".join(decoded.split()) == "".join(normal.split())


TRAIN = """
import json, sys
from story_ldm.encoders.sentences import train_tokenizer
tokenizer = train_tokenizer(json.load(open(sys.argv[1])), vocab_size=600)
print(json.dumps(json.loads(tokenizer.backend_tokenizer.to_str())["model"], sort_keys=True))
"""


def test_training_a_tokenizer_repeats_exactly(tmp_path):
    """Or a run that was stopped before its tokenizer was written would end with other weights."""
    sentences = [sentence for story in sentences_of(60) for sentence in story]
    (tmp_path / "sentences.json").write_text(json.dumps(sentences))
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "sentences.json")]
    other = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True).stdout
    mine = [json.loads(train_tokenizer(sentences, vocab_size=600).backend_tokenizer.to_str())["model"] for _ in range(3)]
    assert all(model == json.loads(other) for model in mine)


def test_a_sentence_too_long_is_refused(tokenizer):
    longest = "hello " * 40
    for stories in ([[longest]], [["Bruno waves.", longest]], [["Bruno waves.", "He sits."], ["She sits.", longest]]):
        with pytest.raises(ValueError, match=r"hello hello.* has \d+ tokens; this text encoder reads at most 32: shorten or split"):
            tokenize_stories(tokenizer, stories)
    count = len(tokenizer("Bruno").input_ids) - 2
    assert tokenize_stories(tokenizer, [["Bruno " * (30 // count)]])[1].sum() == 2 + 30 // count * count, "exactly full is not too long"


@pytest.mark.parametrize("words", range(26, 36))
def test_a_sentence_of_one_token_too_many_is_refused(tokenizer, words):
    """Begin, words and end may be as many as the encoder reads, and not one more."""
    sentence = " ".join(["he"] * words)
    if words + 2 <= tokenizer.model_max_length:
        assert tokenize_stories(tokenizer, [[sentence]])[1].sum() == words + 2
    else:
        with pytest.raises(ValueError, match=rf"has {words + 2} tokens; this text encoder reads at most 32"):
            tokenize_stories(tokenizer, [[sentence]])


def both(condition) -> tuple[torch.Tensor, torch.Tensor]:
    return condition.states, condition.pooled


@torch.no_grad()
def test_sentence_states(tokenizer, text_encoder):
    """Pooled is the state of the end token, padding does not reach it, and sentences alone do not see each other."""
    ids, mask = tokenize_stories(tokenizer, [STORY, STORY[::-1]])
    states, pooled = both(encode_stories(text_encoder, None, ids, mask))
    assert states.shape == (2, 4, 32, WIDTH) and pooled.shape == (2, 4, WIDTH)
    for m in range(4):
        count = int(mask[0, m].sum())
        alone = text_encoder(ids[0, m, :count][None]).last_hidden_state[0]
        torch.testing.assert_close(states[0, m, :count], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(pooled[0, m], alone[-1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pooled[1], pooled[0].flip(0), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_language_memory_is_causal(tokenizer, text_encoder):
    """Invariant 1: a changed sentence k, and sentences added at the end, leave the states of all before it bit-identical."""
    memory = tiny_language_memory()
    ids, mask = tokenize_stories(tokenizer, [STORY])
    states, pooled = both(encode_stories(text_encoder, memory, ids, mask))
    for k in range(4):
        other = tokenize_stories(tokenizer, [[*STORY[:k], "Milo runs.", *STORY[k + 1 :]]])
        changed, changed_pooled = both(encode_stories(text_encoder, memory, *other))
        assert torch.equal(states[:, :k], changed[:, :k]) and torch.equal(pooled[:, :k], changed_pooled[:, :k])
        assert all(not torch.equal(pooled[:, m], changed_pooled[:, m]) for m in range(k, 4)), k
    padded = encode_stories(text_encoder, memory, *tokenize_stories(tokenizer, [[*STORY, "", "", ""]]))
    torch.testing.assert_close(padded.states[:, :4], states, atol=1e-5, rtol=1e-4)
    a = encode_stories(text_encoder, memory, *tokenize_stories(tokenizer, [[*STORY, "", ""]]))
    b = encode_stories(text_encoder, memory, *tokenize_stories(tokenizer, [[*STORY, "Toby waves.", "He sits."]]))
    assert torch.equal(a.states[:, :4], b.states[:, :4]) and not torch.equal(a.states[:, 4:], b.states[:, 4:])


@torch.no_grad()
def test_language_memory_ignores_padding_tokens():
    memory = tiny_language_memory()
    states, mask = story_states()
    expected, noise = memory(states, mask), torch.randn(states.shape)
    found = memory(torch.where(mask[..., None].bool(), states, noise), mask)
    assert torch.equal(found[mask.bool()], expected[mask.bool()])


@torch.no_grad()
def test_language_memory_in_evaluation_is_as_in_training():
    """Torch's own encoder layer returns NaN, or forgets the bias, on its fused path in evaluation."""
    memory, (states, mask) = tiny_language_memory(), story_states()
    in_training = memory.train()(states, mask)
    assert torch.equal(memory.eval()(states, mask), in_training) and in_training.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        half = memory(states, mask)
    assert half.isfinite().all()
    torch.testing.assert_close(half.float(), in_training, atol=0.2, rtol=0.1)


def test_new_language_memory_is_the_identity_and_learns():
    memory, (states, mask) = LanguageMemory(WIDTH, 2, 2), story_states()
    assert torch.equal(memory(states, mask), states)
    memory = tiny_language_memory()
    memory(states, mask).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in memory.parameters())


@torch.no_grad()
def test_stories_longer_than_any_read_before():
    """Beyond FAR sentences every distance has one bias; the story stays causal and finite, and the far past can still be seen."""
    memory = tiny_language_memory()
    states, mask = story_states(frames=FAR + 8, length=2, batch=1)
    before = memory(states, mask)
    assert before.isfinite().all()
    states[:, 0] += 1
    assert not torch.equal(memory(states, mask)[:, -1], before[:, -1])
    # nearness is known up to FAR: with everything else equal, order changes what is read
    same = torch.ones(1, 6, 2, WIDTH) * torch.randn(1, 6, 1, WIDTH, generator=torch.Generator().manual_seed(0))
    swapped = same[:, [1, 0, 2, 3, 4, 5]]
    full = torch.ones(1, 6, 2)
    assert not torch.allclose(memory(same, full)[:, -1], memory(swapped, full)[:, -1], atol=1e-6)


@torch.no_grad()
def test_which_distances_share_a_bias():
    """Each distance below FAR has its own bias, FAR and all beyond it one: whichever is changed, the sentences that look so far back change."""
    states, mask = story_states(frames=FAR + 4, length=1, batch=1)
    memory = tiny_language_memory()
    expected = memory(states, mask)
    for distance in range(1, FAR + 1):
        changed = tiny_language_memory()
        changed.distance_bias.weight[distance] += 1
        differs = (changed(states, mask) - expected).abs().amax((0, 2, 3)) > 0
        assert differs.tolist() == [m >= distance for m in range(FAR + 4)], distance
    shipped = load_file(ROOT / "checkpoints" / "toon-story-ldm" / "language_memory" / "diffusion_pytorch_model.safetensors")
    assert len(shipped["distance_bias.weight"]) == len(memory.distance_bias.weight) == FAR + 1


@torch.no_grad()
def test_with_language(tokenizer, text_encoder):
    memory = tiny_language_memory()
    ids, mask = tokenize_stories(tokenizer, [STORY, STORY[::-1]])
    alone, together = encode_stories(text_encoder, None, ids, mask), encode_stories(text_encoder, memory, ids, mask)
    mixed = encode_stories(text_encoder, memory, ids, mask, torch.tensor([True, False]))
    for found, with_memory, without in zip(both(mixed), both(together), both(alone), strict=True):
        assert torch.equal(found[0], with_memory[0]) and torch.equal(found[1], without[1])
        assert not torch.equal(with_memory[1], without[1])
    assert torch.equal(encode_stories(text_encoder, None, ids, mask, torch.tensor([True, False])).states, alone.states)


@torch.no_grad()
def test_language_memory_saved_and_opened(tmp_path):
    memory, (states, mask) = tiny_language_memory(), story_states()
    memory.save_pretrained(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".safetensors"}
    opened = LanguageMemory.from_pretrained(tmp_path)
    assert {k: opened.config[k] for k in ("width", "layers", "heads")} == {"width": WIDTH, "layers": 2, "heads": 2}
    assert all(torch.equal(value, opened.state_dict()[name]) for name, value in memory.state_dict().items())
    torch.testing.assert_close(opened(states, mask), memory(states, mask), atol=1e-6, rtol=1e-6)
    with pytest.raises(AssertionError, match="divisible"):
        LanguageMemory(9, heads=2)


def test_new_text_encoder_fits_its_tokenizer(tokenizer):
    encoder = new_text_encoder(tokenizer, WIDTH, layers=2, heads=2)
    config = encoder.config
    assert (config.vocab_size, config.max_position_embeddings) == (len(tokenizer), 32)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (0, 1, tokenizer.pad_token_id)


def test_facts_of_a_story():
    """Statements come from the labels alone: the same for both forms of the text, and what the pictures show."""
    row = story_row(0, "train", 3, 16, "referential", pictures=False)
    facts = story_facts(row, FEATURES)
    assert facts == story_facts(story_row(0, "train", 3, 16, "full", pictures=False), FEATURES)
    names = FEATURES["characters"].feature.feature.names
    for m, who in enumerate(row["characters"]):
        assert {names[c] for c in who} == {fact for fact in facts[m] if " " not in fact}
        assert sum(fact.startswith("at ") for fact in facts[m]) == 1
        assert sum(" garments " in fact for fact in facts[m]) == len(who)
    bare = {"sentences": ["a", "b"], "backgrounds": [0, 1]}
    assert [sorted(fact) for fact in story_facts(bare, FEATURES)] == [[f"at {name}"] for name in FEATURES["backgrounds"].feature.names[:2]]
    assert story_facts({"sentences": ["a"]}, FEATURES) == [set()]


def test_facts_tell_each_label_of_its_own_character():
    row = next(row for row in (story_row(0, "train", n, 16, pictures=False) for n in range(50)) if any(sum(a["props"]) for a in row["attributes"]))
    names = {kind: FEATURES["attributes"].feature[kind].feature.names for kind in ("garments", "actions", "props", "prop_colors")}
    for m, facts in enumerate(story_facts(row, FEATURES)):
        here, expected = row["attributes"][m], {f"at {FEATURES['backgrounds'].feature.names[row['backgrounds'][m]]}"}
        for k, c in enumerate(row["characters"][m]):
            who = FEATURES["characters"].feature.feature.names[c]
            expected |= {who, f"prop {names['prop_colors'][here['prop_colors'][k]]}"}
            expected |= {f"{who} {kind} {names[kind][here[kind][k]]}" for kind in ("garments", "actions", "props")}
        assert facts == expected


def test_text_loss():
    logits, facts = torch.tensor([[[0.0, 2.0], [-1.0, 3.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    each = -torch.where(facts.bool(), logits.sigmoid().log(), (-logits).sigmoid().log())
    torch.testing.assert_close(text_loss(logits, facts, torch.ones(1, 2)), each.sum() / 2)
    torch.testing.assert_close(text_loss(logits, facts, torch.tensor([[2.0, 0.0]])), each[:, 0].sum())


def test_text_loss_of_stories_that_do_not_count():
    """They add nothing and are part of the mean, so that two processes with half the stories each are one with all."""
    generator = torch.Generator().manual_seed(0)
    logits, facts = torch.randn(4, 3, 5, generator=generator), torch.rand(4, 3, 5, generator=generator).round()
    use, weight = torch.tensor([True, False, False, True]), torch.rand(4, 3, generator=generator)
    counted = text_loss(logits[use], facts[use], weight[use])
    torch.testing.assert_close(text_loss(logits, facts, weight, use), counted / 2)
    halves = [text_loss(logits[rows], facts[rows], weight[rows], use[rows]) for rows in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(torch.stack(halves).mean(), text_loss(logits, facts, weight, use))


@torch.no_grad()
def test_states_that_are_known_are_not_computed_again(tokenizer, text_encoder):
    """Sentences that were encoded alone before give what they give anew, and are what is taken."""
    memory, (ids, mask) = tiny_language_memory(), tokenize_stories(tokenizer, [STORY])
    alone = encode_stories(text_encoder, None, ids, mask).states
    for language in (memory, None):
        pair = encode_stories(text_encoder, language, ids, mask), encode_stories(text_encoder, language, ids, mask, alone=alone)
        assert all(torch.equal(a, b) for a, b in zip(*map(both, pair), strict=True))
    states, pooled = both(encode_stories(text_encoder, None, ids, mask, alone=-alone))
    assert torch.equal(states, -alone) and torch.equal(pooled[0, 0], -alone[0, 0, mask[0, 0].sum() - 1])


def test_language_memory_of_a_long_story(monkeypatch):
    """1,000 sentences: no attention mask grows with the square of the story, the result is the same, and later sentences change nothing before."""
    torch.manual_seed(0)
    memory = language_memory.LanguageMemory(width=8, layers=2, heads=2).eval()
    for parameter in memory.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    attend, sizes = torch.nn.functional.scaled_dot_product_attention, []

    def counted(q, k, v, attn_mask):
        sizes.append(attn_mask.numel())
        return attend(q, k, v, attn_mask=attn_mask)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    states, mask = torch.randn(1, 1000, 6, 8), torch.ones(1, 1000, 6)
    mask[:, ::3, 4:] = 0
    with torch.no_grad():
        found = memory(states, mask)
        assert max(sizes) <= 2 * language_memory.PART * 6000
        changed = states.clone()
        changed[:, 700:] = 0
        assert torch.equal(memory(changed, mask)[:, :700], found[:, :700])
        whole = memory(states[:, :600], mask[:, :600])
        monkeypatch.setattr(language_memory, "WHOLE", 0)
        torch.testing.assert_close(memory(states[:, :600], mask[:, :600]), whole, atol=1e-5, rtol=1e-5)
