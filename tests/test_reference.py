"""Consistency without training: off and first frame to the bit, causality, batches, going on from frames, the match, the bounded cache, schedulers,
self-attention of other frames, the published baselines, and which sentences read memory.

Over 350 lines: the tests of one subject, which share fixtures.
"""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import STORY, script, tiny_pipeline
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from PIL import Image
from test_stable_diffusion_xl import make_xl

from story_ldm.data.referring import refers
from story_ldm.encoders.evaluator import frame_labels
from story_ldm.encoders.prompt_surgery import PromptSurgery, prompt_of_frame, reweighted
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.reference import (
    Reference,
    ReferenceReader,
    from_patches,
    kept_frames,
    matched,
    moved_prediction,
    predicted_clean,
    signal,
    to_patches,
)
from story_ldm.systems.story_ldm.shared_attention import AnchorReader, ConsistentAttention, attention_layers

CLOSE = {"atol": 2e-5, "rtol": 1e-4}
OTHER = "Milo runs away into the forest."
WITH_KEYS = Reference(attention_blocks=("up.0",))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(pipe, sentences, **kwargs):
    frames = pipe(sentences, **{"num_inference_steps": 3, "output_type": "latent", "generator": seeded(), **kwargs}).frames
    return frames[0] if isinstance(sentences[0], str) else frames


@pytest.fixture(scope="module")
def pipe(tokenizer):
    return tiny_pipeline(tokenizer, memory="none", class_embed_type=None, projection_class_embeddings_input_dim=None)


@pytest.mark.parametrize("form", ["reference", WITH_KEYS])
def test_off_is_the_plain_pipeline(form, pipe):
    """To the bit; and so is the first frame, and everything after a drawing with memory."""
    plain = draw(pipe, STORY)
    processors = dict(pipe.unet.attn_processors)
    drawn = draw(pipe, STORY, memory=form)
    assert pipe.unet.attn_processors == processors and not any(block._forward_hooks for block in pipe.unet.up_blocks)
    assert torch.equal(drawn[0], plain[0]) and all(not torch.equal(drawn[m], plain[m]) for m in range(1, 4))
    assert torch.equal(draw(pipe, STORY), plain) and torch.equal(draw(pipe, STORY, memory=form, use_memory=False), plain)
    nothing = Reference(strength=0.0, same_noise=False)
    assert torch.equal(draw(pipe, STORY, memory=nothing), plain)


def test_the_trained_memory_is_not_read(tokenizer):
    """A UNet with memory layers draws by reference what it draws without them."""
    pipe = tiny_pipeline(tokenizer)
    nothing = Reference(strength=0.0, same_noise=False)
    assert torch.equal(draw(pipe, STORY, memory=nothing), draw(pipe, STORY, use_memory=False))
    assert not torch.equal(draw(pipe, STORY, memory="reference"), draw(pipe, STORY))


@pytest.mark.parametrize("form", ["reference", WITH_KEYS, Reference(match_level=100, max_frames=2, attention_blocks=("up.0",), attention_level=None)])
def test_causality(form, pipe):
    before = draw(pipe, STORY, memory=form)
    for k in range(len(STORY)):
        after = draw(pipe, [*STORY[:k], OTHER, *STORY[k + 1 :]], memory=form)
        assert torch.equal(before[:k], after[:k]), k
        assert not torch.equal(before[k], after[k]), k
    assert torch.equal(draw(pipe, STORY[:2], memory=form), before[:2])


@pytest.mark.parametrize("extra", [{"memory": "reference"}, {"memory": WITH_KEYS, "max_memory_frames": 1}, {"memory": Reference(max_frames=1)}])
def test_batched_stories_are_the_same_one_by_one(extra, pipe):
    """Stories of different lengths, one of which goes on from frames, and one of which reads memory in some frames only."""
    stories = [STORY[:2], STORY, ["Toby sits."], STORY[1:]]
    picture = Image.new("RGB", (32, 32), "teal")
    frames, flags = [[], [picture], [], []], [[True] * 2, [True, True, False, True], [True], [False, True, False]]
    together = draw(pipe, stories, frames=frames, use_memory=flags, generator=[seeded(n) for n in range(4)], **extra)
    for n, story in enumerate(stories):
        (alone,) = draw(pipe, [story], frames=[frames[n]], use_memory=[flags[n]], generator=[seeded(n)], **extra)
        torch.testing.assert_close(together[n], alone, **CLOSE)


@pytest.mark.parametrize("noise", ["generator", "latents", "seeds"])
@pytest.mark.parametrize("form", ["reference", Reference(same_noise=False, match_level=50, attention_blocks=("up.0",))])
def test_given_frames_are_drawn_frames(form, noise, pipe):
    """A story that goes on from the latents of its first frames is the whole run, to the last bit."""
    given = {
        "generator": lambda: {"generator": seeded()},
        "latents": lambda: {"latents": torch.randn(1, 4, 4, 8, 8, generator=seeded(3))},
        "seeds": lambda: {"seeds": [1, 2, 3, 4], "generator": None},
    }[noise]
    whole = draw(pipe, STORY, memory=form, **given())
    for k in (1, 3):
        assert torch.equal(draw(pipe, STORY, memory=form, frames=whole[:k], **given()), whole), k


def test_one_noise_for_a_story(pipe):
    """The same sentence gives the same frame, and noise that is stated is used as it is."""
    noise_alone = Reference(strength=0.0)
    frames = draw(pipe, ["Rosa waves."] * 3, memory=noise_alone, seeds=None)
    first, second, third = draw(pipe, ["Rosa waves."] * 3, memory=noise_alone, generator=None, seeds=[1, 1, 2])
    assert pipe.language_memory is not None  # which tells the second sentence from the first
    assert not torch.equal(first, third) and frames.isfinite().all() and second.isfinite().all()
    pipe.language_memory, kept = None, pipe.language_memory
    try:
        a, b, c = draw(pipe, ["Rosa waves."] * 3, memory=noise_alone)
        assert torch.equal(a, b) and torch.equal(b, c)
        a, b, c = draw(pipe, ["Rosa waves."] * 3, memory=noise_alone, generator=None, seeds=[1, 1, 2])
        assert torch.equal(a, b) and not torch.equal(b, c)
    finally:
        pipe.language_memory = kept


def nearest(x: torch.Tensor, y: torch.Tensor) -> float:
    """Mean distance of each token of a frame (c, h, w) to the nearest one of another."""
    return float(torch.cdist(x.flatten(1).T, y.flatten(1).T).amin(1).mean())


TO_THE_END = Reference(same_noise=False, strength=1.0, end=1.0, match_block="up.1", sharpness=1e6)


def test_the_match_moves_the_prediction_to_the_earlier_frame(pipe):
    """With full strength, to the end, the frame consists of the earlier frame's tokens."""
    plain, matched_ = draw(pipe, STORY[:2]), draw(pipe, STORY[:2], memory=TO_THE_END)
    assert nearest(plain[1], plain[0]) > 0.1 and nearest(matched_[1], matched_[0]) < 1e-3
    half = draw(pipe, STORY[:2], memory=replace(TO_THE_END, strength=0.5))
    assert 1e-3 < nearest(half[1], half[0]) < nearest(plain[1], plain[0])


def test_matched_tokens():
    """Each token finds its own feature among those of two frames; of two equal ones that of the earlier frame."""
    features = torch.randn(2, 16, 8, generator=seeded())
    order = torch.randperm(16, generator=seeded())
    remembered, values = torch.stack([features[:, order]] * 2, 1), torch.randn(2, 2, 16, 3, generator=seeded(1))
    torch.testing.assert_close(matched(features, remembered, values, 200.0, 50.0)[:, order], values[:, 0], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_patches(size):
    x = torch.randn(2, 4, *size)
    grid = (-(-size[0] // 2), -(-size[1] // 2))
    assert to_patches(x, grid).shape == (2, 16, *grid) and torch.equal(from_patches(to_patches(x, grid), size), x)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("scheduler", [DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler])
def test_the_prediction_moves_as_the_scheduler_reads_it(kind, scheduler):
    """What the scheduler itself makes of the moved prediction is the clean latent, moved."""
    s = scheduler(prediction_type=kind, **({"clip_sample": False} if scheduler is DDIMScheduler else {}))
    s.set_timesteps(5)
    x, prediction, change = torch.randn(3, 1, 4, 4, 4, generator=seeded())
    t = s.timesteps[2]

    def clean(output):
        if scheduler is DPMSolverMultistepScheduler:
            s._init_step_index(t)
            return s.convert_model_output(output, sample=x)
        s._step_index = None
        return s.step(output, t, x).pred_original_sample

    alpha = signal(s.alphas_cumprod, t)
    z = s.scale_model_input(x, t)
    torch.testing.assert_close(predicted_clean(kind, prediction, z, alpha), clean(prediction), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(clean(moved_prediction(kind, prediction, change, alpha)), clean(prediction) + change, atol=1e-3, rtol=1e-3)
    assert torch.equal(moved_prediction(kind, prediction, change * 0, alpha), prediction)


@pytest.mark.parametrize("scheduler", [DPMSolverMultistepScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler])
def test_every_scheduler(scheduler, pipe):
    """The match brings the frame as near with each."""
    own = pipe.scheduler
    pipe.scheduler = scheduler.from_config(own.config)
    try:
        frames = draw(pipe, STORY[:2], memory=TO_THE_END)
    finally:
        pipe.scheduler = own
    assert nearest(frames[1], frames[0]) < 1e-2


def test_the_cache_is_bounded(pipe, monkeypatch):
    """However long the story; and what is forgotten is the frame whose sentence was said before."""
    readers, write = [], ReferenceReader.write

    def watched(self, *args):
        write(self, *args)
        readers.append((len(self.memory), self.memory.nbytes))

    monkeypatch.setattr(ReferenceReader, "write", watched)
    draw(pipe, [*STORY, OTHER, *STORY], memory=Reference(max_frames=3, attention_blocks=("up.0",)), num_inference_steps=2)
    assert [count for count, _ in readers] == [1, 2, 3, 3, 3, 3, 3, 3] and len({size for _, size in readers[2:]}) == 1
    sentences = torch.eye(4)[[0, 1, 2, 1, 3]][None]
    assert kept_frames(sentences).tolist() == [[0, 1, 2, 4]]


def test_recall_reads_the_most_similar_sentence(pipe):
    """With one frame to read, another earlier one does not matter."""
    story = [*STORY[:3], STORY[0]]
    pipe.language_memory, kept = None, pipe.language_memory
    try:
        a, b = (draw(pipe, x, memory="reference", max_memory_frames=1) for x in (story, [STORY[0], OTHER, *story[2:]]))
        assert torch.equal(a[3], b[3]) and not torch.equal(a[1], b[1])
    finally:
        pipe.language_memory = kept


def test_attention_reads_with_any_processor_and_lora(pipe):
    """Slow and fused processors give the same; a LoRA changes what is read; only rows with text read."""
    form = Reference(strength=0.0, attention_blocks=("up.0",))
    fused = draw(pipe, STORY[:2], memory=form)
    own = dict(pipe.unet.attn_processors)
    pipe.unet.set_attn_processor(AttnProcessor())
    try:
        torch.testing.assert_close(draw(pipe, STORY[:2], memory=form), fused, **CLOSE)
    finally:
        pipe.unet.set_attn_processor(own)
    assert not torch.equal(fused[1], draw(pipe, STORY[:2], memory=Reference(strength=0.0))[1])
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=["to_k", "to_v"], init_lora_weights=False))
    try:
        assert not torch.equal(draw(pipe, STORY[:2], memory=form)[1], fused[1])
    finally:
        pipe.unet.delete_adapters("default")
    assert torch.equal(draw(pipe, STORY[:2], memory=form), fused)


def test_consistent_attention(pipe):
    """Anchors read each other, later frames read anchors and nobody reads later frames; batched as one by one."""
    form, how = ConsistentAttention(anchors=2, start=0.0, skipped=0.0, skipped_later=0.0), {"num_inference_steps": 1}
    whole, plain = draw(pipe, STORY, memory=form, **how), draw(pipe, STORY, **how)
    assert all(not torch.equal(whole[m], plain[m]) for m in range(4))
    pipe.language_memory, kept = None, pipe.language_memory
    try:
        whole = draw(pipe, STORY, memory=form, **how)
        for k, changed in ((0, [0, 1, 2, 3]), (1, [0, 1, 2, 3]), (2, [2]), (3, [3])):
            after = draw(pipe, [*STORY[:k], OTHER, *STORY[k + 1 :]], memory=form, **how)
            assert [m for m in range(4) if not torch.equal(whole[m], after[m])] == changed, k
        together = draw(pipe, [STORY, STORY[:1], STORY[1:]], memory=form, **how, generator=[seeded(n) for n in (0, 1, 2)])
        torch.testing.assert_close(together[0], whole, **CLOSE)
        torch.testing.assert_close(together[2], draw(pipe, STORY[1:], memory=form, **how, generator=seeded(2)), **CLOSE)
    finally:
        pipe.language_memory = kept
    torch.testing.assert_close(draw(pipe, STORY, memory=ConsistentAttention(start=1.0), **how), plain, **CLOSE)
    reader = AnchorReader(ConsistentAttention(), pipe.unet)
    assert set(reader.layers) == set(attention_layers(pipe.unet, ["up.0"]))


def test_prompt_surgery(pipe):
    """It reads the whole story: another last sentence changes the first frame. Nothing re-weighted, and no others: the plain prompt."""
    frames = draw(pipe, STORY[:3], memory=PromptSurgery())
    assert not torch.equal(frames[0], draw(pipe, [*STORY[:2], OTHER], memory=PromptSurgery())[0])
    x = torch.randn(5, 8, generator=seeded())
    torch.testing.assert_close(reweighted(x, 0.0, 1.0), x, **CLOSE)
    torch.testing.assert_close(reweighted(x, 0.0, 0.5), x / 2, **CLOSE)
    strong, weak = torch.linalg.svdvals(reweighted(x, -0.1, 1.0)), torch.linalg.svdvals(reweighted(x, 0.1, 1.0))
    values = torch.linalg.svdvals(x)
    torch.testing.assert_close(strong, values * (0.1 * values).exp(), **CLOSE)
    torch.testing.assert_close(weak, values * (-0.1 * values).exp(), **CLOSE)


def test_prompts_of_frames():
    def length(text):
        return len(text.split())

    story = ["a a a", "b b", "c c"]
    assert prompt_of_frame(story, 0, None, length, 99, 10) == (["a a a", "b b", "c c"], 0)
    assert prompt_of_frame(story, 2, None, length, 99, 10) == (["a a a", "c c", "b b"], 1)
    assert prompt_of_frame(story, 1, "i", length, 99, 2) == (["i", "b b", "c c"], 1)
    assert prompt_of_frame(story, 2, "i", length, 3, 10) == (["i", "c c"], 1)
    assert prompt_of_frame(story, 2, None, length, 4, 10) == (["c c"], 0), "no room for the identity"


def test_referring_sentences(tokenizer):
    story = [
        "In the city, Rosa waves.",
        "She sits down.",
        "Then Bruno comes.",
        "Later Rosa sits there.",
        "Rosa’s friend Toby jumps.",
        "Toby meets them.",
    ]
    assert refers(story) == [False, True, False, True, False, True]
    pipe, how = tiny_pipeline(tokenizer), {"num_inference_steps": 1}
    off, on = draw(pipe, STORY, **how, use_memory=False), draw(pipe, STORY, **how)
    some = draw(pipe, STORY, **how, use_memory="referential")  # "Rosa comes and jumps." names somebody new
    assert refers(STORY) == [False, True, False, True] and torch.equal(some[:2], on[:2])
    flags = draw(pipe, STORY, **how, use_memory=[False, True, False, True])
    assert torch.equal(flags, some) and torch.equal(some[2], off[2]) and not torch.equal(some[3], off[3])
    mixed = draw(pipe, [STORY, STORY], **how, use_memory=[[True, True, False, True], [True] * 4], generator=[seeded(), seeded()])
    torch.testing.assert_close(mixed[0], some, **CLOSE)
    torch.testing.assert_close(mixed[1], on, **CLOSE)
    assert torch.equal(draw(pipe, STORY, **how, use_memory=[True] * 4), on) and torch.equal(draw(pipe, STORY, **how, use_memory=[False] * 4), off)


REFUSED = [
    ({"memory": "spatial"}, "memory is 'spatial'"),
    ({"memory": Reference(strength=1.5)}, "strength of memory is 1.5"),
    ({"memory": Reference(match_block="up.7")}, "no block 'up.7'"),
    ({"memory": Reference(attention_blocks=("up.1",))}, "up.1 has no self-attention"),
    ({"memory": Reference(match_level=1000)}, "match_level of memory is 1000"),
    ({"memory": Reference(max_frames=0)}, "max_frames of memory is 0"),
    ({"memory": Reference(same_noise=1)}, "same_noise of memory is 1"),
    ({"memory": "reference", "memory_guidance_scale": 2.0}, "memory_guidance_scale is given"),
    ({"memory": "reference", "return_memory_weights": True}, "return_memory_weights is given"),
    ({"memory": "consistent-attention", "max_memory_frames": 2}, "max_memory_frames is given"),
    ({"memory": "prompt-surgery", "use_memory": "referential"}, "use_memory is given"),
    ({"use_memory": "sometimes"}, "use_memory is 'sometimes'"),
    ({"use_memory": [True]}, "use_memory is \\[True\\]"),
    ({"use_memory": [1, 1, 1, 1]}, "use_memory has the flag 1"),
]


@pytest.mark.parametrize("arguments, message", REFUSED)
def test_what_is_refused(arguments, message, pipe):
    with pytest.raises(ValueError, match=message):
        draw(pipe, STORY, **arguments)


def test_a_scheduler_without_alphas_is_refused(pipe):
    own, pipe.scheduler = pipe.scheduler, FlowMatchEulerDiscreteScheduler()
    try:
        with pytest.raises(ValueError, match="alphas_cumprod"):
            draw(pipe, STORY, memory="reference")
    finally:
        pipe.scheduler = own


def test_the_table_of_all_forms(tmp_path, monkeypatch, capsys):
    """Readings as the labels are give 100 %; what was drawn is not drawn again, and other settings need another folder."""
    measure = script("evaluation/without_training.py")
    drawn = []

    def true_readings(pipe, evaluator, rows, s, form):
        drawn.append(form)
        labels = frame_labels(rows.remove_columns("frames"), len(evaluator.config.characters))
        read = {name: labels[name].clamp(min=0).int().tolist() for name in ("characters", "background", "garment", "action", "mark", "layout")}
        return {"story_ids": rows["story_id"][:], "seconds": 3.0, "read": read}

    monkeypatch.setattr(measure, "readings", true_readings)
    monkeypatch.setattr(measure, "open_pipeline", lambda s: SimpleNamespace(device="cpu"))
    how = {"out": tmp_path / "out", "stories": 3, "batch": 2, "resamples": 20, "table": tmp_path / "table"}
    measure.main(measure.Settings(forms=("off", "noise"), **how))
    measure.main(measure.Settings(forms=("off", "reference"), **how))
    assert drawn == ["off", "off", "noise", "noise", "reference", "reference"]
    rates = json.loads((tmp_path / "table.json").read_text())
    assert rates["off"]["characters"]["value"] == rates["reference"]["mark kept"]["value"] == 1 and rates["off"]["seconds per story"] == 2.0
    assert "| reference" in (tmp_path / "table.md").read_text() and "| off" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="steps was 20"):
        measure.main(measure.Settings(steps=4, **how))
    with pytest.raises(SystemExit, match="--forms is 'nothing'"):
        measure.main(measure.Settings(forms=("nothing",), **how))


@pytest.mark.parametrize("form", [WITH_KEYS, ConsistentAttention(anchors=2, start=0.0), PromptSurgery()])
def test_stable_diffusion_xl(form):
    """The same code draws with XL, in stories of different lengths, with a negative prompt for each frame; frame 0 is XL's."""
    pipe = StoryLDMPipeline.from_stable_diffusion(make_xl())
    pipe.set_progress_bar_config(disable=True)
    how = {"num_inference_steps": 3, "guidance_scale": 5.0, "generator": [seeded(0), seeded(1)], "output_type": "latent"}
    stories, without = [STORY[:3], STORY[:1]], [["a cat", "a dog", "a cat"], ["a dog"]]
    plain = pipe(stories, negative_prompt=without, **how).frames
    how["generator"] = [seeded(0), seeded(1)]
    drawn = pipe(stories, negative_prompt=without, memory=form, **how).frames
    assert [frame.shape for frame in drawn] == [frame.shape for frame in plain] and not torch.equal(drawn[0][2], plain[0][2])
    assert torch.equal(drawn[0][0], plain[0][0]) == isinstance(form, Reference)


@pytest.mark.parametrize("at, anchors, frames", [(1, 2, [2, 1]), (5, 2, [2, 2]), (6, 2, [3, 2]), (1, 4, [3, 1])])
def test_interrupted_while_anchors_are_drawn(at, anchors, frames, pipe):
    """All anchors that have begun are frames so far, as they are; of a story that has not begun, one frame is noise. at: the step, of 3 a drawing."""
    latents = []

    def stop(pipe, step, timestep, tensors):
        latents.append(tensors["latents"].clone())
        pipe._interrupt = step == at
        return {}

    stories = [["Rosa waves.", "She sits.", "Milo jumps."], ["Rosa waves.", "Milo sits."]]
    generators = [seeded(0), seeded(1)]
    drawn = draw(pipe, stories, memory=ConsistentAttention(anchors=anchors), generator=generators, callback_on_step_end=stop)
    assert len(latents) == at + 1 and [len(story) for story in drawn] == frames
    stopped = drawn[1] if 3 <= at < 6 else drawn[0]
    torch.testing.assert_close(stopped[-len(latents[-1]) :], latents[-1])
    whole = draw(pipe, stories, memory=ConsistentAttention(anchors=anchors), generator=[seeded(0), seeded(1)])
    assert [len(story) for story in whole] == [3, 2], "the next call is whole"
