"""The device that was measured last is what later commands take, also one that the user's own file described."""

import dataclasses

import pytest
import yaml
from latency_runs import MadeUpMeasurer, made_up_sample, make_run, write_samples
from search_toys import latency

from hat.cli import search
from latency_predictor.link.devices import Device, keep_device, load_device
from latency_predictor.sampling.bundle_meter import BundleMeter
from latency_predictor.sampling.collect import collect


class MadeUp(MadeUpMeasurer):
    def sample_of(self, architecture):
        return made_up_sample(self._run, architecture, latency(architecture))

    def measure_paced(self, architecture, spec=None):
        return self.sample_of(architecture)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose measurements are made up, in whatever folder a test goes to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latency_predictor.sampling.collect.Measurer", lambda run, device: MadeUp(run))
    return make_run(tmp_path)


def write_device(path, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"backend": "onnxruntime", **settings}), encoding="utf-8")
    return path


def test_a_file_that_is_gone_or_another_one_now_counts_as_it_was_measured(run, tmp_path, monkeypatch):
    path = write_device(tmp_path / "boards" / "board.yaml", host="me@board", ssh_config="my.config", cool_down_s=0.5)
    collect(run, "boards/board.yaml")
    measured = load_device(path)
    write_device(path, host="me@elsewhere")
    folder = tmp_path / "another"
    folder.mkdir()
    monkeypatch.chdir(folder)
    kept = load_device(run.last_measured_device())
    assert kept == dataclasses.replace(measured, ssh_config=str(tmp_path / "my.config"))
    collect(run, path)
    assert load_device(run.last_measured_device()).host == "me@elsewhere"


def test_commands_take_it_at_any_precision(run, tmp_path, monkeypatch):
    collect(run, str(write_device(tmp_path / "board.yaml", threads=2)))
    searched = []
    monkeypatch.setattr("search.run.search", lambda run, device, *_: searched.append(load_device(device)))
    for options in ([], ["--precision", "int8"]):
        search.main(["--latency", "50%", "--run", str(run.path), *options])
    assert [(each.name, each.precision, each.threads) for each in searched] == [
        ("board", "fp32", 2),
        ("board.int8", "int8", 2),
    ]


def test_evaluations_take_it(run, tmp_path):
    collect(run, str(write_device(tmp_path / "eager.yaml", backend="torch")))
    assert BundleMeter(run).why_not("fp32") == "eager runs PyTorch, not bundles"


def test_a_device_with_a_name_is_found_by_it_as_its_file_is_now(run, tmp_path):
    collect(run, str(write_device(tmp_path / "boards" / "cpu.yaml", cool_down_s=2.0)))
    assert load_device(run.last_measured_device()).cool_down_s == 2
    collect(run, "cpu")
    assert run.last_measured_device() == "cpu"
    own = write_device(tmp_path / "configs" / "devices" / "cpu.yaml", cool_down_s=3.0)
    assert load_device(run.last_measured_device()).cool_down_s == 3
    collect(run, str(own))  # which the name finds, too
    assert run.last_measured_device() == "cpu"


def test_one_measured_by_an_earlier_version_is_looked_for_by_its_name(run, tmp_path):
    path = write_samples(run, 3, str(write_device(tmp_path / "board.yaml")))
    assert path.name == "board.jsonl"
    assert run.last_measured_device() == "board"


@pytest.mark.parametrize(
    "device",
    [
        Device("plain", "onnxruntime"),
        Device("own.int8", "onnxruntime", precision="int8", threads=2, cpus=(1, 0), sample_timeout_s=7.5),
        Device("eager", "torch", accelerator="cuda"),
        Device("away", "onnxruntime", host="me@away", python="venv/bin/python", connect_timeout_s=3.0),
        Device("keyed", "onnxruntime", host="away", ssh_config="/etc/own.config"),
    ],
    ids=lambda device: device.name,
)
def test_a_kept_device_is_the_same(tmp_path, device):
    path = tmp_path / f"{device.name}.yaml"
    keep_device(device, path)
    assert load_device(path) == device
