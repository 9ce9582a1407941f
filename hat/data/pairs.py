"""Sentence pairs of a prepared split, as lists of token ids."""

import numpy as np


def sample_pairs(prepared, split, count, seed):
    """At most `count` pairs (source ids, target ids) of a split, chosen by `seed`, all ending with </s>.

    Raises ArtifactError if the split is missing.
    """
    from hat.fairseq_plugin.datasets import load_split

    dataset = load_split(prepared, split)
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:count]
    return [(dataset.src[index].tolist(), dataset.tgt[index].tolist()) for index in chosen]
