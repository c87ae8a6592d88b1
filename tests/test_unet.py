"""The story UNet: the design's invariants 1 to 4 on UNets small enough to build in each test."""

from __future__ import annotations

import copy
import json
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from story_ldm.encoders.conditioning import Conditioning
from story_ldm.systems.story_ldm.memory_sites import memory_sites
from story_ldm.systems.story_ldm.presets import PRESETS
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel

FORMS = ("sentence", "spatial")
DIM = 8  # of the sentence states and of the pooled sentences

TWO_BLOCKS = {
    "sample_size": 8,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 4,
    "cross_attention_dim": DIM,
    "attention_head_dim": 2,
}
SD_LIKE = {  # the shape of Stable Diffusion 1.5: four blocks, two layers each, default block types
    "sample_size": 8,
    "block_out_channels": (8, 16, 24, 32),
    "norm_num_groups": 4,
    "cross_attention_dim": DIM,
    "attention_head_dim": 2,
}
TOON = {**TWO_BLOCKS, "class_embed_type": "projection", "projection_class_embeddings_input_dim": DIM}


def make_unet(config: dict = TOON, trained: bool = True, **memory) -> StoryUNet2DConditionModel:
    """A UNet whose memory layers, when `trained`, are not zero any more."""
    torch.manual_seed(0)
    unet = StoryUNet2DConditionModel(**config, **{"memory_heads": 2, **memory}).eval()
    if trained:
        for layer in unet.memory_layers.values():
            torch.nn.init.normal_(layer.to_out.weight, std=0.3)
    return unet


def make_inputs(batch: int = 2, frames: int = 4, channels: int = 3, size: tuple[int, int] = (8, 8)) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = {
        "clean": (batch, frames, channels, *size),
        "noisy": (batch, frames, channels, *size),
        "states": (batch, frames, 5, DIM),
        "sentences": (batch, frames, DIM),
    }
    inputs = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {**inputs, "timestep": torch.randint(0, 1000, (batch, frames), generator=generator)}


def condition_of(inputs: dict[str, torch.Tensor], index=slice(None)) -> Conditioning:
    return Conditioning(inputs["states"], inputs["sentences"])[index]


def teacher_forced(unet: StoryUNet2DConditionModel, inputs: dict[str, torch.Tensor], **kwargs) -> torch.Tensor:
    """What training runs: all frames written, all frames read."""
    memory = unet.write(inputs["clean"], condition_of(inputs))
    return unet(inputs["noisy"], inputs["timestep"], condition_of(inputs), memory=memory, **kwargs).sample


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_causality(form):
    """Invariant 1: no earlier frame moves by one bit, and every later one does, whichever input of frame k is changed."""
    unet, inputs = make_unet(memory=form), make_inputs()
    before = teacher_forced(unet, inputs)
    for name, first in (("clean", 2), ("states", 1), ("sentences", 1), ("noisy", 1)):
        changed = {key: value.clone() for key, value in inputs.items()}
        changed[name][:, 1] += 1.0
        after = teacher_forced(unet, changed)
        assert torch.equal(before[:, :first], after[:, :first]), name
        later = range(2, 4) if name != "noisy" else ()  # the noisy frame itself is nobody's memory
        assert all(not torch.equal(before[:, m], after[:, m]) for m in later), name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("config", [TOON, SD_LIKE], ids=["two blocks", "SD-like"])
@torch.no_grad()
def test_cached_memory_and_batches(form, config):
    """Invariant 2: memory that grows frame by frame, read at Q = 1 in both call forms, = teacher forcing; batched = one by one."""
    unet, inputs = make_unet(config, memory=form), make_inputs(channels=config.get("in_channels", 4))
    expected = teacher_forced(unet, inputs)
    close = {"atol": 1e-5, "rtol": 1e-4}
    memory = None
    for m in range(4):
        noisy, timestep, condition = inputs["noisy"][:, m], inputs["timestep"][:, m], condition_of(inputs)
        torch.testing.assert_close(unet(noisy, timestep, condition[:, m], memory=memory).sample, expected[:, m], **close)
        as_story = unet(noisy[:, None], timestep, condition[:, m : m + 1], memory=memory, positions=[m]).sample
        torch.testing.assert_close(as_story[:, 0], expected[:, m], **close)
        written = unet.write(inputs["clean"][:, m : m + 1], condition[:, m : m + 1], positions=[m])
        memory = written if memory is None else memory.append(written)
    assert memory.positions == [0, 1, 2, 3]
    for row in range(2):
        torch.testing.assert_close(teacher_forced(unet, {k: v[row : row + 1] for k, v in inputs.items()})[0], expected[row], **close)


@pytest.mark.parametrize("config", [TOON, SD_LIKE], ids=["two blocks", "SD-like"])
@pytest.mark.parametrize("size", [(8, 8), (10, 6)], ids=["even", "odd"])
@torch.no_grad()
def test_from_unet_is_bit_identical(config, size):
    """Invariant 3: with no memory, and before any training with memory, nothing differs from the base class."""
    torch.manual_seed(0)
    plain = UNet2DConditionModel(**config).eval()
    inputs = make_inputs(channels=plain.config.in_channels, size=size)
    labels = inputs["sentences"].flatten(0, 1) if config is TOON else None
    expected = plain(inputs["noisy"].flatten(0, 1), inputs["timestep"].flatten(), inputs["states"].flatten(0, 1), class_labels=labels)
    for form in (*FORMS, "none"):
        unet = StoryUNet2DConditionModel.from_unet(plain, memory=form, memory_heads=4)
        assert not unet.training and unet.config.memory == form and unet.config.block_out_channels == plain.config.block_out_channels
        story = (inputs["noisy"], inputs["timestep"], condition_of(inputs))
        assert torch.equal(unet(*story).sample.flatten(0, 1), expected.sample)
        flat = unet(*(x.flatten(0, 1) for x in story[:2]), story[2].map(lambda x: x.flatten(0, 1)), return_dict=False)
        assert torch.equal(flat[0], expected.sample)
        if form != "none":
            assert torch.equal(teacher_forced(unet, inputs).flatten(0, 1), expected.sample)


def test_from_unet_keeps_the_dtype():
    unet = StoryUNet2DConditionModel.from_unet(UNet2DConditionModel(**TWO_BLOCKS).to(torch.bfloat16), memory_heads=2)
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.bfloat16}
    inputs = {name: x.to(torch.bfloat16) if x.is_floating_point() else x for name, x in make_inputs().items()}
    assert teacher_forced(unet, inputs).dtype == torch.bfloat16


@torch.no_grad()
def test_base_class_arguments():
    """Masks, time conditioning, and a timestep as a number, one of a story or one of a frame mean what they mean in the base class."""
    config = {**TWO_BLOCKS, "time_cond_proj_dim": 6, "num_class_embeds": 3, "center_input_sample": True}
    plain = UNet2DConditionModel(**config).eval()
    unet, inputs = StoryUNet2DConditionModel.from_unet(plain, memory_heads=2), make_inputs()
    extra = {
        "class_labels": torch.arange(8).reshape(2, 4) % 3,
        "timestep_cond": torch.randn(2, 4, 6),
        "encoder_attention_mask": torch.rand(2, 4, 5) > 0.3,
    }
    flat = {name: value.flatten(0, 1) for name, value in extra.items()}
    for timestep, each in ((7, 7), (torch.tensor(7), 7), (torch.tensor([3, 900]), torch.tensor([3, 900]).repeat_interleave(4))):
        expected = plain(inputs["noisy"].flatten(0, 1), each, inputs["states"].flatten(0, 1), **flat).sample
        assert torch.equal(unet(inputs["noisy"], timestep, inputs["states"], **extra).sample.flatten(0, 1), expected)


@pytest.mark.parametrize("settings", [{"memory": "sentence", "memory_blocks": ["mid", "up.0"], "memory_sentence_dim": 6}, {}, {"memory": "none"}])
@torch.no_grad()
def test_save_and_load(settings, tmp_path):
    """Invariant 4, and no setting of either class is lost on the way."""
    config = {**TWO_BLOCKS, "freq_shift": 1}
    unet, inputs = make_unet(config, **settings), make_inputs()
    inputs["sentences"] = inputs["sentences"][..., : settings.get("memory_sentence_dim", DIM)]
    unet.save_pretrained(tmp_path)
    assert [file.name for file in tmp_path.iterdir() if file.name != "config.json"] == ["diffusion_pytorch_model.safetensors"]
    loaded = StoryUNet2DConditionModel.from_pretrained(tmp_path)
    ignored = ("_name_or_path", "_use_default_values", "_class_name", "_diffusers_version")
    kept = [{k: v for k, v in json.loads(model.to_json_string()).items() if k not in ignored} for model in (unet, loaded)]
    assert kept[0] == kept[1] and kept[0]["freq_shift"] == 1
    run = teacher_forced if unet.config.memory != "none" else lambda model, x: model(x["noisy"], x["timestep"], x["states"]).sample
    assert torch.equal(run(unet, inputs), run(loaded, inputs))


@torch.no_grad()
def test_memory_can_be_switched_off_a_story():
    unet, inputs = make_unet(), make_inputs()
    with_memory = teacher_forced(unet, inputs)
    without = unet(inputs["noisy"], inputs["timestep"], condition_of(inputs)).sample
    memory = unet.write(inputs["clean"], condition_of(inputs))
    memory.enabled = torch.tensor([True, False])
    mixed = unet(inputs["noisy"], inputs["timestep"], condition_of(inputs), memory=memory).sample
    assert torch.equal(mixed[0], with_memory[0]) and torch.equal(mixed[1], without[1])
    assert not torch.equal(with_memory[:, 1:], without[:, 1:])


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_prepared_once_and_read_by_rows_that_read(form):
    """What is prepared once a frame reads as the memory itself; guidance's rows and stories that are not enabled compute nothing of it."""
    unet, inputs = make_unet(memory=form), make_inputs()
    condition, noisy = condition_of(inputs, np.s_[:, 3]), inputs["noisy"][:, 3]
    memory = unet.write(inputs["clean"][:, :3], condition_of(inputs, np.s_[:, :3]))
    expected, plain = unet(noisy, 500, condition, memory=memory).sample, unet(noisy, 500, condition).sample
    calls = {name: [] for name in ("to_q", "to_v", "to_out", "to_q_tokens")}
    for name in calls if form == "spatial" else ("to_q", "to_v", "to_out"):
        getattr(unet.memory_layer("mid"), name).register_forward_hook(lambda _, args, out, name=name: calls[name].append(len(args[0])))
    both = condition.repeat(2)
    for enabled in (None, torch.tensor([False, True])):
        memory.enabled = enabled
        prepared, reads = unet.prepare(memory, condition.pooled), [0, 1] if enabled is None else [1]
        for values in calls.values():
            values.clear()
        for _ in range(3):
            found = unet(noisy.repeat(2, 1, 1, 1), 500, both, memory=prepared.after(2)).sample
            alone = unet(noisy, 500, condition, memory=prepared).sample
        steps = 6 if form == "spatial" else 0
        assert calls["to_out"] == calls["to_q_tokens"][:steps] == [len(reads)] * steps and not calls["to_q"] and not calls["to_v"]
        torch.testing.assert_close(found[:2], plain, atol=1e-5, rtol=1e-4)
        for row in range(2):
            right = expected if row in reads else plain
            torch.testing.assert_close(found[2 + row], right[row], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(alone[row], right[row], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_what_is_remembered_is_less_than_keys_and_values(form):
    """At Stable Diffusion's shape, by the sizes of its layers: 3.2 MiB a frame in half precision, where keys and values were 8.8."""
    with torch.device("meta"):
        unet = StoryUNet2DConditionModel(**PRESETS["sd15"]()["unet"] | {"memory": form})
        latents, states, pooled = (torch.randn(1, 1, *shape).half() for shape in ((4, 64, 64), (77, 768), (768,)))
        memory = unet.half().write(latents, Conditioning(states, pooled))
    assert memory.nbytes / 2**20 == pytest.approx(3.13, abs=0.05)


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_bounded_memory(form):
    unet, inputs = make_unet(memory=form), make_inputs(frames=5)
    memory = unet.write(inputs["clean"][:, :4], condition_of(inputs, np.s_[:, :4]))
    sentences = inputs["sentences"][:, 4]

    def read(memory):
        return unet(inputs["noisy"][:, 4], 500, condition_of(inputs, np.s_[:, 4]), memory=memory, return_memory_weights=True)

    assert unet.recall(memory, sentences, 4) is memory and unet.recall(memory, sentences, None) is memory
    small = unet.recall(memory, sentences, 2)
    logits = torch.stack([unet.memory_layer(site).relevance(sentences, entry) for site, entry in memory.entries.items()]).mean(0)
    assert small.kept.tolist() == logits.argsort(1, descending=True)[:, :2].sort(1).values.tolist()
    assert small.nbytes * 2 == memory.nbytes
    for row in range(2):  # the same as a memory in which only those two frames were ever written
        kept = small.kept[row].tolist()
        only = unet.write(inputs["clean"][row : row + 1, kept], condition_of(inputs, np.s_[row : row + 1, kept]), positions=kept)
        expected = unet(inputs["noisy"][row : row + 1, 4], 500, condition_of(inputs, np.s_[row : row + 1, 4]), memory=only).sample
        torch.testing.assert_close(read(small).sample[row : row + 1], expected, atol=1e-5, rtol=1e-4)
    assert all(weights.shape == (2, 2, 1, 2) for weights in read(small).memory_weights.values())


@torch.no_grad()
def test_memory_weights_of_each_layer():
    unet, inputs = make_unet(memory_blocks=["mid", "up.1"]), make_inputs()
    memory = unet.write(inputs["clean"], condition_of(inputs))
    arguments = (inputs["noisy"], inputs["timestep"], condition_of(inputs), memory)
    output = unet(*arguments, return_memory_weights=True)
    assert list(output.memory_weights) == ["mid", "up.1"]
    assert all(weights.shape == (2, 2, 4, 4) and torch.equal(weights, weights.tril(-1)) for weights in output.memory_weights.values())
    assert unet(*arguments).memory_weights is None
    torch.testing.assert_close(unet(*arguments).sample, output.sample, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_skip_connections_carry_what_was_read():
    """As in the base class, whatever goes into the next block down is also a skip connection: with what the block read from memory."""
    unet, inputs = make_unet(SD_LIKE), make_inputs(channels=4)
    down, skips = [], []
    for block in (*unet.down_blocks[1:], unet.mid_block):
        block.register_forward_pre_hook(lambda _, args, kwargs: down.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True)
    for block in unet.up_blocks:
        block.register_forward_pre_hook(lambda _, args, kwargs: skips.extend(kwargs["res_hidden_states_tuple"]), with_kwargs=True)
    memory = unet.write(inputs["clean"], condition_of(inputs))
    down.clear()  # the write pass goes down, too
    unet(inputs["noisy"], inputs["timestep"], condition_of(inputs), memory=memory)
    assert len(down) == 4 and all(any(torch.equal(x, skip) for skip in skips) for x in down)


@pytest.mark.parametrize("form", FORMS)
def test_gradients(form):
    """Every memory parameter learns, through the write pass too; gradient checkpointing changes no gradient; a copy is independent."""
    unet, inputs = make_unet(memory=form).train(), make_inputs()
    copied = copy.deepcopy(unet)
    copied.enable_gradient_checkpointing()
    assert copied.is_gradient_checkpointing
    for model in (unet, copied):
        teacher_forced(model, inputs).square().mean().backward()
    for (name, parameter), other in zip(unet.named_parameters(), copied.parameters(), strict=True):
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, other.grad, msg=name)
    assert all(parameter.grad.any() for parameter in unet.memory_parameters())
    assert sum(p.numel() for p in unet.memory_parameters()) == sum(p.numel() for n, p in unet.named_parameters() if "memory_" in n)


def test_bf16_autocast():
    unet, inputs = make_unet(), make_inputs()
    expected = teacher_forced(unet, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        output = teacher_forced(unet, inputs)
    output.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in unet.memory_parameters())
    torch.testing.assert_close(output.float(), expected, atol=0.1, rtol=0.1)


@torch.no_grad()
def test_sources_of_the_write_pass():
    """Which residual an up block reads from is worked out from the config; here the real shapes are looked at."""

    def record(outputs, module, args, output):
        outputs.append(output.shape)

    for config in (TWO_BLOCKS, SD_LIKE, {**SD_LIKE, "layers_per_block": (1, 2, 3, 1)}):
        unet = make_unet(config)
        outputs = []
        for block in unet.up_blocks:
            block.register_forward_hook(partial(record, outputs))
        inputs = make_inputs(batch=1, frames=1, channels=unet.config.in_channels, size=(10, 14))
        unet(inputs["noisy"], 0, inputs["states"])
        memory = unet.write(inputs["clean"], condition_of(inputs))
        assert list(memory.entries) == list(memory_sites(unet.config))
        for i, (_, channels, height, width) in enumerate(outputs):
            assert memory.entries[f"up.{i}"].features.shape[2] == height * width and memory.sizes[f"up.{i}"] == (height, width)
            assert unet.memory_layer(f"up.{i}").to_out.out_features == channels


@torch.no_grad()
def test_misuse_is_refused():
    inputs = make_inputs()
    with pytest.raises(ValueError, match="no memory layers"):
        make_unet(memory="none").write(inputs["clean"], condition_of(inputs))
    with pytest.raises(ValueError, match=r"memory_blocks is .*; this UNet has the blocks down\.0, "):
        make_unet(memory_blocks=["down.7"])
    unet = make_unet()
    memory = unet.write(inputs["clean"][:, :2], condition_of(inputs, np.s_[:, :2]))
    with pytest.raises(AssertionError, match="positions"):
        unet(inputs["noisy"], 0, condition_of(inputs), memory=memory)
