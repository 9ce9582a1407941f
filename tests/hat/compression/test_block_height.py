"""The choice of the blocks' height, by made-up devices."""

import pytest

from hat.compression.block_height import WORTH, best_height
from hat.deploy.building.block_costs import UNMEASURED, BlockCosts, StackCosts

SHAPES = {"encoder.layers.0.fc1.weight": (512, 256), "encoder.layers.0.fc2.weight": (256, 512), "embed.weight": (99, 4)}


def costs(**values):
    return StackCosts(BlockCosts(**values), BlockCosts(**values))


def test_where_gathering_is_free_the_lowest_blocks_count():
    assert best_height(SHAPES, 0.25, costs(weight=1.0, column=0.0)) == (8, pytest.approx(0.25))


def test_the_dearer_gathering_the_higher_the_blocks():
    heights = [best_height(SHAPES, 0.25, costs(weight=1.0, column=column))[0] for column in (0.5, 2, 10, 40, 200)]
    assert heights == sorted(heights)
    assert heights[0] < heights[-1] == 256


def test_the_lowest_height_within_the_margin_counts():
    """A column costs 8 weights: blocks of h rows take 0.25 (1 + 8 / h)."""
    height, time = best_height(SHAPES, 0.25, costs(weight=1.0, column=8.0))
    assert time == pytest.approx(0.25 * (1 + 8 / height))
    assert 1 + 8 / height <= WORTH * (1 + 8 / 256) < 1 + 8 / (height // 2)


def test_what_blocks_make_slower_takes_what_it_took():
    assert best_height(SHAPES, 0.9, costs(weight=2.0))[1] == 1.0


def test_heights_divide_all_matrices():
    shapes = {"encoder.layers.0.fc1.weight": (96, 32), "encoder.layers.0.fc2.weight": (64, 96)}
    assert best_height(shapes, 0.25, costs(weight=1.0, column=500.0))[0] in (8, 16, 32)
    assert best_height({"encoder.layers.0.fc1.weight": (12, 32)}, 0.25, costs(weight=1.0))[0] == 12


def test_unmeasured_blocks_pay_in_large_matrices_alone():
    """As calls of SST-2's encoder of four layers of 192 showed, and of BERT-base's sizes (benchmarks/RESULTS.md)."""
    base, small = ({"encoder.layers.0.fc1.weight": (4 * dim, dim)} for dim in (768, 192))
    assert best_height(base, 0.5, UNMEASURED.fp32)[1] < 0.8
    assert best_height(small, 0.4, UNMEASURED.int8)[1] == 1.0
