"""How BERT, RoBERTa and DistilBERT name their sizes and weights in Hugging Face's layout."""

from dataclasses import dataclass
from typing import Any, Literal

_PARTS = ("weight", "bias")


@dataclass(frozen=True)
class PretrainedKind:
    """One `model_type`: keys of config.json, and names of layers in model.safetensors without the model's prefix."""

    prefix: str  # may stand before every name but the head's
    embed_dim: str
    layers: str
    heads: str
    ffn_dim: str
    activation: str
    dropout: str
    attention_dropout: str
    padding: int  # the token's id where config.json names none
    layer: str  # what stands before a layer's number
    query_key_value: tuple[str, str, str]
    in_layer: dict[str, str]  # our name -> theirs
    pooler: str
    classifier: str
    pooler_activation: Literal["tanh", "relu"] = "tanh"
    layer_norm_epsilon: float | None = None  # None: config.json says it
    segments: str | None = None  # None: there are none
    counts_from_padding: bool = False  # the first token's position is the row after that of the padding token's id

    def skipped_positions(self, padding: int) -> int:
        """How many rows of the position embeddings stand before the first token's."""
        return padding + 1 if self.counts_from_padding else 0

    def names(self, layers: int) -> dict[str, str]:
        """Our name -> theirs of all weights that are taken over as they are, head and pooler apart."""
        names = {"encoder.embed_tokens.weight": "embeddings.word_embeddings.weight"}
        names["encoder.embed_positions.weight"] = "embeddings.position_embeddings.weight"
        if self.segments:
            names["encoder.embed_segments.weight"] = "embeddings.token_type_embeddings.weight"
        names |= _of_layer("encoder.embedding_layer_norm", "embeddings.LayerNorm")
        for layer in range(layers):
            for ours, theirs in self.in_layer.items():
                names |= _of_layer(f"encoder.layers.{layer}.{ours}", f"{self.layer}.{layer}.{theirs}")
        return names

    def fused(self, layers: int) -> dict[str, list[str]]:
        """Our name -> theirs (query, key, value) of the weights that one projection holds together."""
        return {
            f"encoder.layers.{layer}.self_attn.qkv_proj.{part}": [
                f"{self.layer}.{layer}.{name}.{part}" for name in self.query_key_value
            ]
            for layer in range(layers)
            for part in _PARTS
        }


def _of_layer(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in _PARTS}


_BERT: dict[str, Any] = {
    "embed_dim": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "ffn_dim": "intermediate_size",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "segments": "type_vocab_size",
    "layer": "encoder.layer",
    "query_key_value": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "in_layer": {
        "self_attn.out_proj": "attention.output.dense",
        "self_attn_layer_norm": "attention.output.LayerNorm",
        "fc1": "intermediate.dense",
        "fc2": "output.dense",
        "final_layer_norm": "output.LayerNorm",
    },
}
KINDS = {
    "bert": PretrainedKind(
        **_BERT,
        prefix="bert.",
        padding=0,
        pooler="pooler.dense",
        classifier="classifier",
    ),
    "roberta": PretrainedKind(
        **_BERT,
        prefix="roberta.",
        padding=1,
        pooler="classifier.dense",  # `pooler.dense` isn't what RoBERTa's own classifiers use
        classifier="classifier.out_proj",
        counts_from_padding=True,
    ),
    "distilbert": PretrainedKind(
        prefix="distilbert.",
        embed_dim="dim",
        layers="n_layers",
        heads="n_heads",
        ffn_dim="hidden_dim",
        activation="activation",
        dropout="dropout",
        attention_dropout="attention_dropout",
        padding=0,
        layer="transformer.layer",
        query_key_value=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        in_layer={
            "self_attn.out_proj": "attention.out_lin",
            "self_attn_layer_norm": "sa_layer_norm",
            "fc1": "ffn.lin1",
            "fc2": "ffn.lin2",
            "final_layer_norm": "output_layer_norm",
        },
        pooler="pre_classifier",
        classifier="classifier",
        pooler_activation="relu",
        layer_norm_epsilon=1e-12,
    ),
}
