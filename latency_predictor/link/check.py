"""Whether a device can be used, on one screen: what is there, what is missing, and what would mend it."""

import contextlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from hat.config import from_mapping
from hat.errors import DeviceError, HatError, UsageError
from latency_predictor.link.connection import ask_once, checked, install_command
from latency_predictor.link.devices import Device, load_device
from latency_predictor.link.ssh import by_hand
from latency_predictor.on_device.environment import Environment, conditions, read_environment

LOWEST_PYTHON = "3.9"
LOWEST = {"numpy": "1.19", "onnxruntime": "1.16"}  # onnxruntime for hat.deploy.building.graph_builder.IR_VERSION
ENOUGH = 500 << 20  # bytes of memory, and of disk: the weights of a large SubTransformer twice

OK, WARNING, MISSING = "ok", "warning", "missing"
Line = tuple[str, str, str]  # state, what, text


def check_device(name: str) -> tuple[str, bool]:
    """(text, usable) of the device of that name or file; the text has one line for each thing that matters.

    Raises DeviceError or UsageError only for a device that doesn't exist or whose file is wrong.
    """
    device = load_device(name)
    lines = _torch_lines(device) if device.backend == "torch" else _agent_lines(device)
    usable = all(state != MISSING for state, _, _ in lines)
    where = f"{device.host} over SSH" if device.host else "this machine"
    title = f"{device.name}: {device.backend}, {device.precision}, on the {device.accelerator} of {where}"
    rows = [f"  {state:<7}  {what:<11}  {text}" for state, what, text in lines]
    end = f"{device.name} can be used." if usable else f"{device.name} can't be used yet."
    return "\n".join([title, *rows, end]), usable


def check_accelerator(device: Device) -> None:
    """Raise UsageError, saying what to install, for a Device of this machine whose accelerator can't be used here.

    Of remote devices the agent says so itself.
    """
    if device.host is not None or device.accelerator == "cpu":
        return
    try:
        if device.backend == "torch":
            from latency_predictor.sampling.torch_backend import gpu_name

            gpu_name()
        else:
            from hat.deploy.sessions import make_session

            with contextlib.redirect_stdout(None):  # onnxruntime prints what it lacks
                make_session(_smallest_graph(), device.threads, device.accelerator)
    except (DeviceError, UsageError) as error:
        raise UsageError(f"device {device.name!r}: {error}; or use --device cpu") from None


def _smallest_graph() -> bytes:
    """A serialised graph that returns its input."""
    from hat.deploy.building.graph_builder import GraphBuilder

    graph = GraphBuilder("nothing")
    graph.input("x", "float32", [1])
    graph.output(graph.node("Identity", ["x"], ["y"]), "float32", [1])
    return graph.model({}).SerializeToString()


def _agent_lines(device: Device) -> list[Line]:
    """(state, what, text) of each thing that the agent on the device tells."""
    try:
        found = ask_once(device, {"type": "check"})
        if found["type"] == "unusable":
            return _unusable_lines(device, found)
        found = checked(device, found)
    except HatError as error:
        return [(MISSING, "connection", str(error))]
    environment = from_mapping(Environment, found["environment"], device.name)
    return [
        (OK, "connection", by_hand(device) or "not needed"),
        (OK, "python", environment.python),
        *(_version_line(device, package, getattr(environment, package)) for package in LOWEST),
        (OK, "machine", f"{environment.cpu}, {environment.cores} cores, {environment.machine}"),
        *_gpu_lines(device, found["providers"], environment.gpu),
        _cpus_line(device, found["cpus"]),
        _space_line("memory", found["memory_bytes"], "end what else runs there"),
        _space_line("disk", found["disk_bytes"], "free some, or set TMPDIR there"),
        *_condition_lines(environment, device.threads),
    ]


def _unusable_lines(device: Device, found: dict[str, Any]) -> list[Line]:
    connected = (OK, "connection", by_hand(device) or "not needed")
    if _numbers(found["python"]) < _numbers(LOWEST_PYTHON):
        newer = f"{LOWEST_PYTHON} or newer is needed; install it and name it under `python` in the device's file"
        return [connected, (MISSING, "python", f"{found['python']}: {newer}")]
    lacking = [(MISSING, package, install_command(device, [package])) for package in found["missing"]]
    return [connected, (OK, "python", found["python"]), *lacking]


def _version_line(device: Device, package: str, version: str | None) -> Line:
    lowest = LOWEST[package]
    if version is None:
        return WARNING, package, f"its version can't be told; {lowest} or newer is needed"
    if _numbers(version) < _numbers(lowest):
        return MISSING, package, f"{version}, {lowest} or newer is needed: {install_command(device, [package])}"
    return OK, package, f"{version} ({lowest} or newer is needed)"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _gpu_lines(device: Device, providers: Sequence[str], gpu: str | None) -> list[Line]:
    if device.accelerator == "cpu":
        return []
    from hat.deploy.sessions import CUDA, CUDA_REMEDY

    provided = (OK, "provider", CUDA) if CUDA in providers else (MISSING, "provider", f"no {CUDA}; {CUDA_REMEDY}")
    found = (OK, "gpu", gpu) if gpu else (MISSING, "gpu", "nvidia-smi there finds none: see its driver")
    return [provided, found]


def _cpus_line(device: Device, usable: Sequence[int]) -> Line:
    wrong = sorted(set(device.cpus) - set(usable))
    if wrong:
        return MISSING, "cpus", f"{_listed(wrong)} can't be used there, only {_listed(usable)}: mend the device's file"
    return OK, "cpus", _listed(device.cpus) if device.cpus else f"{device.threads} of {_listed(usable)}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _space_line(what: str, size: int | None, remedy: str) -> Line:
    if size is None:
        return WARNING, what, "can't be told"
    text = f"{size / 2**30:.1f} GB free"
    return (OK, what, text) if size >= ENOUGH else (WARNING, what, f"{text}, which may be too little: {remedy}")


def _condition_lines(environment: Environment, threads: int) -> list[Line]:
    return [(WARNING if wrong else OK, what, wrong or value) for what, value, wrong in conditions(environment, threads)]


def _torch_lines(device: Device) -> list[Line]:
    import torch

    lines: list[Line] = [(OK, "torch", torch.__version__)]
    if device.accelerator == "cuda":
        if torch.cuda.is_available():
            lines.append((OK, "gpu", torch.cuda.get_device_name(0)))
        else:
            remedy = "needs an NVIDIA GPU, its driver (see nvidia-smi) and a torch that was built for CUDA"
            lines.append((MISSING, "gpu", f"CUDA can't be used here: it {remedy}"))
    return [*lines, *_condition_lines(read_environment(), device.threads)]
