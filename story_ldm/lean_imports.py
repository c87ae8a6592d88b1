"""Quick imports for a command that draws: `story-ldm generate` starts in a third of the time.

pipelines = import_for_drawing("story_ldm.pipelines.story_ldm", lean=needs_diffusers_alone(folder))

diffusers imports transformers, accelerate, PEFT and SciPy wherever they are installed, and does without them where they are not; a pipeline with a
reader uses none of them. It also marks classes for torch.compile, whose import takes as long as torch's own, and drawing compiles nothing. So the
former are absent while diffusers is imported, and the latter is imported when something but the marks is needed.

Only for a process of our own: users may want to compile, and diffusers remembers for good what was absent. `from story_ldm import StoryLDMPipeline`
imports diffusers whole.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from story_ldm.files import json_object

ABSENT = ("transformers", "accelerate", "peft", "scipy")
COMPILER = "torch._dynamo"


def needs_diffusers_alone(folder: Path) -> bool:
    """Whether no component of the pipeline in a folder is of transformers: a reader reads its sentences."""
    parts = [value[0] for value in json_object(folder / "model_index.json").values() if isinstance(value, list) and value]
    return {str(library).split(".")[0] for library in parts if library is not None} <= {"diffusers", "story_ldm"}


def import_for_drawing(module: str, lean: bool) -> Any:
    """The module. lean: without ABSENT and COMPILER, unless diffusers or one of them is imported already, or diffusers cannot do without.

    Afterwards all of them can be imported as ever. The garbage collector rests meanwhile: what is imported stays."""
    with _no_collection():
        import torch  # noqa: F401  first: whole

        if not lean or {"diffusers", COMPILER, *ABSENT} & sys.modules.keys():
            return import_module(module)
        before = set(sys.modules)
        sys.modules[COMPILER] = compiler = _LazyCompiler(COMPILER)
        try:
            with _absent(ABSENT):
                imported = import_module(module)
            compiler.is_package = True
            return imported
        except Exception:  # of whatever type: a later diffusers may need what is absent
            for name in set(sys.modules) - before:
                if name == COMPILER or name.split(".")[0] in ("diffusers", "story_ldm"):
                    del sys.modules[name]
            return import_module(module)


class _LazyCompiler(ModuleType):
    """torch._dynamo, imported when something is asked of it but to mark functions and classes, and whether a module is compiled."""

    eval_frame = SimpleNamespace(OptimizedModule=type("OptimizedModule", (), {}))
    is_package = False  # `from package import name` asks for the package's path, which there is only by importing it

    @staticmethod
    def allow_in_graph(marked: Any) -> Any:
        return marked

    @staticmethod
    def disable(marked: Callable | None = None, *args: Any, **kwargs: Any) -> Callable:
        return (lambda later: later) if marked is None else marked

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and not (name == "__path__" and self.is_package):  # inspect asks for some of every module
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
        return getattr(import_module(COMPILER), name)


@contextmanager
def _absent(names: tuple[str, ...]) -> Iterator[None]:
    """As if these packages were not installed: None in sys.modules says so."""
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            if sys.modules.get(name, name) is None:
                del sys.modules[name]


@contextmanager
def _no_collection() -> Iterator[None]:
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
