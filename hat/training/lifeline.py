"""Processes that end with those that started them, however these end: nothing goes on training unseen."""

import os
import sys
import threading
import time

ENDS_WITH_STDIN = "HAT_ENDS_WITH_STDIN"  # set for the processes of a torchrun that a command of ours started


def end_with_stdin() -> None:
    """End this process when its standard input does, which a process that started it holds open."""
    threading.Thread(target=_wait_for_stdin, daemon=True).start()


def end_with_torchrun() -> None:
    """End this process when torchrun does, or the command of ours that started torchrun."""
    threading.Thread(target=_wait_for_parent, args=(os.getppid(),), daemon=True).start()
    if os.environ.get(ENDS_WITH_STDIN):
        end_with_stdin()


def _wait_for_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)  # not through sys.stdin, which the interpreter's own end would wait for
    os._exit(1)  # all that counts is in files that are replaced in one step


def _wait_for_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    print("error: torchrun has ended, and this process with it; run the same command again to go on", file=sys.stderr)
    os._exit(1)
