"""The measuring stage over SSH on a device that has numpy and onnxruntime and nothing of ours."""

import pytest
import yaml
from latency_runs import make_run
from other_pythons import fresh_python

from latency_predictor.link.check import check_device
from latency_predictor.sampling.collect import collect
from latency_predictor.sampling.sample import read_samples


def remote_device(server, python):
    """Path of the file of the device that an SshServer is."""
    device = {"backend": "onnxruntime", "host": "device", "ssh_config": str(server.config), "python": python}
    path = server.folder / "remote.yaml"
    path.write_text(yaml.safe_dump(device))
    return str(path)


@pytest.mark.slow
def test_a_device_with_two_packages(ssh_server, tmp_path):
    """An old Python where there is one, and nothing of ours."""
    python = fresh_python(tmp_path / "venv", ["numpy", "onnxruntime"])
    device = remote_device(ssh_server, python)
    text, usable = check_device(device)
    assert usable, text
    run = make_run(tmp_path)
    samples = read_samples(collect(run, device, 3), run.config.search_space)
    assert len(samples) == 3
    assert samples[0].environment.torch is None
    assert f"ok       python       {samples[0].environment.python}" in text
