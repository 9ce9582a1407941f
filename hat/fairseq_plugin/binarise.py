"""fairseq's dictionary and binarised splits, as `fairseq-preprocess` names them: plain fairseq-train reads them."""

from pathlib import Path

import torch
from fairseq.data import Dictionary, indexed_dataset

DATASET_FORMAT = "mmap"


def write_dictionary(path, pieces, counts):
    """Write dict.<lang>.txt: the pieces after the special symbols, which fairseq adds itself, each with its count.

    pieces: all of the vocabulary in id order; counts: mapping of id to count (absent: 0).
    """
    special = Dictionary().nspecial
    lines = [f"{piece} {counts.get(index, 0)}\n" for index, piece in enumerate(pieces) if index >= special]
    Path(path).write_text("".join(lines), encoding="utf-8")


class BinarisedText:
    """Writes one side of one split: `<split>.<src>-<tgt>.<lang>.bin` and `.idx`; close with `finish`."""

    def __init__(self, directory, split, source_lang, target_lang, lang, vocabulary_size):
        prefix = str(Path(directory) / f"{split}.{source_lang}-{target_lang}.{lang}")
        self._index_file = indexed_dataset.index_file_path(prefix)
        data_file = indexed_dataset.data_file_path(prefix)
        self._builder = indexed_dataset.make_builder(data_file, impl=DATASET_FORMAT, vocab_size=vocabulary_size)

    def add(self, ids):
        """Append one sentence: its token ids, ending with </s>."""
        self._builder.add_item(torch.tensor(ids, dtype=torch.int32))

    def finish(self):
        """Write the index; the split can be read from then on."""
        self._builder.finalize(self._index_file)
