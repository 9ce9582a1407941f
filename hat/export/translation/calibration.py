"""Calibration of static int8: the range of values that every matrix product of a model takes in."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from hat.deploy.building.products import OUTPUT_PRODUCT
from hat.elastic.layers import ElasticLinear
from hat.export.ranges import best_ranges

if TYPE_CHECKING:
    import numpy as np

    from hat.models.translation import Transformer


def calibrate(
    model: "Transformer", pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> dict[str, tuple[float, float]]:
    """{product name: (low, high)} of a standalone `hat.models.translation.Transformer`, low <= 0 <= high.

    pairs: sentences to run it on, (source ids, target ids) that end with </s>; the decoder is fed the target. Names
    are those of the weights without `.weight`, the output product's is OUTPUT_PRODUCT. Raises as `best_ranges` does.
    """
    return best_ranges(pairs, functools.partial(_observe, model))


def _observe(
    model: "Transformer",
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    observer: "Callable[[str, np.ndarray], None]",
) -> None:
    """Run `model` on each pair by itself and call observer(product name, numpy array of its input) for all products."""
    training, end = model.training, model.spec.end_of_sentence
    handles = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: observer(name, inputs[0].float().numpy()))
        for name, module in model.named_modules()
        if isinstance(module, ElasticLinear)
    ]
    model.eval()
    try:
        with torch.inference_mode():
            for source, target in pairs:
                encoded = model.encoder(torch.tensor([source]))
                features = model.decoder.features(torch.tensor([[end, *target[:-1]]]), encoded)
                observer(OUTPUT_PRODUCT, features.float().numpy())
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
