"""One call of a bundle, as its user makes it: a function of a sentence and of its token ids (Python 3.9).

Where the tokenizer's package is missing there is no text: then the graphs alone are run on the ids.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hat.deploy.beam_search import BeamSearch
from hat.deploy.bundle import Bundle, open_bundle
from hat.deploy.search_options import bundle_options
from hat.deploy.sessions import Sessions
from hat.errors import ArtifactError

PACKAGES = {".json": "tokenizers", ".model": "sentencepiece"}  # by the suffix of a tokenizer's file
WORDS = ".txt"  # a list of words, which needs none
COMPRESSED = ".xz"  # may follow
SEED = 1  # of words that are drawn


def bundle_call(folder: Path, threads: int, accelerator: str) -> tuple[Callable[[Any, list[int]], Any], bool]:
    """(the call, whether it begins and ends with text) of the bundle in `folder`."""
    bundle = open_bundle(folder)
    with_text, without = CALLS[bundle.description.get("task", "translation")]
    names = bundle.description["tokenizers"].values()
    suffixes = {Path(name[: -len(COMPRESSED)] if name.endswith(COMPRESSED) else name).suffix for name in names}
    if all(importlib.util.find_spec(PACKAGES[suffix]) for suffix in suffixes - {WORDS}):
        return with_text(folder, threads, accelerator), True
    return without(bundle, threads, accelerator), False


def _translation(folder: Path, threads: int, accelerator: str) -> Callable[[Any, list[int]], Any]:
    from hat.deploy.translator import Translator

    translator = Translator(folder, threads, accelerator=accelerator)
    return lambda sentence, _ids: translator.translate([sentence])


def _search(bundle: Bundle, threads: int, accelerator: str) -> Callable[[Any, list[int]], Any]:
    spec, options = bundle.description["spec"], bundle_options(bundle)
    search = BeamSearch(Sessions(bundle.graphs(), threads, accelerator), spec["padding"], spec["end_of_sentence"])
    return lambda _sentence, ids: search.search([ids], options)


def _classification(folder: Path, threads: int, accelerator: str) -> Callable[[Any, list[int]], Any]:
    from hat.deploy.classifier import Classifier

    classifier = Classifier(folder, threads, accelerator=accelerator)
    return lambda text, _ids: classifier.classify([text])


def _label(bundle: Bundle, threads: int, accelerator: str) -> Callable[[Any, list[int]], Any]:
    from hat.deploy.classifier import graph_inputs

    session, spec = Sessions(bundle.graphs(), threads, accelerator)["classifier"], bundle.description["spec"]
    return lambda _text, ids: session.run(["logits"], graph_inputs([ids], spec))


def _continuation(folder: Path, threads: int, accelerator: str) -> Callable[[Any, list[int]], Any]:
    from hat.deploy.language_model import LanguageModel

    model = LanguageModel(folder, threads, accelerator)
    return lambda call, _ids: model.generate(call["prompt"], call["words"], seed=SEED)


def _no_pieces(bundle: Bundle, _threads: int, _accelerator: str) -> Callable[[Any, list[int]], Any]:
    raise ArtifactError(f"{bundle.path} needs the package sentencepiece: pip install sentencepiece")


CALLS = {  # with text, without
    "translation": (_translation, _search),
    "classification": (_classification, _label),
    "language_modeling": (_continuation, _no_pieces),
}
