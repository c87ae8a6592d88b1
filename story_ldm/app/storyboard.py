"""A storyboard as plain data: its fields and their limits, which frames are stale and why, and every edit. Imports the standard library only.

state = new_state("A walk")
add_frames(state, ["Mia waves.", "She sits down."])
stale(state)                                    # {id: [], …} of fresh frames, {id: ["sentence"], …} of changed ones, None: not drawn yet

A state has `title`, `settings` and `frames`. A frame has `id`, `sentence`, `seed`, `locked`, `drawn`, `versions` (other drawings to choose from) and
`without` (a drawing without memory, for comparison).
A drawing has `picture` and `latent` (names of files: digests of their content), `weights` (of earlier frames, or None) and `of`: what it was drawn
from; None for a picture of the user's own.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
from typing import Any

State = dict[str, Any]
Frame = dict[str, Any]

LONGEST_SENTENCE, LONGEST_TITLE, MOST_FRAMES, MOST_VERSIONS, HIGHEST_SEED = 2000, 200, 200, 16, 2**31 - 1
MOST_LORAS = 8
MEMORIES = ("trained", "none", "reference")
SETTINGS: dict[str, Any] = {  # None: the model's default
    "model": "toon-story-ldm",
    "steps": None,
    "guidance": None,
    "memory_guidance": None,
    "memory": "trained",
    "negative": "",
    "height": None,
    "width": None,
    "loras": {},  # name → weight
}
RANGES = {"steps": (1, 1000), "guidance": (-100, 100), "memory_guidance": (-100, 100), "height": (8, 2048), "width": (8, 2048)}


def new_state(title: str = "", settings: dict[str, Any] | None = None) -> State:
    return checked({"title": title, "settings": SETTINGS | (settings or {}), "frames": [new_frame("")]})


def new_frame(sentence: str, seed: int | None = None) -> Frame:
    seed = secrets.randbelow(HIGHEST_SEED) if seed is None else seed
    return {"id": secrets.token_hex(6), "sentence": sentence, "seed": seed, "locked": False, "drawn": None, "versions": [], "without": None}


# --- checks ----------------------------------------------------------------------------------------------------------------------------


def text_of(name: str, value: Any, longest: int) -> str:
    """One line of text without characters that nothing shows. Raises ValueError for what is no text, or too long."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; it must be text")
    value = re.sub(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]+", " ", value)
    if len(value) > longest:
        raise ValueError(f"{name} has {len(value):,} characters; it may have at most {longest:,}")
    return value


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; it must be a whole number from {low:,} to {high:,}")
    return value


def checked_settings(given: Any) -> dict[str, Any]:
    """Settings with all fields. Raises ValueError that names a field which is unknown or out of its range."""
    if not isinstance(given, dict):
        raise ValueError(f"settings are {given!r}; they must be an object")
    if unknown := given.keys() - SETTINGS.keys():
        raise ValueError(f"{min(map(str, unknown))} is not a setting; settings are {', '.join(SETTINGS)}")
    settings = SETTINGS | given
    settings["model"] = text_of("model", settings["model"], 1000)
    settings["negative"] = text_of("negative prompt", settings["negative"], LONGEST_SENTENCE)
    if settings["memory"] not in MEMORIES:
        raise ValueError(f"memory is {settings['memory']!r}; it must be one of {', '.join(MEMORIES)}")
    loras = settings["loras"]
    if not isinstance(loras, dict) or len(loras) > MOST_LORAS:
        raise ValueError(f"loras are {loras!r}; they must be an object of at most {MOST_LORAS} names with weights")
    for name, weight in loras.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not -10 <= weight <= 10:
            raise ValueError(f"the weight of the LoRA {text_of('LoRA', name, 200)} is {weight!r}; it must be a number from -10 to 10")
    settings["loras"] = {text_of("LoRA", name, 200): weight for name, weight in sorted(loras.items()) if weight}
    for name, (low, high) in RANGES.items():
        value, shown = settings[name], name.replace("_", " ")
        if value is None:
            continue
        if name in ("steps", "height", "width"):
            whole_number(shown, value, low, high)
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"{shown} is {value!r}; it must be a number from {low} to {high}")
    return settings


def checked_drawing(given: Any) -> dict[str, Any] | None:
    """A drawing with its fields alone. Raises ValueError for names that are no digests: they become names of files."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise ValueError(f"a drawing is {given!r}; it must be an object")
    for name in ("picture", "latent"):
        value = given.get(name)
        if not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)) and not (name == "latent" and value is None):
            raise ValueError(f"{name} of a drawing is {value!r}; it must be a SHA-256 digest")
    weights, of = given.get("weights"), given.get("of")
    number = (int, float)
    if weights is not None:
        if not isinstance(weights, list) or len(weights) > MOST_FRAMES or not all(isinstance(w, number) and math.isfinite(w) for w in weights):
            raise ValueError("weights of a drawing must be a list of numbers")
    if of is not None:
        if not isinstance(of, dict):
            raise ValueError(f"what a drawing was drawn from is {of!r}; it must be an object")
        of = {
            "sentence": text_of("sentence of a drawing", of.get("sentence"), LONGEST_SENTENCE),
            "seed": whole_number("seed of a drawing", of.get("seed"), 0, HIGHEST_SEED),
            "settings": checked_settings(of.get("settings")),
            "before": text_of("before of a drawing", of.get("before"), 64),
        }
    return {"picture": given["picture"], "latent": given.get("latent"), "weights": weights, "of": of}


def checked(given: Any) -> State:
    """A state with its fields alone, for what comes from a file or a browser. Raises ValueError that names the field."""
    if not isinstance(given, dict) or not isinstance(given.get("frames"), list):
        raise ValueError("a story must be an object with title, settings and a list of frames")
    if len(given["frames"]) > MOST_FRAMES:
        raise ValueError(f"the story has {len(given['frames'])} frames; it may have at most {MOST_FRAMES}")
    frames, ids = [], set[str]()
    for frame in given["frames"]:
        if not isinstance(frame, dict) or not isinstance(frame.get("id"), str) or not re.fullmatch(r"[0-9a-f]{12}", frame["id"]):
            raise ValueError("a frame has no id of 12 hexadecimal digits")
        if frame["id"] in ids or not isinstance(frame.get("versions", []), list):
            raise ValueError(f"frame {frame['id']} is there twice, or its versions are no list")
        ids.add(frame["id"])
        versions = [one for one in map(checked_drawing, frame.get("versions", [])[-MOST_VERSIONS:]) if one and one["of"]]
        seed = whole_number("seed", frame.get("seed"), 0, HIGHEST_SEED)
        sentence = text_of("sentence", frame.get("sentence"), LONGEST_SENTENCE)
        written = {"id": frame["id"], "sentence": sentence, "seed": seed, "locked": frame.get("locked") is True}
        drawn, without = checked_drawing(frame.get("drawn")), checked_drawing(frame.get("without"))
        frames.append({**written, "drawn": drawn, "versions": versions, "without": without})
    return {
        "title": text_of("title", given.get("title", ""), LONGEST_TITLE),
        "settings": checked_settings(given.get("settings", {})),
        "frames": frames,
    }


# --- what is stale ---------------------------------------------------------------------------------------------------------------------


def cause(state: State, m: int) -> dict[str, Any]:
    """What frame m is drawn from: its sentence, seed and the settings, and a digest of what is read of the frames before it."""
    frames, memory = state["frames"], state["settings"]["memory"] != "none"
    told = [(frame["sentence"], frame["drawn"] or {}) for frame in frames[:m] if frame["sentence"].strip()]
    before = [(sentence, drawn.get("latent") or drawn.get("picture") if memory else None) for sentence, drawn in told]
    digest = hashlib.sha256(json.dumps(before).encode()).hexdigest()
    return {"sentence": frames[m]["sentence"], "seed": frames[m]["seed"], "settings": dict(state["settings"]), "before": digest}


def changes(state: State, m: int) -> list[str] | None:
    """What has changed since frame m was drawn, of "sentence", "seed", "settings" and "before". None if it has not been drawn."""
    drawn = state["frames"][m]["drawn"]
    if drawn is None:
        return None
    if drawn["of"] is None:  # the user's own
        return []
    now = cause(state, m)
    return [name for name in now if now[name] != drawn["of"][name]]


def stale(state: State) -> dict[str, list[str] | None]:
    return {frame["id"]: changes(state, m) for m, frame in enumerate(state["frames"])}


def next_frame(state: State, wanted: list[str] | set[str], missing: bool = False) -> int | None:
    """The first of the frames with these ids that is to be drawn: it has a sentence and no picture, or one that is stale and not locked. missing:
    only those without a picture. Earlier frames without a picture come first, for later ones are drawn from them."""
    last = max((m for m, frame in enumerate(state["frames"]) if frame["id"] in wanted), default=-1)
    for m, frame in enumerate(state["frames"][: last + 1]):
        if frame["sentence"].strip():
            changed = changes(state, m)
            if changed is None or (changed and frame["id"] in wanted and not frame["locked"] and not missing):
                return m
    return None


def without_memory(state: State) -> State:
    """The same story, as it is drawn without memory: `drawn` is what `without` was."""
    frames = [{**frame, "locked": False, "drawn": frame["without"]} for frame in state["frames"]]
    return {**state, "settings": {**state["settings"], "memory": "none", "memory_guidance": None}, "frames": frames}


# --- edits: each changes the state, and raises ValueError for what is wrong ----------------------------------------------------------------


def place_of(state: State, frame_id: Any) -> int:
    for m, frame in enumerate(state["frames"]):
        if frame["id"] == frame_id:
            return m
    raise ValueError("this frame is no longer in the story: it was removed meanwhile")


def add_frames(state: State, sentences: list[str], after: str | None = None) -> list[str]:
    """Adds frames after another, or at the end. Returns their ids."""
    if not isinstance(sentences, list) or len(state["frames"]) + len(sentences) > MOST_FRAMES:
        raise ValueError(f"a story may have at most {MOST_FRAMES} frames")
    shared = state["settings"]["memory"] == "reference" and state["frames"]  # which keeps best what starts from the same noise
    seed = state["frames"][0]["seed"] if shared else None
    frames = [new_frame(text_of("sentence", sentence, LONGEST_SENTENCE), seed) for sentence in sentences]
    place = len(state["frames"]) if after is None else place_of(state, after) + 1
    state["frames"][place:place] = frames
    return [frame["id"] for frame in frames]


def edit_frame(state: State, frame_id: str, sentence: str | None = None, seed: int | None = None, locked: bool | None = None) -> None:
    frame = state["frames"][place_of(state, frame_id)]
    if sentence is not None:
        frame["sentence"] = text_of("sentence", sentence, LONGEST_SENTENCE)
    if seed is not None:
        frame["seed"] = whole_number("seed", seed, 0, HIGHEST_SEED)
    if locked is not None:
        frame["locked"] = bool(locked)


def remove_frame(state: State, frame_id: str) -> None:
    del state["frames"][place_of(state, frame_id)]


def move_frame(state: State, frame_id: str, to: int) -> None:
    frame = state["frames"].pop(place_of(state, frame_id))
    state["frames"].insert(min(max(0, whole_number("place", to, -1, MOST_FRAMES)), len(state["frames"])), frame)


def edit_story(state: State, title: str | None = None, settings: dict[str, Any] | None = None) -> None:
    if title is not None:
        state["title"] = text_of("title", title, LONGEST_TITLE)
    if settings is not None:
        state["settings"] = checked_settings(state["settings"] | settings if isinstance(settings, dict) else settings)


def set_drawing(state: State, frame_id: str, drawing: dict[str, Any] | None) -> None:
    """Gives a frame a picture; the one that it had stays among its versions."""
    frame = state["frames"][place_of(state, frame_id)]
    drawing = checked_drawing(drawing)
    had = frame["drawn"]
    if had and had["of"] and (not drawing or had["picture"] != drawing["picture"]):
        frame["versions"] = [*(v for v in frame["versions"] if v["picture"] != had["picture"]), had][-MOST_VERSIONS:]
    frame["drawn"] = drawing


def set_without(state: State, frame_id: str, drawing: dict[str, Any]) -> None:
    state["frames"][place_of(state, frame_id)]["without"] = checked_drawing(drawing)


def add_version(state: State, frame_id: str, drawing: dict[str, Any]) -> None:
    frame = state["frames"][place_of(state, frame_id)]
    others = [one for one in frame["versions"] if one["picture"] != drawing["picture"]]
    frame["versions"] = [*others, checked_drawing(drawing)][-MOST_VERSIONS:]


def pick_version(state: State, frame_id: str, picture: str) -> None:
    frame = state["frames"][place_of(state, frame_id)]
    chosen = next((one for one in frame["versions"] if one["picture"] == picture), None)
    if chosen is None:
        raise ValueError("this version is no longer there")
    set_drawing(state, frame_id, chosen)
    frame["seed"] = chosen["of"]["seed"]


def files_of(state: State) -> set[str]:
    """Names of the files, in the project's folder, of all drawings of a state."""
    drawings = [one for frame in state["frames"] for one in [frame["drawn"], frame["without"], *frame["versions"]] if one]
    return {f"frames/{one['picture']}.png" for one in drawings} | {f"latents/{one['latent']}.safetensors" for one in drawings if one["latent"]}
