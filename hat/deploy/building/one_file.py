"""One self-contained Python file out of modules of this project: their sources, unchanged, and what imports them.

Runs where such a file is made; `hat.deploy.building.standalone` and `latency_predictor.link.agent_file` say what goes
into theirs.
"""

import ast
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

# Parsed by any Python 3, so without f-strings: a file may tell an old one what it lacks.
IMPORTER = '''

class EmbeddedModules(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the modules of SOURCES, before any that are installed."""

    def find_spec(self, name, path=None, target=None):
        if name not in SOURCES:
            return None
        return importlib.util.spec_from_loader(name, self, origin=__file__, is_package=name in PACKAGES)

    def is_package(self, name):
        return name in PACKAGES

    def get_source(self, name):
        return SOURCES[name]

    def get_code(self, name):
        return self.source_to_code(SOURCES[name], __file__ + ":" + name)


sys.meta_path.insert(0, EmbeddedModules())
'''


def one_file(header: str, modules: Mapping[str, Path], footer: str) -> str:
    """The file's content: `header`, the `modules` {name: path} ready to be imported, and `footer`, which uses them.

    The header imports importlib.abc, importlib.util and sys.
    """
    packages = sorted(name for name, path in modules.items() if path.name == "__init__.py")
    parts = [header, f"\nSOURCES = {{}}  # name of a module: its source\nPACKAGES = {packages}\n"]
    for name, path in sorted(modules.items()):
        parts.append(f"\n# {'-' * 20} {name} {'-' * 20}\nSOURCES[{name!r}] = {_literal(path)}\n")
    return "".join([*parts, IMPORTER, footer])


def needed_modules(entry: str, packages: Sequence[str] = ("hat",)) -> dict[str, Path]:
    """{name: path} of the modules of `packages` that `entry` imports anywhere, directly or not, and of itself."""
    found: dict[str, Path] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _path_of(name)
        if path is None:
            continue  # not a module but something that one defines
        found[name] = path
        waiting += [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        waiting += [imported for imported in _imports(path) if imported.split(".")[0] in packages]
    return found


def _path_of(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # its parent is a module, not a package
        return None
    return Path(spec.origin) if spec else None


def _imports(path: Path) -> list[str]:
    """Names of the modules, and of what is imported from them, in the source at `path`."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _literal(path: Path) -> str:
    """The source at `path` as a Python literal that reads like it."""
    source = path.read_text(encoding="utf-8")
    if "'''" in source:
        raise ValueError(f"{path}: write it without three apostrophes in a row, so that it can be embedded")
    return f"r'''{source}'''"
