"""The comparison with Make-A-Story's published sampler, on tiny UNets: what is counted, and which columns there are."""

from __future__ import annotations

import sys

import pytest
import torch
from conftest import script, tiny_unet

bench = script("benchmarks/bench_reference.py")

CODE = """
import torch

class UNetModel(torch.nn.Linear):
    def __init__(self, in_channels, **config):
        super().__init__(32, 32, bias=False)

    def forward(self, x, t, context):
        assert x.ndim == 5 and context.shape[:2] == (len(x), x.shape[2]) and len(t) == len(x)
        return super().forward(x)
"""


@pytest.fixture
def small(monkeypatch):
    """A small UNet in the published one's place."""
    config = {k: v for k, v in tiny_unet().config.items() if not k.startswith("_") and k != "memory"}
    monkeypatch.setitem(bench.PRESETS, "paper-256", lambda: {"unet": config})


@torch.no_grad()
def test_operations_of_a_story_are_those_of_its_frames(small):
    here = bench.Here("spatial", "meta")
    plain, *read = (bench.operations(here.step(k)) for k in range(5))
    assert plain < read[0] < read[1] and read[2] - read[1] == read[1] - read[0], "each remembered frame costs the same"
    write = bench.operations(here.write())
    assert here.story(bench.operations, 5, 7, None) == 7 * (plain + sum(read)) + 4 * write
    assert here.story(bench.operations, 5, 7, 2) == 7 * (plain + read[0] + 3 * read[1]) + 4 * write
    assert here.story(bench.operations, 1, 7, None) == 7 * plain


def test_tables(small, tmp_path, capsys):
    bench.main(bench.Settings(frames=(2, 3)))
    alone = capsys.readouterr().out
    assert "published sampler is left out" in alone and alone.count("\n| 3 |") == 1 and "÷" not in alone
    folder = tmp_path / "ldm" / "modules" / "diffusionmodules"
    folder.mkdir(parents=True)
    (folder / "openaimodel.py").write_text(CODE)
    with pytest.raises(ValueError, match=r"--reference is .*; its ldm\..* cannot be imported: No module named 'ldm'"):
        bench.main(bench.Settings(reference=folder, frames=(2,)))
    try:
        bench.main(bench.Settings(reference=tmp_path, frames=(2,), steps=10))
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "ldm"]:
            del sys.modules[name]
    *_, row = (line for line in capsys.readouterr().out.splitlines() if line.startswith("|"))
    equal, default = (float(row.split(" | ")[n]) for n in (3, 5))
    one = 2 * (2 * 4 * 2 * 32) * 32 * 32 * 1e-12  # a step of two frames
    assert [equal, default] == pytest.approx([10 * one, 200 * one], rel=1e-3)
