"""Puts heads and FFN neurons in the order of their importance, so that smaller networks use the first, best ones.

Heads: Michel et al. 2019, "Are sixteen heads really better than one?"; neurons: Hou et al. 2020, "DynaBERT".
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from hat.elastic.layers import ElasticLinear
    from hat.fairseq_plugin.classification_data import LabelledBatch


@dataclass(frozen=True)
class LayerImportance:
    """Of each head (heads,) and each FFN neuron (ffn_dim,) of one layer; comparable within the layer."""

    heads: torch.Tensor
    neurons: torch.Tensor


def measure_importance(
    model: Any, batches: Iterable[Any], loss_of: Callable[[Any, Any], Tensor]
) -> list[LayerImportance]:
    """[LayerImportance] of the active encoder layers: the mean over examples of |d loss / d mask|.

    A mask of 1 multiplies what a head or neuron puts out, so this is, to first order, how much the loss changes without
    it. `loss_of(model, batch)` is the loss summed over a batch's examples. Dropout is off; weights get no gradient.
    """
    layers, was_training = model.encoder.layers[: model.encoder.active.layers], model.training
    readers = [module for layer in layers for module in (layer.self_attn.out_proj, layer.fc2)]
    totals: Any
    inputs, totals, examples = {}, [0.0] * len(readers), 0
    hooks = [
        reader.register_forward_pre_hook(lambda reader, args: inputs.update({reader: args[0]})) for reader in readers
    ]
    model.eval()
    try:
        for batch in batches:
            loss = loss_of(model, batch)
            read = [inputs[reader] for reader in readers]
            products = [x * slope for x, slope in zip(read, torch.autograd.grad(loss, read), strict=True)]
            for index, layer in enumerate(layers):
                products[2 * index] = products[2 * index].unflatten(-1, (layer.self_attn.heads, -1)).sum(dim=-1)
            examples += len(products[0])
            masks = [product.detach().sum(dim=1).abs().sum(dim=0) for product in products]  # over time, then examples
            totals = [total + mask for total, mask in zip(totals, masks, strict=True)]
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    means = [total / examples for total in totals]
    return [LayerImportance(*pair) for pair in zip(means[::2], means[1::2], strict=True)]


def label_loss(model: Any, batch: "LabelledBatch") -> Tensor:
    """Cross entropy of a LabelledBatch's labels, summed over its texts, in nats."""
    return functional.cross_entropy(model(batch.tokens, batch.segments), batch.target, reduction="sum")


@torch.no_grad()
def reordered(model: Any, importance: Sequence[LayerImportance]) -> Any:
    """A copy of `model` that computes the same, each layer's most important heads and neurons first.

    Heads stay where they are if they split a fixed qkv_dim: then fewer heads do not leave any out.
    """
    model = copy.deepcopy(model)
    for layer, found in zip(model.encoder.layers, importance, strict=True):
        attention = layer.self_attn
        if attention.head_dim is not None:
            heads = found.heads.argsort(descending=True, stable=True)
            _permute(attention.qkv_proj, attention.out_proj, heads, 3 * attention.head_dim, attention.head_dim)
        _permute(layer.fc1, layer.fc2, found.neurons.argsort(descending=True, stable=True), 1, 1)
    return model


def _permute(
    producer: "ElasticLinear", consumer: "ElasticLinear", order: Tensor, rows_each: int, columns_each: int
) -> None:
    """Put the rows of `producer`, and the columns of `consumer` that read them, into `order`."""
    rows, columns = (_spread(order, width) for width in (rows_each, columns_each))
    producer.weight.copy_(producer.weight[rows])
    producer.bias.copy_(producer.bias[rows])
    consumer.weight.copy_(consumer.weight[:, columns])


def _spread(order: Tensor, width: int) -> Tensor:
    """Indices of `width` neighbours for each entry: (n,) -> (n * width,)"""
    return (order[:, None] * width + torch.arange(width, device=order.device)).flatten()
