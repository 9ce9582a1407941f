"""What times real calls on a device: text in, text out, with a deployed bundle, by the wall's clock (Python 3.9).

Where sentencepiece is missing there is no text: then the searches alone are timed, and the answer says so.
"""

from __future__ import annotations

import base64
import collections
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hat.deploy.bundle import DESCRIPTION
from latency_predictor.on_device.bundle_calls import bundle_call

KEPT = 12  # bundles: those of a search's finals, and the full-size Transformer's; more if asked for at once
BLOCK = 5  # sentences in a row with one bundle
WARM_UP = 3  # sentences with a bundle that was just opened


class CallBench:
    """Times calls of bundles that the host puts into `folder`; `setup` holds `threads` and `accelerator`."""

    def __init__(self, folder: Path | str, setup: dict[str, Any]) -> None:
        self._folder, self._threads, self._accelerator = Path(folder), setup["threads"], setup["accelerator"]
        # bundle: (function of a sentence and its ids, whether text is in it), the latest used last
        self._opened: collections.OrderedDict[str, tuple[Callable[[Any, list[int]], Any], bool]]
        self._opened = collections.OrderedDict()

    def put(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write `content` (base64) at `offset` of a bundle's `file`; bundle.json comes last."""
        path = self._folder / request["bundle"] / request["file"]
        path.parent.mkdir(exist_ok=True)
        with open(path, "r+b" if path.exists() else "wb") as handle:
            handle.seek(request["offset"])
            handle.write(base64.b64decode(request["content"]))
        return {}

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Milliseconds of one call for each of the `sentences` with each of the `bundles`, as a JSON-like dictionary.

        Bundles take turns after a few sentences, so that all of them live through the same load of the machine, which
        may change within a second. `ids` are the sentences' tokens. `missing` are those of the bundles that aren't here
        (any more); then nothing is timed. `taken` is the share of the time in which this process didn't have the
        processor, None with several threads or on a GPU; `text` says of each bundle whether the calls began and ended
        with text.
        """
        names = request["bundles"]
        missing = [name for name in names if not (self._folder / name / DESCRIPTION).exists()]
        if missing:
            return {"missing": missing}
        pairs = list(zip(request["sentences"], request["ids"]))
        calls, text = zip(*(self._call(name, pairs) for name in names))
        self._make_room(names)
        busy, start = time.process_time(), time.perf_counter()
        calls_ms = _in_turns(calls, pairs)
        share = (time.process_time() - busy) / (time.perf_counter() - start)
        taken = max(0.0, 1 - share) if self._threads == 1 and self._accelerator == "cpu" else None
        return {"missing": [], "calls_ms": calls_ms, "taken": taken, "text": text}

    def _call(self, name: str, pairs: list[tuple[Any, list[int]]]) -> tuple[Callable[[Any, list[int]], Any], bool]:
        if name not in self._opened:
            self._opened[name] = bundle_call(self._folder / name, self._threads, self._accelerator)
            for pair in pairs[:WARM_UP]:
                self._opened[name][0](*pair)
        self._opened.move_to_end(name)
        return self._opened[name]

    def _make_room(self, names: list[str]) -> None:
        while len(self._opened) > max(KEPT, len(names)):
            oldest, _ = self._opened.popitem(last=False)
            shutil.rmtree(self._folder / oldest)


def _in_turns(
    calls: Sequence[Callable[[Any, list[int]], Any]], pairs: list[tuple[Any, list[int]]]
) -> list[list[float]]:
    """Milliseconds of each of the calls for each of the pairs."""
    calls_ms: list[list[float]] = [[] for _ in calls]
    for at in range(0, len(pairs), BLOCK):
        for call, milliseconds in zip(calls, calls_ms):
            call(*pairs[at])  # the others' weights were in the caches
            milliseconds += [_milliseconds(call, pair) for pair in pairs[at : at + BLOCK]]
    return calls_ms


def _milliseconds(call: Callable[[Any, list[int]], Any], pair: tuple[Any, list[int]]) -> float:
    start = time.perf_counter()
    call(*pair)
    return 1e3 * (time.perf_counter() - start)
