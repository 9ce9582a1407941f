"""SearchSpace: the choices of every elastic dimension, declared once; sample, size, encode."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hat.architecture.stacks import (
    Architecture,
    DecoderArchitecture,
    EncoderArchitecture,
    bins_of,
    check_bins,
    check_head_width,
    check_heads,
    per_layer_fields,
    stacks_of,
)
from hat.config import left_out, to_mapping
from hat.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

# Dimensions (stack, field) whose value may not exceed the depth of a stack. The ordinary Transformer has their least.
DEPTH_LIMITS = {("decoder", "cross_attention_span"): "encoder"}


@dataclass(frozen=True)
class Gene:
    """One position of a genome: its dimension, its choices ascending.

    Where the dimension has several values, also whose this one is: a layer's, or that of a bin of words after the
    first, counted from 0.
    """

    stack: str
    field: str
    choices: tuple[int, ...]
    layer: int | None = None
    bin: int | None = None

    @property
    def place(self) -> int | None:
        """Where its value stands among those of the dimension; None if that has one alone."""
        return self.bin if self.layer is None else self.layer

    @property
    def name(self) -> str:
        """'encoder.embed_dim', 'decoder.ffn_dim.0'."""
        return f"{self.stack}.{self.field}" if self.place is None else f"{self.stack}.{self.field}.{self.place}"

    @property
    def limit(self) -> str | None:
        """Name of the stack whose depth its value may not exceed, or None."""
        return DEPTH_LIMITS.get((self.stack, self.field))

    def value_in(self, architecture: Architecture) -> int | None:
        """What an Architecture of the same stacks has there; None if it has no such layer."""
        values = getattr(getattr(architecture, self.stack), self.field)
        if self.place is None:
            return values
        return values[self.place] if self.place < len(values) else None


@dataclass(frozen=True)
class EncoderSpace:
    """Choices of the encoder; per-layer choices hold for every layer."""

    embed_dim: tuple[int, ...]
    layers: tuple[int, ...]
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]


@dataclass(frozen=True)
class DecoderSpace:
    """Choices of the decoder; `cross_attention_span` counts the last encoder layers attended to.

    Both `cross_attention_` fields are empty where there is no encoder; `head_dim` and `context` are a language
    model's, see DecoderArchitecture, and so is `bin_dims`: choices for each bin of words after the first, or none at
    all, where the tables have the widths of the model's spec in every SubTransformer.
    """

    embed_dim: tuple[int, ...]
    layers: tuple[int, ...]
    ffn_dim: tuple[int, ...]
    self_attention_heads: tuple[int, ...]
    cross_attention_heads: tuple[int, ...] = left_out(())
    cross_attention_span: tuple[int, ...] = left_out(())
    head_dim: tuple[int, ...] = left_out(())
    context: tuple[int, ...] = left_out(())
    bin_dims: tuple[tuple[int, ...], ...] = left_out(())


ARCHITECTURES = {"encoder": EncoderArchitecture, "decoder": DecoderArchitecture}  # what a stack's choices make


@dataclass(frozen=True)
class SearchSpace:
    """All SubTransformers of one SuperTransformer: of an encoder, a decoder, or both.

    `qkv_dim` or `head_dim` is fixed, as in Architecture: with the latter, fewer heads are fewer weights.
    A genome is a tuple of choice indices, one per `Gene` of `genes`, with genes for every layer of the
    deepest network; `decode` leaves out the genes of inactive layers, so several genomes can mean one
    architecture.
    """

    qkv_dim: int | None = left_out(None)
    encoder: EncoderSpace | None = left_out(None)
    decoder: DecoderSpace | None = left_out(None)
    head_dim: int | None = left_out(None)

    def __post_init__(self) -> None:
        stacks = stacks_of(self)
        check_head_width(self, "search_space")
        for name, stack in stacks.items():
            ascending = {field: _ascending(choices) for field, choices in vars(stack).items()}
            object.__setattr__(self, name, type(stack)(**ascending))
            checked = {field: ascending[field] for field in ("embed_dim", "layers")} | per_layer_fields(self, name)
            checked |= {f"bin_dims.{index}": choices for index, choices in enumerate(ascending.get("bin_dims", ()))}
            for field, choices in checked.items():
                where = f"search_space.{name}.{field}"
                if not choices or choices[0] < 1:
                    raise UsageError(f"{where}: give at least one choice, all positive, got {list(choices)}")
                if field.endswith("heads"):
                    check_heads(where, choices, self.qkv_dim)
        self._check_bins("search_space.decoder.bin_dims")
        self._check_limits()

    def _check_bins(self, where: str) -> None:
        check_bins(self, where)
        largest = [choices[-1] for choices in bins_of(self)]
        if largest and largest[0] > self.decoder.embed_dim[-1]:
            widest = self.decoder.embed_dim[-1]
            raise UsageError(f"{where}: {largest[0]} is above the largest embed_dim, {widest}; use at most {widest}")
        for before, after in itertools.pairwise(largest):
            if after > before:
                raise UsageError(f"{where}: {after} is above the {before} of likelier words; use at most {before}")

    def _check_limits(self) -> None:
        for gene in self.genes:
            if gene.limit is None:
                continue
            depths = getattr(self, gene.limit).layers
            for value, depth in ((gene.choices[-1], depths[-1]), (gene.choices[0], depths[0])):
                if value > depth:
                    raise UsageError(
                        f"search_space.{gene.stack}.{gene.field}: {value} is above the {gene.limit} depth {depth}; "
                        f"use at most {depth}"
                    )

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """The genome's positions in order: per stack embed_dim, layers, bins, then each per-layer choice."""
        genes: list[Gene] = []
        for name, stack in stacks_of(self).items():
            genes += [Gene(name, "embed_dim", stack.embed_dim), Gene(name, "layers", stack.layers)]
            bins = enumerate(getattr(stack, "bin_dims", ()))
            genes += [Gene(name, "bin_dims", choices, bin=index) for index, choices in bins]
            for field, choices in per_layer_fields(self, name).items():
                genes += [Gene(name, field, choices, layer) for layer in range(stack.layers[-1])]
        return tuple(genes)

    def decode(self, genome: Sequence[int]) -> Architecture:
        """The Architecture that a genome means; a value above its limit becomes the largest choice within it."""
        values: dict[tuple[str, str], int] = {}
        listed: dict[str, dict[str, list[int]]] = {}
        for gene, index in zip(self.genes, genome, strict=True):
            value = gene.choices[index]
            if gene.limit is not None:
                value = min(value, _within(gene.choices, values[gene.limit, "layers"])[-1])
            if gene.place is None:
                values[gene.stack, gene.field] = value
            elif gene.layer is None or gene.layer < values[gene.stack, "layers"]:
                listed.setdefault(gene.stack, {}).setdefault(gene.field, []).append(value)
        stacks = {
            name: ARCHITECTURES[name](values[name, "embed_dim"], **{field: tuple(of) for field, of in fields.items()})
            for name, fields in listed.items()
        }
        return Architecture(self.qkv_dim, **stacks, head_dim=self.head_dim)

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """A genome that decodes to `architecture`; genes of inactive layers take their first choice.

        Raises UsageError naming the stack or the value that isn't a choice of this space.
        """
        self._check_kind(architecture)
        complete, genome = self.completed(architecture), []
        for gene in self.genes:
            value = gene.value_in(complete)
            if value is None:
                value = gene.choices[0]
            if value not in gene.choices:
                raise UsageError(f"architecture: {gene.name} = {value} is not one of {list(gene.choices)}")
            genome.append(gene.choices.index(value))
        return tuple(genome)

    def completed(self, architecture: Architecture) -> Architecture:
        """`architecture`, or the one that it means here if it says nothing of its bins: theirs are the largest."""
        if not bins_of(self) or architecture.decoder is None or architecture.decoder.bin_dims:
            return architecture
        largest = tuple(choices[-1] for choices in bins_of(self))
        return replace(architecture, decoder=replace(architecture.decoder, bin_dims=largest))

    def _check_kind(self, architecture: Architecture) -> None:
        for field in ("qkv_dim", "head_dim"):
            ours, theirs = getattr(self, field), getattr(architecture, field)
            if theirs != ours:
                raise UsageError(f"architecture: {field} {theirs} differs from the space's {ours}")
        if stacks_of(architecture).keys() != stacks_of(self).keys():
            ours, theirs = (" and ".join(stacks_of(item)) for item in (self, architecture))
            raise UsageError(f"architecture: it has {theirs} where the space has {ours}")
        ours, theirs = (len(bins_of(item)) for item in (self, architecture))
        if theirs not in (0, ours):
            raise UsageError(f"architecture: decoder.bin_dims has {theirs} values, the space choices for {ours}")

    def check_within(self, architecture: Architecture) -> None:
        """Raise UsageError naming a choice above what `architecture`, a network to begin from, has in that place."""
        self._check_kind(architecture)
        for gene in self.genes:
            own = gene.value_in(architecture)
            if own is not None and gene.choices[-1] > own:
                raise UsageError(
                    f"search_space.{gene.stack}.{gene.field}: {gene.choices[-1]} is above the {own} of the network to "
                    f"begin from; use at most {own}"
                )

    def __contains__(self, architecture: Architecture) -> bool:
        try:
            self.encode(architecture)
        except UsageError:
            return False
        return True

    def sample(self, rng: "np.random.Generator") -> Architecture:
        """A random architecture: every dimension uniform over its choices, `rng` a numpy Generator."""
        genome = [int(rng.integers(len(gene.choices))) for gene in self.genes]
        drawn = zip(self.genes, genome, strict=True)
        depths = {gene.stack: gene.choices[index] for gene, index in drawn if gene.field == "layers"}
        for position, gene in enumerate(self.genes):
            if gene.limit is not None:
                genome[position] = int(rng.integers(len(_within(gene.choices, depths[gene.limit]))))
        return self.decode(genome)

    def smallest(self) -> Architecture:
        """The architecture with every dimension at its smallest choice."""
        return self.decode([0] * len(self.genes))

    def largest(self) -> Architecture:
        """The architecture with every dimension at its largest choice."""
        return self.decode([len(gene.choices) - 1 for gene in self.genes])

    def full_transformer(self) -> Architecture:
        """The ordinary full-size Transformer: everything largest, attention to the fewest encoder layers."""
        return self.decode([0 if gene.limit is not None else len(gene.choices) - 1 for gene in self.genes])

    def size(self) -> int:
        """How many distinct architectures the space holds."""
        stacks = stacks_of(self)
        widths = math.prod(len(stack.embed_dim) for stack in stacks.values()) * math.prod(map(len, bins_of(self)))
        count = 0
        for chosen in itertools.product(*(stack.layers for stack in stacks.values())):
            depths = dict(zip(stacks, chosen, strict=True))
            count += math.prod(self._layer_choices(name, depths) ** depths[name] for name in stacks)
        return widths * count

    def _layer_choices(self, name: str, depths: dict[str, int]) -> int:
        """How many different layers the stack `name` can have, given the depth of every stack."""
        counts = []
        for field, choices in per_layer_fields(self, name).items():
            limit = DEPTH_LIMITS.get((name, field))
            counts.append(len(choices if limit is None else _within(choices, depths[limit])))
        return math.prod(counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for YAML and JSON."""
        return to_mapping(self)


def _ascending(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    """Each choice once; of bins, those of each, the bins in their own order."""
    if choices and isinstance(choices[0], tuple):
        return tuple(map(_ascending, choices))
    return tuple(sorted(set(choices)))


def _within(choices: Iterable[int], depth: int) -> list[int]:
    return [choice for choice in choices if choice <= depth]
