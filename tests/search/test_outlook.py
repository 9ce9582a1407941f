"""What is told before a search scores anything, against the whole toy space counted out."""

import itertools
import re
import statistics
from dataclasses import replace

import pytest
from search_toys import SPACE, Device, everything, latency, loss, predict

from latency_predictor.budget import parse_budget
from search.run import name_budgets, search_with


def test_tells_what_is_possible_before_anything_is_scored(run, capsys):
    device, told = Device(run), []

    def scores(architectures, _part):
        told.append(capsys.readouterr().out)
        return [(loss(architecture), 1) for architecture in architectures]

    named = name_budgets("cpu", [parse_budget("9ms")])
    search_with(run, "cpu", named, {"super": "weights 1"}, lambda: replace(device.instruments, scores=scores))
    before = told[0]
    architectures = everything()
    assert f"holds {len(architectures):,} SubTransformers" in before
    fastest = min(map(latency, architectures))
    assert (
        f"fastest found takes {fastest:.2f} ms, the full-size Transformer {latency(SPACE.full_transformer()):.2f} ms"
        in before
    )
    median = float(re.search(r"random ones ([\d.]+) ms, eight", before)[1])
    assert fastest < median < max(map(latency, architectures))
    share = float(re.search(r"search cpu-9ms: can be met; of random SubTransformers ([\d.]+)% meet", before)[1]) / 100
    genomes = itertools.product(*(range(len(gene.choices)) for gene in SPACE.genes))  # every choice equally likely
    within = [limit <= 9 for limit in predict([SPACE.decode(genome) for genome in genomes])]
    assert share == pytest.approx(statistics.mean(within), abs=0.06)
