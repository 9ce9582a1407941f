"""Errors a user can mend. Each carries the exit status that its command ends with."""


class HatError(Exception):
    """Base of all expected errors: one line that names what is wrong and the remedy."""

    exit_status = 1


class UsageError(HatError):
    """A wrong argument, config key or value."""

    exit_status = 2


class DataError(HatError):
    """Text that can't be used: empty, misaligned, not UTF-8, over-long."""

    exit_status = 3


class ArtifactError(HatError):
    """A checkpoint, bundle, predictor or run directory that is missing, foreign or damaged."""

    exit_status = 4


class DeviceError(HatError):
    """A device that doesn't exist, can't be reached or lacks what measuring needs."""

    exit_status = 5


class BudgetError(HatError):
    """A latency budget that nothing in the search space can meet."""

    exit_status = 6


class StorageError(HatError):
    """A full disk or a directory that can't be written."""

    exit_status = 7


class ProcessError(HatError):
    """Another process of the same command, started by torchrun, has ended."""

    exit_status = 8


class BusyMachineError(HatError):
    """A machine with so much other work that latencies measured on it are no verdict."""

    exit_status = 9


class OutOfMemoryError(HatError):
    """More memory wanted than the device has."""

    exit_status = 10


class InUseError(HatError):
    """A folder of a run directory that another command works in."""

    exit_status = 11
