"""The form `free` of ToonStories 2: the first world's grammar (`toonstories/free/`) with the words of this world.

    from story_ldm.data.toonstories2 import make_story
    from story_ldm.data.toonstories2.free import free_story
    for frame in free_story(make_story(0, "train", 7)):
        print(frame.text, frame.references, frame.facts)
    load_stories("toonstories-2", text="free")                 # the same as rows of the story form

`who.py`, `places.py`, `doings.py` and `states.py` are tables of words; `tables.py` joins them to those of the first world's tables that are right
here, and keeps one phrase in eight for the test splits; `writer.py` and `frames.py` tell faces, looks, hours and weathers.
"""

from story_ldm.data.toonstories2.free.frames import Facts, free_story

__all__ = ["Facts", "free_story"]
