"""Drawing one frame of a storyboard, with one call of a pipeline.

drawing = drawing_of(pipe, model, project, state, m=2)      # its files are in the project; edit the story to have it

Frame m is drawn from the sentences up to it, its own seed, and the latents of the frames before it, which are those that earlier calls gave: so it
is, to the bit, the frame that one call for the whole story with the same seeds draws, and frames before a change are not touched.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

from story_ldm.app.models import Model, arguments
from story_ldm.app.projects import Project
from story_ldm.app.storyboard import State, cause
from story_ldm.data.frames import frames_tensor
from story_ldm.data.pictures import fitted, png
from story_ldm.encoders.latents import decode_latents, downscale_factor, encode_frames, upcast

WEIGHT_STEPS = 2  # weights hardly depend on the steps; asking for them in the drawing itself would change its last bits


class StoppedError(Exception):
    """The user stopped the drawing."""


def size_of(pipe: Any, settings: dict[str, Any]) -> tuple[int, int]:
    """Height and width of frames, in pixels: those of the settings, or the model's."""
    return pipe._check_size(settings["height"], settings["width"], downscale_factor(pipe.vae))


def latent_of(pipe: Any, project: Project, drawing: dict[str, Any], settings: dict[str, Any]) -> Tensor:
    """The latent (c, h, w) of an earlier frame: what was drawn by the same model, or its picture encoded, as of the user's own."""
    height, width = size_of(pipe, settings)
    factor, like = downscale_factor(pipe.vae), next(pipe.unet.parameters())
    if drawing["latent"] and drawing["of"] and drawing["of"]["settings"]["model"] == settings["model"]:
        latent = load(project.content("latents", drawing["latent"]))["latent"]
        if latent.shape == (pipe.unet.config.in_channels, height // factor, width // factor):
            return latent.to(like.device, like.dtype)
    picture = frames_tensor([fitted(project.picture(drawing["picture"]), height, width)])[0]
    with upcast(pipe.vae, getattr(pipe, "text_encoder_2", None) is not None):
        return encode_frames(pipe.vae, picture[None].to(like.device)).to(like.dtype)[0]  # one by one, as the pipeline does


def wear_loras(pipe: Any, model: Model, weights: dict[str, float]) -> None:
    """Gives the pipeline these LoRAs of its model, with these weights, and no others. Each is read when it is first wanted."""
    files = [*model.lora_files().items()]
    wanted = {f"lora{n}": weights[name] for n, (name, _) in enumerate(files) if name in weights}
    loaded = getattr(pipe.unet, "peft_config", {}).keys()
    for n, (_, file) in enumerate(files):
        if f"lora{n}" in wanted.keys() - loaded:
            pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=f"lora{n}")
    if wanted:
        pipe.enable_lora()
        pipe.set_adapters([*wanted], [*wanted.values()])
    elif loaded:
        pipe.disable_lora()


def draw_frame(pipe: Any, model: Model, project: Project, state: State, m: int, on_step: Any = None, **changed: Any) -> Any:
    """The latent (c, h, w) of frame m of a story whose earlier frames have pictures, or what the pipeline returns if `changed` arguments ask for
    more. on_step(step, steps) is called after each step, and returns True to stop: StoppedError."""
    wear_loras(pipe, model, state["settings"]["loras"])
    told = [frame for frame in state["frames"][: m + 1] if frame["sentence"].strip()]
    earlier = [latent_of(pipe, project, frame["drawn"], state["settings"]) for frame in told[:-1]]
    stopped = False

    def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict) -> dict:
        nonlocal stopped
        if on_step is not None and on_step(step + 1, pipeline.num_timesteps):
            stopped = pipeline._interrupt = True
        return {}

    how = {"seeds": [frame["seed"] for frame in told], "frames": torch.stack(earlier) if earlier else None, "output_type": "latent"}
    how |= arguments(model, state["settings"]) | {"callback_on_step_end": after_step} | changed
    output = pipe([frame["sentence"].strip() for frame in told], **how)
    if stopped:
        raise StoppedError
    return output if changed else output.frames[0][-1]


def to_picture(pipe: Any, latent: Tensor) -> Image.Image:
    """The picture of a latent, as the pipeline itself makes it."""
    with upcast(pipe.vae, getattr(pipe, "text_encoder_2", None) is not None):
        frame = decode_latents(pipe.vae, latent[None])
    return pipe.image_processor.postprocess(frame, output_type="pil")[0]


def drawing_of(pipe: Any, model: Model, project: Project, state: State, m: int, on_step: Any = None) -> dict[str, Any]:
    """Draws frame m and stores its files. Returns the drawing."""
    latent = draw_frame(pipe, model, project, state, m, on_step)
    content = save({"latent": latent.cpu().contiguous()})
    picture = png(to_picture(pipe, latent))
    names = {"picture": project.keep("frames", picture), "latent": project.keep("latents", content)}
    return {**names, "weights": None, "of": cause(state, m)}


def weights_of(pipe: Any, model: Model, project: Project, state: State, m: int, on_step: Any = None) -> list[float] | None:
    """How much frame m reads of each earlier frame with a sentence, by a call of few steps; None where nothing is read."""
    if model.kind == "ARLDMPipeline" or state["settings"]["memory"] != "trained" or not m:
        return None
    steps = {"num_inference_steps": WEIGHT_STEPS, "return_memory_weights": True}
    row = draw_frame(pipe, model, project, state, m, on_step, **steps).memory_weights[0][-1]
    return [round(float(weight), 4) for weight in row[:-1]]
