"""Skeletons and what times them on a device: the deployed graphs, with other weights, of exactly the right sizes."""

import base64
import zlib

import numpy as np
import onnx
import pytest
from tiny import TINY_SPACE, tiny_spec

from hat.deploy.building.bundle_writer import SMALLEST_EXTERNAL
from hat.deploy.building.graphs import build_graphs, random_weights
from hat.experiment.translation import TranslationLatency
from hat.tasks import TASKS
from latency_predictor.on_device.bench import Bench, make_weights
from latency_predictor.sampling.skeleton import make_skeleton

LARGEST = TINY_SPACE.largest()
TRANSLATION = TASKS["translation"]


def unpacked(subject):
    return {
        name: onnx.load_from_string(zlib.decompress(base64.b64decode(text))) for name, text in subject["graphs"].items()
    }


def places(graph):
    """{name of a constant: (file, offset, length)} of those that are kept elsewhere."""
    return {
        tensor.name: (entries["location"], int(entries["offset"]), int(entries["length"]))
        for tensor in graph.graph.initializer
        if (entries := {entry.key: entry.value for entry in tensor.external_data})
    }


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("beam", [1, 4])
def test_a_skeleton_is_the_deployed_graph_without_its_weights(precision, beam):
    subject = make_skeleton(TRANSLATION, LARGEST, tiny_spec(), precision, TranslationLatency(beam=beam))
    graphs = unpacked(subject)
    whole = build_graphs(LARGEST, tiny_spec(), random_weights(LARGEST, tiny_spec(), 1), precision, names=graphs)
    for name, graph in graphs.items():
        assert graph.graph.node == whole[name].graph.node
        large = {tensor.name: len(tensor.raw_data) for tensor in whole[name].graph.initializer}
        large = {constant: size for constant, size in large.items() if size >= SMALLEST_EXTERNAL}
        assert {constant: length for constant, (_, _, length) in places(graph).items()} == large
    assert sum(map(len, subject["graphs"].values())) < 30_000


def test_weights_lie_apart_from_each_other_and_shared_ones_in_one_place():
    subject = make_skeleton(TRANSLATION, LARGEST, tiny_spec(), "fp32", TranslationLatency(beam=4))
    found = {}
    for graph in unpacked(subject).values():
        for name, place in places(graph).items():
            assert found.setdefault(name, place) == place
    intervals = sorted((file, offset, offset + length) for file, offset, length in found.values())
    for (file, _, end), (next_file, start, _) in zip(intervals, intervals[1:], strict=False):
        assert file != next_file or end <= start
    assert max(end for _, _, end in intervals) == subject["weights"]["float32.bin"]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_bench_times_every_point(tmp_path, precision):
    points = [[3, 2], [5, 40]]
    setup = {
        "threads": 1,
        "accelerator": "cpu",
        "task": "translation",
        "phases": ["encode", "decode"],
        "workload": {"beam": 3, "source_vocabulary": tiny_spec().source_vocabulary},
        "repeats": 2,
    }
    latency = TranslationLatency(beam=3)
    reference = make_skeleton(TRANSLATION, TINY_SPACE.smallest(), tiny_spec(), precision, latency)
    bench = Bench(tmp_path, {**setup, "points": points, "reference": reference})
    found = bench.measure({"subject": make_skeleton(TRANSLATION, LARGEST, tiny_spec(), precision, latency)})
    assert [list(at["lengths"].values()) for at in found["lengths"]] == points
    few, many = found["lengths"]
    assert many["phases_ms"]["decode"]["median"] > 3 * few["phases_ms"]["decode"]["median"] > 0
    assert 0 < few["phases_ms"]["encode"]["median"] < few["total_ms"]["median"]
    assert found["reference_ms"]["median"] > few["total_ms"]["median"]  # it is timed at the longer one
    assert 0 <= found["taken"] < 1


@pytest.mark.parametrize("name", ["float32", "float16", "int8", "uint8", "int32"])
def test_made_up_weights_grow_and_are_harmless(tmp_path, name):
    path = tmp_path / f"{name}.bin"
    for size in (1000, 400, 5_000_001):
        make_weights(path, size)
        assert path.stat().st_size >= size
    values = np.fromfile(path, name)
    assert np.isfinite(values.astype(float)).all()
    assert values.min() > 0
    assert len(np.unique(values)) > 50
