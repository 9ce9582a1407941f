"""How long products by blocks of a matrix's rows take beside whole ones: by it graphs and pruning choose blocks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from hat.config import Between

Cost = Annotated[float, Between(0)]


@dataclass(frozen=True)
class BlockCosts:
    """The costs of a product by blocks, in units of what one weight of a whole matrix costs.

    Every product costs `call`; one by blocks also `weight` for each weight in them, `column` for each column that a
    block keeps, whose inputs must be gathered, and `block` for each block.
    """

    weight: Cost
    column: Cost = 0.0
    block: Cost = 0.0
    call: Cost = 0.0

    def relative(self, shape: tuple[int, int], blocks: Iterable[tuple[int, int]]) -> float:
        """The time of the product of a matrix of this `shape` in `blocks`, each (rows, columns), over the whole one's.

        Both are (outputs, inputs).
        """
        cost = self.call
        for rows, columns in blocks:
            cost += self.weight * rows * columns + self.column * columns + self.block
        return cost / (self.call + shape[0] * shape[1])


@dataclass(frozen=True)
class StackCosts:
    """The BlockCosts of an encoder's products, which multiply many rows at once, and of a decoder's, which few do."""

    encoder: BlockCosts
    decoder: BlockCosts

    def of(self, weight: str) -> BlockCosts:
        """Those of the weight of that name, which begins with its stack's."""
        return self.decoder if weight.startswith("decoder.") else self.encoder


# What hat-measure-latency --blocks found on an x86 server (AVX-512 with VNNI), rounded.
SERVER_FP32 = StackCosts(BlockCosts(1.1, 25.0, 3300.0, 15600.0), BlockCosts(1.2, 96.0, 18700.0, 85700.0))
SERVER_INT8 = StackCosts(BlockCosts(1.7, 41.0, 20700.0, 83000.0), BlockCosts(2.1, 288.0, 95500.0, 400000.0))


@dataclass(frozen=True)
class DeviceCosts:
    """The StackCosts of the `device` of that name, by precision; without a name nothing was measured."""

    device: str = ""
    fp32: StackCosts = SERVER_FP32
    int8: StackCosts = SERVER_INT8

    def at(self, precision: str) -> StackCosts:
        """Those of bundles of a precision: all but int8 multiply in float32."""
        return self.int8 if precision == "int8" else self.fp32


UNMEASURED = DeviceCosts()
