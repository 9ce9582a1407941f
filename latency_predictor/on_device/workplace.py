"""What an agent uses of its device: CPUs, a private folder, and the right to measure (standard library, Python 3.9)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hat.errors import DeviceError, StorageError
from latency_predictor.on_device.environment import cpus_in_use, highest_frequency, siblings_of

MEMORY_FOLDER = Path("/dev/shm")
ENOUGH_MEMORY = 2 << 30  # bytes free in the memory folder for it to be used; weights of a large model are 0.3 GB
NOT_OWN = (errno.EACCES, errno.EISDIR, errno.ELOOP)  # of opening another user's file, a folder, a link
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class BusyError(Exception):
    """Another agent is measuring on this device."""


def pin(cpus: Sequence[int], threads: int) -> list[int]:
    """Run this process on `cpus` only, or on as many as it has threads, chosen here, if none are named.

    Before numpy is imported, its threads are limited here, too. Returns the CPUs. Raises DeviceError for CPUs that the
    process can't use.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    usable = cpus_in_use()
    if not hasattr(os, "sched_setaffinity"):  # not Linux
        return usable
    wrong = sorted(set(cpus) - set(usable))
    if wrong:
        unusable, allowed = (", ".join(map(str, numbers)) for numbers in (wrong, usable))
        raise DeviceError(f"cpus: {unusable} can't be used there, only {allowed}; mend the device's file")
    os.sched_setaffinity(0, cpus or choose_cpus(usable, threads))
    return cpus_in_use()


def choose_cpus(usable: Sequence[int], count: int) -> list[int]:
    """The `count` fastest of the CPUs, of different cores as far as there are; of equal ones the last.

    Some machines have cores of several kinds, and the first CPUs of many serve interrupts.
    """
    firsts: list[int] = []
    others: list[int] = []
    cores: set[str] = set()
    for cpu in sorted(usable, key=lambda cpu: (highest_frequency(cpu), cpu), reverse=True):
        siblings = siblings_of(cpu)
        (others if siblings in cores else firsts).append(cpu)
        cores.add(siblings)
    return sorted([*firsts, *others][:count])


def temporary_folder() -> Path:
    """Where files may be written that need not last. Raises StorageError where there is no room for any."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:  # it tries to write
        raise StorageError(error.strerror) from None


def make_folder() -> Path:
    """A new private folder, in memory where there is plenty of it; folders that dead agents left are removed."""
    bases = [temporary_folder()]
    if os.access(MEMORY_FOLDER, os.W_OK) and shutil.disk_usage(MEMORY_FOLDER).free >= ENOUGH_MEMORY:
        bases.insert(0, MEMORY_FOLDER)
    for base in {MEMORY_FOLDER, *bases}:
        _remove_dead(base)
    return Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-", dir=bases[0]))


def _prefix() -> str:
    return f"hat-agent-{os.getuid()}-"


def _remove_dead(base: Path) -> None:
    for folder in base.glob(f"{_prefix()}*"):
        process = folder.name[len(_prefix()) :].partition("-")[0]
        mine = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
        if mine and process.isdecimal() and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


class DeviceLock:
    """The right to measure, which one agent of a user has at a time on a device.

    `session` names the host's connection. An agent of the same session that still measures has lost its host: it is
    ended at once. Others are waited for. Raises DeviceError where the file at `path` isn't this user's own.
    """

    def __init__(self, session: str, path: Path | None = None) -> None:
        self._session = session
        self._file = _open_own(path or temporary_folder() / f"{_prefix()}lock")

    @contextlib.contextmanager
    def held(self, wait_s: float) -> Iterator[None]:
        """Hold the lock inside of a `with`; in the main thread only. Raises BusyError after `wait_s` seconds."""
        if not self._take(fcntl.LOCK_NB):
            self._end_orphan()
            with _alarm(wait_s):
                self._take(0)
        os.ftruncate(self._file, 0)  # an agent that was killed left its own
        os.pwrite(self._file, f"{os.getpid()} {self._session}".encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(self._file, 0)
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self, flags: int) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | flags)
        except BlockingIOError:
            return False
        except _TimeUp:
            raise BusyError(f"another agent, process {self._holder()[0]}, is measuring there") from None
        return True

    def _holder(self) -> tuple[str, str]:
        """(process, session) of the agent that has the lock, as text."""
        process, _, session = os.pread(self._file, 1000, 0).decode().partition(" ")
        return process, session

    def _end_orphan(self) -> None:
        process, session = self._holder()
        if session == self._session:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)


def _open_own(path: Path) -> int:
    """The descriptor of this user's file at `path`, in a folder that others may write to; made if it isn't there."""
    problem = DeviceError(f"{path} there is not this user's own file; remove it, or set TMPDIR to a folder of your own")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in NOT_OWN:
            raise problem from None
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_nlink != 1:
        os.close(handle)
        raise problem
    return handle


class _TimeUp(Exception):  # noqa: N818
    pass


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
