"""What processes on several machines must have in common, and which of them share a disk.

The run directory may be on a disk that all machines share, or on one of each. The first process of each disk prepares
the data there; checkpoints and results are the first process's alone, and are sent to the others where they need them.
"""

import importlib.metadata
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hat.errors import UsageError
from hat.experiment.run_directory import TOKEN_PREFIX, RunDirectory, stamp
from hat.experiment.sections import Experiment
from hat.training import processes

PACKAGES = ("hardware-aware-transformers", "torch", "fairseq-fixed", "numpy", "sentencepiece")
MISSING = "missing"

_first_here = None


def is_first_here() -> bool:
    """Whether this process is the one that writes what every disk needs."""
    return processes.is_first() if _first_here is None else _first_here


def first_here(function: Callable[[], object]) -> None:
    """Call `function()` in the first process of each disk, while all others wait; where it raises, none goes on."""
    processes.agreed(lambda: function() if is_first_here() else None)


def meet(directory: Path, config: Experiment, device: str) -> None:
    """Check that all processes have the same config, packages and device, and find out which share `directory`.

    One line says how it is used, where there are several machines. Raises UsageError on a process that has something
    else than the first, ProcessError on the others.
    """
    global _first_here
    if processes.world_size() == 1:
        return
    _check_same("config key", _flat(config.to_dict()), "start all machines with the same config")
    versions = {name: _version(name) for name in PACKAGES}
    _check_same("package", versions, "install the same version on all machines")
    _check_same("device", {"kind": device}, "name one that all machines have with --device")
    disks = _disks(directory)
    _first_here = disks[processes.rank()] == processes.rank()
    host = processes.from_first(socket.gethostname)
    if _first_here and (len(set(disks)) > 1 or processes.machine_count() > 1):
        print(_described(directory, disks, host), flush=True)


def check_same_data(run: RunDirectory) -> None:
    """Raise UsageError on a process whose prepared data differ from the first's, ProcessError on the others.

    Raises ArtifactError without prepared data.
    """
    if processes.world_size() == 1:
        return
    run.prepared()
    _check_same("digest of", {"data": stamp(run.data)}, f"copy {run.data} from the first machine to the others")


def _check_same(kind: str, mine: dict[str, Any], remedy: str) -> None:
    """`mine` is a flat dictionary, compared with that of the first process."""
    first, host = processes.from_first(lambda: (mine, socket.gethostname()))

    def compare() -> None:
        for key in {**first, **mine}:
            here, there = mine.get(key, MISSING), first.get(key, MISSING)
            if here != there:
                where = f"rank {processes.rank()} on {socket.gethostname()}"
                raise UsageError(f"{where}: {kind} {key} is {here} here and {there} on rank 0, {host}; {remedy}")

    processes.agreed(compare)


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}"""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return MISSING


def _disks(directory: Path) -> list[int]:
    """By rank, the lowest rank that sees the same `directory`: each leaves a token there and looks for the others'.

    Tokens have new names, and are opened by them: a network file system may list a folder as it was a while ago.
    """
    session = processes.from_first(lambda: secrets.token_hex(8))

    def token(rank: int) -> Path:
        return directory / f"{TOKEN_PREFIX}{session}.{rank}"

    def leave() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        token(processes.rank()).touch()

    processes.agreed(leave)
    seen = [rank for rank in range(processes.world_size()) if token(rank).exists()]
    disks = processes.gathered(min(seen))
    token(processes.rank()).unlink()
    for leftover in directory.glob(f"{TOKEN_PREFIX}*"):  # of a start that was killed
        if session not in leftover.name:
            leftover.unlink(missing_ok=True)
    return disks


def _described(directory: Path, disks: Sequence[int], host: str) -> str:
    if len(set(disks)) == 1:
        return f"{directory} is on a disk that {processes.machine_count()} machines share"
    return (
        f"{directory} is on {len(set(disks))} disks: the data is prepared on each; checkpoints and results are kept by "
        f"rank 0 alone, on {host}"
    )
