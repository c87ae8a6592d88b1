"""A drawn story in the forms in which it leaves the storyboard: pictures, comic pages, film, training data, code.

name, content = export(project, "pdf", {"layout": "2 × 3", "captions": "under"})
"""

from __future__ import annotations

import io
import json
import re
import shlex
import zipfile
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw

from story_ldm.app.models import STABLE_DIFFUSIONS, Model, spelled
from story_ldm.app.project_zip import to_zip
from story_ldm.app.projects import Project
from story_ldm.app.storyboard import Frame, State
from story_ldm.data.pictures import png
from story_ldm.reports.fonts import draw_line, wrapped
from story_ldm.reports.strips import story_strip

KINDS = {
    "strip": "Picture strip (PNG)",
    "frames": "Single frames (PNG, zip)",
    "pdf": "Comic pages (PDF)",
    "cbz": "Comic book (CBZ)",
    "gif": "Animation (GIF)",
    "mp4": "Film (MP4)",
    "form": "Training data (story form, zip)",
    "project": "This story, to open it again (zip)",
}
LAYOUTS = {"1 × 1": (1, 1), "1 × 2": (1, 2), "2 × 2": (2, 2), "2 × 3": (2, 3), "3 × 4": (3, 4)}  # columns, rows
CAPTIONS = ("under", "in", "none")
PAGE = (1240, 1754)  # A4 at 150 dots an inch
INK, PAPER = (20, 20, 20), (255, 255, 255)
RATE = 10  # pictures a second of a film


def export(project: Project, kind: str, options: dict[str, Any] | None = None) -> tuple[str, bytes]:
    """Name and content of the file. options: layout and captions of pages, captions and seconds (of one frame) of animations.

    Raises ValueError for wrong options and if nothing has been drawn, ModuleNotFoundError for a film without the package `av`."""
    state = project.read()[0]
    layout, captions, seconds = _options(options or {})
    name = file_stem(state["title"])
    if kind == "project":
        return f"{name}.zip", to_zip(project)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{kind!r} is no form to save a story in; forms are {', '.join(KINDS)}")
    drawn = [frame for frame in state["frames"] if frame["drawn"]]
    if not drawn:
        raise ValueError("There is no picture yet: draw the story first.")
    pictures = [project.picture(frame["drawn"]["picture"]) for frame in drawn]
    sentences = [frame["sentence"].strip() for frame in drawn]
    if kind == "strip":
        return f"{name}.png", png(story_strip(pictures, sentences, side=max(192, min(512, pictures[0].width))))
    if kind == "frames":
        return f"{name}.zip", zipped({f"{m + 1:03}.png": png(picture) for m, picture in enumerate(pictures)})
    if kind == "form":
        return f"{name}.zip", story_form(project.id, state["title"], pictures, sentences)
    if kind in ("gif", "mp4"):
        texts = sentences if captions != "none" else [""] * len(sentences)
        shots = [shot(picture, text, captions) for picture, text in zip(pictures, texts, strict=True)]
        return f"{name}.{kind}", (gif if kind == "gif" else mp4)(shots, seconds)
    pages = comic_pages(pictures, sentences, state["title"], LAYOUTS[layout], captions)
    return f"{name}.{kind}", (pdf if kind == "pdf" else cbz)(pages, state["title"])


def _options(given: Any) -> tuple[str, str, float]:
    if not isinstance(given, dict):
        raise ValueError(f"options are {given!r}; they must be an object")
    layout, captions, seconds = given.get("layout", "2 × 3"), given.get("captions", "under"), given.get("seconds", 2)
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {', '.join(LAYOUTS)}")
    if captions not in CAPTIONS:
        raise ValueError(f"captions is {captions!r}; it must be one of {', '.join(CAPTIONS)}")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0.1 <= seconds <= 60:
        raise ValueError(f"seconds is {seconds!r}; it must be a number from 0.1 to 60")
    return layout, captions, float(seconds)


def file_stem(title: str) -> str:
    """The title as the name of a file: letters and digits of any script."""
    return re.sub(r"[\W_]+", "-", title).strip("-")[:60] or "story"


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return content.getvalue()


# --- comics ------------------------------------------------------------------------------------------------------------------------------


def fit_text(text: str, width: int, height: int, largest: int) -> tuple[int, list]:
    """The size, and the lines of a text in the largest letters, in which it fits; lines that fit in no size are left out."""
    for size in range(largest, 8, -2):
        lines = wrapped(text, size, width)
        if len(lines) * line_height(size) <= height:
            return size, lines
    return size, lines[: max(1, height // line_height(size))]


def line_height(size: int) -> int:
    return round(size * 1.35)


def write_lines(draw: ImageDraw.ImageDraw, place: tuple[int, int], size: int, lines: list) -> None:
    for n, line in enumerate(lines):
        draw_line(draw, (place[0], place[1] + n * line_height(size)), line, INK)


def room_for(texts: list[str], width: int, height: int, largest: int) -> int:
    """The height that the longest of some captions takes below pictures, at most a third of the whole."""
    return min(height // 3, 12 + max(len(wrapped(text, largest, round(width * 0.9))) for text in texts) * line_height(largest))


def panel(
    page: Image.Image, picture: Image.Image, text: str, box: tuple[int, int, int, int], captions: str, largest: int = 30, room: int = 0
) -> None:
    """Draws a frame and its caption, in the lower part of the picture or under it, where it has `room`, into a box (left, top, width, height)."""
    left, top, width, height = box
    draw = ImageDraw.Draw(page)
    scale = min(width / picture.width, (height - room) / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    x, y = left + (width - size[0]) // 2, top + (height - room - size[1]) // 2 * (captions != "under")
    page.paste(picture.resize(size, Image.Resampling.LANCZOS), (x, y))
    draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), outline=INK, width=max(1, width // 200))
    if not text or captions == "none":
        return
    inner = size[0] if captions == "under" else round(size[0] * 0.88)
    letters, lines = fit_text(text, inner, top + height - y - size[1] - 8 if captions == "under" else size[1] // 3, largest)
    if captions == "under":
        return write_lines(draw, (x, y + size[1] + 8), letters, lines)
    tall, pad = len(lines) * line_height(letters), letters // 2
    place = (x + (size[0] - inner) // 2, y + size[1] - tall - 2 * pad)
    draw.rounded_rectangle((place[0] - pad, place[1] - pad // 2, place[0] + inner + pad, place[1] + tall + pad // 2), pad, PAPER, INK, 2)
    write_lines(draw, place, letters, lines)


def comic_pages(pictures: list[Image.Image], sentences: list[str], title: str, grid: tuple[int, int], captions: str) -> list[Image.Image]:
    """Pages of columns × rows frames, read in rows; the title is on the first."""
    columns, rows = grid
    margin, gap = 70, 36
    pages = []
    for start in range(0, len(pictures), columns * rows):
        page = Image.new("RGB", PAGE, PAPER)
        top = margin
        if title and not start:
            size, lines = fit_text(title, PAGE[0] - 2 * margin, 150, 56)
            write_lines(ImageDraw.Draw(page), (margin, margin), size, lines)
            top += len(lines) * line_height(size) + gap // 2
        width = (PAGE[0] - 2 * margin - (columns - 1) * gap) // columns
        height = (PAGE[1] - margin - top - (rows - 1) * gap) // rows
        largest, end = 36 if columns == 1 else 28, min(start + columns * rows, len(pictures))
        room = room_for(sentences[start:end], width, height, largest) if captions == "under" else 0
        for n in range(start, end):
            row, column = divmod(n - start, columns)
            box = (margin + column * (width + gap), top + row * (height + gap), width, height)
            panel(page, pictures[n], sentences[n], box, captions, largest, room)
        pages.append(page)
    return pages


def pdf(pages: list[Image.Image], title: str) -> bytes:
    file = io.BytesIO()
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], resolution=150, quality=92, title=title or "Story")
    return file.getvalue()


def cbz(pages: list[Image.Image], title: str) -> bytes:
    """Pages as PNG in the order of their names, and the title for the reader's library."""
    about = f'<?xml version="1.0"?>\n<ComicInfo><Title>{escape(title)}</Title><PageCount>{len(pages)}</PageCount></ComicInfo>\n'
    return zipped({f"{n + 1:03}.png": png(page) for n, page in enumerate(pages)} | {"ComicInfo.xml": about.encode()})


# --- films -------------------------------------------------------------------------------------------------------------------------------


def shot(picture: Image.Image, text: str, captions: str, side: int = 512) -> Image.Image:
    """A frame of a film: `side` pixels wide, of even height, for films have half as many colours as pixels."""
    height = round(side * picture.height / picture.width / 2) * 2
    below = side // 4 if captions == "under" else 0
    page = Image.new("RGB", (side, height + below), PAPER)
    page.paste(picture.resize((side, height), Image.Resampling.LANCZOS))
    if text and captions == "under":
        size, lines = fit_text(text, side - 32, below - 20, 26)
        write_lines(ImageDraw.Draw(page), (16, height + 10), size, lines)
    elif text:
        panel(page, picture, text, (0, 0, side, height), "in", 26)
    return page


def gif(shots: list[Image.Image], seconds: float) -> bytes:
    file = io.BytesIO()
    same = [one.resize(shots[0].size) for one in shots]
    same[0].save(file, "GIF", save_all=True, append_images=same[1:], duration=round(seconds * 1000), loop=0)
    return file.getvalue()


def mp4(shots: list[Image.Image], seconds: float) -> bytes:
    try:
        import av
    except ModuleNotFoundError:
        raise ModuleNotFoundError('films need the package av: pip install "story-ldm[video]"') from None
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *shots[0].size, "yuv420p"
        for one in shots:
            for _ in range(max(1, round(seconds * RATE))):
                film.mux(stream.encode(av.VideoFrame.from_image(one.resize(shots[0].size))))
        film.mux(stream.encode())
    return file.getvalue()


# --- training data and code ----------------------------------------------------------------------------------------------------------------


def story_form(identity: str, title: str, pictures: list[Image.Image], sentences: list[str]) -> bytes:
    """A zip for `story-ldm data convert folder`: a corrected story as training data. Raises ValueError for a picture without a sentence."""
    if not all(sentences):
        raise ValueError(f"Frame {sentences.index('') + 1} has a picture and no sentence; training data needs both.")
    story = f"{file_stem(title)}-{identity[:8]}"
    line = json.dumps({"story": story, "sentences": sentences}, ensure_ascii=False)
    return zipped({"stories.jsonl": f"{line}\n".encode(), **{f"{story}/{m}.png": png(picture) for m, picture in enumerate(pictures)}})


def told(state: State) -> list[Frame]:
    return [frame for frame in state["frames"] if frame["sentence"].strip()]


def command_line(state: State, model: Model) -> str:
    """The command that draws the story: bit for bit what is on the board where nothing there is stale or the user's own. None for a Stable
    Diffusion, which is drawn with from Python."""
    if model.kind in STABLE_DIFFUSIONS:
        return ""
    settings, frames = state["settings"], told(state)
    words = ["story-ldm", "generate", *(frame["sentence"].strip() for frame in frames), "--model", spelled(model)]
    words += ["--seeds", *(str(frame["seed"]) for frame in frames)]
    for option, name in (("--steps", "steps"), ("--guidance", "guidance"), ("--memory-guidance", "memory_guidance")):
        words += [option, str(settings[name])] if settings[name] is not None else []
    words += ["--negative-prompt", settings["negative"]] if settings["negative"].strip() else []
    words += ["--memory", settings["memory"]] if settings["memory"] != model.memories[0] else []
    return shlex.join([*words, "--output", f"{file_stem(state['title'])}.png"])


def python_code(state: State, model: Model, arguments: dict[str, Any]) -> str:
    """Python that draws the story; see `command_line`. arguments: the settings, as arguments of the pipeline."""
    frames = told(state)
    own = [bool(frame["drawn"] and not frame["drawn"]["of"]) for frame in frames]
    first = own.index(False) if False in own else len(own)  # pictures of the user's own that the story begins with
    kind = "ARLDMPipeline" if model.kind == "ARLDMPipeline" else "StoryLDMPipeline"
    lines = [f"from story_ldm import {kind}", ""]
    if model.kind in STABLE_DIFFUSIONS:
        adapter = f", memory_adapter={str(model.adapter)!r}" if model.adapter else ""
        lines.append(f"pipe = {kind}.from_stable_diffusion({str(model.path)!r}{adapter})")
    else:
        lines.append(f"pipe = {kind}.from_pretrained({spelled(model)!r})")
    for name in state["settings"]["loras"]:
        lines.append(f"pipe.load_lora_weights({str(model.lora_files()[name])!r}, adapter_name={name!r})")
    if loras := state["settings"]["loras"]:
        lines.append(f"pipe.set_adapters({[*loras]}, {[*loras.values()]})")
    lines += ["sentences = [", *(f"    {frame['sentence'].strip()!r}," for frame in frames), "]"]
    given = "".join(f", {name}={value!r}" for name, value in arguments.items())
    if first:
        lines[0] = f"from PIL import Image\n{lines[0]}"
        lines += ["# your own pictures, in the size of the model's frames", f"own = [Image.open(f'{{m}}.png') for m in range({first})]"]
        given = f", frames=own{given}"
    if any(own[first:]):
        lines.append("# your own pictures between drawn ones: draw up to each, and give all frames before it as frames=")
    lines.append(f"frames = pipe(sentences, seeds={[frame['seed'] for frame in frames]}{given}).frames[0]")
    return "\n".join(lines) + "\n"
