"""Training needs the core dependencies alone: every script starts where no extra is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("torchmetrics", "matplotlib", "flask", "h5py", "peft", "scipy", "sklearn", "jinja2", "torchvision")

PROGRAM = """
import contextlib, io, runpy, sys
from pathlib import Path

class Without:  # a finder, wrapped: some modules look as if they were not installed
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in EXTRAS else self.finder.find_spec(name, path, target)

EXTRAS = sys.argv[2:]
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
for extra in EXTRAS:
    try:
        __import__(extra)
    except ImportError:
        continue
    raise SystemExit(f"{extra} is not blocked")
for script in sorted(Path(sys.argv[1]).glob("training/*.py")):
    runpy.run_path(str(script), run_name="imported")
    shown, sys.argv = io.StringIO(), [str(script), "--help"]
    with contextlib.redirect_stdout(shown):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            assert not end.code, (script, end.code)
    assert "--output" in shown.getvalue(), (script, shown.getvalue())
    print(script.stem)
"""


def test_training_scripts_start_without_any_extra():
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM, ROOT, *EXTRAS], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    scripts = sorted(script.stem for script in (ROOT / "training").glob("*.py"))
    assert scripts and done.stdout.split() == scripts
