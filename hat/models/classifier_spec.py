"""What, beside its Architecture, fixes a classifier's weights and computation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassifierSpec:
    """An encoder-only classifier: embeddings, encoder layers, a pooler on the first token's state, labels."""

    vocabulary: int  # tokens
    labels: tuple[str, ...]  # names, in the order of the logits
    position_dim: int  # the SuperTransformer's full embed_dim: sinusoidal positions and dropout are scaled by it
    positions: str  # "learned" or "sinusoidal"
    max_positions: int  # longest sequence in tokens
    first: int  # id of the token before the text: [CLS] or <s>
    separator: int  # id of the token after each text: [SEP] or </s>
    segments: int = 0  # rows of the segment embeddings; 0: there are none
    normalize_embedding: bool = False  # a layer norm after the embeddings are summed, as in BERT
    normalize_before: bool = False  # layers are pre-norm and a last norm follows them
    activation: str = "relu"  # of the FFN: "relu" or "gelu" (exact, by erf)
    pooler_activation: str = "tanh"  # "tanh" or "relu"
    layer_norm_epsilon: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    padding: int = 1  # id of the padding token
