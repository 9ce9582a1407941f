"""ClassificationData: what `hat-prepare` left of labelled text, for the stages after it. Imports nothing heavy."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hat.data.preparation import REMEDY, existing_output, foreign_description, read_description
from hat.errors import ArtifactError

if TYPE_CHECKING:
    from fairseq.data.indexed_dataset import MMapIndexedDataset


NAMES = ("corpus", "vocabulary", "max_tokens", "first", "separator", "padding", "segments", "pair_separators")


class ClassificationData:
    """The prepared data in `directory`: `labels` (names), `sentences` {split: count}, all of NAMES, and the text.

    `network` is config.json of the network that the experiment begins from, None without one.
    `counts` has for each split how many texts were read, empty, cut, and of each label. Raises ArtifactError if the
    preparation isn't there or never finished.
    """

    task = "classification"
    corpus: str
    vocabulary: int
    max_tokens: int
    first: int
    separator: int
    padding: int
    segments: int
    pair_separators: int

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        description = read_description(self.directory)
        try:
            for name in NAMES:
                setattr(self, name, description[name])
            self.labels, self.counts = tuple(description["labels"]), description["counts"]
            self.sentences = dict(description["sentences"])
            self.network = description.get("network")  # config.json of the pretrained network, None without one
            self.text_encoder_file = self.directory / description["tokenizer"]
        except (KeyError, TypeError):
            raise foreign_description(self.directory) from None

    def token_ids(self, split: str) -> "MMapIndexedDataset":
        """Token sequences of at most `max_tokens`, as fairseq's dataset: int64 tensors by number, and `sizes`."""
        from hat.fairseq_plugin.binarise import read_sequences

        existing_output(self.directory, f"{split}.ids.idx")
        return read_sequences(existing_output(self.directory, f"{split}.ids.bin").with_suffix(""))

    def label_ids(self, split: str) -> np.ndarray:
        """Numbers of the labels: int64 (sentences,)."""
        return np.load(existing_output(self.directory, f"{split}.labels.npy"))

    def raw(self, split: str) -> tuple[list[str], list[str] | None, list[str]]:
        """(texts, pairs, labels) of a split, as written by the user; pairs is None where a text stands alone."""
        path = existing_output(self.directory, f"raw/{split}.jsonl")
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        if len(rows) != self.sentences[split]:
            raise ArtifactError(f"{path} has {len(rows)} lines instead of {self.sentences[split]}; {REMEDY}")
        pairs = [row["text_pair"] for row in rows] if "text_pair" in rows[0] else None
        return [row["text"] for row in rows], pairs, [row["label"] for row in rows]
