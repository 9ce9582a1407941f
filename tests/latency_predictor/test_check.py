"""check_device: one screen that tells whether a device can be used and what would mend it."""

import sys

import onnxruntime
import pytest
import torch
from fake_agents import QUIET, write_script
from sshd import make_key

from hat.config import to_mapping
from hat.errors import DeviceError, UsageError
from latency_predictor.link import check
from latency_predictor.link.check import check_accelerator, check_device
from latency_predictor.link.devices import load_device


def write_device(folder, **values):
    path = folder / "device.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in {"backend": "onnxruntime", **values}.items()))
    return path


def ssh_file(server, **values):
    return write_device(server.folder, host="device", ssh_config=server.config, **{"python": sys.executable, **values})


def states(text):
    """{what: (state, text)} of the lines of a check."""
    rows = [line.split(None, 2) for line in text.splitlines()[1:-1]]
    assert {state for state, *_ in rows} <= {"ok", "warning", "missing"}
    return {what: (state, *rest) for state, what, *rest in rows}


def test_this_machine():
    text, usable = check_device("cpu")
    assert usable
    assert text.splitlines()[-1] == "cpu can be used."
    found = states(text)
    for what in ("connection", "python", "numpy", "onnxruntime", "cpus", "machine"):
        assert found[what][0] == "ok"
    assert {"memory", "disk", "load"} <= set(found)
    assert len(text.splitlines()) <= 24


def test_over_ssh(ssh_server):
    text, usable = check_device(ssh_file(ssh_server, cpus="[0]"))
    assert usable, text
    assert states(text)["connection"][1].startswith("ssh -F ")
    assert states(text)["cpus"] == ("ok", "0")


def test_cpus_that_the_device_lacks(ssh_server):
    text, usable = check_device(ssh_file(ssh_server, cpus="[0, 4096]"))
    assert not usable
    assert states(text)["cpus"][0] == "missing"
    assert "4096 can't be used there, only 0" in text
    assert text.splitlines()[-1] == "device can't be used yet."


def test_an_unreachable_device(ssh_server):
    ssh_server.stop()
    text, usable = check_device(ssh_file(ssh_server))
    assert not usable
    assert states(text)["connection"][0] == "missing"
    assert "no SSH server on that port" in text


def test_a_device_with_another_key(ssh_server):
    make_key(ssh_server.folder / "other_key")
    ssh_server.know(ssh_server.folder / "other_key.pub")
    text, usable = check_device(ssh_file(ssh_server))
    assert not usable
    assert text.index("compare the key") < text.index("ssh-keygen ")


def test_missing_packages(ssh_server):
    bare = write_script(ssh_server.folder / "bare", f'exec {sys.executable} -S "$@"')
    text, usable = check_device(ssh_file(ssh_server, python=bare))
    assert not usable
    found = states(text)
    assert (found["connection"][0], found["python"][0]) == ("ok", "ok")
    assert found["onnxruntime"][0] == "missing"
    assert found["onnxruntime"][1].endswith(f"device {bare} -m pip install --upgrade onnxruntime")
    assert found["numpy"][0] == "missing"


def answering(monkeypatch, **answer):
    base = {
        "cpus": [0, 1, 2, 3],
        "memory_bytes": 4 << 30,
        "disk_bytes": 4 << 30,
        "providers": [],
        "environment": to_mapping(QUIET),
    }
    monkeypatch.setattr(check, "ask_once", lambda device, request: {"type": "checked", **base, **answer})


def test_a_device_on_which_all_is_well(monkeypatch, tmp_path):
    answering(monkeypatch)
    text, usable = check_device(write_device(tmp_path, host="pi@raspberrypi.local"))
    assert usable
    assert {state for state, *_ in states(text).values()} == {"ok"}


def test_versions_that_are_too_old(monkeypatch, tmp_path):
    answering(monkeypatch, environment={**to_mapping(QUIET), "numpy": "1.18.5", "onnxruntime": "1.9.0"})
    text, usable = check_device(write_device(tmp_path, host="pi@raspberrypi.local"))
    assert not usable
    assert "1.9.0, 1.16 or newer is needed: ssh pi@raspberrypi.local python3 -m pip install --upgrade onnx" in text
    assert "1.18.5, 1.19 or newer is needed" in text


def test_an_old_python(monkeypatch, tmp_path):
    monkeypatch.setattr(
        check, "ask_once", lambda *_: {"type": "unusable", "python": "3.7.3", "missing": ["onnxruntime"]}
    )
    text, usable = check_device(write_device(tmp_path, host="pi"))
    assert not usable
    assert states(text)["python"] == (
        "missing",
        "3.7.3: 3.9 or newer is needed; install it and name it under `python` in the device's file",
    )


def test_packages_that_fail_to_be_imported(monkeypatch, tmp_path):
    failed = {"type": "failed", "kind": "import", "message": "libgomp.so.1: cannot open shared object file"}
    monkeypatch.setattr(check, "ask_once", lambda *_: failed)
    text, usable = check_device(write_device(tmp_path, host="pi"))
    assert not usable
    assert "libgomp.so.1" in text
    assert "ssh pi python3 -m pip install" in text


def test_what_disturbs_is_a_warning_with_a_remedy(monkeypatch, tmp_path):
    spoiled = {**to_mapping(QUIET), "governor": "ondemand", "load": 4.0, "throttled": ["under-voltage"]}
    answering(monkeypatch, memory_bytes=100 << 20, disk_bytes=10 << 20, environment={**spoiled, "temperature": 82.0})
    text, usable = check_device(write_device(tmp_path, host="pi"))
    assert usable
    found = states(text)
    warned = {what for what, (state, *_) in found.items() if state == "warning"}
    assert warned == {"memory", "disk", "governor", "temperature", "throttling", "load"}
    assert "cpupower frequency-set -g performance" in found["governor"][1]


def test_torch_devices_need_cuda_here(monkeypatch, tmp_path):
    eager = write_device(tmp_path, backend="torch", accelerator="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    text, usable = check_device(eager)
    assert not usable
    assert states(text)["gpu"][0] == "missing"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA H200")
    text, usable = check_device(eager)
    assert usable
    assert states(text)["gpu"] == ("ok", "NVIDIA H200")
    text, usable = check_device(write_device(tmp_path, backend="torch"))
    assert usable
    assert "gpu" not in states(text)


def test_gpus_need_onnxruntime_gpu_and_a_driver(monkeypatch):
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    answering(monkeypatch, providers=providers[1:])
    text, usable = check_device("gpu")
    assert not usable
    assert "pip install 'onnxruntime-gpu" in states(text)["provider"][1]
    assert states(text)["gpu"] == ("missing", "nvidia-smi there finds none: see its driver")
    answering(monkeypatch, providers=providers, environment={**to_mapping(QUIET), "gpu": "NVIDIA H200"})
    text, usable = check_device("gpu")
    assert usable
    assert states(text)["gpu"] == ("ok", "NVIDIA H200")


def test_an_unusable_accelerator_is_told_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="device 'gpu': .*pip install 'onnxruntime-gpu.*; or use --device cpu"):
        check_accelerator(load_device("gpu"))
    with pytest.raises(UsageError, match="PyTorch finds no CUDA GPU here"):
        check_accelerator(load_device(write_device(tmp_path, backend="torch", accelerator="cuda")))
    check_accelerator(load_device("cpu"))
    check_accelerator(load_device(write_device(tmp_path, accelerator="cuda", host="jetson")))  # it is asked itself


def test_an_unknown_device():
    with pytest.raises(DeviceError, match="'toaster'; known: cpu, gpu, rpi4, rpi5"):
        check_device("toaster")
