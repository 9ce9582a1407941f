"""The circumstances of a measurement: processor, governor, temperature, load, versions, time."""

import datetime
import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

CPU_INFO = Path("/proc/cpuinfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
CPU_SENSORS = ("coretemp", "k10temp", "cpu_thermal", "cpu-thermal")


@dataclass(frozen=True)
class Environment:
    """What can't be read on a machine is None. `load` is the 1-minute average, `temperature` in degrees Celsius."""

    time: str
    machine: str
    cpu: str
    cores: int
    gpu: str | None
    governor: str | None
    temperature: float | None
    load: float
    python: str
    numpy: str
    onnxruntime: str | None
    torch: str | None


def read_environment(gpu=None):
    """The Environment of this moment; `gpu` is the model's name where one is measured."""
    return Environment(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=platform.platform(),
        cpu=_cpu_model(),
        cores=psutil.cpu_count() or 1,
        gpu=gpu,
        governor=GOVERNOR.read_text().strip() if GOVERNOR.exists() else None,
        temperature=_temperature(),
        load=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        numpy=_version("numpy"),
        onnxruntime=_version("onnxruntime"),
        torch=_version("torch"),
    )


def _cpu_model():
    if CPU_INFO.exists():
        pairs = [line.partition(":") for line in CPU_INFO.read_text().splitlines()]
        values = {key.strip(): value.strip() for key, _, value in pairs}
        for key in ("model name", "Model", "Hardware"):  # x86, then Raspberry Pi and other ARM boards
            if key in values:
                return values[key]
    return platform.processor() or platform.machine()


def _temperature():
    read = getattr(psutil, "sensors_temperatures", dict)  # only on Linux and FreeBSD
    sensors = read()
    for name in CPU_SENSORS:
        if sensors.get(name):
            return sensors[name][0].current
    return None


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
