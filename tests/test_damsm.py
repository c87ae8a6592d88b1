"""DAMSM: its encoders, its loss compared with the paper's equations, the metrics that use it, and its training script.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from conftest import sentences_of
from safetensors.torch import load_file

from story_ldm.encoders.damsm import (
    DAMSMImageEncoder,
    DAMSMTextEncoder,
    damsm_loss,
    embed_frames,
    embed_sentences,
    load_damsm,
    tokenize,
    word_scores,
)
from story_ldm.metrics.matching import _others, r_precision, sentence_frame_cosines
from story_ldm.training.checkpoints import save_component
from story_ldm.training.steps import draw_positions

TINY = {"width": 16, "block_out_channels": (8, 8, 16), "layers_per_block": (0, 1, 1), "norm_num_groups": 4}
STEPS, BATCH = 12, 4


def tiny_text(vocab_size: int = 50, **config) -> DAMSMTextEncoder:
    torch.manual_seed(0)
    return DAMSMTextEncoder(vocab_size, width=16, embedding_width=8, **config).eval()


def tiny_image() -> DAMSMImageEncoder:
    torch.manual_seed(0)
    return DAMSMImageEncoder(**TINY).eval()


def prefix_mask(lengths: list[int], longest: int) -> torch.Tensor:
    return (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()


# --- the encoders ----------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_padding_does_not_matter():
    """Neither its length, nor its content, nor the other sentences of the batch."""
    encoder, lengths = tiny_text(), [3, 7, 1]
    ids, mask = torch.randint(50, (3, 7)), prefix_mask(lengths, 7)
    words, sentence = encoder(ids, mask)
    assert words.shape == (3, 7, 16) and sentence.shape == (3, 16)
    assert not words[mask == 0].any() and words[mask == 1].all()
    longer = torch.cat([ids.where(mask.bool(), 49 - ids), torch.randint(50, (3, 4))], 1)
    more_words, same_sentence = encoder(longer, prefix_mask(lengths, 11))
    torch.testing.assert_close(more_words, torch.cat([words, torch.zeros(3, 4, 16)], 1))
    torch.testing.assert_close(same_sentence, sentence)
    for n, length in enumerate(lengths):
        alone, its_sentence = encoder(ids[n : n + 1, :length], mask[n : n + 1, :length])
        torch.testing.assert_close(alone[0], words[n, :length])
        torch.testing.assert_close(its_sentence[0], sentence[n])
        # a sentence's vector is the last state of each direction
        torch.testing.assert_close(sentence[n], torch.cat([words[n, length - 1, :8], words[n, 0, 8:]]))


@torch.no_grad()
def test_dropout_depends_only_on_its_draws():
    encoder = tiny_text(dropout=0.5)
    ids, mask, draws = torch.randint(50, (2, 5)), prefix_mask([5, 2], 5), torch.rand(2, 5, 8)
    without, dropped = encoder(ids, mask)[1], encoder(ids, mask, draws)[1]
    encoder.train()
    assert torch.equal(encoder(ids, mask)[1], without) and torch.equal(encoder(ids, mask, draws)[1], dropped)
    assert not torch.allclose(without, dropped)


@torch.no_grad()
def test_what_dropout_leaves_is_enlarged():
    """By the share that is left, so that the mean stays: draws of which none is below a half double all embeddings."""
    encoder = tiny_text(dropout=0.5)
    ids, mask = torch.randint(50, (2, 5)), prefix_mask([5, 2], 5)
    dropped = encoder(ids, mask, torch.full((2, 5, 8), 0.5))[1]
    encoder.embedding.weight *= 2
    torch.testing.assert_close(dropped, encoder(ids, mask)[1])


@torch.no_grad()
def test_regions_and_image():
    encoder, frames = tiny_image(), torch.rand(3, 3, 64, 64) * 2 - 1
    regions, image = encoder(frames)
    assert regions.shape == (3, 64, 16) and image.shape == (3, 16)
    larger = encoder(frames.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(larger[0], regions)
    alone = encoder(frames[1:2])
    torch.testing.assert_close(alone[0][0], regions[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone[1][0], image[1], atol=1e-5, rtol=1e-4)
    frames[0, :, 40:, :24] += 0.5  # bottom left
    changed = (encoder(frames)[0][0] - regions[0]).abs().sum(-1).view(8, 8)
    assert changed[5:, :3].mean() > 3 * changed[:5, 3:].mean()


# --- the loss --------------------------------------------------------------------------------------------------------------------------


def cosine(a, b):
    return (a @ b) / (a.norm() * b.norm())


def transcribed(words, mask, sentence, regions, image, same, gammas):
    """AttnGAN Eqs. 7 to 13, number by number, with the mean over the batch instead of the sum."""
    gamma1, gamma2, gamma3 = gammas
    batch = len(words)

    def word_level(e, v):  # the words (T, D) of one sentence, the regions (N, D) of one frame
        s = [[e_i @ v_j for v_j in v] for e_i in e]  # Eq. 7
        normed = [[s[i][j].exp() / sum(s[k][j].exp() for k in range(len(e))) for j in range(len(v))] for i in range(len(e))]  # Eq. 8
        total = 0
        for i, e_i in enumerate(e):
            weights = [(gamma1 * normed[i][j]).exp() for j in range(len(v))]
            c_i = sum(weight / sum(weights) * v_j for weight, v_j in zip(weights, v))  # Eq. 9
            total = total + (gamma2 * cosine(c_i, e_i)).exp()
        return total.log() / gamma2  # Eq. 10

    loss = 0
    for score in (
        [[word_level(words[i][mask[i] == 1], regions[j]) for j in range(batch)] for i in range(batch)],
        [[cosine(sentence[i], image[j]) for j in range(batch)] for i in range(batch)],
    ):
        for i in range(batch):  # Eqs. 11 to 13
            right = (gamma3 * score[i][i]).exp()
            of_sentence = sum((gamma3 * score[i][j]).exp() for j in range(batch) if j == i or not same[i, j])
            of_frame = sum((gamma3 * score[j][i]).exp() for j in range(batch) if j == i or not same[j, i])
            loss = loss - ((right / of_sentence).log() + (right / of_frame).log()) / batch
    return loss


def features(batch: int = 5, longest: int = 4, regions: int = 6, width: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = prefix_mask([1 + n % longest for n in range(batch)], longest)
    shapes = [(batch, longest, width), (batch, width), (batch, regions, width), (batch, width)]
    words, *others = (torch.randn(*shape, generator=generator) for shape in shapes)
    return [words * mask[..., None], mask, *others]


@pytest.mark.parametrize("some_are_equal", [False, True])
def test_loss_is_the_papers(some_are_equal):
    words, mask, *others = features()
    same = torch.zeros(5, 5, dtype=torch.bool)
    if some_are_equal:
        same[[0, 3, 1, 1], [3, 0, 2, 1]] = True
    gradients, losses = [], []
    for function in (damsm_loss, transcribed):
        leaves = [x.clone().requires_grad_() for x in (words, *others)]
        given = same if some_are_equal or function is transcribed else None
        loss = function(leaves[0], mask, *leaves[1:], given, (4.0, 5.0, 10.0))
        loss = loss[0] if function is damsm_loss else loss
        loss.backward()
        losses.append(loss.detach())
        gradients.append([x.grad for x in leaves])
    torch.testing.assert_close(*losses, atol=1e-4, rtol=1e-5)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_equal_pairs_do_not_count_as_mismatches():
    """With every pair twice in a batch, `same` removes the duplicates from the mismatches."""
    words, mask, *others = features()
    once, _ = damsm_loss(words, mask, *others)
    twice = [torch.cat([x, x]) for x in (words, mask, *others)]
    same = torch.eye(5, dtype=torch.bool).repeat(2, 2)
    without_same, _ = damsm_loss(*twice)
    with_same, _ = damsm_loss(*twice, same)
    assert once < with_same < without_same, "the other pairs are there twice in both"
    matched, parts = damsm_loss(*twice[:4], twice[2], same)
    assert parts["top1"] == 1 and parts["sentence"] < parts["word"] and torch.equal(matched, parts["word"] + parts["sentence"])
    assert damsm_loss(*twice[:4], twice[2])[1]["sentence"] > 2 * math.log(2), "without `same`, the duplicate counts as a mismatch"
    everything = torch.ones(10, 10, dtype=torch.bool)
    assert damsm_loss(*twice, everything)[0] == 0


@torch.no_grad()
def test_top1_is_a_share_of_frames():
    """Both frames are nearest to the first sentence, though each sentence is nearest to its own frame."""
    sentence, image = torch.eye(2), torch.tensor([[1.0, 0.0], [0.9, 0.1]])
    parts = damsm_loss(sentence[:, None], torch.ones(2, 1).long(), sentence, image[:, None], image)[1]
    assert parts["top1"] == 0.5


def test_word_scores_do_not_depend_on_padding_or_other_sentences():
    words, mask, _, regions, _ = features(batch=20, longest=9)
    scores = word_scores(words, mask, regions, 4.0, 5.0)
    for n, length in enumerate(mask.sum(1).tolist()):
        alone = word_scores(words[n : n + 1, :length], mask[n : n + 1, :length], regions[3:4], 4.0, 5.0)
        torch.testing.assert_close(alone[0, 0], scores[n, 3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    """For large features in half precision, the loss is computed in float32 and its gradient is finite, even under autocast."""
    words, mask, *others = features()
    leaves = [(50 * x).to(dtype).requires_grad_() for x in (words, *others)]
    expected = damsm_loss(leaves[0].float(), mask, *(x.float() for x in leaves[1:]))[0]
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = damsm_loss(leaves[0], mask, *leaves[1:])
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)
    loss.backward()
    assert all(torch.isfinite(x.grad).all() for x in leaves)


# --- the metrics ------------------------------------------------------------------------------------------------------------------


def test_cosines():
    a, b = torch.randn(7, 5), torch.randn(7, 5)
    expected = torch.stack([cosine(x, y) for x, y in zip(a, b)])
    torch.testing.assert_close(sentence_frame_cosines(a, b), expected)


def test_r_precision_of_perfect_and_of_shuffled_pairs():
    texts = [f"sentence {n // 2}" for n in range(3000)]  # each twice: equal texts are never mismatching candidates
    sentence = torch.randn(1500, 32, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, 0)
    assert r_precision(sentence, 3 * sentence, texts).all()
    shuffled = r_precision(sentence, sentence.roll(2, 0), texts).double().mean().item()
    assert abs(shuffled - 0.01) < 4 * (0.01 * 0.99 / 3000) ** 0.5
    assert abs(r_precision(sentence, sentence.roll(2, 0), texts, candidates=5).double().mean().item() - 0.2) < 0.04
    assert not r_precision(sentence[:1].repeat(3000, 1), sentence, texts).any(), "constant embeddings have no precision"
    with pytest.raises(ValueError, match="all 4 texts are the same"):
        r_precision(sentence[:4], sentence[:4], ["he waves"] * 4)


def test_candidates_belong_to_seed_and_frame():
    drawn = [[_others(own=frame % 300, texts=300, count=99, seed=seed, frame=frame) for frame in range(40)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and drawn[0][0] != drawn[0][1]
    assert all(len(set(others)) == 99 and frame not in others and set(others) < set(range(300)) for frame, others in enumerate(drawn[0]))
    assert _others(3, 5, 99, 0, 0) == [0, 1, 2, 4], "all of them, if fewer than asked for"
    generator = torch.Generator().manual_seed(0)
    sentence, image = (torch.randn(300, 8, generator=generator) for _ in range(2))
    texts = [str(n) for n in range(300)]
    hits = r_precision(sentence, image, texts, candidates=10, seed=1)
    for frame in range(300):
        others = _others(frame, 300, 9, 1, frame)
        best = max((cosine(sentence[n], image[frame]).item(), n) for n in (frame, *others))[1]
        assert hits[frame] == (best == frame)
    assert torch.equal(hits, r_precision(sentence, image, texts, candidates=10, seed=1))


def test_positions_are_different_ones_of_their_own_story():
    """Each as often as any other; repeated only where a story is shorter than what is drawn."""
    lengths = torch.tensor([5, 2, 9, 3] * 500)
    positions = draw_positions(lengths, 3, torch.Generator().manual_seed(0))
    assert positions.shape == (2000, 3) and (positions >= 0).all() and (positions < lengths[:, None]).all()
    assert all(len(set(row)) == min(3, length) for row, length in zip(positions.tolist(), lengths.tolist(), strict=True))
    shares = torch.bincount(positions[::4].flatten(), minlength=5) / 1500
    assert (shares - 0.2).abs().max() < 0.05


# --- the folder ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tokenizer, tmp_path) -> Path:
    save_component(tiny_text(len(tokenizer)), tmp_path / "damsm" / "text_encoder")
    save_component(tiny_image(), tmp_path / "damsm" / "image_encoder")
    tokenizer.save_pretrained(tmp_path / "damsm" / "tokenizer")
    return tmp_path / "damsm"


def test_saved_and_loaded_is_the_same(folder, tokenizer):
    sentences = [sentence for story in sentences_of(4) for sentence in story]
    frames = torch.rand(5, 3, 64, 64) * 2 - 1
    text_encoder, image_encoder, same_tokenizer = load_damsm(folder)
    assert not text_encoder.training and not image_encoder.training
    assert torch.equal(embed_sentences(text_encoder, same_tokenizer, sentences), embed_sentences(tiny_text(len(tokenizer)), tokenizer, sentences))
    assert torch.equal(embed_frames(image_encoder, frames), embed_frames(tiny_image(), frames))
    torch.testing.assert_close(embed_sentences(text_encoder, tokenizer, sentences, batch=3), embed_sentences(text_encoder, tokenizer, sentences))
    ids, mask = tokenize(tokenizer, [*sentences, " and ".join(sentences)])  # longer than the tokenizer's limit
    assert ids.shape == mask.shape and mask[-1].all() and mask.shape[1] > tokenizer.model_max_length

    save_component(text_encoder, folder / "text_encoder", torch.float16)
    save_component(image_encoder, folder / "image_encoder", torch.float16)
    assert all(x.dtype == torch.float16 for file in folder.rglob("*.safetensors") for x in load_file(file).values())
    text_encoder, image_encoder, _ = load_damsm(folder)
    assert text_encoder.dtype == image_encoder.dtype == torch.float32
    torch.testing.assert_close(embed_frames(image_encoder, frames), embed_frames(tiny_image(), frames), atol=0.01, rtol=0.01)


def test_invalid_folders(folder, tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.*train_damsm"):
        load_damsm(tmp_path / "nothing")
    for part, file in (("tokenizer", None), ("image_encoder", None), ("text_encoder", "diffusion_pytorch_model.safetensors")):
        lacking = tmp_path / f"without-{part}"
        shutil.copytree(folder, lacking)
        shutil.rmtree(lacking / part) if file is None else (lacking / part / file).unlink()
        with pytest.raises(FileNotFoundError, match=f"without-{part} lacks {part}/"):
            load_damsm(lacking)
    save_component(tiny_text(len(tokenizer) + 1), folder / "text_encoder")
    with pytest.raises(ValueError, match=rf"{len(tokenizer)} tokens.*{len(tokenizer) + 1}"):
        load_damsm(folder)
    save_component(tiny_image(), folder / "text_encoder")
    with pytest.raises(ValueError, match="text_encoder holds a DAMSMImageEncoder, not a DAMSMTextEncoder"):
        load_damsm(folder)


# --- the training ----------------------------------------------------------------------------------------------------------------------


def command(output: Path, *more) -> list:
    """Arguments of a run of 12 steps over 6 stories of the built-in world: eight epochs, with a batch of 4 that does not divide 6."""
    argv = ["train_damsm.py", "--output", output, "--limit", 6, "--batch", BATCH, "--stories", STEPS * BATCH, "--width", 16]
    return [*argv, "--warmup", 2, "--learning-rate", 2e-4, "--log-every", 1, "--workers", 0, "--num-proc", 1, *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(trainer, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("damsm") / "run"
    log = trainer(*command(run))
    assert f"step {STEPS} | {STEPS * BATCH}/{STEPS * BATCH} stories | loss" in log and "| top1 " in log and "r_precision" in log
    return run


def test_a_finished_run_is_a_folder(finished):
    text_encoder, image_encoder, tokenizer = load_damsm(finished / "damsm")
    trained, rounded = weights(finished), text_encoder.state_dict()
    assert all(torch.equal(value, trained[f"text_encoder.{name}"].half().float()) for name, value in rounded.items())
    accuracy = json.loads((finished / "damsm" / "accuracy.json").read_text())
    assert accuracy["step"] == STEPS and accuracy["validation"]["frames"] == 30
    assert -100 <= accuracy["validation"]["cosine_x100"] <= 100 and 0 <= accuracy["validation"]["r_precision"] <= 1
    assert embed_sentences(text_encoder, tokenizer, ["She waves."]).shape == embed_frames(image_encoder, torch.zeros(1, 3, 64, 64)).shape == (1, 16)
    assert tokenizer.model_max_length == 32


def test_stopped_and_run_again(trainer, finished, tmp_path):
    """Invariant 5: a run that is killed and resumed ends with the weights of an uninterrupted one."""
    argv = command(tmp_path / "run", "--checkpoint-every", 2)
    trainer.kill_at(tmp_path / "run" / "checkpoints" / "step-00000004", *argv)
    assert not (tmp_path / "run" / "damsm").exists()
    limited = trainer(*argv, "--max-minutes", 1e-9)
    assert "resuming from" in limited and "stories/s" not in limited and load_damsm(tmp_path / "run" / "damsm")
    log = trainer(*argv)
    assert "resuming from" in log and "step 1 |" not in log
    expected, actual = weights(finished), weights(tmp_path / "run")
    assert list(expected) == list(actual) and len(actual) > 20
    assert [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []


def test_two_processes_are_one_with_the_whole_batch(trainer, finished, tmp_path):
    """Invariant 6, in fp32 after 12 steps: each sentence is compared with the frames of both processes."""
    trainer(*command(tmp_path / "run"), processes=2)
    expected, actual = weights(finished), weights(tmp_path / "run")
    assert list(expected) == list(actual)
    for name, value in expected.items():
        # the RMS over a tensor, because rounding may decide a ReLU or Adam's first step for single numbers; training moved the weights by 1e-3
        assert (actual[name] - value).square().mean().sqrt() < 2e-5, name
