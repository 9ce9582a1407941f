"""SearchSpace: the choices of every elastic dimension, declared once; sample, size, encode."""

import math
from dataclasses import dataclass
from functools import cached_property

from hat.architecture import Architecture, DecoderArchitecture, EncoderArchitecture, check_heads
from hat.config import to_mapping
from hat.errors import UsageError


@dataclass(frozen=True)
class Gene:
    """One position of a genome: the name of the dimension (and layer) and its choices, ascending."""

    name: str
    choices: tuple[int, ...]


@dataclass(frozen=True)
class EncoderSpace:
    """Choices of the encoder; per-layer choices hold for every layer."""

    embed_dim: tuple[int, ...]
    layers: tuple[int, ...]
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]


@dataclass(frozen=True)
class DecoderSpace:
    """Choices of the decoder; `cross_attention_span` counts the last encoder layers attended to."""

    embed_dim: tuple[int, ...]
    layers: tuple[int, ...]
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]
    cross_attention_heads: tuple[int, ...]
    cross_attention_span: tuple[int, ...]


@dataclass(frozen=True)
class SearchSpace:
    """All SubTransformers of one SuperTransformer.

    A genome is a tuple of choice indices, one per `Gene` of `genes`, with genes for every layer of the
    deepest network; `decode` leaves out the genes of inactive layers, so several genomes can mean one
    architecture.
    """

    qkv_dim: int
    encoder: EncoderSpace
    decoder: DecoderSpace

    def __post_init__(self):
        for name in ("encoder", "decoder"):
            stack = getattr(self, name)
            ascending = {field: tuple(sorted(set(choices))) for field, choices in vars(stack).items()}
            for field, choices in ascending.items():
                where = f"search_space.{name}.{field}"
                if not choices or choices[0] < 1:
                    raise UsageError(f"{where}: give at least one choice, all positive, got {list(choices)}")
                if field.endswith("heads"):
                    check_heads(where, choices, self.qkv_dim)
            object.__setattr__(self, name, type(stack)(**ascending))
        spans, depths = self.decoder.cross_attention_span, self.encoder.layers
        if spans[-1] > depths[-1] or spans[0] > depths[0]:
            wrong, depth = (spans[-1], depths[-1]) if spans[-1] > depths[-1] else (spans[0], depths[0])
            raise UsageError(
                f"search_space.decoder.cross_attention_span: {wrong} is above the encoder depth {depth}; "
                f"use at most {depth}"
            )

    @cached_property
    def genes(self):
        """The genome's positions in order: per stack embed_dim, layers, then each per-layer choice."""
        genes = []
        for name in ("encoder", "decoder"):
            stack = getattr(self, name)
            genes += [Gene(f"{name}.embed_dim", stack.embed_dim), Gene(f"{name}.layers", stack.layers)]
            for field, choices in self._per_layer(stack):
                genes += [Gene(f"{name}.{field}.{layer}", choices) for layer in range(stack.layers[-1])]
        return tuple(genes)

    @staticmethod
    def _per_layer(stack):
        return [(field, choices) for field, choices in vars(stack).items() if field not in ("embed_dim", "layers")]

    def decode(self, genome):
        """The Architecture that a genome means; spans above its encoder's depth become the deepest allowed."""
        genes = self.genes
        values = {gene.name: gene.choices[index] for gene, index in zip(genes, genome, strict=True)}
        stacks = {}
        for name, cls in (("encoder", EncoderArchitecture), ("decoder", DecoderArchitecture)):
            layers = values[f"{name}.layers"]
            per_layer = {
                field: tuple(values[f"{name}.{field}.{layer}"] for layer in range(layers))
                for field, _ in self._per_layer(getattr(self, name))
            }
            if name == "decoder":
                allowed = self._allowed_spans(values["encoder.layers"])
                spans = per_layer["cross_attention_span"]
                per_layer["cross_attention_span"] = tuple(min(span, allowed[-1]) for span in spans)
            stacks[name] = cls(embed_dim=values[f"{name}.embed_dim"], **per_layer)
        return Architecture(qkv_dim=self.qkv_dim, **stacks)

    def _allowed_spans(self, encoder_layers):
        return tuple(span for span in self.decoder.cross_attention_span if span <= encoder_layers)

    def encode(self, architecture):
        """A genome that decodes to `architecture`; genes of inactive layers take their first choice.

        Raises UsageError naming the value that isn't a choice of this space.
        """
        if architecture.qkv_dim != self.qkv_dim:
            raise UsageError(f"architecture: qkv_dim {architecture.qkv_dim} differs from the space's {self.qkv_dim}")
        genome = []
        for gene in self.genes:
            stack_name, field, *layer = gene.name.split(".")
            value = getattr(getattr(architecture, stack_name), field)
            if layer:
                value = value[int(layer[0])] if int(layer[0]) < len(value) else gene.choices[0]
            if value not in gene.choices:
                raise UsageError(f"architecture: {gene.name} = {value} is not one of {list(gene.choices)}")
            genome.append(gene.choices.index(value))
        return tuple(genome)

    def __contains__(self, architecture):
        try:
            self.encode(architecture)
        except UsageError:
            return False
        return True

    def sample(self, rng):
        """A random architecture: every dimension uniform over its choices, `rng` a numpy Generator."""
        genes = self.genes
        genome = [int(rng.integers(len(gene.choices))) for gene in genes]
        depth = self.encoder.layers[genome[1]]
        for position, gene in enumerate(genes):
            if "cross_attention_span" in gene.name:
                genome[position] = int(rng.integers(len(self._allowed_spans(depth))))
        return self.decode(genome)

    def smallest(self):
        """The architecture with every dimension at its smallest choice."""
        return self.decode([0] * len(self.genes))

    def largest(self):
        """The architecture with every dimension at its largest choice."""
        return self.decode([len(gene.choices) - 1 for gene in self.genes])

    def full_transformer(self):
        """The ordinary full-size Transformer: everything largest, attention to the fewest encoder layers."""
        return self.decode([0 if "cross_attention_span" in gene.name else len(gene.choices) - 1 for gene in self.genes])

    def size(self):
        """How many distinct architectures the space holds."""
        encoder, decoder = self.encoder, self.decoder
        encoder_choices = len(encoder.ffn_dim) * len(encoder.self_attention_heads)
        decoder_choices = len(decoder.ffn_dim) * len(decoder.self_attention_heads) * len(decoder.cross_attention_heads)
        pairs = sum(
            encoder_choices**depth * (decoder_choices * len(self._allowed_spans(depth))) ** decoder_depth
            for depth in encoder.layers
            for decoder_depth in decoder.layers
        )
        return math.prod((len(encoder.embed_dim), len(decoder.embed_dim), pairs))

    def to_dict(self):
        """Plain dictionary for YAML and JSON."""
        return to_mapping(self)
