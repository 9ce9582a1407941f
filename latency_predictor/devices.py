"""Devices to measure on: one strict YAML file each, in configs/devices."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hat.config import from_mapping, read_yaml_mapping
from hat.errors import DeviceError, UsageError

# The user's own devices first, then those that come with the source tree.
FOLDERS = (Path("configs/devices"), Path(__file__).resolve().parent.parent / "configs" / "devices")


@dataclass(frozen=True)
class Device:
    """Where and on what a translation runs. `name` is the file's name without `.yaml`.

    `host` is set for a device that is reached over the network.
    """

    name: str
    backend: Literal["onnxruntime", "torch"]
    accelerator: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    precision: Literal["fp32", "int8"] = "fp32"
    host: str | None = None

    def require_local(self):
        """Raise DeviceError, saying what can be done instead, unless this process can measure here."""
        if self.host is not None:
            raise DeviceError(
                f"device {self.name!r} is at {self.host}, and measuring over SSH is not available yet in this version; "
                f"instead copy the run's config.yaml into a directory on the device, run `hat-measure-latency "
                f"--device cpu --run DIRECTORY` there, and copy its latency/cpu.jsonl back as the run's "
                f"latency/{self.name}.jsonl"
            )


def load_device(name):
    """The Device of that name, or of the YAML file at that path.

    Raises DeviceError listing the known devices, UsageError naming a wrong key of the file.
    """
    path = _find(str(name))
    mapping = read_yaml_mapping(path)
    if "name" in mapping:
        raise UsageError(f"{path}: unknown key 'name'; a device is named by its file")
    device = from_mapping(Device, {"name": path.stem, **mapping}, str(path))
    if device.threads < 1:
        raise UsageError(f"{path}: threads: {device.threads} is not a positive integer")
    if device.backend == "onnxruntime" and device.accelerator == "cuda":
        raise UsageError(f"{path}: accelerator: cuda is measured with backend: torch")
    if device.backend == "torch" and device.precision != "fp32":
        raise UsageError(f"{path}: precision: {device.precision} needs backend: onnxruntime")
    return device


def _find(name):
    if name.endswith(".yaml"):
        return Path(name)
    known = {path.stem: path for folder in reversed(FOLDERS) for path in sorted(folder.glob("*.yaml"))}
    if name not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise DeviceError(f"there is no device {name!r}; known: {listed}; add {FOLDERS[0]}/NAME.yaml for a new one")
    return known[name]
