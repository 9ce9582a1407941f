"""What times real calls on a device: text in, text out, with a deployed bundle, by the wall's clock (Python 3.9).

Where sentencepiece is missing there is no text: then the searches alone are timed, and the answer says so.
"""

from __future__ import annotations

import base64
import collections
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hat.deploy.bundle import DESCRIPTION
from latency_predictor.on_device.bundle_calls import bundle_call

KEPT = 12  # bundles: those of a search's finals, and the full-size Transformer's
WARM_UP = 3  # sentences


class CallBench:
    """Times calls of bundles that the host puts into `folder`; `setup` holds `threads` and `accelerator`."""

    def __init__(self, folder: Path | str, setup: dict[str, Any]) -> None:
        self._folder, self._threads, self._accelerator = Path(folder), setup["threads"], setup["accelerator"]
        # bundle: function of a sentence and its ids, the latest used last
        self._calls: collections.OrderedDict[str, tuple[Callable[[Any, list[int]], Any], bool]]
        self._calls = collections.OrderedDict()

    def put(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write `content` (base64) at `offset` of a bundle's `file`; bundle.json comes last."""
        path = self._folder / request["bundle"] / request["file"]
        path.parent.mkdir(exist_ok=True)
        with open(path, "r+b" if path.exists() else "wb") as handle:
            handle.seek(request["offset"])
            handle.write(base64.b64decode(request["content"]))
        return {}

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Milliseconds of one call for each of the `sentences`, one after the other, as a JSON-like dictionary.

        `ids` are the sentences' tokens. {"missing": True} if `bundle` isn't here (any more). `taken` is the share of
        the time in which this process didn't have the processor, None with several threads or on a GPU; `text` says
        whether the calls began and ended with text.
        """
        opened = self._call(request["bundle"])
        if opened is None:
            return {"missing": True}
        call, text = opened
        pairs = list(zip(request["sentences"], request["ids"]))
        for pair in pairs[:WARM_UP]:
            call(*pair)
        busy, start = time.process_time(), time.perf_counter()
        calls_ms = [_milliseconds(call, pair) for pair in pairs]
        share = (time.process_time() - busy) / (time.perf_counter() - start)
        taken = max(0.0, 1 - share) if self._threads == 1 and self._accelerator == "cpu" else None
        return {"missing": False, "calls_ms": calls_ms, "taken": taken, "text": text}

    def _call(self, name: str) -> tuple[Callable[[Any, list[int]], Any], bool] | None:
        if name not in self._calls:
            folder = self._folder / name
            if not (folder / DESCRIPTION).exists():
                return None
            self._calls[name] = bundle_call(folder, self._threads, self._accelerator)
            while len(self._calls) > KEPT:
                oldest, _ = self._calls.popitem(last=False)
                shutil.rmtree(self._folder / oldest)
        self._calls.move_to_end(name)
        return self._calls[name]


def _milliseconds(call: Callable[[Any, list[int]], Any], pair: tuple[Any, list[int]]) -> float:
    start = time.perf_counter()
    call(*pair)
    return 1e3 * (time.perf_counter() - start)
