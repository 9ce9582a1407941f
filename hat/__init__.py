"""HAT: hardware-aware Transformers. `hat.Translator`, `hat.Classifier`, `hat.LanguageModel` run exported bundles."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Imported when asked for; by name, so that a one-file runtime holds only what it uses.
_MODULES = {
    "Translator": "hat.deploy.translator",
    "Classifier": "hat.deploy.classifier",
    "LanguageModel": "hat.deploy.language_model",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'hat' has no attribute {name!r}")
