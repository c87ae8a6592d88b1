"""The scripts of training/ and evaluation/ as modules of an installation: `python -m story_ldm.scripts.training.train_story_ldm --help`.

A wheel has their files here. An editable installation finds no folder without `__init__.py` inside of a package; there they are
looked up in the checkout.
"""

from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]
if (_CHECKOUT / "pyproject.toml").exists():
    __path__.append(str(_CHECKOUT))
