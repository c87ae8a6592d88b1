"""ToonStories' form `free`: the same stories as many different people would write them, with names of their own.

    from story_ldm.data.toonstories import make_story
    from story_ldm.data.toonstories.free import free_story
    for frame in free_story(make_story(0, "train", 7)):
        print(frame.text, frame.references, frame.facts)
    load_stories("toonstories", text="free")                   # the same as rows of the story form

`style.py` draws who writes and whom the story is about, `frames.py` composes each frame from the sentences of `scenes.py` and the words of
`phrases.py`, which `writer.py` fills in; `people.py` keeps every reference clear, `slips.py` makes one story in eight wrong as people type. All
of it is drawn from dice of its own: pictures, labels and the other two forms do not depend on it.
"""

from story_ldm.data.toonstories.free.frames import Facts, FreeFrame, free_story
from story_ldm.data.toonstories.free.text import Reference

__all__ = ["Facts", "FreeFrame", "Reference", "free_story"]
