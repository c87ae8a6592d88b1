"""ToonStories 2, the picture-book world, as rows of the story form.

    from story_ldm import load_stories
    stories = load_stories("toonstories-2", split="test", text="referential")      # pictures of 128 pixels

    from story_ldm.data.toonstories2 import Figure, Scene, draw_scene, make_story
    draw_scene(make_story(seed=0, split="train", index=7).scene(0), size=256).save("frame.png")

`tables.py` says what there is, `draw.py` draws a scene of it. `world.py` has the states of a story, `play.py` what happens, `text.py` the sentences
of the forms `full` and `referential`, `free/` those of the form `free`, `rows.py` the rows of the story form.
"""

from story_ldm.data.toonstories2.draw import draw_scene
from story_ldm.data.toonstories2.rows import FEATURES, SIZE, SOURCE_DIGEST, TEXT_FORMS, TITLE, story_row, story_rows
from story_ldm.data.toonstories2.stories import make_story
from story_ldm.data.toonstories2.tables import Figure, Scene
from story_ldm.data.toonstories2.world import SPLITS, WORLD_VERSION

__all__ = [
    "FEATURES",
    "SIZE",
    "SOURCE_DIGEST",
    "SPLITS",
    "TEXT_FORMS",
    "TITLE",
    "WORLD_VERSION",
    "Figure",
    "Scene",
    "draw_scene",
    "make_story",
    "story_row",
    "story_rows",
]
