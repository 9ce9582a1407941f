"""What, beside its Architecture, fixes a classifier's weights and computation."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from hat.architecture.complexity import Shapes, encoder_layer_shapes, layers_multiply_adds, linear_shapes, norm_shapes
from hat.architecture.stacks import Architecture


@dataclass(frozen=True)
class ClassifierSpec:
    """An encoder-only classifier: embeddings, encoder layers, a pooler on the first token's state, labels."""

    vocabulary: int  # tokens
    labels: tuple[str, ...]  # names, in the order of the logits
    position_dim: int  # the SuperTransformer's full embed_dim: sinusoidal positions and dropout are scaled by it
    positions: Literal["learned", "sinusoidal"]
    max_positions: int  # longest sequence in tokens
    first: int  # id of the token before the text: [CLS] or <s>
    separator: int  # id of the token after each text: [SEP] or </s>
    segments: int = 0  # rows of the segment embeddings; 0: there are none
    normalize_embedding: bool = False  # a layer norm after the embeddings are summed, as in BERT
    normalize_before: bool = False  # layers are pre-norm and a last norm follows them
    activation: Literal["relu", "gelu"] = "relu"  # of the FFN; gelu is exact (by erf)
    pooler_activation: Literal["tanh", "relu"] = "tanh"
    layer_norm_epsilon: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    padding: int = 1  # id of the padding token

    task: ClassVar[str] = "classification"

    def parameter_shapes(self, architecture: Architecture) -> Shapes:
        """Name -> shape of every weight, in the order of the state dict; see `hat.architecture.complexity`."""
        dim = architecture.encoder.embed_dim
        shapes: Shapes = {"encoder.embed_tokens.weight": (self.vocabulary, dim)}
        if self.positions == "learned":
            shapes["encoder.embed_positions.weight"] = (self.max_positions, dim)
        if self.segments:
            shapes["encoder.embed_segments.weight"] = (self.segments, dim)
        if self.normalize_embedding:
            shapes |= norm_shapes("encoder.embedding_layer_norm", dim)
        shapes |= encoder_layer_shapes(architecture)
        if self.normalize_before:
            shapes |= norm_shapes("encoder.layer_norm", dim)
        return shapes | linear_shapes("pooler", dim, dim) | linear_shapes("classifier", dim, len(self.labels))

    def multiply_adds(self, architecture: Architecture, length: int, steps: int = 0) -> int:
        """Of classifying one text; see `hat.architecture.complexity.count_flops`. No `steps` are decoded.

        The pooler sees one token; `classifier` is the output layer.
        """
        dim = architecture.encoder.embed_dim
        passes_over_all = [self.positions == "sinusoidal", self.normalize_embedding, self.normalize_before]
        around = sum(passes_over_all) * length * dim + dim * dim
        return layers_multiply_adds(architecture, "encoder", length) + around
