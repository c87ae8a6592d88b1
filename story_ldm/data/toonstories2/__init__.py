"""ToonStories 2, the picture-book world: what it has (`tables.py`) and how a scene of it is drawn (`draw.py`).

from story_ldm.data.toonstories2 import Figure, Scene, draw_scene
draw_scene(Scene(place=8, figures=(Figure(kind=16, action=4),)), size=256).save("garden.png")
"""

from story_ldm.data.toonstories2.draw import draw_scene
from story_ldm.data.toonstories2.tables import Figure, Scene

__all__ = ["Figure", "Scene", "draw_scene"]
