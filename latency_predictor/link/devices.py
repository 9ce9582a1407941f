"""Devices to measure on: one strict YAML file each, in configs/devices."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hat import files
from hat.config import from_mapping, read_yaml_mapping, to_mapping
from hat.errors import DeviceError, UsageError

# The user's own devices first, then those that come with the source tree.
FOLDERS = (Path("configs/devices"), Path(__file__).resolve().parents[2] / "configs" / "devices")
HOST = re.compile(r"[\w.@:/%\[\]+=][\w.@:/%\[\]+=-]*")  # never an option, and nothing that a shell would act on
PRECISIONS = ("fp32", "int8")
ONLY_REMOTE = ("python", "ssh_config", "connect_timeout_s")


@dataclass(frozen=True)
class Device:
    """Where and on what a translation runs. `name` is the file's name without `.yaml`.

    `host` is set for a device that is reached over SSH: what the `ssh` command takes. `python` is the interpreter
    there, `ssh_config` a file to use instead of ~/.ssh/config. Without `cpus` the agent chooses as many as `threads`.
    """

    name: str
    backend: Literal["onnxruntime", "torch"]
    accelerator: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    precision: Literal["fp32", "int8"] = "fp32"
    cpus: tuple[int, ...] = ()
    cool_down_s: float = 0.0
    sample_timeout_s: float = 120.0
    host: str | None = None
    python: str = "python3"
    ssh_config: str | None = None
    connect_timeout_s: float = 10.0


def load_device(name: Path | str) -> Device:
    """The Device of that name, or of the YAML file at that path; NAME.int8 or NAME.fp32 is NAME at that precision.

    Raises DeviceError listing the known devices, UsageError naming a wrong key of the file.
    """
    base, _, precision = str(name).rpartition(".")
    if base and precision in PRECISIONS:
        return with_precision(load_device(base), precision)
    path = _find(str(name))
    mapping = read_yaml_mapping(path)
    if "name" in mapping:
        raise UsageError(f"{path}: unknown key 'name'; a device is named by its file")
    device = from_mapping(Device, {"name": path.stem, **mapping}, str(path))
    problem = _problem(device, mapping)
    if problem:
        raise UsageError(f"{path}: {problem}")
    return device


def with_precision(device: Device, precision: str) -> Device:
    """The Device running bundles of another precision, with samples of its own: its name says so."""
    if device.precision == precision:
        return device
    before = f".{device.precision}"  # a name ends so where the file says otherwise
    name = device.name.removesuffix(before) if device.name.endswith(before) else f"{device.name}.{precision}"
    changes: dict[str, Any] = {"name": name, "precision": precision}
    changed = replace(device, **changes)
    problem = _problem(changed, {})
    if problem:
        raise UsageError(f"device {device.name}: {problem}")
    return changed


def keep_device(device: Device, path: Path) -> None:
    """Leave a device's file at `path` that describes the Device; none where its name alone finds it."""
    if _has_name(device):
        path.unlink(missing_ok=True)
        return
    if device.ssh_config is not None:
        device = replace(device, ssh_config=str(Path(device.ssh_config).expanduser().absolute()))
    left_out = ("name",) if device.host is not None else ("name", "host", *ONLY_REMOTE)
    files.write_yaml(path, {key: value for key, value in to_mapping(device).items() if key not in left_out})


def _has_name(device: Device) -> bool:
    """Whether `load_device` finds it by its name."""
    try:
        return load_device(device.name) == device
    except (DeviceError, UsageError):
        return False


def why_not(device: Device, precision: str) -> str | None:
    """Why a Device doesn't run bundles of that precision; None where it does."""
    if device.backend == "torch":
        return f"{device.name} runs PyTorch, not bundles"
    if device.accelerator == "cuda" and precision == "int8":
        return f"int8 bundles are made for processors, not for {device.name}"
    return None


def _problem(device: Device, mapping: dict[str, Any]) -> str | None:
    """What is wrong with the values of a device's file; None if nothing."""
    if device.threads < 1:
        return f"threads: {device.threads} is not a positive integer"
    if device.precision == "int8" and device.accelerator == "cuda":
        return "precision: int8 needs accelerator: cpu; its graphs are made for processors"
    if device.backend == "torch" and device.precision != "fp32":
        return f"precision: {device.precision} needs backend: onnxruntime"
    for key in ("sample_timeout_s", "connect_timeout_s"):
        if not getattr(device, key) > 0:
            return f"{key}: {getattr(device, key):g} is not a positive number of seconds"
    if not device.cool_down_s >= 0:
        return f"cool_down_s: {device.cool_down_s:g} is not a number of seconds"
    return _cpus_problem(device) or _host_problem(device, mapping)


def _cpus_problem(device: Device) -> str | None:
    if not device.cpus:
        return None
    if device.backend == "torch":
        return "cpus: only with backend: onnxruntime"
    if min(device.cpus) < 0 or len(set(device.cpus)) < len(device.cpus):
        return f"cpus: {list(device.cpus)} are not different CPU numbers, counted from 0"
    if len(device.cpus) < device.threads:
        return f"cpus: {len(device.cpus)} of them for threads: {device.threads}; name as many CPUs as threads"
    return None


def _host_problem(device: Device, mapping: dict[str, Any]) -> str | None:
    if device.host is None:
        given = [key for key in ONLY_REMOTE if key in mapping]
        return f"{given[0]}: only with a host, which is reached over SSH" if given else None
    if not HOST.fullmatch(device.host):
        return f"host: {device.host!r} is not what ssh takes; write [USER@]HOST or a name from ~/.ssh/config"
    if device.backend == "torch":
        return "backend: torch is measured in this process; leave out host, or measure onnxruntime there"
    if not device.python.strip() or device.python.startswith("-"):
        return f"python: {device.python!r} is not a command"
    return None


def _find(name: str) -> Path:
    if name.endswith(".yaml"):
        return Path(name)
    known = {path.stem: path for folder in reversed(FOLDERS) for path in sorted(folder.glob("*.yaml"))}
    if name not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise DeviceError(
            f"there is no device {name!r}; known: {listed}; name its file, --device PATH/{name}.yaml, or add it as "
            f"{FOLDERS[0]}/{name}.yaml"
        )
    return known[name]
