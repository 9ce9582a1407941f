"""Circumstances of a measurement, read from trees of files such as a kernel shows."""

import json
import os
import platform
import sys
from dataclasses import replace

import numpy
import pytest
from fake_agents import QUIET

from hat.config import from_mapping, to_mapping
from latency_predictor.on_device import environment
from latency_predictor.on_device.environment import Environment, read_environment, warnings_of


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A function that writes files of the kernel, of which there are none at first."""
    monkeypatch.setattr(environment, "PROC", tmp_path / "proc")
    monkeypatch.setattr(environment, "SYS", tmp_path / "sys")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def write(path, content):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
        return tmp_path / path

    return write


def test_of_this_machine():
    found = read_environment(gpu="a GPU")
    assert found.gpu == "a GPU"
    assert found.cores == os.cpu_count()
    assert found.load == pytest.approx(os.getloadavg()[0], abs=0.5)
    assert (found.python, found.numpy) == (platform.python_version(), numpy.__version__)
    assert found.machine == platform.platform()
    through_json = json.loads(json.dumps(to_mapping(found)))
    assert from_mapping(Environment, through_json, "sample") == found


def test_throttling_goes_through_json():
    pi = replace(QUIET, throttled=("under-voltage", "throttled earlier"))
    assert from_mapping(Environment, json.loads(json.dumps(to_mapping(pi))), "sample") == pi


def test_where_nothing_can_be_read(kernel):
    found = read_environment()
    assert (found.governor, found.frequency, found.temperature, found.throttled) == (None,) * 4
    assert found.cpu
    assert environment.free_memory_bytes() is None


def test_a_raspberry_pi(kernel, monkeypatch):
    monkeypatch.setattr(environment, "cpus_in_use", lambda: [3])
    kernel("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 108.00\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4 B\n")
    kernel("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:    1234 kB\n")
    kernel("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    kernel("sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "ondemand\n")
    kernel("sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq", "600000\n")
    kernel("sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq", "1500000\n")
    kernel("sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "2-3\n")
    kernel("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    kernel("sys/class/thermal/thermal_zone0/temp", "61322\n")
    kernel("sys/class/thermal/thermal_zone1/type", "battery\n")
    kernel("sys/class/thermal/thermal_zone1/temp", "99000\n")
    kernel("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    found = read_environment()
    assert found.cpu == "Raspberry Pi 4 B"
    assert (found.governor, found.frequency) == ("ondemand", 600.0)  # of the CPU in use
    assert (environment.highest_frequency(3), environment.highest_frequency(2)) == (1500.0, 0.0)
    assert (environment.siblings_of(3), environment.siblings_of(2)) == ("2-3", "2")
    assert found.temperature == pytest.approx(61.322)
    assert found.throttled == ("under-voltage", "throttled")
    assert environment.free_memory_bytes() == 1234 * 1024


@pytest.mark.parametrize(
    ("told", "meaning"),
    [
        # Bits as the Raspberry Pi's documentation of `vcgencmd get_throttled` lists them.
        ("throttled=0x0", ()),
        ("throttled=0x1", ("under-voltage",)),
        ("throttled=0x2", ("frequency capped",)),
        ("throttled=0x4", ("throttled",)),
        ("throttled=0x8", ("soft temperature limit",)),
        ("throttled=0x50000", ("under-voltage earlier", "throttled earlier")),
        ("throttled=0xe0008", ("soft temperature limit", "frequency capped earlier", "throttled earlier")),
        ("VCHI initialization failed", None),
    ],
)
def test_throttling_told_by_the_firmware(kernel, told, meaning):
    kernel("bin/vcgencmd", f"#!/bin/sh\necho '{told}'\n").chmod(0o755)
    assert read_environment().throttled == meaning


def test_sensors_of_a_pc(kernel):
    kernel("sys/class/hwmon/hwmon0/name", "nvme\n")
    kernel("sys/class/hwmon/hwmon0/temp1_input", "90000\n")
    kernel("sys/class/hwmon/hwmon1/name", "k10temp\n")
    kernel("sys/class/hwmon/hwmon1/temp1_input", "45500\n")
    kernel("sys/class/hwmon/hwmon1/temp3_input", "47250\n")
    assert read_environment().temperature == 47.25


def test_governors_that_differ(kernel, monkeypatch):
    monkeypatch.setattr(environment, "cpus_in_use", lambda: [0, 1])
    kernel("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    kernel("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n")
    assert read_environment().governor == "performance, powersave"


def test_versions_of_what_is_not_imported(kernel, monkeypatch):
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    assert read_environment().onnxruntime.split(".")[0] == "1"
    assert environment._version("no-such-package") is None


def test_a_quiet_machine_has_no_warnings():
    assert warnings_of(QUIET, threads=4) == []
    unreadable = replace(QUIET, governor=None, frequency=None, temperature=None, throttled=None, load=None)
    assert warnings_of(unreadable, threads=1) == []


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"governor": "ondemand"}, ("governor is ondemand", "sudo cpupower frequency-set -g performance")),
        ({"load": 1.5}, ("load 1.5 on 4 cores", "`top`")),
        ({"temperature": 81.4}, ("81 degrees", "cool_down_s")),
        ({"throttled": ("under-voltage", "throttled earlier")}, ("under-voltage, throttled earlier", "power supply")),
        ({"cores": 1, "load": 0.1}, ("2 threads on 1 cores", "`threads`")),
    ],
)
def test_each_warning_says_what_mends_it(change, parts):
    warnings = warnings_of(replace(QUIET, **change), threads=2)
    assert len(warnings) == 1
    assert all(part in warnings[0] for part in parts)
    assert "\n" not in warnings[0]


def test_load_is_judged_by_core():
    assert warnings_of(replace(QUIET, load=1.1), threads=1) == []
    assert len(warnings_of(replace(QUIET, load=1.1, cores=2), threads=1)) == 1
