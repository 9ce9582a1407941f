"""What blocks cost on a device: fitted to times of a known rule, measured by a fake agent and by the real bench."""

import fake_agents
import numpy as np
import pytest
from fake_agents import local_device
from tiny_classifier import make_run

from hat import files
from hat.compression.block_height import best_height
from hat.deploy.building.block_costs import UNMEASURED, BlockCosts
from hat.deploy.sessions import make_session
from hat.errors import ArtifactError, DeviceError, UsageError
from latency_predictor.fitting.block_fit import TimedProduct, fit_block_costs
from latency_predictor.link.devices import Device, with_precision
from latency_predictor.on_device.workloads import products
from latency_predictor.sampling import block_products
from latency_predictor.sampling.block_products import grid, measure_blocks, product_graph, read_block_costs

RULE = BlockCosts(weight=1.3, column=25.0, block=400.0, call=9000.0)


def timed(rule, unit, noise=0.0):
    rng = np.random.default_rng(1)
    found = []
    for shape, blocks in grid():
        whole = blocks == (shape,)
        cost = shape[0] * shape[1] + rule.call
        time = cost if whole else rule.relative(shape, blocks) * cost
        found.append(TimedProduct(blocks, whole, unit * time * rng.uniform(1 - noise, 1 + noise)))
    return found


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_a_known_rule_is_found_in_its_times(unit):
    found = fit_block_costs(timed(RULE, unit))
    for name, value in vars(RULE).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-6), name


def test_noise_hardly_changes_what_pays():
    found = fit_block_costs(timed(RULE, 1.0, noise=0.05))
    for shape, blocks in grid():
        if blocks != (shape,):
            assert found.relative(shape, blocks) == pytest.approx(RULE.relative(shape, blocks), rel=0.1)


def test_times_that_say_nothing_are_refused():
    with pytest.raises(DeviceError, match="don't grow with their size"):
        fit_block_costs([TimedProduct(((8, 8),), True, 5.0), TimedProduct(((64, 64),), True, 1.0)])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_products_are_of_the_blocks_that_they_are_measured_for(precision):
    shape, blocks = (32, 16), ((16, 4), (16, 16))
    whole = {node.op_type for node in product_graph(shape, (shape,), precision).graph.node}
    model = product_graph(shape, blocks, precision)
    assert "Gather" not in whole
    assert [node.op_type for node in model.graph.node].count("Gather") == 1
    stored = [tuple(t.dims) for t in model.graph.initializer if t.name.startswith("layer.") and len(t.dims) == 2]
    assert stored == [(16, 4), (16, 16)]
    session = make_session(model.SerializeToString(), 1)
    works = products({"product": session}, {}, [[3], [1]], None)
    assert [work() for work in works] == [(), ()]
    assert session.run(["y"], {"x": np.ones((3, 16), np.float32)})[0].shape == (3, 32)


# A product takes as long as its weights are large, and some more for each Gather in its graph.
BENCH = """
import base64, zlib

class Bench:
    def __init__(self, folder, setup):
        assert setup["task"] == "products"
        self.points = setup["points"]

    def measure(self, request):
        subject = request["subject"]
        graph = zlib.decompress(base64.b64decode(subject["graphs"]["product"]))
        time = sum(subject["weights"].values()) + GATHER * graph.count(bytes([34, 6]) + b"Gather")
        lengths = [{"lengths": {}, "total_ms": {"p25": count * time}} for (count,) in self.points]
        return {"lengths": lengths, "reference_ms": {"p25": 2.0}}
"""


@pytest.fixture
def agents(monkeypatch, tmp_path):
    """A function that lets devices take so long for a Gather."""
    return lambda gather: fake_agents.start_agents_with(BENCH.replace("GATHER", str(gather)), monkeypatch, tmp_path)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    return make_run(tmp_path / "run")


def test_the_height_of_blocks_follows_the_device(agents, run):
    shapes, heights = {"encoder.layers.0.fc1.weight": (512, 512)}, []
    for gather in (0, 10_000, 100_000):
        agents(gather)
        costs = measure_blocks(run, local_device())
        heights.append(best_height(shapes, 0.25, costs.fp32)[0])
    assert heights[0] == 8
    assert heights[0] < heights[1] < heights[2]


def test_what_is_measured_is_kept_for_all_precisions_of_the_device(agents, run):
    agents(500)
    device = local_device()
    costs = measure_blocks(run, device)
    assert costs.device == "here"
    assert read_block_costs(run, device) == read_block_costs(run, with_precision(device, "int8")) == costs
    kept = files.read_json(run.latency / "here.blocks.json", "")
    assert kept["measured_on"]["threads"] == 1
    assert kept["measured_on"]["environment"]["python"]
    assert len(kept["products"]["int8"]["decoder"]) == len(grid())


def test_what_was_never_measured_or_otherwise(agents, run):
    agents(500)
    assert read_block_costs(run, local_device()) is UNMEASURED
    measure_blocks(run, local_device())
    with pytest.raises(ArtifactError, match="measured with threads: 1, not 2; measure again: hat-measure-latency"):
        read_block_costs(run, local_device(threads=2))
    (run.latency / "here.blocks.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is damaged; measure again"):
        read_block_costs(run, local_device())


def test_pytorch_has_no_bundles(run):
    with pytest.raises(UsageError, match="runs PyTorch, not bundles"):
        measure_blocks(run, Device(name="torch", backend="torch"))


def test_the_real_agent_measures_a_few(run, monkeypatch):
    monkeypatch.setattr(block_products, "SHAPES", ((64, 64), (512, 512)))
    monkeypatch.setattr(block_products, "HEIGHTS", (64,))
    costs = measure_blocks(run, local_device())
    assert costs.fp32.encoder.weight > 0
    assert "64 rows" in block_products.summary(costs.fp32.encoder)
