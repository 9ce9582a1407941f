"""A run to evaluate."""

import pytest
import torch
from evaluations import Meter, prepared_run, trained
from tiny import TINY_SPACE

from hat import files
from hat.experiment.run_directory import mark_done
from hat.export.bundles import export
from hat.models.checkpoint import save_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with data, a SuperTransformer, sub/small (its smallest, trained) and export/small/fp32 and int8."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.manual_seed(1)
        run = prepared_run(folder)
        model = trained(run)
        save_model(run.super_, model)
        mark_done(run.super_, "test", [])
        save_model(run.sub("small"), model.extract(TINY_SPACE.smallest()))
        files.write_yaml(run.search("found") / "architecture.yaml", TINY_SPACE.smallest().to_dict())
        export(run, "small")
        yield run


@pytest.fixture
def measured(monkeypatch):
    """The list of (bundle, precision) that a Meter measures, for commands too."""
    monkeypatch.setattr("latency_predictor.sampling.bundle_meter.BundleMeter", Meter)
    monkeypatch.setattr(Meter, "measured", [])
    return Meter.measured
