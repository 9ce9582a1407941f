"""Sentence pairs drawn from a prepared split, whatever the order of its text: as lists of token ids, or as text."""

from typing import TYPE_CHECKING

from hat.data.drawing import draw_lines

if TYPE_CHECKING:
    from hat.data.translation.prepared import PreparedData


def sample_pairs(prepared: "PreparedData", split: str, count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """At most `count` pairs (source ids, target ids) of a split, chosen by `seed`, all ending with </s>.

    Raises ArtifactError if the split is missing.
    """
    from hat.fairseq_plugin.datasets import load_split

    dataset = load_split(prepared, split)
    chosen = draw_lines(prepared, split, count, seed)
    return [(dataset.src[index].tolist(), dataset.tgt[index].tolist()) for index in chosen]


def sample_text(prepared: "PreparedData", split: str, count: int, seed: int) -> tuple[list[str], list[str]]:
    """(sources, references) of the same pairs as plain sentences; raises ArtifactError if the split is missing."""
    sources, references = prepared.raw(split)
    chosen = draw_lines(prepared, split, count, seed)
    return [sources[index] for index in chosen], [references[index] for index in chosen]
