"""Device files: what ships loads, what is wrong is named."""

import pytest

from hat.errors import ArtifactError, DeviceError, UsageError
from latency_predictor.devices import load_device


def write_device(folder, name, text):
    path = folder / "configs" / "devices" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_devices_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_device("cpu").backend == "onnxruntime"
    assert (load_device("gpu").backend, load_device("gpu").accelerator) == ("torch", "cuda")


def test_own_devices_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_device(tmp_path, "cpu", "{backend: onnxruntime, threads: 3, precision: int8}")
    device = load_device("cpu")
    assert (device.name, device.threads, device.precision) == ("cpu", 3, "int8")
    assert load_device(str(path)) == device


def test_an_unknown_device_lists_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_device(tmp_path, "phone", "{backend: onnxruntime}")
    with pytest.raises(DeviceError, match="'toaster'.*cpu, gpu, phone, rpi4"):
        load_device("toaster")


def test_a_device_behind_ssh_says_what_can_be_done_now():
    device = load_device("rpi4")
    with pytest.raises(DeviceError, match=r"SSH is not available yet.*--device cpu.*latency/rpi4\.jsonl"):
        device.require_local()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{backend: onnxruntime, thread: 2}", "'thread'; did you mean 'threads'"),
        ("{backend: tensorflow}", "'tensorflow' is not one of onnxruntime, torch"),
        ("{accelerator: cpu}", "'backend' is missing"),
        ("{backend: torch, threads: 0}", "threads: 0 is not a positive integer"),
        ("{backend: torch, threads: two}", "threads: expected int, got 'two'"),
        ("{backend: torch, precision: int8}", "int8 needs backend: onnxruntime"),
        ("{backend: onnxruntime, accelerator: cuda}", "cuda is measured with backend: torch"),
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
