"""Losses of architectures, append-only on disk, shared by every budget and every later search of a run."""

from dataclasses import dataclass

from hat import files
from hat.architecture import Architecture
from hat.config import from_mapping, to_mapping
from search.candidate import Candidate


@dataclass(frozen=True)
class Evaluation:
    """One line of the file. `valid_nats` is in nats per target token."""

    key: str
    architecture: Architecture
    valid_nats: float


class Evaluations:
    """The losses known so far, by Architecture.

    `key` names what they depend on beside the architecture (the SuperTransformer's weights, the validation
    sentences, the unit); lines with another key stay in the file and are passed over.
    """

    def __init__(self, path, key):
        self._path, self._key = path, key
        self._losses = {}
        for number, row in enumerate(files.read_json_lines(path), start=1):
            if isinstance(row, dict) and row.get("key", key) != key:
                continue  # perhaps an older version's, with other fields
            evaluation = from_mapping(Evaluation, row, f"{path}, line {number}")
            self._losses[evaluation.architecture] = evaluation.valid_nats

    def __contains__(self, architecture):
        return architecture in self._losses

    def __getitem__(self, architecture):
        return self._losses[architecture]

    def __len__(self):
        return len(self._losses)

    def items(self):
        """Pairs of Architecture and loss, in the order of scoring."""
        return self._losses.items()

    def known_or_scored(self, architecture, score):
        """The loss of an architecture; by `score`, and then kept, if it isn't known yet."""
        if architecture not in self:
            self.add(architecture, score(architecture))
        return self[architecture]

    def candidates(self, predict):
        """A Candidate for everything scored; `predict` maps a list of architectures to milliseconds."""
        predicted_ms = predict(list(self._losses))
        return [
            Candidate(architecture, float(milliseconds), loss)
            for (architecture, loss), milliseconds in zip(self.items(), predicted_ms, strict=True)
        ]

    def add(self, architecture, loss):
        """Keep a loss, durably before this returns."""
        files.append_json_line(self._path, to_mapping(Evaluation(self._key, architecture, loss)))
        self._losses[architecture] = loss
