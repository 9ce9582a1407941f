"""The latency that users see: real calls of a bundle on a device, text in and text out, by the wall's clock."""

import base64
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hat import files
from hat.deploy.bundle import DESCRIPTION, open_bundle
from hat.errors import UsageError
from hat.experiment.run_directory import RunDirectory
from latency_predictor.budget import LatencyBudget
from latency_predictor.latency import Latency
from latency_predictor.link.connection import Connection
from latency_predictor.link.devices import Device
from latency_predictor.on_device.call_bench import BLOCK

SPLIT = "valid"  # the sentences most like those to be translated
SENTENCES = 100  # of them
BEYOND = 5  # so many at least must take longer than the share that a budget is about
AT_ONCE = 4 * BLOCK  # sentences in one request, which mustn't take too long on a slow device: whole blocks
CHUNK_BYTES = 4 << 20  # of a file, sent at a time


@dataclass(frozen=True)
class Calls:
    """Milliseconds of one call, or of a share of it, for each sentence.

    `text` says whether tokenising and detokenising are in them. `taken` is the share of the time in which other work
    had the processor; None where that isn't known.
    """

    calls_ms: tuple[float, ...]
    taken: float | None
    text: bool

    def latency(self, quantile: float) -> Latency:
        """The Latency that this share of the calls stayed within."""
        ms = float(np.quantile(self.calls_ms, quantile))
        return Latency(ms, ms, ms, self.taken)


def sentences_needed(quantile: float) -> int:
    """How many sentences a latency of this quantile is judged by."""
    return max(SENTENCES, math.ceil(BEYOND / (1 - quantile)))


def check_sentences(run: RunDirectory, budgets: Iterable[LatencyBudget]) -> None:
    """Raise UsageError for the first LatencyBudget about a quantile that the validation text has too few lines for.

    Where the config fixes a length, sentences don't count.
    """
    if not run.task.calls_fit(run.config):
        return
    count = run.prepared().sentences[SPLIT]
    for budget in budgets:
        needed = math.ceil(BEYOND / (1 - budget.quantile))
        if count < needed:
            raise UsageError(
                f"latency budget {budget.text} needs {needed} validation sentences, so that {BEYOND} take longer; "
                f"{run.data} has {count}: name a lower percentile, or prepare more validation text"
            )


class RealCalls:
    """Has bundles translate real sentences on a Device, one at a time; use as a context manager.

    The sentences are those of the run's validation text that its seed draws: `sentences_needed(quantile)` of them.
    Raises DeviceError for a device that can't be used, StorageError where its disk is full.
    """

    def __init__(self, run: RunDirectory, device: Device, quantile: float = 0.5) -> None:
        self._device = device
        self._connection: Connection | None = None
        self._sent: set[tuple[int, str]] = set()
        self._told = False  # that text is missing
        self._request = run.task.calls(run, SPLIT, sentences_needed(quantile), run.config.seed)
        self._shares = run.task.latency_shares(run.config)

    def __enter__(self) -> "RealCalls":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def time(self, bundles: Sequence[Path]) -> list[Calls]:
        """The Calls of one round with the bundle in each of these folders, which take turns."""
        if self._connection is None:
            self._connection = Connection(self._device, {"real_calls": True})
        # a description holds the digest of every other file
        names = [files.sha256_of_file(bundle / DESCRIPTION)[:16] for bundle in bundles]
        named = dict(zip(names, bundles, strict=True))
        answers = [self._measured(named, at) for at in range(0, len(self._request["ids"]), AT_ONCE)]
        taken = [answer["taken"] for answer in answers]
        busy = None if None in taken else sum(taken) / len(taken)
        self._tell_of_text(all(answers[0]["text"]))
        found = {
            name: Calls(tuple(ms / self._shares for answer in answers for ms in answer["calls_ms"][which]), busy, text)
            for which, (name, text) in enumerate(zip(named, answers[0]["text"], strict=True))
        }
        return [found[name] for name in names]

    def _tell_of_text(self, there: bool) -> None:
        """Warn once where calls neither begin nor end with text."""
        if not there and not self._told:
            print(
                f"warning: {self._device.name}: latencies are without making tokens of text and text of tokens, since "
                "the package for that (sentencepiece or tokenizers) isn't there; install it there with pip",
                file=sys.stderr,
            )
            self._told = True

    def _measured(self, named: Mapping[str, Path], at: int) -> dict[str, Any]:
        """The answer for the AT_ONCE sentences from number `at`; `named` bundles are sent if need be."""
        some = {key: values[at : at + AT_ONCE] for key, values in self._request.items()}
        while True:
            for name, bundle in named.items():
                if (self._agent, name) not in self._sent:
                    self._send(bundle, name)
            answer = self._connection.ask({"type": "measure", "bundles": list(named), **some})
            if not answer["missing"]:
                return answer
            # the agent had to be started again, or made room
            self._sent -= {(self._agent, name) for name in answer["missing"]}

    @property
    def _agent(self) -> int:
        """What tells an agent from one that was started again."""
        return self._connection.ready["process"]

    def _send(self, bundle: Path, name: str) -> None:
        """Let the agent have the bundle."""
        while True:
            agent = self._agent
            for file in [*open_bundle(bundle).description["files"], DESCRIPTION]:
                with open(bundle / file, "rb") as handle:
                    while content := handle.read(CHUNK_BYTES):
                        offset = handle.tell() - len(content)
                        self._put(bundle=name, file=file, offset=offset, content=content)
            if self._agent == agent:  # else a part of it went to one that is gone
                self._sent.add((agent, name))
                return

    def _put(self, content: bytes, **place: Any) -> None:
        encoded = base64.b64encode(content).decode()
        self._connection.ask({"type": "put", "content": encoded, **place})
