"""A machine whose network is cut without a word, told within a minute: in a network of its own, switched off."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked_ranks import together

from hat.training import processes, silence

pytestmark = pytest.mark.alone

ALONE = ["unshare", "--map-root-user", "--net"]  # in a network with nothing but a loopback interface
TESTS = Path(__file__).parents[2]
DEADLINE = 120  # seconds


def can_be_alone():
    try:
        return subprocess.run([*ALONE, "ip", "link"], capture_output=True).returncode == 0
    except OSError:
        return False


def test_probes_end_within_a_minute():
    first, every, count = silence.PROBES.values()
    assert first + every * count <= 60


@pytest.mark.skipif(not can_be_alone(), reason="needs `unshare --net` and `ip`, of Debian's util-linux and iproute2")
def test_silence_ends_both_sides_and_long_work_does_not():
    environment = {"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    command = [*ALONE, sys.executable, __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['worked', 'worked'] [None, None]"
    assert done.stderr.count(silence.TOLD) == 2


def work(seconds):
    """A first exchange, work of one process that holds the interpreter, and another exchange."""

    def function():
        processes.barrier()
        if processes.is_first():
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                re.match("(a+)+b", "a" * 18)  # which lets no other thread run
        processes.barrier()
        return "worked"

    return function


def cut_off():
    """Switch the network off and wait for the others, who can't hear of it."""
    processes.barrier()
    if processes.is_first():
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    processes.barrier()


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    silence.PROBES = dict.fromkeys(silence.PROBES, 1)
    machines = {"GROUP_WORLD_SIZE": 2}
    print(together(*[work(3)] * 2, **machines), together(*[cut_off] * 2, **machines))
