"""AccountedNetwork: all that the accounting of a language model depends on; shapes and densities, no weights."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from hat.config import Between, from_mapping, read_yaml_mapping
from hat.errors import UsageError

Count = Annotated[int, Between(1)]
Density = Annotated[float, Between(0, 1)]


@dataclass(frozen=True)
class Densities:
    """The share of weights that aren't zero, of each layer's matrices and of each bin's tables; none given: all.

    Of the bins' projections the first belongs to the second bin: the first has none. Vectors added in the layers are
    never pruned.
    """

    qkv: tuple[Density, ...] = ()
    attention_output: tuple[Density, ...] = ()
    fc1: tuple[Density, ...] = ()
    fc2: tuple[Density, ...] = ()
    embedding: tuple[Density, ...] = ()
    output_bias: tuple[Density, ...] = ()
    input_projection: tuple[Density, ...] = ()
    output_projection: tuple[Density, ...] = ()


OF_LAYERS = ("qkv", "attention_output", "fc1", "fc2")
OF_BINS = ("embedding", "output_bias")
OF_PROJECTED_BINS = ("input_projection", "output_projection")


@dataclass(frozen=True)
class AccountedNetwork:
    """A decoder-only network with adaptive tables, one value a layer in `ffn_dim`, `heads`, `head_dim`, `context`.

    `head_dim` is the width of each head's queries, keys and values; `context` is how many positions one attends to,
    itself included. The words are cut at `cutoffs` into bins, whose tables have `bin_dims` columns, the first's
    embed_dim; `bin_shares` is how often the words of the test text are of each bin. Pruned networks give `densities`,
    and then a mask of a bit a weight. `cache` is how many past states a cache holds, `bits` the width of a weight,
    `quantisers` the number of tensors between layers that have a scale of their own, `weight_scales` those of the
    weights: the published count leaves these out.
    """

    vocabulary: Count
    embed_dim: Count
    ffn_dim: tuple[Count, ...]
    heads: tuple[Count, ...]
    head_dim: tuple[Count, ...]
    context: tuple[Count, ...]
    cutoffs: tuple[Count, ...] = ()
    bin_dims: tuple[Count, ...] = ()
    bin_shares: tuple[Density, ...] = ()
    cache: Annotated[int, Between(0)] = 0
    bits: Annotated[int, Between(1, 32)] = 32
    quantisers: Annotated[int, Between(0)] = 0
    weight_scales: Annotated[int, Between(0)] = 0
    densities: Densities | None = field(default=None)

    def __post_init__(self) -> None:
        for name in ("heads", "head_dim", "context"):
            self._check_length(name, getattr(self, name), len(self.ffn_dim), "layers (values of ffn_dim)")
        if list(self.cutoffs) != sorted(set(self.cutoffs)) or (self.cutoffs and self.cutoffs[-1] >= self.vocabulary):
            raise UsageError(
                f"cutoffs: {list(self.cutoffs)} do not rise from 1 to below the vocabulary of {self.vocabulary}; "
                "give such, or [] for one table"
            )
        bins = len(self.cutoffs) + 1
        if self.cutoffs:
            self._check_length("bin_dims", self.bin_dims, bins, "bins")
            self._check_length("bin_shares", self.bin_shares, bins, "bins")
        if self.bin_dims and self.bin_dims[0] != self.embed_dim:
            raise UsageError(f"bin_dims: the first is {self.bin_dims[0]}; it is embed_dim, {self.embed_dim}")
        if self.bin_shares and abs(sum(self.bin_shares) - 1) > 1e-3:
            raise UsageError(f"bin_shares: {list(self.bin_shares)} add up to {sum(self.bin_shares):.4g}, not to 1")
        for names, count in ((OF_LAYERS, self.layers), (OF_BINS, bins), (OF_PROJECTED_BINS, bins - 1)):
            for name in names if self.densities else ():
                if values := getattr(self.densities, name):
                    self._check_length(f"densities.{name}", values, count, "places")

    @staticmethod
    def _check_length(name: str, values: tuple[Any, ...], count: int, what: str) -> None:
        if len(values) != count:
            raise UsageError(f"{name}: {len(values)} values for {count} {what}; give one for each")

    @property
    def layers(self) -> int:
        return len(self.ffn_dim)

    def bin_sizes(self) -> list[int]:
        """Words of each bin."""
        ends = (*self.cutoffs, self.vocabulary)
        return [end - start for start, end in zip((0, *self.cutoffs), ends, strict=True)]

    def bin_widths(self) -> tuple[int, ...]:
        """Columns of each bin's table."""
        return self.bin_dims or (self.embed_dim,)

    def density(self, name: str, index: int) -> float:
        """Of a layer's matrix or a bin's table: a field of Densities and its place."""
        values = getattr(self.densities, name) if self.densities else ()
        return values[index] if values else 1.0


def load_network(path: Path | str) -> AccountedNetwork:
    """Read an AccountedNetwork from YAML or JSON; raises UsageError naming the key that is wrong."""
    return from_mapping(AccountedNetwork, read_yaml_mapping(path), str(path))
