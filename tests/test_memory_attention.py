"""The memory layer alone: against the paper's equation in loops, causality, bounded memory, and what StoryMemory does to its entries."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from story_ldm.nn.layers import zero_init
from story_ldm.systems.story_ldm import memory_attention
from story_ldm.systems.story_ldm.memory_attention import MemoryAttention, StoryMemory, grid_positions

FORMS = ("sentence", "spatial")


def make_layer(form: str, channels: int = 8, source: int = 12, sentence_dim: int = 6, heads: int = 2) -> MemoryAttention:
    """A layer as after training: nothing in it is zero."""
    torch.manual_seed(0)
    layer = MemoryAttention(channels, source, sentence_dim, heads, form)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


def make_inputs(batch: int = 2, frames: int = 4, size: tuple[int, int] = (2, 3), seed: int = 1) -> tuple[torch.Tensor, ...]:
    """Query features, source features and sentences of the same frames."""
    generator = torch.Generator().manual_seed(seed)
    tokens = size[0] * size[1]
    shapes = ((batch, frames, tokens, 8), (batch, frames, tokens, 12), (batch, frames, 6))
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def teacher_forced(layer: MemoryAttention, features, source, sentences, size=(2, 3), positions=None, **kwargs):
    memory = StoryMemory({"site": layer.write(source, sentences)}, positions or list(range(features.shape[1])))
    return layer(features, sentences, memory.entries["site"], memory.readable(memory.positions), size, **kwargs)


@torch.no_grad()
def test_sentence_form_is_the_papers_equation():
    layer = make_layer("sentence")
    features, source, sentences = make_inputs()
    output, weights = teacher_forced(layer, features, source, sentences, return_weights=True)
    normed = torch.nn.functional.layer_norm(source, (12,), layer.norm_memory.weight, layer.norm_memory.bias)
    head_dim = 4
    for b in range(2):
        for m in range(4):
            expected = torch.zeros(6, 8)
            for head in range(2):
                rows = slice(head * head_dim, (head + 1) * head_dim)
                q = layer.to_q.weight[rows] @ sentences[b, m]
                logits = [float(q @ (layer.to_k.weight[rows] @ sentences[b, k])) / math.sqrt(head_dim) for k in range(m)]
                total = sum(math.exp(x) for x in logits)
                for k in range(m):
                    weight = math.exp(logits[k]) / total
                    assert weights[b, head, m, k] == pytest.approx(weight, abs=1e-5)
                    for token in range(6):
                        expected[token, rows] += weight * (layer.to_v.weight[rows] @ normed[b, k, token])
            torch.testing.assert_close(output[b, m], expected @ layer.to_out.weight.T, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_spatial_form_is_attention_over_all_earlier_tokens_and_a_sink():
    layer = make_layer("spatial")
    features, source, sentences = make_inputs()
    output, _ = teacher_forced(layer, features, source, sentences)
    b, m = 1, 3
    place = (grid_positions(2, 3, 8), grid_positions(2, 3, 12))
    normed = layer.norm_memory(source[b, :m])
    keys = (layer.to_k(sentences[b, :m])[:, None] + layer.to_k_tokens(normed + place[1])).flatten(0, 1)
    values = layer.to_v(normed).flatten(0, 1)
    queries = layer.to_q(sentences[b, m]) + layer.to_q_tokens(layer.norm_query(features[b, m]) + place[0])
    expected = torch.zeros(6, 8)
    for head in (slice(0, 4), slice(4, 8)):
        scores = torch.exp(queries[:, head] @ keys[:, head].T / 2)
        sink = torch.exp(queries[:, head] @ layer.sink[head] / 2)
        expected[:, head] = scores @ values[:, head] / (scores.sum(1) + sink)[:, None]
    torch.testing.assert_close(output[b, m], layer.to_out(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_weights_are_shares_of_earlier_frames(form):
    layer = make_layer(form)
    features, source, sentences = make_inputs()
    output, weights = teacher_forced(layer, features, source, sentences, return_weights=True)
    assert weights.shape == (2, 2, 4, 4)
    assert torch.equal(weights, weights.tril(-1)), "no weight on the frame itself or a later one"
    total = weights.sum(-1)[:, :, 1:]
    assert (total < 1).all() if form == "spatial" else torch.allclose(total, torch.ones_like(total))
    assert torch.equal(output[:, 0], torch.zeros_like(output[:, 0])), "the first frame has nothing to read"
    # without weights the spatial form runs diffusers' dispatched attention, which must agree with the equation written out
    torch.testing.assert_close(teacher_forced(layer, features, source, sentences)[0], output, atol=1e-5, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    batch=st.integers(1, 3),
    size=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    positions=st.lists(st.integers(0, 50), min_size=1, max_size=6, unique=True).map(sorted),
    data=st.data(),
)
@torch.no_grad()
def test_causality(form, batch, size, positions, data):
    """Invariant 1: whatever is done to frame and sentence k, frames before k and (but for its own sentence) k itself stay as they were."""
    layer = make_layer(form)
    features, source, sentences = make_inputs(batch, len(positions), size)
    k = data.draw(st.integers(0, len(positions) - 1))
    before, _ = teacher_forced(layer, features, source, sentences, size, positions)
    source[:, k] = -source[:, k]
    after, _ = teacher_forced(layer, features, source, sentences, size, positions)
    assert before.shape == features.shape
    assert torch.equal(before[:, : k + 1], after[:, : k + 1])
    assert all(not torch.equal(before[:, m], after[:, m]) for m in range(k + 1, len(positions)))
    sentences[:, k] += 1
    after, _ = teacher_forced(layer, features, source, sentences, size, positions)
    assert torch.equal(before[:, :k], after[:, :k])


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_cached_memory_read_frame_by_frame(form):
    """Invariant 2, of one layer: written one by one and read at Q = 1 = all at once; also when only some frames are in the memory."""
    layer = make_layer(form)
    features, source, sentences = make_inputs()
    expected, _ = teacher_forced(layer, features, source, sentences)
    memory = StoryMemory()
    for m in range(4):
        if m:
            read, _ = layer(features[:, m : m + 1], sentences[:, m : m + 1], memory.entries["site"], memory.readable([m]), (2, 3))
            torch.testing.assert_close(read[:, 0], expected[:, m], atol=1e-6, rtol=1e-5)
        memory.append(StoryMemory({"site": layer.write(source[:, m : m + 1], sentences[:, m : m + 1])}, [m]))
    assert memory.positions == [0, 1, 2, 3] and memory.readable([0, 2, 9]) == [0, 2, 4]
    with pytest.raises(AssertionError, match="grow"):
        memory.append(StoryMemory(memory.entries, [3]))


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_not_enabled_read_exact_zeros(form):
    layer = make_layer(form)
    features, source, sentences = make_inputs()
    expected, _ = teacher_forced(layer, features, source, sentences)
    output, weights = teacher_forced(layer, features, source, sentences, enabled=torch.tensor([False, True]), return_weights=True)
    assert not output[0].any() and not weights[0].any()
    torch.testing.assert_close(output[1], expected[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_many_keys_are_read_frame_by_frame(form, monkeypatch):
    """By the fused kernel on as many keys as each frame reads: the outputs and gradients of one product with a mask."""
    layer, (features, source, sentences), found = make_layer(form).double(), (x.double() for x in make_inputs()), []
    for few in (memory_attention.FEW_KEYS, 0):
        monkeypatch.setattr(memory_attention, "FEW_KEYS", few)
        layer.zero_grad()
        output, _ = teacher_forced(layer, features, source, sentences, enabled=torch.tensor([True, False]))
        output.square().sum().backward()
        found.append((output.detach(), *(p.grad.clone() for p in layer.parameters())))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_noise_draws_read_one_memory(form):
    """Three draws of two stories, one after another = each draw alone; the sentence form does not depend on the draw."""
    layer, (_, source, sentences) = make_layer(form), make_inputs()
    draws = [make_inputs(seed=seed)[0] for seed in (1, 2, 3)]
    together, weights = teacher_forced(layer, torch.cat(draws), source, sentences, return_weights=True)
    for n, features in enumerate(draws):
        alone, expected = teacher_forced(layer, features, source, sentences, return_weights=True)
        rows = slice(2 * n, 2 * n + 2) if form == "spatial" else slice(None)
        torch.testing.assert_close(together[rows], alone, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(weights[rows], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_recall_keeps_the_most_relevant_in_order(form):
    layer = make_layer(form)
    _, source, sentences = make_inputs(frames=5)
    memory = StoryMemory({"site": layer.write(source, sentences)}, [0, 1, 2, 4, 7])
    relevance = layer.relevance(sentences[:, 0], memory.entries["site"])
    q, k = layer.to_q(sentences[1, 0]), layer.to_k(sentences[1, 3])
    assert relevance[1, 3].item() == pytest.approx(sum(float(q[h] @ k[h]) / 2 for h in (slice(0, 4), slice(4, 8))) / 2, abs=1e-5)
    small = memory.recall(torch.tensor([[9.0, 1, 8, 2, 3], [1.0, 2, 3, 4, 5]]), 2)
    assert small.kept.tolist() == [[0, 2], [4, 7]] and len(small) == 2 and small.positions == [4, 7]
    assert torch.equal(small.entries["site"].features[0], memory.entries["site"].features[0, [0, 2]])
    assert torch.equal(small.entries["site"].sentence_keys[1], memory.entries["site"].sentence_keys[1, 3:])
    assert small.nbytes * 5 == memory.nbytes * 2
    with pytest.raises(AssertionError, match="reading only"):
        small.append(memory)


def test_memory_rows_detach_to():
    layer = make_layer("spatial")
    _, source, sentences = make_inputs()
    memory = StoryMemory({"site": layer.write(source, sentences)}, [0, 1, 2, 3], enabled=torch.tensor([True, False]))
    rows = memory.rows(torch.tensor([1, 0, 1]))
    assert rows.enabled.tolist() == [False, True, False]
    assert all(torch.equal(new, old[[1, 0, 1]]) for new, old in zip(rows.entries["site"], memory.entries["site"], strict=True))
    assert memory.entries["site"].features.requires_grad and not memory.detach().entries["site"].features.requires_grad
    half = memory.to(dtype=torch.float16)
    assert half.entries["site"].features.dtype == torch.float16 and half.enabled.dtype == torch.bool and half.nbytes * 2 == memory.nbytes
    assert memory.nbytes == sum(x.numel() * 4 for x in memory.entries["site"])
    assert len(StoryMemory()) == 0 and StoryMemory().nbytes == 0
    entries = layer.write(source, sentences)
    grown = memory.append(StoryMemory({"site": entries}, [5, 6, 7, 8]))
    assert grown is memory and len(memory) == 8 and rows.positions == [0, 1, 2, 3], "copies do not grow with the memory they came from"


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_learns_and_the_layer_begins_as_zero(form):
    features, source, sentences = make_inputs()
    fresh = MemoryAttention(8, 12, 6, 2, form)
    assert not teacher_forced(fresh, features, source, sentences)[0].any()
    layer = copy.deepcopy(make_layer(form))
    teacher_forced(layer, features, source, sentences)[0].square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    assert not zero_init(torch.nn.Linear(2, 2)).bias.any()


def test_grid_positions_are_distinct_for_any_grid_and_width():
    for height, width, channels in ((1, 1, 8), (3, 5, 8), (5, 3, 10), (2, 2, 3)):
        grid = grid_positions(height, width, channels)
        assert grid.shape == (height * width, channels)
        if channels >= 4:
            assert len(grid.unique(dim=0)) == height * width
    assert torch.equal(grid_positions(4, 4, 8).view(4, 4, 8)[:2, :3], grid_positions(2, 3, 8).view(2, 3, 8))
