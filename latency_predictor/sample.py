"""LatencySample: one measured architecture, how it was measured, and in what circumstances."""

from dataclasses import dataclass

from hat import files
from hat.architecture import Architecture
from hat.config import from_mapping, to_mapping
from hat.errors import ArtifactError, UsageError
from latency_predictor.environment import Environment
from latency_predictor.timing import Timing


@dataclass(frozen=True)
class Protocol:
    """What was timed: samples are comparable only if these are equal.

    One batch of `batch` sentences of `source_length` tokens, then `target_steps` decoder steps with `beam` hypotheses.
    """

    backend: str
    accelerator: str
    precision: str
    threads: int
    batch: int
    beam: int
    source_length: int
    target_steps: int
    source_vocabulary: int
    target_vocabulary: int

    def difference(self, other):
        """The first field in which `other` differs, as 'beam 4 instead of 5'; None if they are equal."""
        for name, value in vars(self).items():
            if getattr(other, name) != value:
                return f"{name} {getattr(other, name)} instead of {value}"
        return None


@dataclass(frozen=True)
class LatencySample:
    """Milliseconds of the encoder, of the decoder with its beam search, and of the whole translation."""

    architecture: Architecture
    device: str
    protocol: Protocol
    encoder_ms: Timing
    decoder_ms: Timing
    total_ms: Timing
    environment: Environment

    @property
    def latency_ms(self):
        """The latency that budgets are about: the median of the whole translation."""
        return self.total_ms.median

    @property
    def latency_p90_ms(self):
        """What nine of ten translations stay within."""
        return self.total_ms.p90

    def to_dict(self):
        """Plain dictionary for JSON."""
        return to_mapping(self)

    @classmethod
    def from_dict(cls, mapping, where="sample"):
        """Inverse of `to_dict`; raises UsageError naming the key that is wrong."""
        return from_mapping(cls, mapping, where)


def samples_path(run, device):
    """Where the samples of a device are kept in a run directory."""
    return run.latency / f"{device.name}.jsonl"


def read_samples(path, space, protocol=None):
    """The LatencySamples of a JSON-lines file ([] if there is none), the last one of each architecture.

    A sample of a device may come from a copy of the file that another name gave. Raises ArtifactError, naming the
    line, for a sample that is damaged, of another search space, or measured otherwise than `protocol` says (without
    one, than the file's first sample).
    """
    samples = {}
    for number, row in enumerate(files.read_json_lines(path), start=1):
        where = f"{path}, line {number}"
        try:
            sample = LatencySample.from_dict(row, where)
        except UsageError as error:
            raise ArtifactError(f"{error}; remove that line and measure again") from None
        if sample.architecture not in space:
            raise ArtifactError(f"{where}: measured in another search space; move the file away and measure again")
        protocol = protocol or sample.protocol
        difference = protocol.difference(sample.protocol)
        if difference:
            raise ArtifactError(f"{where}: measured with {difference}; move the file away and measure again")
        samples[sample.architecture] = sample
    return list(samples.values())
