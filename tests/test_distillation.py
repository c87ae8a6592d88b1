"""Distillation: the teacher's solver against exact solutions, the student's step against diffusers' DDIM, and the script run as a command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT, STORY, script, tiny_pipeline
from diffusers import DDIMScheduler, DDPMScheduler
from safetensors.torch import load_file
from test_reader import tiny_reader
from test_training import assert_same_rounded
from transformers import CLIPTokenizer

from story_ldm.encoders.sentences import tokenize_stories
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.diffusion import StoryBatch, add_noise, noise_scheduler
from story_ldm.systems.story_ldm.distillation import grid, log_snr, signal_and_noise, solve, step_error, step_target

STEPS, BATCH = 6, 4
SHAPE = (2, 3, 4, 2, 2)


def latents(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 8])
def test_the_grid_is_that_of_ddim(steps):
    scheduler = DDIMScheduler.from_config(noise_scheduler().config, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    assert grid(noise_scheduler(), steps).tolist() == [*scheduler.timesteps.tolist(), -1]
    with pytest.raises(ValueError, match="steps is 3; it must divide the 1000 noise levels"):
        grid(noise_scheduler(), 3)


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon"])
def test_the_goal_leads_there_in_one_step(kind):
    """One step of diffusers' DDIM with the goal as prediction ends where the teacher ended; the last one ends at clean latents."""
    scheduler = noise_scheduler(kind)
    ddim = DDIMScheduler.from_config(scheduler.config, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True)
    ddim.set_timesteps(4)
    levels, noisy, ended = grid(scheduler, 4), latents(0), latents(1)
    for place in range(1 if kind == "epsilon" else 0, 4):  # at the highest level noise says nothing of what is below it
        start, end = (levels[place + more].expand(2, 3) for more in (0, 1))
        goal = step_target(scheduler, noisy, ended, start, end)
        stepped = ddim.step(goal.flatten(0, 1), int(levels[place]), noisy.flatten(0, 1)).prev_sample.view(SHAPE)
        torch.testing.assert_close(stepped, ended, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon"])
def test_a_model_that_knows_the_picture(kind):
    """Whoever predicts the same clean latents at every level is led straight to them, in however many steps, from any level to any other."""
    scheduler, clean, noise = noise_scheduler(kind), latents(0), latents(1)
    start, end = torch.tensor([[900, 499, 249], [740, 300, 1]]), torch.tensor([[499, 249, -1], [739, 30, -1]])

    def mixed(levels):
        signal, sigma = signal_and_noise(scheduler, levels, 5)
        return signal * clean + sigma * noise

    def predict(noisy, levels):
        signal, sigma = signal_and_noise(scheduler, levels, 5)
        return (noisy - signal * clean if kind == "epsilon" else signal * noisy - clean) / sigma.clamp(min=1e-8)

    for steps in (1, 2, 5):
        torch.testing.assert_close(solve(predict, scheduler, mixed(start), start, end, steps), mixed(end), atol=1e-5, rtol=1e-5)


def test_the_solver_is_of_second_order():
    """Of normally distributed latents the flow is known: they only grow, as the standard deviation of the mixture does."""
    scheduler, noisy, spread = noise_scheduler(), latents(0), 0.5
    start, end = torch.full((2, 3), 749), torch.full((2, 3), 249)

    def width(levels):
        signal, sigma = signal_and_noise(scheduler, levels, 5)
        return (signal.double().square() * spread**2 + sigma.double().square()).sqrt()

    def predict(noisy, levels):
        signal, sigma = (x.double() for x in signal_and_noise(scheduler, levels, 5))
        return (signal * noisy - signal * spread**2 / width(levels) ** 2 * noisy) / sigma

    truth = noisy / width(start) * width(end)
    errors = [float((solve(predict, scheduler, noisy, start, end, steps) - truth).abs().max()) for steps in (4, 8, 16)]
    assert errors[1] < errors[0] / 3 and errors[2] < errors[1] / 3, errors
    assert log_snr(scheduler, start).lt(log_snr(scheduler, end)).all()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A tiny pipeline that reads the built-in world's words; its memory and guidance matter."""
    torch.manual_seed(0)
    pipe = tiny_pipeline(CLIPTokenizer.from_pretrained(ROOT / "checkpoints" / "toon-story-ldm" / "tokenizer"))
    for parameter in pipe.unet.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("teacher") / "pipeline"
    pipe.save_pretrained(folder)
    return folder


def command(teacher, output, *more) -> list:
    """A run of 6 steps over 6 stories of 1, 3 and 5 frames, with a batch of 4 that does not divide 6."""
    argv = ["distill_story_ldm.py", "--teacher", teacher, "--output", output, "--cache", output.parent / "cache", "--limit", 6, "--batch", BATCH]
    argv += ["--stories", STEPS * BATCH, "--lengths", 5, 1, 3, "--steps", 2, "--teacher-steps", 4, "--warmup", 1, "--log-every", 1, "--num-proc", 1]
    argv += ["--learning-rate", 2e-3, "--precision", "no"]
    return [*argv, "--sample-every", 3, "--sample-stories", 1, *more]


@pytest.fixture(scope="module")
def finished(trainer, teacher, tmp_path_factory):
    run = tmp_path_factory.mktemp("distilled") / "run"
    log = trainer(*command(teacher, run))
    assert "2 steps of the teacher with 2 rows for each of the student's 2; guidance 2" in log and "step 3 | all/characters " in log
    return run


def weights(run, step: int = STEPS) -> dict[str, torch.Tensor]:
    files = [run / "checkpoints" / f"step-{step:08d}" / "model.safetensors", *sorted(run.glob("pipeline/unet/*.safetensors"))]
    return {f"{file.parent.name}/{name}": value for file in files for name, value in load_file(file).items()}


def test_a_student_draws_in_its_steps(finished, teacher):
    """It is a pipeline folder of its own: its steps without guidance are the defaults, and only its UNet is another one than the teacher's."""
    pipe, old = StoryLDMPipeline.from_pretrained(finished / "pipeline"), StoryLDMPipeline.from_pretrained(teacher)
    rows = []
    forward = pipe.unet.forward
    pipe.unet.forward = lambda sample, *args, **kwargs: rows.append(len(sample)) or forward(sample, *args, **kwargs)
    assert len(pipe(STORY, generator=torch.Generator().manual_seed(0)).frames[0]) == len(STORY)
    assert rows == [1, 1] * len(STORY)
    assert type(pipe.scheduler) is DDIMScheduler and pipe.scheduler.config.timestep_spacing == "trailing"
    for name in ("text_encoder", "language_memory", "vae"):
        for new, before in zip(getattr(pipe, name).parameters(), getattr(old, name).parameters(), strict=True):
            torch.testing.assert_close(new, before.to(new.dtype), atol=1e-3, rtol=1e-3)
    assert any(not torch.equal(new, before.half()) for new, before in zip(pipe.unet.half().parameters(), old.unet.parameters(), strict=True))
    card = (finished / "pipeline" / "README.md").read_text()
    assert "# Story-LDM in 2 steps, trained on toonstories" in card and "distill_story_ldm.py" in card
    assert "license:" not in card  # it has weights of its teacher, whose licence is not known


def test_the_students_own_steps_are_recorded(finished, trainer, tmp_path):
    trainer("../evaluation/generate_stories.py", "--model", finished / "pipeline", "--out", tmp_path / "drawn", "--stories", 1)
    how = json.loads((tmp_path / "drawn" / "generation.json").read_text())
    assert (how["steps"], how["guidance"]) == (2, 1.0)


def noisy_batch(pipe: StoryLDMPipeline, stories: list[list[str]], level: int, seed: int = 3) -> StoryBatch:
    """Stories with latents and noise by chance, all frames at one level; all read their text, and memory without noise."""
    ids, mask = pipe.reader.tokenize(stories) if pipe.reader is not None else tokenize_stories(pipe.tokenizer, stories)
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(*mask.shape[:2], 4, 8, 8, generator=generator) for _ in range(2))
    levels, every = torch.full(mask.shape[:2], level), torch.ones(len(stories), dtype=torch.bool)
    noisy = add_noise(DDPMScheduler.from_config(pipe.scheduler.config), clean, noise, levels)
    rest = {"memory_latents": clean, "memory_levels": torch.zeros_like(levels), "use_text": every, "use_memory": every, "use_language": every}
    return StoryBatch(clean, ids.long(), mask.bool(), torch.ones(levels.shape), noisy, noise, levels, **rest)


def teaching(pipe: StoryLDMPipeline):
    """The script, the teacher as one module, its scheduler of training."""
    module = script("training/distill_story_ldm.py")
    parts = module.denoiser(pipe, SimpleNamespace(gradient_checkpointing=False, xformers=False, channels_last=False))
    return module, parts, DDPMScheduler.from_config(pipe.scheduler.config)


@pytest.mark.parametrize("reads", ["clip", "reader"])
@torch.no_grad()
def test_one_step_of_the_teacher_is_one_step_of_its_pipeline(reads, teacher):
    """With guidance: text, memory and the empty sentence are the pipeline's own. Frame 1 reads frame 0 as it was drawn."""
    pipe = StoryLDMPipeline.from_pretrained(teacher)
    if reads == "reader":
        pipe = StoryLDMPipeline(**{**pipe.components, **dict.fromkeys(("text_encoder", "tokenizer", "language_memory")), "reader": tiny_reader()})
    even = {"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": True}
    pipe.register_modules(scheduler=DDIMScheduler.from_config(pipe.scheduler.config, **even))
    pipe.set_progress_bar_config(disable=True)
    batch = noisy_batch(pipe, [STORY[:2]], 999)
    drawn = pipe(STORY[:2], latents=batch.noisy, num_inference_steps=1, guidance_scale=2.0, output_type="latent").frames[0]
    module, parts, scheduler = teaching(pipe)
    batch = replace(batch, memory_latents=drawn[None])
    clean = torch.full_like(batch.levels, -1)
    ended = [solve(module.guided(parts, batch, scale), scheduler, batch.noisy, batch.levels, clean, 1)[0] for scale in (2.0, 1.0)]
    torch.testing.assert_close(ended[0], drawn, atol=2e-4, rtol=1e-3)
    assert not torch.allclose(ended[1], drawn, atol=1e-2)


def test_a_student_learns_its_teachers_steps(teacher):
    """On one batch, the error of its one step against two guided ones of its teacher falls to a fraction."""
    pipe = StoryLDMPipeline.from_pretrained(teacher)
    module, parts, scheduler = teaching(pipe)
    batch = noisy_batch(pipe, [STORY[:2]] * 2, 499)
    clean = torch.full_like(batch.levels, -1)
    with torch.no_grad():
        ended = solve(module.guided(parts, batch, 2.0), scheduler, batch.noisy, batch.levels, clean, 2)
    goal = step_target(scheduler, batch.noisy, ended, batch.levels, clean)
    optimizer, errors = torch.optim.Adam(parts.unet.parameters(), 3e-3), []
    for _ in range(25):
        error = step_error(scheduler, parts(batch)[0], goal, batch.levels).mean()
        errors.append(error.item())
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert errors[-1] < 0.5 * errors[0], errors


def test_killed_and_in_two_processes(finished, trainer, teacher, tmp_path):
    """Invariants 5 and 6, with stories of several lengths."""
    killed = command(teacher, tmp_path / "killed", "--checkpoint-every", 2)
    trainer.kill_at(tmp_path / "killed" / "checkpoints" / "step-00000004", *killed)
    assert "resuming from" in trainer(*killed)
    expected, actual = weights(finished), weights(tmp_path / "killed")
    assert list(expected) == list(actual) and [name for name, value in expected.items() if not torch.equal(actual[name], value)] == []
    trainer(*command(teacher, tmp_path / "two", "--device-batch", 1, "--sample-every", 0), processes=2)
    assert_same_rounded(expected, weights(tmp_path / "two"))


def test_of_a_student_another_one(finished, trainer, tmp_path):
    """A student has no guidance of its own, and is distilled without."""
    log = trainer(*command(finished / "pipeline", tmp_path / "run", "--steps", 1, "--teacher-steps", 2, "--stories", BATCH, "--sample-every", 0))
    assert "2 steps of the teacher with 1 rows for each of the student's 1; guidance 1" in log


@pytest.mark.parametrize(
    "more, message",
    [
        (("--steps", 3), "steps is 3; it must divide the 1000 noise levels"),
        (("--guidance", 1, "--teacher-steps", 2), "--teacher-steps is 2 with --steps 2 and guidance 1; it must be at least 3"),
        (("--teacher-steps", 0), "--teacher-steps is 0 with --steps 2 and guidance 2; it must be at least 1"),
        (("--device-batch", 0), "--device-batch is 0; it must be at least 1"),
        (("--lengths", 3, "--dataset", "nowhere"), "only the built-in worlds' stories have any length"),
    ],
)
def test_refused(more, message, trainer, teacher, tmp_path):
    trainer.start(*command(teacher, tmp_path / "run", *more))
    assert trainer.wait() != [0] and message in trainer.log and not (tmp_path / "run").exists()


def test_another_teacher_is_refused(finished, trainer, teacher, tmp_path):
    changed, run = StoryLDMPipeline.from_pretrained(teacher), tmp_path / "run"
    next(changed.unet.parameters()).data += 1
    changed.save_pretrained(tmp_path / "changed")
    shutil.copytree(finished, run)
    settings = json.loads((run / "settings.json").read_text())
    moved = {"teacher": str(tmp_path / "changed"), "cache": str(tmp_path / "cache"), "output": str(run)}
    (run / "settings.json").write_text(json.dumps(settings | moved))
    trainer.start(*command(tmp_path / "changed", run))
    assert trainer.wait() != [0] and "its weights are not those that" in trainer.log
