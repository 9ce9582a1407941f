"""What a latency predictor sees of an architecture: named columns of numbers."""

from dataclasses import dataclass

import numpy as np

from hat.search_space import SearchSpace

# HAT's published samples describe an architecture by these columns, per-layer choices averaged over active layers.
AVERAGED = {
    "encoder_embed_dim": ("encoder", "embed_dim"),
    "encoder_layer_num": ("encoder", "layers"),
    "encoder_ffn_embed_dim_avg": ("encoder", "ffn_dim"),
    "encoder_self_attention_heads_avg": ("encoder", "self_attention_heads"),
    "decoder_embed_dim": ("decoder", "embed_dim"),
    "decoder_layer_num": ("decoder", "layers"),
    "decoder_ffn_embed_dim_avg": ("decoder", "ffn_dim"),
    "decoder_self_attention_heads_avg": ("decoder", "self_attention_heads"),
    "decoder_ende_attention_heads_avg": ("decoder", "cross_attention_heads"),
    "decoder_arbitrary_ende_attn_avg": ("decoder", "cross_attention_span"),
}


@dataclass(frozen=True)
class AveragedFeatures:
    """HAT's 10 columns (`AVERAGED`). They say nothing of a space, so any architecture is accepted."""

    depth_names = ("encoder_layer_num", "decoder_layer_num")

    @property
    def names(self):
        return tuple(AVERAGED)

    def matrix(self, architectures):
        """Features of each architecture, float64 (architectures, 10)."""
        rows = [[getattr(getattr(item, stack), field) for stack, field in AVERAGED.values()] for item in architectures]
        return np.array([[np.mean(value) for value in row] for row in rows], dtype=np.float64)


@dataclass(frozen=True)
class PerLayerFeatures:
    """One column per gene of a search space, zero for inactive layers, then sums over each stack's layers.

    The genes tell every two architectures apart; the sums are what time is roughly linear in.
    """

    space: SearchSpace

    depth_names = ("encoder.layers", "decoder.layers")

    @property
    def names(self):
        return tuple(gene.name for gene in self.space.genes) + tuple(_sums(self.space.smallest()))

    def matrix(self, architectures):
        """Features of each architecture, float64 (architectures, features).

        Raises UsageError naming the value that isn't a choice of the space.
        """
        return np.array([self._row(architecture) for architecture in architectures], dtype=np.float64)

    def _row(self, architecture):
        self.space.encode(architecture)  # raises if it is outside of the space
        genes = [_gene_value(architecture, gene.name) for gene in self.space.genes]
        return genes + list(_sums(architecture).values())


def _gene_value(architecture, name):
    """The value of a gene such as 'encoder.layers' or 'decoder.ffn_dim.3'; 0 if that layer is inactive."""
    stack, field, *layer = name.split(".")
    value = getattr(getattr(architecture, stack), field)
    if not layer:
        return value
    return value[int(layer[0])] if int(layer[0]) < len(value) else 0


def _sums(architecture):
    """Sums over layers: of every per-layer choice, and of the weights of the attentions and feed-forward nets."""
    sums = {}
    for name in ("encoder", "decoder"):
        stack = getattr(architecture, name)
        per_layer = {field: value for field, value in vars(stack).items() if isinstance(value, tuple)}
        sums |= {f"{name}.{field}.sum": sum(values) for field, values in per_layer.items()}
        sums[f"{name}.embed_dim*layers"] = stack.embed_dim * stack.layers
        sums[f"{name}.embed_dim*ffn_dim.sum"] = stack.embed_dim * sum(stack.ffn_dim)
    spans = sum(architecture.decoder.cross_attention_span)
    sums["encoder.embed_dim*decoder.cross_attention_span.sum"] = architecture.encoder.embed_dim * spans
    return sums
