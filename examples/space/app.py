"""The storyboard as a Hugging Face Space: this folder, with the wheel of story-ldm beside it, is the Space.

MODELS: models to draw with, beside the shipped ones, separated by spaces. PASSWORD: asked for before the page opens, if set.
"""

import os
from pathlib import Path

from story_ldm.app.page import serve

storage = Path("/data") if os.access("/data", os.W_OK) else Path.cwd()  # /data is the Space's persistent storage, if it has one
serve(storage / "stories", os.environ.get("MODELS", "").split(), host="0.0.0.0", port=7860, users="many", password=os.environ.get("PASSWORD") or None)
