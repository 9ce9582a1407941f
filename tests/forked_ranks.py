"""Processes that see what torchrun would tell them, forked: nothing is imported again."""

import multiprocessing
import os
import socket

import torch

from hat.errors import HatError
from hat.training import processes

FORK = multiprocessing.get_context("fork")
DEADLINE = 300  # seconds, after which it hangs


def together(*functions, **environment):
    """What each of the functions returned or raised (as name and text), each called in a process of its own."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    results = FORK.Queue()

    def child(rank):
        torch.set_num_threads(1)
        ranks = {"WORLD_SIZE": len(functions), "RANK": rank, "LOCAL_RANK": rank}
        ranks |= {"MASTER_ADDR": "localhost", "MASTER_PORT": port, **environment}
        os.environ.update({name: str(value) for name, value in ranks.items()})
        try:
            with processes.joined("cpu"):
                result = functions[rank]()
        except (HatError, OSError) as error:
            result = type(error).__name__, str(error)
        results.put((rank, result))

    children = [FORK.Process(target=child, args=(rank,)) for rank in range(len(functions))]
    for process in children:
        process.start()
    for process in children:
        process.join(DEADLINE)
    exit_codes = [process.exitcode for process in children]
    for process in children:
        process.kill()
    assert None not in exit_codes, "a process waits for ever"
    found = dict(results.get(timeout=DEADLINE) for code in exit_codes if code == 0)
    return [found.get(rank) for rank in range(len(functions))]
