"""Losses of architectures, append-only on disk, shared by every budget and every later search of a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hat import files
from hat.architecture.stacks import Architecture
from hat.config import from_mapping, to_mapping
from search.candidate import Candidate, Predict, Scores


@dataclass(frozen=True)
class Evaluation:
    """One line of the file: the loss over one part (from 0) of the validation sentences, summed over its tokens."""

    key: str
    architecture: Architecture
    part: int
    nats: float
    tokens: int


class Evaluations:
    """What is known so far of each Architecture's loss, in nats per target token.

    The validation sentences are scored in `parts`, one after the other, so that a loss over the first few of them is
    known before the others. `key` names what losses depend on beside the architecture (the SuperTransformer's weights,
    the sentences, the unit); lines with another key stay in the file and are passed over.
    """

    def __init__(self, path: Path, key: str, parts: int = 1) -> None:
        self._path, self._key, self.parts = path, key, parts
        # Architecture -> [(nats, tokens) of its first part, of the first two, ...]
        self._sums: dict[Architecture, list[tuple[float, int]]] = {}
        for number, row in enumerate(files.read_json_lines(path), start=1):
            if isinstance(row, dict) and row.get("key", key) != key:
                continue  # perhaps an older version's, with other fields
            self._remember(from_mapping(Evaluation, row, f"{path}, line {number}"))

    def known_parts(self, architecture: Architecture) -> int:
        """How many parts an architecture was scored on."""
        return len(self._sums.get(architecture, ()))

    def loss(self, architecture: Architecture, parts: int | None = None) -> float:
        """The mean over the tokens of the first `parts` parts, or of all."""
        nats, tokens = self._sums[architecture][(parts or self.parts) - 1]
        return nats / tokens

    def known_or_scored(
        self, architectures: Sequence[Architecture], scores: Scores, parts: int | None = None
    ) -> Iterator[float]:
        """Iterate over the losses of different architectures, on the first `parts` parts or all.

        What isn't known yet comes from `scores` ((architectures, part) -> iterator of (nats, tokens)), and is kept.
        """
        parts = parts or self.parts
        for part in range(parts):
            missing = [architecture for architecture in architectures if self.known_parts(architecture) == part]
            scored = iter(scores(missing, part) if missing else ())
            for architecture in architectures:
                if self.known_parts(architecture) == part:
                    self.add(architecture, part, *next(scored))
                if part == parts - 1:
                    yield self.loss(architecture, parts)

    def candidates(self, predict: Predict) -> list[Candidate]:
        """A Candidate for everything scored on all parts; `predict` maps a list of architectures to milliseconds."""
        whole = [architecture for architecture in self._sums if self.known_parts(architecture) == self.parts]
        return [
            Candidate(architecture, float(milliseconds), self.loss(architecture))
            for architecture, milliseconds in zip(whole, predict(whole), strict=True)
        ]

    def add(self, architecture: Architecture, part: int, nats: float, tokens: int) -> None:
        """Keep the next part's sum, durably before this returns."""
        evaluation = Evaluation(self._key, architecture, part, nats, tokens)
        files.append_json_line(self._path, to_mapping(evaluation))
        self._remember(evaluation)

    def _remember(self, evaluation: Evaluation) -> None:
        sums = self._sums.setdefault(evaluation.architecture, [])
        nats, tokens = sums[-1] if sums else (0.0, 0)
        if evaluation.part == len(sums):
            sums.append((nats + evaluation.nats, tokens + evaluation.tokens))
