"""`pipeline.py` of a saved pipeline: the code with which plain diffusers opens it where this package is not installed.

    DiffusionPipeline.from_pretrained(folder, custom_pipeline="pipeline", trust_remote_code=True)

It holds the sources of the modules that the pipeline needs, as they are when it is saved, and serves them under their own names. diffusers copies
this one file alone and scans it for imports of other files: the sources stand in comments, where it finds none. An installed package has
precedence.
"""

from __future__ import annotations

import ast
import sys
from importlib.abc import InspectLoader
from importlib.util import find_spec, resolve_name

MARK = "#> "  # begins a line of source; "#= " begins a module: "#= name" or "#= name/" for a package
LOADER = '''"""Opens this folder in plain diffusers, without the package story_ldm:

    from diffusers import DiffusionPipeline
    pipe = DiffusionPipeline.from_pretrained(FOLDER, custom_pipeline="pipeline", trust_remote_code=True)
    frames = pipe(["Sentence of the first frame.", "Sentence of the second frame."]).frames[0]

Written by save_pretrained of story_ldm {version}: the modules of that package that {name} needs are below, in comments.
An installed story_ldm is used instead.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from pathlib import Path


class _Bundle(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the modules in the comments of a file."""

    version = "{version}"

    def __init__(self, file):
        self.file, self.sources, self.packages = file, {{}}, set()
        for line in Path(file).read_text(encoding="utf-8").splitlines():
            if line.startswith("#= "):
                name = line[3:].rstrip("/")
                lines = self.sources.setdefault(name, [])
                if line.endswith("/"):
                    self.packages.add(name)
            elif line.startswith("#>"):
                lines.append(line[3:])

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources:
            return None
        spec = importlib.util.spec_from_loader(name, self, origin=self.file)
        spec.has_location = True  # modules have a __file__
        return spec

    def is_package(self, name):
        return name in self.packages

    def get_source(self, name):
        return "\\n".join(self.sources[name]) + "\\n"

    def get_code(self, name):
        return self.source_to_code(self.get_source(name), f"{{self.file}}: {{name}}")


try:
    _spec = importlib.util.find_spec("story_ldm")
except ImportError:
    _spec = None
_other = getattr(_spec.loader, "version", None) if _spec else None  # of such a file of another folder
if _other not in (None, _Bundle.version):
    raise ImportError(f"another folder's story_ldm {{_other}} is in use, this one has {{_Bundle.version}}: open it in a new process")
if _spec is None or _other:
    sys.meta_path.insert(0, _Bundle(__file__))
for _name in {imported}:  # diffusers looks the components up among the imported modules
    importlib.import_module(_name)
for _name in [name for name in globals() if name.endswith("Pipeline")]:  # diffusers runs the files of all folders in one module
    del globals()[_name]
{name} = importlib.import_module("{module}").{name}
'''


def source_of(module: str) -> tuple[str, bool]:
    """The source of a module of this package, and whether it is a package. Works for a module that came from such a file, too."""
    spec = find_spec(module)
    assert spec is not None and isinstance(spec.loader, InspectLoader), module
    return spec.loader.get_source(module) or "", spec.submodule_search_locations is not None


def needed_modules(roots: list[str]) -> dict[str, tuple[str, bool]]:
    """Modules of this package that these import, directly or not, themselves included: source and whether a package, by name."""
    found, waiting = {}, list(roots)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        source, package = found[module] = source_of(module)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                inside = module if package else module.rpartition(".")[0]
                base = resolve_name("." * node.level + (node.module or ""), inside)
                names = [f"{base}.{alias.name}" if _is_module(f"{base}.{alias.name}") else base for alias in node.names]
            else:
                continue
            waiting += [name for name in names if name.split(".")[0] == "story_ldm"]
    return found


def _is_module(name: str) -> bool:
    if name.split(".")[0] != "story_ldm":
        return False
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, not a package
        return False


def pipeline_file(kind: type, components: list[str]) -> str:
    """The text of `pipeline.py`. kind: the class of the pipeline; components: modules of its components, of whichever library."""
    roots = sorted({kind.__module__, *(name for name in components if name.split(".")[0] == "story_ldm")})
    modules = needed_modules(["story_ldm", *roots])
    for name in list(modules):  # packages that hold them and are imported by nobody are empty
        while "." in name:
            name = name.rpartition(".")[0]
            modules.setdefault(name, ("", True))
    parts = [LOADER.format(name=kind.__name__, module=kind.__module__, imported=roots, version=sys.modules["story_ldm"].__version__)]
    for name, (source, package) in sorted(modules.items()):
        lines = [(MARK + line).rstrip() for line in source.splitlines()]
        parts.append("\n".join([f"#= {name}{'/' if package else ''}", *lines, ""]))
    return "\n".join(parts)
