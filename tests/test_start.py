"""What the start of `story-ldm generate` must not import, for it takes seconds, and that the pictures are the same without.

pytest tests/test_start.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_reader import STORY, reader_pipeline
from transformers import BertConfig, BertModel

from story_ldm.cli import generate
from story_ldm.encoders.bert import BertLayers, bert_sizes
from story_ldm.lean_imports import needs_diffusers_alone

HEAVY = ["transformers", "accelerate", "peft", "scipy", "sklearn", "sympy", "pandas", "pyarrow", "datasets", "matplotlib"]
HEAVY += ["torch._dynamo.convert_frame", "story_ldm.encoders.sentence_vectors", "story_ldm.pipelines.story_gan"]
HEAVY += ["story_ldm.systems.story_ldm.stable_diffusion"]


def python(code: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "low cpu memory" not in done.stderr, done.stderr
    return done.stdout


def test_a_reader_draws_the_same_without_heavy_modules(tmp_path):
    """Afterwards what was absent is found again: somebody may import this in the same process."""
    pipe = reader_pipeline()
    pipe.save_pretrained(tmp_path / "pipe")
    assert needs_diffusers_alone(tmp_path / "pipe")
    code = f"""
import sys
from story_ldm import cli
cli.main()
print("imported:", *[name for name in {HEAVY} if name in sys.modules])
import torch._dynamo, torch._dynamo.config, transformers.utils, accelerate
assert torch._dynamo.config.cache_size_limit and torch._dynamo.eval_frame.OptimizedModule.__module__ == "torch._dynamo.eval_frame"
"""
    out = python(code, "generate", *STORY, "--model", tmp_path / "pipe", "--steps", 2, "--output", tmp_path / "lean.png")
    assert out.splitlines()[-1] == "imported:", out
    generate(tuple(STORY), output=tmp_path / "whole.png", model=tmp_path / "pipe", steps=2)  # in this process, which has imported everything
    assert (tmp_path / "lean.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


def test_everything_is_imported_where_a_module_needs_what_is_absent(tmp_path):
    """As a later diffusers may: then it is imported once more, whole."""
    (tmp_path / "demanding.py").write_text("import diffusers.models, accelerate\nfrom diffusers.utils import is_transformers_available as has\n")
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from story_ldm.lean_imports import import_for_drawing
module = import_for_drawing("demanding", lean=True)
print(module.has(), module.accelerate.__name__, type(sys.modules["torch._dynamo"]).__name__)
"""
    assert python(code, tmp_path).splitlines()[-1] == "True accelerate module"


@pytest.mark.parametrize("lengths", [[5, 9, 2], [4, 4]])
def test_bert_layers_are_those_of_transformers_to_the_bit(lengths):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=1, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40)
    bert, own = BertModel(config, add_pooling_layer=False).eval(), BertLayers(**bert_sizes(config.to_dict()))
    assert list(own.state_dict()) == list(bert.state_dict())
    own.load_state_dict(bert.state_dict())
    vectors, mask = torch.randn(len(lengths), max(lengths), 24), torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        expected = bert(inputs_embeds=vectors, attention_mask=mask, output_hidden_states=True).hidden_states
        assert all(torch.equal(a, b) for a, b in zip(own(vectors, mask), expected, strict=True))
    with pytest.raises(ValueError, match="hidden_act of the encoder is 'tanh'; it must be one of gelu"):
        bert_sizes({"hidden_act": "tanh"})
