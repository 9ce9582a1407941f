"""HAT: hardware-aware Transformers. `hat.Translator` runs an exported bundle."""

__version__ = "0.1.0"


def __getattr__(name):
    if name == "Translator":
        from hat.deploy.translator import Translator

        return Translator
    raise AttributeError(f"module 'hat' has no attribute {name!r}")
