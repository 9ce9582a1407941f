"""Device files: what ships loads, what is wrong is named."""

import dataclasses

import pytest
from latency_runs import make_run

from hat.errors import ArtifactError, DeviceError, UsageError
from latency_predictor.link.devices import FOLDERS, load_device
from latency_predictor.sampling.sample import samples_path


def write_device(folder, name, text):
    path = folder / "configs" / "devices" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_devices_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_device("cpu").backend == "onnxruntime"
    assert (load_device("gpu").backend, load_device("gpu").accelerator) == ("onnxruntime", "cuda")


def test_own_devices_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_device(tmp_path, "cpu", "{backend: onnxruntime, threads: 3, precision: int8}")
    device = load_device("cpu")
    assert (device.name, device.threads, device.precision) == ("cpu", 3, "int8")
    assert load_device(str(path)) == device


def test_an_unknown_device_lists_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_device(tmp_path, "phone", "{backend: onnxruntime}")
    with pytest.raises(DeviceError, match="'toaster'.*cpu, gpu, phone, rpi4, rpi5"):
        load_device("toaster")


@pytest.mark.parametrize("name", ["rpi4", "rpi5"])
def test_shipped_raspberry_pis_are_reached_over_ssh(name):
    device = load_device(name)
    assert (device.host, device.python, device.backend) == ("pi@raspberrypi.local", "python3", "onnxruntime")
    assert len(device.cpus) == device.threads
    assert device.cool_down_s > 0


@pytest.mark.parametrize("path", sorted(FOLDERS[-1].glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_explain_every_key(path):
    load_device(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert [line for line in lines if "#" not in line] == []


def test_hosts_as_ssh_takes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for host in ("pi", "me@10.0.0.7", "ssh://me@host.example:2222", "fe80::1%eth0", "a-b_c.local"):
        path = write_device(tmp_path, "own", f"{{backend: onnxruntime, host: '{host}', ssh_config: my.config}}")
        assert load_device(path).host == host


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{backend: onnxruntime, thread: 2}", "'thread'; did you mean 'threads'"),
        ("{backend: tensorflow}", "'tensorflow' is not one of onnxruntime, torch"),
        ("{accelerator: cpu}", "'backend' is missing"),
        ("{backend: torch, threads: 0}", "threads: 0 is not a positive integer"),
        ("{backend: torch, threads: two}", "threads: expected int, got 'two'"),
        ("{backend: torch, precision: int8}", "int8 needs backend: onnxruntime"),
        ("{backend: onnxruntime, accelerator: cuda, precision: int8}", "int8 needs accelerator: cpu"),
        ("{backend: onnxruntime, hosts: pi}", "'hosts'; did you mean 'host'"),
        ("{backend: onnxruntime, host: '-oProxyCommand=x'}", "host: '-oProxyCommand=x' is not what ssh takes"),
        ("{backend: onnxruntime, host: 'pi rm'}", "host: 'pi rm' is not what ssh takes"),
        ("{backend: onnxruntime, host: 'pi;rm'}", "host: 'pi;rm' is not what ssh takes"),
        ("{backend: onnxruntime, host: 'a$(rm)'}", "is not what ssh takes"),
        ("{backend: onnxruntime, host: ''}", "host: '' is not what ssh takes"),
        ("{backend: torch, host: pi}", "backend: torch is measured in this process; leave out host"),
        ("{backend: onnxruntime, host: pi, python: -V}", "python: '-V' is not a command"),
        ("{backend: onnxruntime, python: python3.12}", "python: only with a host"),
        ("{backend: onnxruntime, ssh_config: file}", "ssh_config: only with a host"),
        ("{backend: onnxruntime, threads: 2, cpus: [1]}", "cpus: 1 of them for threads: 2"),
        ("{backend: onnxruntime, cpus: [1, 1]}", "cpus: [1, 1] are not different CPU numbers"),
        ("{backend: onnxruntime, cpus: [-1]}", "cpus: [-1] are not different CPU numbers"),
        ("{backend: onnxruntime, cpus: 1}", "cpus: expected a list"),
        ("{backend: torch, cpus: [1]}", "cpus: only with backend: onnxruntime"),
        ("{backend: onnxruntime, sample_timeout_s: 0}", "sample_timeout_s: 0 is not a positive number of seconds"),
        ("{backend: onnxruntime, sample_timeout_s: .nan}", "sample_timeout_s: nan is not a positive number"),
        ("{backend: onnxruntime, host: pi, connect_timeout_s: -1}", "connect_timeout_s: -1 is not a positive number"),
        ("{backend: onnxruntime, cool_down_s: -1}", "cool_down_s: -1 is not a number of seconds"),
        ("{backend: onnxruntime, cool_down_s: soon}", "cool_down_s: expected a number"),
        ("{backend: torch, name: other}", "unknown key 'name'"),
        ("[1, 2", "not valid YAML"),
    ],
)
def test_a_wrong_device_file_is_named_with_its_key(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    write_device(tmp_path, "wrong", text)
    with pytest.raises(UsageError, match=r"wrong\.yaml") as error:
        load_device("wrong")
    assert message in str(error.value)


def test_a_missing_device_file():
    with pytest.raises(ArtifactError, match=r"nowhere\.yaml"):
        load_device("nowhere.yaml")


def test_a_device_at_another_precision_has_a_name_and_samples_of_its_own(tmp_path):
    run = make_run(tmp_path)
    fp32, int8 = load_device("cpu"), load_device("cpu.int8")
    assert (int8.name, int8.precision) == ("cpu.int8", "int8")
    assert dataclasses.replace(int8, name="cpu", precision="fp32") == fp32
    assert load_device("cpu.fp32") == load_device("cpu.int8.fp32") == fp32
    assert samples_path(run, int8).name == "cpu.int8.jsonl"
    with pytest.raises(UsageError, match="int8 needs accelerator: cpu"):
        load_device("gpu.int8")
    path = tmp_path / "phone.yaml"
    path.write_text("backend: onnxruntime\nprecision: int8\n")
    assert load_device(f"{path}.int8") == load_device(path)
    assert load_device(f"{path}.fp32").name == "phone.fp32"
