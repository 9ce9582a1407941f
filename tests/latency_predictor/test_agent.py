"""The agent's one file, and its answers; what it does in a process of its own is in test_connection.py."""

import ast
import errno
import io
import json
import os
import subprocess
import sys

import pytest
from deployed import blocking_imports
from other_pythons import find_python

from hat.deploy.building.one_file import needed_modules
from hat.errors import ArtifactError, DeviceError, StorageError, UsageError
from latency_predictor.link import agent_file
from latency_predictor.link.agent_file import agent_source, boot_code
from latency_predictor.link.connection import ask_once
from latency_predictor.link.devices import Device
from latency_predictor.on_device import workplace
from latency_predictor.on_device.agent import Agent
from latency_predictor.on_device.workplace import BusyError, DeviceLock, make_folder

ALLOWED = ("numpy", "onnxruntime")
LOADERS = {  # of models of tokenizers, whose packages are imported where they are needed
    "hat.deploy.text": {"sentencepiece"},
    "hat.deploy.text_encoders": {"tokenizers"},
}
# What onnxruntime imports itself where it finds it.
OF_ONNXRUNTIME = ("flatbuffers", "google", "packaging", "sympy", "mpmath", "coloredlogs", "humanfriendly")
MODULES = needed_modules(agent_file.ENTRY, agent_file.PACKAGES)


def run_agent(*options, source=None, prelude="", python=sys.executable, asked=b""):
    """(answers, what it said) of the agent in a process of its own that is asked nothing but `asked`."""
    content = (source or agent_source()).encode()
    command = [python, *options, "-u", "-c", prelude + boot_code(content)]
    done = subprocess.run(command, input=content + asked, capture_output=True, check=False, timeout=50)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def test_holds_what_measures_and_nothing_else():
    names = set(MODULES)
    assert {
        "latency_predictor.on_device.agent",
        "latency_predictor.on_device.bench",
        "latency_predictor.on_device.timing",
    } <= names
    assert {
        "latency_predictor.on_device.call_bench",
        "hat.deploy.beam_search",
        "hat.deploy.translator",
        "hat.errors",
    } <= names
    assert not {"hat.deploy.building.graphs", "hat.config", "latency_predictor.link.connection"} & names


def test_every_module_is_python_3_9_with_two_packages():
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                tops = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                tops = [node.module.split(".")[0]]
            else:
                continue
            allowed = {*ALLOWED, *agent_file.PACKAGES, *sys.stdlib_module_names}
            if (name, tops) != ("hat", ["hat"]):
                assert set(tops) <= allowed | LOADERS.get(name, set()), (name, tops)


def test_no_annotation_is_evaluated_that_python_3_9_cannot():
    """`int | None` in a dataclass or a signature is an error there unless annotations are kept as text."""
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        annotations = [getattr(node, "annotation", None) or getattr(node, "returns", None) for node in ast.walk(tree)]
        unions = [
            part
            for annotation in annotations
            if annotation is not None
            for part in ast.walk(annotation)
            if isinstance(part, ast.BinOp)
        ]
        assert not unions or "from __future__ import annotations" in path.read_text(encoding="utf-8"), name


def test_linted_for_python_3_9():
    files = [str(path) for path in MODULES.values()]
    command = ["-m", "ruff", "check", "--isolated", "--target-version", "py39", "--select", "E9,F,UP", *files]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_outermost_part_is_for_any_python_3():
    """Nothing that came after Python 3.4, so that an old one runs as far as to say that it is too old."""
    tree = ast.parse(agent_source())
    newer = (ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.AsyncFunctionDef, ast.Await, ast.MatMult)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    first_lines = "\n".join(agent_file.HEADER.splitlines()[:13])
    assert first_lines.index("sys.exit") < agent_file.HEADER.index("import importlib.abc")


def test_imports_nothing_but_numpy_and_onnxruntime():
    others = sorted({*MODULES} - {"latency_predictor.on_device.agent"})
    imports = "".join(f"import {name}\n" for name in others)
    source = agent_source().replace(
        agent_file.FOOTER, imports + "import latency_predictor.on_device.agent\nprint('[\"all\"]')\n"
    )
    root = str(MODULES["hat"].parent.parent)
    prelude = f"import sys; sys.path[:] = [path for path in sys.path if path not in ('', {root!r})]\n"
    answers, said = run_agent(source=source, prelude=prelude + blocking_imports((*ALLOWED, *OF_ONNXRUNTIME)))
    assert answers == [["all"]], said


def test_missing_packages_are_told():
    answers, _ = run_agent("-S")
    version = ".".join(map(str, sys.version_info[:3]))
    assert answers == [{"type": "unusable", "python": version, "missing": ["numpy", "onnxruntime"]}]


def test_an_old_python_is_told():
    answers, _ = run_agent(prelude="import sys; sys.version_info = (3, 7, 3); ")
    assert answers == [{"type": "unusable", "python": "3.7.3", "missing": []}]


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", "3.8"])
def test_a_real_old_python_tells_what_it_is(version):
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    answers, said = run_agent(python=python)
    if version == "2.7":
        assert "it is Python 2; 3.9 is the oldest that will do" in said
    else:
        assert answers[0]["type"] == "unusable", said
        assert answers[0]["python"].startswith(version)


def test_a_check_tells_of_the_device():
    answer = ask_once(Device(name="here", backend="onnxruntime"), {"type": "check"})
    assert answer["type"] == "checked"
    assert answer["cpus"] == sorted(os.sched_getaffinity(0))
    assert answer["memory_bytes"] > 0
    assert answer["disk_bytes"] > 0
    assert answer["environment"]["onnxruntime"]


def test_the_end_of_input_ends_it():
    assert run_agent() == ([], "")


def test_a_connection_that_is_cut_within_a_request_ends_it():
    assert run_agent(asked=b'{"type": "measure", "subj') == ([], "")


class Bench:
    """Raises the error that it was made with."""

    def __init__(self, error):
        self._error = error

    def measure(self, request):
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "file"), "storage", "No space left on device: 'file'"),
        (OSError(errno.EDQUOT, "Quota exceeded"), "storage", "Quota exceeded"),
        (StorageError("full"), "storage", "full"),
        (ArtifactError("no\n  such operator"), "graph", "no such operator"),
        (UsageError("beam 0"), "device", "beam 0"),
        (ImportError("libgomp.so.1: cannot open"), "import", "libgomp.so.1"),
        (MemoryError(), "memory", ""),
        (OSError(errno.EIO, "Input/output error"), "internal", "OSError: [Errno 5] Input/output error"),
        (ZeroDivisionError("division by zero"), "internal", "division by zero, at " + __file__),
    ],
)
def test_failures_are_answers(tmp_path, monkeypatch, error, kind, message):
    monkeypatch.setattr(workplace.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workplace, "MEMORY_FOLDER", tmp_path / "memory")
    monkeypatch.setattr("latency_predictor.on_device.agent.pin", lambda cpus, threads: cpus)
    agent = Agent(io.BytesIO(), make_bench=lambda folder, setup: Bench(error))
    setup = {"session": "a", "threads": 1, "cpus": sorted(os.sched_getaffinity(0)), "timeout_s": 60, "busy_wait_s": 0}
    setup |= {"idle_limit_s": 60, "accelerator": "cpu"}
    assert agent.handle({"type": "setup", **setup})["type"] == "ready"
    answer = agent.handle({"type": "measure", "cool_down_s": 0, "timeout_s": 60})
    assert (answer["type"], answer["kind"]) == ("failed", kind)
    assert message in answer["message"]
    assert "\n" not in answer["message"]


@pytest.fixture
def lock_path(tmp_path):
    return tmp_path / "lock"


def test_a_lock_is_had_by_one_at_a_time(lock_path):
    first, second = DeviceLock("a", lock_path), DeviceLock("b", lock_path)
    with first.held(0.1), pytest.raises(BusyError, match=f"process {os.getpid()}, is measuring"), second.held(0.1):
        pass
    with second.held(0.1), pytest.raises(BusyError), first.held(0.1):
        pass


HOLDER = """
import fcntl, os, sys, time
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(handle, fcntl.LOCK_EX)
os.pwrite(handle, f"{os.getpid()} mine".encode(), 0)
print(flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("session", ["mine", "another"])
def test_only_an_orphan_of_the_same_session_is_ended(lock_path, session):
    with subprocess.Popen([sys.executable, "-c", HOLDER, lock_path], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        lock = DeviceLock(session, lock_path)
        if session == "mine":
            with lock.held(10):
                assert holder.wait(10) != 0
        else:
            with pytest.raises(BusyError, match=str(holder.pid)), lock.held(0.2):
                pass
            assert holder.poll() is None
        holder.kill()


def test_a_lock_that_is_a_link_is_not_followed(lock_path, tmp_path):
    lock_path.symlink_to(tmp_path / "precious")
    with pytest.raises(DeviceError, match="not this user's own file; remove it, or set TMPDIR"):
        DeviceLock("a", lock_path)
    assert not (tmp_path / "precious").exists()


def test_a_lock_that_is_another_name_of_a_file_is_left_alone(lock_path, tmp_path):
    (tmp_path / "precious").write_text("kept")
    lock_path.hardlink_to(tmp_path / "precious")
    with pytest.raises(DeviceError, match="not this user's own"):
        DeviceLock("a", lock_path)
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_lock_of_another_user_is_refused(lock_path, monkeypatch):
    lock_path.write_text("")
    mine = os.getuid()
    monkeypatch.setattr(workplace.os, "getuid", lambda: mine + 1)
    with pytest.raises(DeviceError, match=f"{lock_path} there is not this user's own file"):
        DeviceLock("a", lock_path)


def test_a_lock_that_may_not_be_opened_is_refused(lock_path):
    """A folder stands for another user's file, which root may open."""
    lock_path.mkdir()
    with pytest.raises(DeviceError, match="not this user's own"):
        DeviceLock("a", lock_path)


def test_folders_of_dead_agents_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(workplace.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(workplace, "MEMORY_FOLDER", tmp_path / "memory")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    user = os.getuid()
    names = [f"hat-agent-{user}-{process}-x" for process in (dead.pid, os.getpid())]
    names += [f"hat-agent-{user + 1}-{dead.pid}-x", f"hat-agent-{user}-notes-x", "hat-agent"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text("")
    (tmp_path / f"hat-agent-{user}-{dead.pid}-link").symlink_to(tmp_path / "hat-agent")
    folder = make_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    left = {path.name for path in tmp_path.iterdir()} - {folder.name}
    assert left == {*names[1:], f"hat-agent-{user}-{dead.pid}-link"}
    assert (tmp_path / "hat-agent" / "weights").exists()


def test_a_disk_without_any_room(monkeypatch):
    """Python's tempfile finds a folder by writing to it."""

    def fail():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(workplace.tempfile, "gettempdir", fail)
    with pytest.raises(StorageError, match="No usable temporary directory"):
        make_folder()


@pytest.mark.parametrize(
    ("frequencies", "siblings", "count", "chosen"),
    [
        ({}, {}, 1, [7]),  # of a machine that tells nothing
        ({}, {}, 3, [5, 6, 7]),
        ({}, {}, 9, [0, 1, 2, 3, 4, 5, 6, 7]),
        (dict.fromkeys(range(4, 8), 2.4), {}, 2, [6, 7]),  # big.LITTLE with the big ones last
        (dict.fromkeys(range(4), 5.0), {}, 2, [2, 3]),  # and first
        ({}, {cpu: str(cpu // 2) for cpu in range(8)}, 2, [5, 7]),  # two threads a core, neighbours
        ({}, {cpu: str(cpu % 4) for cpu in range(8)}, 5, [3, 4, 5, 6, 7]),  # and far from each other
    ],
)
def test_the_cpus_that_are_chosen(monkeypatch, frequencies, siblings, count, chosen):
    monkeypatch.setattr(workplace, "highest_frequency", lambda cpu: frequencies.get(cpu, 1.0))
    monkeypatch.setattr(workplace, "siblings_of", lambda cpu: siblings.get(cpu, str(cpu)))
    assert workplace.choose_cpus(list(range(8)), count) == chosen


def test_memory_is_used_where_there_is_plenty(tmp_path, monkeypatch):
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setattr(workplace, "MEMORY_FOLDER", memory)
    monkeypatch.setattr(workplace, "ENOUGH_MEMORY", 0)
    assert make_folder().parent == memory
    monkeypatch.setattr(workplace, "ENOUGH_MEMORY", 1 << 60)
    monkeypatch.setattr(workplace.tempfile, "tempdir", str(tmp_path))
    assert make_folder().parent == tmp_path
