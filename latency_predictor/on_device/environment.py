"""The circumstances of a measurement: processor, governor, temperature, load, versions (Python 3.9, nothing else)."""

from __future__ import annotations  # Python 3.9 can't evaluate `str | None`

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC, SYS = Path("/proc"), Path("/sys")
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")  # names of hardware monitors
CPU_ZONES = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "soc-thermal", "cpu", "soc")  # beginnings of thermal zones
# What a Raspberry Pi reports; the same 16 bits higher it has happened since the start of the machine.
THROTTLING = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
BUSY = 0.3  # load a core from which other work is likely to disturb
HOT = 75.0  # degrees Celsius; processors slow down from about 80


@dataclass(frozen=True)
class Environment:
    """What can't be read on a machine is None.

    `governor` names those of the CPUs in use; `frequency` is their highest current one in MHz, `temperature` in degrees
    Celsius, `load` the 1-minute average, `throttled` what a Raspberry Pi says that slows or slowed it.
    """

    time: str
    machine: str
    cpu: str
    cores: int
    gpu: str | None
    governor: str | None
    frequency: float | None
    temperature: float | None
    throttled: tuple[str, ...] | None
    load: float | None
    python: str
    numpy: str | None
    onnxruntime: str | None
    torch: str | None


def read_environment(gpu: str | None = None) -> Environment:
    """The Environment of this moment; `gpu` is the model's name where one is measured."""
    cpus = cpus_in_use()
    return Environment(
        time=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        machine=platform.platform(),
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        gpu=gpu,
        governor=_governor(cpus),
        frequency=_frequency(cpus),
        temperature=_temperature(),
        throttled=_throttled(),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        python=platform.python_version(),
        numpy=_version("numpy"),
        onnxruntime=_version("onnxruntime"),
        torch=_version("torch"),
    )


def warnings_of(environment: Environment, threads: int) -> list[str]:
    """What may spoil measurements with `threads` threads: one line each, with what mends it. For before measuring."""
    return [warning for _, _, warning in conditions(environment, threads) if warning]


def conditions(environment: Environment, threads: int) -> list[tuple[str, str, str | None]]:
    """[(what, its value as text, warning or None)] of all that may spoil a measurement.

    A warning says what is wrong and what mends it. What could not be read is left out.
    """
    judges = {
        "threads": _judge_threads,
        "governor": _judge_governor,
        "temperature": _judge_temperature,
        "throttling": _judge_throttling,
        "load": _judge_load,
    }
    found = [(what, judge(environment, threads)) for what, judge in judges.items()]
    return [(what, *judged) for what, judged in found if judged]


def _judge_threads(environment: Environment, threads: int) -> tuple[str, str | None] | None:
    too_many = f"{threads} threads on {environment.cores} cores: set a smaller `threads` in the device's file"
    return f"{threads} on {environment.cores} cores", too_many if threads > environment.cores else None


def _judge_governor(environment: Environment, _: int) -> tuple[str, str | None] | None:
    if environment.governor is None:
        return None
    varies = f"the governor is {environment.governor}, so the pace varies: sudo cpupower frequency-set -g performance"
    return environment.governor, None if environment.governor == "performance" else varies


def _judge_temperature(environment: Environment, _: int) -> tuple[str, str | None] | None:
    if environment.temperature is None:
        return None
    text = f"{environment.temperature:.0f} degrees Celsius"
    hot = f"{text}, so it may slow down: cool it, or set cool_down_s in the device's file"
    return text, hot if environment.temperature > HOT else None


def _judge_throttling(environment: Environment, _: int) -> tuple[str, str | None] | None:
    if environment.throttled is None:
        return None
    text = ", ".join(environment.throttled)
    slowed = f"{text}: use the official power supply and a cooler, then restart it with sudo reboot"
    return text or "none", slowed if environment.throttled else None


def _judge_load(environment: Environment, _: int) -> tuple[str, str | None] | None:
    if environment.load is None:
        return None
    busy = f"load {environment.load} on {environment.cores} cores: end other work that `top` shows, or wait a minute"
    return f"{environment.load}", busy if environment.load > BUSY * environment.cores else None


def gpu_model() -> str | None:
    """Name of the first NVIDIA GPU; None without any, or without its driver."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.partition("\n")[0].strip() or None if told.returncode == 0 else None


def cpus_in_use() -> list[int]:
    """Numbers of the CPUs that this process may run on, in rising order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def highest_frequency(cpu: int) -> float:
    """In MHz, of what the CPU of that number can do; 0 where it isn't told."""
    return (_number(_cpu_folder(cpu) / "cpufreq" / "cpuinfo_max_freq") or 0.0) / 1e3


def siblings_of(cpu: int) -> str:
    """The CPUs that share a core with the CPU of that number, as text such as 0,4."""
    return _read(_cpu_folder(cpu) / "topology" / "thread_siblings_list") or str(cpu)


def free_memory_bytes() -> int | None:
    """Memory that can be had without swapping; None where it isn't told."""
    for line in (_read(PROC / "meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _read(path: Path) -> str | None:
    """The text of a file of the kernel; None where it isn't there or can't be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = _read(path)
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _cpu_model() -> str:
    pairs = [line.partition(":") for line in (_read(PROC / "cpuinfo") or "").splitlines()]
    values = {key.strip(): value.strip() for key, _, value in pairs}
    for key in ("model name", "Model", "Hardware"):  # x86, then Raspberry Pi and other ARM boards
        if key in values:
            return values[key]
    return platform.processor() or platform.machine()


def _cpu_folder(cpu: int) -> Path:
    return SYS / "devices" / "system" / "cpu" / f"cpu{cpu}"


def _governor(cpus: Iterable[int]) -> str | None:
    found = {_read(_cpu_folder(cpu) / "cpufreq" / "scaling_governor") for cpu in cpus}
    return ", ".join(sorted(governor for governor in found if governor is not None)) or None


def _frequency(cpus: Iterable[int]) -> float | None:
    found = [_number(_cpu_folder(cpu) / "cpufreq" / "scaling_cur_freq") for cpu in cpus]
    return max((khz / 1e3 for khz in found if khz is not None), default=None)


def _temperature() -> float | None:
    """The highest of the processor's sensors; None without any."""
    found = []
    for folder in sorted((SYS / "class" / "thermal").glob("thermal_zone*")):
        if (_read(folder / "type") or "").lower().startswith(CPU_ZONES):
            found.append(_number(folder / "temp"))
    for folder in sorted((SYS / "class" / "hwmon").glob("hwmon*")):
        if _read(folder / "name") in CPU_SENSORS:
            found += [_number(path) for path in sorted(folder.glob("temp*_input"))]
    return max((value / 1e3 for value in found if value is not None), default=None)


def _throttled() -> tuple[str, ...] | None:
    """What slows a Raspberry Pi down or did so since its start, in words; None on other machines."""
    text = _read(SYS / "devices" / "platform" / "soc" / "soc:firmware" / "get_throttled")
    if text is None:
        try:
            told = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = told.stdout.strip()
    try:
        bits = int(text.rpartition("=")[2], 16)  # throttled=0x50005, or 50005
    except ValueError:
        return None
    now = [words for bit, words in THROTTLING.items() if bits >> bit & 1]
    earlier = [f"{words} earlier" for bit, words in THROTTLING.items() if bits >> bit + 16 & 1 and words not in now]
    return (*now, *earlier)


def _version(package: str) -> str | None:
    """Of the imported package, else of the installed distribution of that name."""
    if package in sys.modules:
        return sys.modules[package].__version__
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
