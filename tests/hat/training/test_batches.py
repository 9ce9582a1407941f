"""An update has the config's tokens, however many processes share them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hat import files
from hat.errors import UsageError
from hat.experiment.config import fingerprinted
from hat.experiment.sections import SubTrainingConfig
from hat.training.batches import UpdateBatches

COUNTS = st.integers(1, 10**6)


def training(tokens_per_update, max_tokens=4096):
    return SubTrainingConfig(10, 0, 0.1, max_tokens=max_tokens, tokens_per_update=tokens_per_update)


@pytest.mark.parametrize(
    ("tokens", "most", "processes", "expected"),
    [
        (8 * 16 * 4096, 4096, 8, (16, 4096)),  # the paper's
        (8 * 16 * 4096, 4096, 1, (128, 4096)),
        (8 * 16 * 4096, 4096, 16, (8, 4096)),
        (1536, 1536, 1, (1, 1536)),
        (1536, 1536, 2, (1, 768)),
        (3072, 1536, 2, (1, 1536)),
        (1000, 4096, 3, (1, 333)),
    ],
)
def test_examples(tokens, most, processes, expected):
    batches = UpdateBatches.of(training(tokens, most), processes)
    assert (batches.count, batches.tokens) == expected


@given(tokens=COUNTS, most=COUNTS, processes=st.integers(1, 64))
def test_batches_fit_and_lack_less_than_a_token_each(tokens, most, processes):
    if tokens < processes:
        return
    try:
        batches = UpdateBatches.of(training(tokens, most), processes)
    except UsageError:
        assert tokens < most * processes or most == 1
        return
    number = batches.count * processes
    assert batches.tokens <= most
    assert 0 <= tokens - number * batches.tokens < number
    assert (batches.count - 1) * processes * most < tokens  # one batch fewer in each would not do


def remarks(tokens, most, processes, max_length=50):
    config = training(tokens, most)
    return list(UpdateBatches.of(config, processes).remarks(config, max_length))


def test_what_an_update_lacks_is_told():
    assert remarks(1536, 1536, 1) == []
    assert remarks(1536, 1536, 2) == ["an update: 2 processes x 1 batches of 768 tokens"]
    (line,) = remarks(1000, 4096, 3)
    assert re.match(
        r"warning: sub_training.tokens_per_update: 1,000 can't .* has 999: 3 processes x 1 batches of 333", line
    )
    _, line = remarks(1000, 4096, 20)
    assert re.match(r"warning: .* batches of 50 tokens leave out longer sentences, .* data.max_length: 50", line)
    with pytest.raises(UsageError, match="sub_training.tokens_per_update: 5 is less than a token for each batch of 6"):
        remarks(5, 4096, 6)


def test_fingerprints_tell_recipes_apart():
    recipes = [training(*sizes) for sizes in ((4096, 4096), (8192, 4096), (5000, 4096), (5001, 4096), (5000, 5000))]
    assert len({files.fingerprint(fingerprinted(recipe)) for recipe in recipes}) == len(recipes)
