"""What a search aims at: predictions that say what real calls take, and how far below its budget it stays."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.architecture.stacks import Architecture
from hat.config import from_mapping, to_mapping
from latency_predictor.fitting.conversion import Conversion, fit_conversion
from search.candidate import Predict
from search.state import load_state, save_state

if TYPE_CHECKING:
    from search.finalists import Finalist
    from search.instruments import Instruments
    from search.reference import Reference

# Of a budget that a winner takes at most: what was within it once should be on another day.
HEADROOM = 0.97

SHARE = "share_of_full"  # rows that former versions kept hold milliseconds alone, and are passed over

# How latencies are judged. In the fingerprints, so that what was judged otherwise is searched for again.
JUDGED_BY = "calls"


class KnownLatencies:
    """The latencies of finalists of earlier searches on a device, kept beside its samples.

    `key` fingerprints what predictions depend on: those that another predictor made are passed over. A machine's pace
    changes from one search to the next, so what is kept is the share of the full-size Transformer's latency at that
    time.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key

    def pairs(self, full_ms: float) -> list[tuple[float, float]]:
        """[(predicted by the ruler, latency)], the last of each architecture, in milliseconds.

        Latencies are those at the pace at which the full-size Transformer takes `full_ms`.
        """
        rows = [row for row in files.read_json_lines(self._path) if row["key"] == self._key and SHARE in row]
        latest = {Architecture.from_dict(row["architecture"], str(self._path)): row for row in rows}
        return [(row["predicted_ms"], row[SHARE] * full_ms) for row in latest.values()]

    def add(self, finalists: Iterable["Finalist"], predict: Predict) -> None:
        """Keep what was measured of Finalists, as far as no other work disturbed it."""
        for finalist in finalists:
            if finalist.latency.busy:
                continue
            architecture = finalist.candidate.architecture
            row = {
                "key": self._key,
                "architecture": architecture.to_dict(),
                "predicted_ms": float(predict([architecture])[0]),
                SHARE: finalist.latency.ms / finalist.full.ms,
            }
            files.append_json_line(self._path, row)


def find_conversion(reference: "Reference", known: Iterable[tuple[float, float]] = ()) -> Conversion:
    """The Conversion of a Reference and `known` pairs (predicted by the ruler, latency)."""
    predicted_ms, latencies_ms = zip(*reference.pairs(), *known, strict=True)
    return fit_conversion(predicted_ms, latencies_ms)


def kept_conversion(
    directory: Path, inputs: Any, reference: "Reference", known: Iterable[tuple[float, float]]
) -> Conversion:
    """The Conversion of a search, which stays the same however often the search is interrupted and goes on."""
    path, fingerprint = directory / "aim.json", files.fingerprint(inputs)
    kept = load_state(path, fingerprint)
    if kept is not None:
        return from_mapping(Conversion, kept, str(path))
    conversion = find_conversion(reference, known)
    save_state(path, fingerprint, to_mapping(conversion))
    return conversion


def aimed(instruments: "Instruments", conversion: Conversion) -> "Instruments":
    """The Instruments with predictions of what real calls take."""
    predict = instruments.predict
    return replace(instruments, predict=lambda architectures: conversion.latency_ms(predict(architectures)))
