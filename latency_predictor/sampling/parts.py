"""Where the time of a sentence goes: the phases of its task, and of the last one the output layer."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hat import files
from hat.architecture.complexity import Spec
from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.config import from_mapping, to_mapping
from hat.experiment.run_directory import RunDirectory
from latency_predictor.link.devices import Device
from latency_predictor.sampling.earlier_rows import parts_row
from latency_predictor.sampling.measure import Measurer, reference_architecture

FEW_WORDS = 64  # a vocabulary whose output layer costs next to nothing


@dataclass(frozen=True)
class Parts:
    """Milliseconds of one architecture: of its parts at the middle length, and of the whole at each length.

    The output layer isn't counted to the last of the phases, whose lengths are `lengths`.
    """

    name: str
    phases_ms: dict[str, float]
    output_ms: float
    lengths: tuple[int, ...]
    total_ms: tuple[float, ...]


def measure_parts(measurer: Measurer, space: SearchSpace, few_words: Spec) -> list[Parts]:
    """Parts of the smallest architecture, the reference and the full-size Transformer.

    The output layer, with the choice of the best words, is what the last phase takes longer than in a model of the spec
    `few_words`, which has FEW_WORDS to choose from.
    """
    chosen = {
        "smallest": space.smallest(),
        "reference": reference_architecture(space),
        "full-size": space.full_transformer(),
    }
    return [_measure(measurer, name, architecture, few_words) for name, architecture in chosen.items()]


def _measure(measurer: Measurer, name: str, architecture: Architecture, few_words: Spec) -> Parts:
    sample, fewer = (measurer.measure_paced(architecture, spec) for spec in (None, few_words))
    middle = len(sample.lengths) // 2
    phases_ms = {phase: timing.p25 for phase, timing in sample.lengths[middle].phases_ms.items()}
    last = list(phases_ms)[-1]
    output_ms = max(0.0, phases_ms[last] - fewer.lengths[middle].phases_ms[last].p25)
    return Parts(
        name=name,
        phases_ms=phases_ms | {last: phases_ms[last] - output_ms},
        output_ms=output_ms,
        lengths=tuple(at.lengths[last] for at in sample.lengths),
        total_ms=tuple(at.total_ms.p25 for at in sample.lengths),
    )


def parts_path(run: RunDirectory, device: Device) -> Path:
    """Where the Parts of a device are kept in a run directory."""
    return run.latency / f"{device.name}.parts.json"


def write_parts(path: Path, series: str | None, parts: Iterable[Parts]) -> None:
    """Keep Parts as JSON, with the series of samples whose pace they have."""
    files.write_json(path, {"series": series, "parts": [to_mapping(each) for each in parts]})


def read_parts(path: Path, series: str | None) -> list[Parts]:
    """What `write_parts` kept with this series; [] if there is nothing of it."""
    if not path.exists():
        return []
    kept = files.read_json(path, "remove it and measure again")
    if not isinstance(kept, dict) or series is None or kept.get("series") != series:  # a list named no series
        return []
    return [from_mapping(Parts, parts_row(row), str(path)) for row in kept.get("parts", ())]
