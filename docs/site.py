"""Takes the files of the repository that pages link to (`../results/story-ldm.md`) into the site, under `repository/`.

Pages use links that work in the repository as well; MkDocs itself knows no file outside of `docs`."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def on_files(files, config):
    waiting = [file for file in files if file.src_uri.endswith(".md")]
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(Path(page.abs_src_path).read_text()):
            target = in_site(page.src_uri, link)
            source = ROOT / target.removeprefix("repository/")
            if target.startswith("repository/") and source.is_file() and files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, abs_src_path=str(source)))
                waiting += [files.get_file_from_path(target)] if target.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    here = page.file.src_uri
    return LINK.sub(lambda link: os.path.relpath(in_site(here, link[1]), posixpath.dirname(here) or "."), markdown)


def in_site(page: str, link: str) -> str:
    """Where a link of a page leads in the site; a page's own place in the repository is below `docs`, unless it was taken in."""
    path = page.removeprefix("repository/") if page.startswith("repository/") else f"docs/{page}"
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return target.removeprefix("docs/") if target.startswith("docs/") else f"repository/{target}"
