"""Which part of the project builds on which: by the imports in every module, those inside of functions included."""

import ast
import sys
from pathlib import Path

import pytest

import hat

ROOT = Path(hat.__file__).parent.parent
RUNNING = {"numpy", "onnxruntime", "sentencepiece", "tokenizers", "hat"}
COMMANDS = "hat/cli/"


def modules(folder):
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py"))


def imported(module):
    """Dotted names of the modules that a module imports, and of what it imports from them."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("module", [module for module in modules("hat") if not module.startswith(COMMANDS)])
def test_hat_knows_nothing_of_what_builds_on_it(module):
    assert not [name for name in imported(module) if name.split(".")[0] in ("latency_predictor", "search")]


@pytest.mark.parametrize("module", modules("latency_predictor"))
def test_the_latency_predictor_knows_nothing_of_the_search(module):
    assert not [name for name in imported(module) if name.split(".")[0] == "search"]


@pytest.mark.parametrize("module", [module for module in modules("hat/deploy") if "/building/" not in module])
def test_what_runs_bundles_builds_none(module):
    names = imported(module)
    assert {name.split(".")[0] for name in names} <= RUNNING | set(sys.stdlib_module_names)
    assert not [name for name in names if name.startswith("hat.deploy.building")]


@pytest.mark.parametrize("module", modules("latency_predictor/on_device"))
def test_what_runs_on_a_device_needs_nothing_else_of_the_predictor(module):
    others = [name for name in imported(module) if name.startswith("latency_predictor.")]
    assert not [name for name in others if not name.startswith("latency_predictor.on_device")]
