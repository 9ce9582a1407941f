"""Our writing of fairseq's binarised files against fairseq's own, and lengths in few bits against fairseq's."""

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary, LanguagePairDataset, indexed_dataset

from hat.fairseq_plugin.binarise import binarised_text, token_counts
from hat.fairseq_plugin.datasets import narrow_lengths

END = 2


@pytest.mark.parametrize("vocabulary", [300, 70_000])
def test_files_are_fairseqs_own_byte_for_byte(tmp_path, vocabulary):
    rng = np.random.default_rng(1)
    sentences = [rng.integers(4, vocabulary, size).tolist() for size in rng.integers(0, 50, 500)]
    prefix = str(tmp_path / "fairseq")
    builder = indexed_dataset.make_builder(prefix + ".bin", impl="mmap", vocab_size=vocabulary)
    for ids in sentences:
        builder.add_item(torch.tensor([*ids, END]))
    builder.finalize(prefix + ".idx")
    with binarised_text(tmp_path, "train", "de", "en", "de", vocabulary) as text:
        for start in range(0, 500, 170):
            text.add(sentences[start : start + 170])
    for suffix in ("bin", "idx"):
        assert (tmp_path / f"train.de-en.de.{suffix}").read_bytes() == (tmp_path / f"fairseq.{suffix}").read_bytes()
    counts = token_counts(tmp_path, "train", "de", "en", "de", vocabulary)
    expected = np.bincount(np.concatenate([[*ids, END] for ids in sentences]), minlength=vocabulary)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("longest", [200, 300])
def test_narrow_lengths_give_the_same_batches(longest):
    rng = np.random.default_rng(longest)
    lengths = rng.integers(1, longest, (2, 3000), dtype=np.int32)
    datasets = [
        LanguagePairDataset(lengths[0], lengths[0], Dictionary(), lengths[1], lengths[1], Dictionary())
        for _ in range(2)
    ]
    narrow_lengths(datasets[1])
    assert datasets[1].src_sizes.nbytes < datasets[0].src_sizes.nbytes
    plans = []
    for dataset in datasets:
        np.random.seed(1)
        indices, left_out = dataset.filter_indices_by_size(dataset.ordered_indices(), (longest - 5, longest - 5))
        assert left_out
        plans.append([batch.tolist() for batch in dataset.batch_by_size(indices, max_tokens=1000)])
    assert plans[0] == plans[1]
