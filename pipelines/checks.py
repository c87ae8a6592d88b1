"""What every pipeline checks before anything is drawn. All raise ValueError that says what was given and what is needed."""

from __future__ import annotations


def check_sentences(sentences) -> tuple[bool, list[list[str]]]:
    """Whether one story was given, and the stories as a list."""
    if not isinstance(sentences, (list, tuple)) or not sentences:
        raise ValueError(f"sentences is {sentences!r}; it must be a list of sentences, or a list of such lists")
    single = not isinstance(sentences[0], (list, tuple))
    stories = [list(sentences)] if single else [list(story) if isinstance(story, (list, tuple)) else story for story in sentences]
    for n, story in enumerate(stories):
        if not isinstance(story, list) or not story:
            raise ValueError(f"story {n} is {story!r}; every story must be a list of at least one sentence")
        for m, sentence in enumerate(story):
            if not isinstance(sentence, str) or not sentence.strip():
                raise ValueError(f"sentence {m} of story {n} is {sentence!r}; it must be a string that is not empty")
    return single, stories


def check_generator(generator, stories: list[list[str]]) -> None:
    if isinstance(generator, list) and len(generator) != len(stories):
        raise ValueError(f"generator is a list of {len(generator)} for {len(stories)} stories; give one, or one a story")


def check_output_type(output_type: str, known: tuple[str, ...]) -> None:
    if output_type not in known:
        raise ValueError(f"output_type is {output_type!r}; it must be one of {', '.join(known)}")
