"""A matrix as blocks of rows, each without the columns that are zero in it: what block-wise pruned products store."""

from dataclasses import dataclass

import numpy as np

from hat.deploy.building.block_costs import BlockCosts

LEAST_ROWS = 8  # of a block on average; below, the zeros have no structure that a product could use


@dataclass(frozen=True)
class ColumnBlocks:
    """Block b of the rows multiplies the inputs `columns[b]` by `blocks[b]` (rows, columns)."""

    columns: tuple[np.ndarray, ...]
    blocks: tuple[np.ndarray, ...]
    inputs: int

    @classmethod
    def of(cls, matrix: np.ndarray) -> "ColumnBlocks | None":
        """The ColumnBlocks of a `matrix` (outputs, inputs), blocks being rows that are zero in the same columns.

        None where no column is zero, all are, or the zeros have no such structure. A block of zeros keeps one column.
        """
        zero = matrix == 0
        ends = np.flatnonzero((zero[1:] != zero[:-1]).any(axis=1)) + 1
        starts = [0, *ends.tolist()]
        if not zero[starts].any() or zero.all() or len(starts) * LEAST_ROWS > len(matrix):
            return None
        columns = tuple(np.flatnonzero(~zero[start]) if not zero[start].all() else np.array([0]) for start in starts)
        blocks = np.split(matrix, ends)
        kept = tuple(block[:, columns[number]] for number, block in enumerate(blocks))
        return cls(columns, kept, matrix.shape[1])

    def pays(self, costs: BlockCosts) -> bool:
        """Whether its product takes less time than that of the whole matrix."""
        return costs.relative(self.shape, [block.shape for block in self.blocks]) < 1

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix: (outputs, inputs)."""
        return sum(map(len, self.blocks)), self.inputs
