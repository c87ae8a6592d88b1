"""Shared fixtures: tiny models with random nonzero weights, and a server process that runs the training scripts.

Over 350 lines: the fixtures of all tests, among them the server that runs the training scripts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one worker per core; and forked processes must not wait for threads of the parent
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES=os.environ.get("CUDA_VISIBLE_DEVICES", ""))

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from diffusers import AutoencoderKL, DDIMScheduler
from hypothesis import settings
from published_copies import copies, own_cache  # noqa: F401 (fixtures)
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from story_ldm.data.toonstories import story_row
from story_ldm.encoders.damsm import DAMSMImageEncoder, DAMSMTextEncoder
from story_ldm.encoders.language_memory import LanguageMemory
from story_ldm.encoders.sentences import new_text_encoder, train_tokenizer
from story_ldm.pipelines import StoryLDMPipeline
from story_ldm.systems.story_ldm.unet import StoryUNet2DConditionModel
from story_ldm.training.checkpoints import save_component

ROOT = Path(__file__).parents[1]
WIDTH = 8  # width of the sentence states
STORY = ["Bruno the bear in a red shirt waves on the beach.", "He sits down there.", "Rosa comes and jumps.", "They both wave."]


def script(path: str):
    """Imports a script, by its path from the repository's root, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All weights of a run, except for checkpoints before the last."""
    last = sorted((run / "checkpoints").glob("step-*"))[-1]
    files = [file for file in sorted(run.rglob("*.safetensors")) if "checkpoints" not in file.parts or last in file.parents]
    return {f"{file.relative_to(run)}/{name}": value for file in files for name, value in load_file(file).items()}


def assert_same_training(expected: dict[str, torch.Tensor], actual: dict[str, torch.Tensor], limit: float = 1e-4) -> None:
    """Asserts that weights differ only by rounding: each tensor's RMS difference is at most `limit`, or 5 % of the RMS of batch norm statistics.

    Single numbers may differ by more, because rounding may decide a ReLU."""
    assert list(expected) == list(actual) and len(actual) > 20
    for name, value in expected.items():
        scale = 0.05 * value.float().square().mean().sqrt() if "running" in name else limit
        assert (actual[name].float() - value.float()).square().mean().sqrt() <= scale, name


def calls_seen_by_hooks(*parts: torch.nn.Module) -> list[str]:
    """Adds a pre-forward hook to each part, as offloading does; returns a list to which every call appends the part's class name."""
    called = []

    class Hook(ModelHook):
        def pre_forward(self, module, *args, **kwargs):
            called.append(type(module).__name__)
            return args, kwargs

    for part in parts:
        add_hook_to_module(part, Hook())
    return called


def sentences_of(count: int, text: str = "referential", **settings) -> list[list[str]]:
    """Sentences of `count` stories of the built-in world."""
    return [story_row(0, "train", index, 16, text, pictures=False, **settings)["sentences"] for index in range(count)]


def pytest_configure(config):
    """Drawn examples are the same in each run, so that a change is to blame for a failure; the slow tests draw new ones."""
    settings.register_profile("same", derandomize=True)
    if "slow" not in config.option.markexpr.replace("not slow", ""):
        settings.load_profile("same")


@pytest.fixture(scope="session")
def tokenizer() -> CLIPTokenizer:
    return train_tokenizer((sentence for story in sentences_of(30) for sentence in story), vocab_size=700, max_length=32)


@pytest.fixture(scope="session")
def damsm(tokenizer, tmp_path_factory) -> Path:
    """Folder of a DAMSM with random weights."""
    folder = tmp_path_factory.mktemp("text") / "damsm"
    torch.manual_seed(0)
    save_component(DAMSMTextEncoder(len(tokenizer), width=6, embedding_width=8), folder / "text_encoder")
    image = {"width": 6, "block_out_channels": (8, 8, 16), "layers_per_block": (0, 1, 1), "norm_num_groups": 4}
    save_component(DAMSMImageEncoder(**image), folder / "image_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def as_trained(model: torch.nn.Module, seed: int = 0, std: float = 0.3) -> torch.nn.Module:
    """Fills zero-initialised parameters with noise, to make every path affect the output."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=std, generator=generator)
    return model.eval()


def tiny_vae(r: int = 1, normalised: bool = False) -> AutoencoderKL:
    """2 r × 2 r pixels per latent cell; latents `normalised` per channel, as by train_autoencoder.py, or by one factor, as Stable Diffusion's."""
    torch.manual_seed(r)
    vae = AutoencoderKL(
        in_channels=3 * r * r,
        out_channels=3 * r * r,
        latent_channels=4,
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=2,
        sample_size=16,
        mid_block_add_attention=False,
        scaling_factor=0.7,
        **({"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [0.5, 1.5, 1.0, 2.0]} if normalised else {}),
    )
    return vae.eval()


def tiny_unet(memory: str = "spatial", size: int = 8, **settings) -> StoryUNet2DConditionModel:
    torch.manual_seed(0)
    unet = StoryUNet2DConditionModel(
        **{
            "memory": memory,
            "memory_heads": 2,
            "sample_size": size,
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "norm_num_groups": 4,
            "cross_attention_dim": WIDTH,
            "attention_head_dim": 2,
            "class_embed_type": "projection",
            "projection_class_embeddings_input_dim": WIDTH,
            **settings,
        }
    )
    return as_trained(unet)


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    torch.manual_seed(0)
    encoder = new_text_encoder(tokenizer, WIDTH, layers=1, heads=2).eval()
    for parameter in encoder.parameters():  # CLIP's initial weights are so small that sentences hardly differ
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


def tiny_language_memory() -> LanguageMemory:
    torch.manual_seed(0)
    return as_trained(LanguageMemory(WIDTH, layers=2, heads=2))


def tiny_pipeline(
    tokenizer: CLIPTokenizer, memory: str = "spatial", r: int = 2, language: bool = True, scheduler=None, **unet_settings
) -> StoryLDMPipeline:
    pipe = StoryLDMPipeline(
        vae=tiny_vae(r, normalised=r > 1),
        text_encoder=tiny_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=tiny_unet(memory, **unet_settings),
        scheduler=scheduler or DDIMScheduler(prediction_type="v_prediction", clip_sample=False),
        language_memory=tiny_language_memory() if language else None,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


TINY_GAN = {
    "resolution": 16,
    "story_gan": {
        "noise_width": 4,
        "width": 16,
        "filter_length": 12,
        "gist_channels": 2,
        "block_out_channels": (16, 8),
        "norm_num_groups": 4,
    },
    "image_discriminator": {"block_out_channels": (8, 16), "norm_num_groups": 4},
    "story_discriminator": {"block_out_channels": (8, 16), "features": 8, "norm_num_groups": 4},
}
TINY_BLOCKS = {"context_width": 8, "attention_sizes": (4, 8), "attention_width": 6, "norm_num_groups": 4}
TINY_DYNAMIC_BLOCK = {
    "resolution": 16,
    "generator": {**TINY_BLOCKS, "noise_width": 4, "block_out_channels": (16, 8)},
    "discriminator": {**TINY_BLOCKS, "block_out_channels": (8, 16)},
}

# Reads one job per line, runs it in forked processes, which have everything imported already, and prints their exit codes.
SERVER = """
import json, os, runpy, sys, traceback
import accelerate, diffusers.training_utils, tqdm.auto, tyro
import story_ldm.pipelines, story_ldm.data, story_ldm.metrics.frechet
from story_ldm.systems.ar_ldm.presets import PRESETS as AR_PRESETS
from story_ldm.systems.dynamic_block_gan.presets import PRESETS as DYNAMIC_BLOCK_PRESETS
from story_ldm.systems.story_gan.presets import PRESETS as GAN_PRESETS
from story_ldm.systems.story_ldm.presets import PRESETS


def tiny():
    blocks = dict(layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4, sample_size=32)
    vae = dict(
        blocks,
        in_channels=48,
        out_channels=48,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        mid_block_add_attention=False,
    )
    unet = dict(
        blocks,
        sample_size=4,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=8,
        memory_heads=2,
    )
    text, language = dict(width=8, layers=1, heads=2), dict(width=8, layers=1, heads=2)
    return dict(resolution=32, text=text, max_length=64, language_memory=language, vae=vae, unet=unet)


PRESETS["tiny"] = tiny
HISTORY = dict(resolution=16, patch=8, vision_width=8, vision_layers=1, vision_heads=2, width=8, layers=1, heads=2)
AR_PRESETS["tiny"] = lambda: dict(
    {name: part for name, part in tiny().items() if name in ("resolution", "text", "max_length", "vae")},
    unet={name: value for name, value in tiny()["unet"].items() if not name.startswith("memory")},
    history=HISTORY,
    longest=4,
)
GAN_PRESETS["tiny"] = lambda: TINY_GAN
DYNAMIC_BLOCK_PRESETS["tiny"] = lambda: TINY_DYNAMIC_BLOCK


def run(argv):
    sys.argv = argv
    runpy.run_path(argv[0], run_name="__main__")


def shard_on_cpu(kind):
    # accelerate shards only on GPUs; this makes it shard between processes on a CPU
    import torch
    from accelerate import DistributedType, state

    if kind == "DeepSpeed":
        os.environ.update(ACCELERATE_USE_CPU="false", DS_ACCELERATOR="cpu", CROSS_RANK="0", CROSS_SIZE="1")
        state.PartialState._prepare_backend = lambda self, *_: ("gloo", DistributedType.MULTI_XPU)
        state.PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))
        state.PartialState.default_device = property(lambda self: torch.device("cpu"))
        return
    init = state.AcceleratorState.__init__

    def sharded(self, *args, fsdp_plugin=None, **settings):
        init(self, *args, fsdp_plugin=fsdp_plugin, **settings)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.fsdp_plugin = fsdp_plugin
            self.distributed_type = state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    state.AcceleratorState.__init__ = sharded


def start(argv, log, env):
    child = os.fork()
    if child:
        return child
    os.setsid()  # a process group of its own, to kill it together with its data loading workers
    os.environ.update(env)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1), os.dup2(file, 2)
    code = 1
    try:
        if "ACCELERATE_USE_FSDP" in env or "ACCELERATE_USE_DEEPSPEED" in env:
            shard_on_cpu("DeepSpeed" if "ACCELERATE_USE_DEEPSPEED" in env else "FSDP2")
        run(argv)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__" and sys.argv[1:]:
    run(sys.argv[1:])  # started by a launcher
elif __name__ == "__main__":
    for line in sys.stdin:
        job = json.loads(line)
        children = [start(job["argv"], job["log"], env) for env in job["envs"]]
        print(json.dumps(children), flush=True)
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
"""


@dataclass
class Trainer:
    """Runs training scripts, with an additional preset "tiny", on a CPU in fp32."""

    file: Path
    env: dict[str, str]
    server: subprocess.Popen
    running: list[int] = field(default_factory=list)

    @property
    def log_file(self) -> Path:
        return self.file.with_name("log.txt")

    def start(self, script: str, *argv, processes: int = 1, env: dict[str, str] | None = None) -> list[int]:
        """Starts a script in the processes of one run, with the environment of a launcher and `env`; returns their process ids."""
        self.log_file.write_text("")
        envs = [{}]
        if processes > 1:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            common = {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "WORLD_SIZE": str(processes),
                "LOCAL_WORLD_SIZE": str(processes),
            }
            common |= env or {}
            envs = [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
        float32 = ["--precision", "no"] if script.startswith("train_") else []
        job = {"argv": [str(ROOT / "training" / script), *map(str, argv), *float32], "log": str(self.log_file), "envs": envs}
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        self.running = json.loads(self.server.stdout.readline())
        return self.running

    def wait(self, seconds: float = 300) -> list[int]:
        """Exit codes of the processes, which are killed after `seconds`."""
        if not select.select([self.server.stdout], [], [], seconds)[0]:
            for process in self.running:
                os.killpg(process, signal.SIGKILL)
        return json.loads(self.server.stdout.readline())

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def __call__(self, *argv, processes: int = 1, env: dict[str, str] | None = None) -> str:
        """Runs a script to its end and returns its output; fails if it fails."""
        self.start(*argv, processes=processes, env=env)
        assert not any(self.wait()), self.log[-3000:]
        return self.log

    def kill_at(self, file: Path, *argv, processes: int = 1, env: dict[str, str] | None = None) -> None:
        """Starts a script and kills it when `file` exists. If the script ended before that, deletes its output folder and tries again."""
        for _ in range(5):
            started = self.start(*argv, processes=processes, env=env)
            while not file.exists() and not select.select([self.server.stdout], [], [], 0.002)[0]:
                pass
            for process in started:
                with suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
            codes = self.wait()
            assert set(codes) <= {0, -signal.SIGKILL}, self.log[-3000:]
            if codes == [-signal.SIGKILL] * processes:
                return
            shutil.rmtree(next(folder for folder in argv if isinstance(folder, Path) and folder in file.parents))
        raise AssertionError("the script ended before it could be killed, in five attempts")


@pytest.fixture(scope="session")
def trainer(tmp_path_factory) -> Trainer:
    file = tmp_path_factory.mktemp("trainer") / "with_tiny_preset.py"
    file.write_text(f"TINY_GAN = {TINY_GAN!r}\nTINY_DYNAMIC_BLOCK = {TINY_DYNAMIC_BLOCK!r}\n{SERVER}")
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        "HF_DATASETS_CACHE": str(file.with_name("datasets")),
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    server = subprocess.Popen([sys.executable, str(file)], env=env, cwd=file.parent, **pipes)
    yield Trainer(file, env, server)
    server.stdin.close()
    assert server.wait(60) == 0
