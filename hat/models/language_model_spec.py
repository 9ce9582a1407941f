"""What, beside its Architecture, fixes a language model's weights and computation."""

import itertools
from dataclasses import dataclass
from typing import ClassVar, Literal

from hat.architecture.complexity import Shapes, ffn_shapes, linear_shapes, norm_shapes
from hat.architecture.stacks import Architecture, DecoderArchitecture
from hat.config import left_out
from hat.errors import UsageError


@dataclass(frozen=True)
class LanguageModelSpec:
    """A decoder alone, pre-norm, over adaptive tables; see hat.elastic.adaptive and hat.elastic.windowed_attention.

    Words are numbered by falling frequency. `cutoffs` part them into bins whose tables have `bin_dims` columns, unless
    an Architecture says how many; the first of these is the width of the states, whatever is said here.
    """

    vocabulary: int  # words, the end of a line and the unknown word among them
    full_embed_dim: int  # the SuperTransformer's: dropout is scaled by embed_dim over it
    cutoffs: tuple[int, ...] = ()
    bin_dims: tuple[int, ...] = ()
    activation: Literal["relu", "gelu"] = "relu"
    dropout: float = 0.0
    embedding_dropout: float = 0.0
    output_dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    end_of_line: int = 0  # id of the word that ends a line, and stands before a text
    unknown: int = 1  # id of the word for all that are none
    cache: int = left_out(0)  # last states that a neural cache looks at; 0: there is none. See hat.elastic.cache
    bits: int | None = left_out(None)  # of the weights and of what they are multiplied by; None: floating point
    bounds: tuple[float, ...] = left_out(())  # with `bits`: of each hat.elastic.state_rounding.StateRounding

    task: ClassVar[str] = "language_modeling"
    layer_norm_epsilon: ClassVar[float] = 1e-5
    normalize_before: ClassVar[bool] = True

    def bin_sizes(self) -> list[int]:
        """Words of each bin."""
        return [end - start for start, end in itertools.pairwise((0, *self.cutoffs, self.vocabulary))]

    def bin_widths(self, decoder: DecoderArchitecture) -> list[int]:
        """Columns of each bin's table; raises UsageError if the decoder's `bin_dims` are of another number of bins."""
        later = decoder.bin_dims or self.bin_dims[1:]
        if len(later) != len(self.cutoffs):
            raise UsageError(
                f"decoder.bin_dims: {len(later)} values, but {len(self.cutoffs)} bins after the first (model.cutoffs); "
                "give one for each of them"
            )
        return [decoder.embed_dim, *later]

    def parameter_shapes(self, architecture: Architecture) -> Shapes:
        """Name -> shape of every weight, in the order of the state dict; see `hat.architecture.complexity`."""
        dim = architecture.decoder.embed_dim
        sizes, widths = self.bin_sizes(), self.bin_widths(architecture.decoder)
        later = list(enumerate(widths[1:]))
        shapes: Shapes = {
            f"embedding.tables.{index}.weight": shape for index, shape in enumerate(zip(sizes, widths, strict=True))
        }
        shapes |= {f"embedding.projections.{index}.weight": (dim, width) for index, width in later}
        for layer in range(architecture.decoder.layers):
            shapes |= _attention_shapes(architecture, layer) | ffn_shapes("decoder", layer, architecture)
        shapes |= norm_shapes("decoder.layer_norm", dim)
        shapes |= {f"output.biases.{index}": (size,) for index, size in enumerate(sizes)}
        shapes |= {f"output.projections.{index}.weight": (width, dim) for index, width in later}
        shapes |= linear_shapes("output.classes", dim, len(later)) if later else {}
        return shapes | ({"cache.raw_theta": (1,), "cache.raw_share": (1,)} if self.cache else {})

    def multiply_adds(self, architecture: Architecture, length: int, steps: int = 0) -> int:
        """Of reading `length` words and writing `steps` more, each of which attends to all that its context holds.

        The tables and their projections, as those of other tasks, are left out; see
        `hat.architecture.complexity.count_flops`.
        """
        decoder, words = architecture.decoder, length + steps
        dim, multiply_adds = decoder.embed_dim, 2 * words * decoder.embed_dim  # the embedding's scale, the last norm
        per_layer = zip(decoder.ffn_dim, decoder.self_attention_heads, decoder.head_dim, decoder.context, strict=True)
        for ffn_dim, heads, head_dim, context in per_layer:
            width = heads * head_dim
            seen = sum(min(position + 1, context) for position in range(words))
            multiply_adds += words * (4 * dim * width + 2 * dim * ffn_dim + width + 2 * dim)
            multiply_adds += 3 * seen * width  # keys, positions, values
        return multiply_adds


def _attention_shapes(architecture: Architecture, layer: int) -> Shapes:
    decoder, prefix = architecture.decoder, f"decoder.layers.{layer}"
    dim, heads = decoder.embed_dim, decoder.self_attention_heads[layer]
    head_dim, context = decoder.head_dim[layer], decoder.context[layer]
    shapes: Shapes = {
        f"{prefix}.self_attn.qkv_weight": (heads, 3, head_dim, dim),
        f"{prefix}.self_attn.qkv_bias": (heads, 3, head_dim),
        f"{prefix}.self_attn.out_weight": (dim, heads, head_dim),
        f"{prefix}.self_attn.positions": (context, head_dim),
    }
    return shapes | norm_shapes(f"{prefix}.self_attn_layer_norm", dim)
