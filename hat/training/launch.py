"""A command of ours in several processes of this machine, by torchrun."""

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hat.deploy.batching import usable_cores
from hat.errors import ProcessError
from hat.training.lifeline import ENDS_WITH_STDIN

if TYPE_CHECKING:
    from hat.training.options import TrainingOptions


def run_in_processes(module: str, arguments: Iterable[Any], options: "TrainingOptions") -> None:
    """Run a command's module with these arguments and the TrainingOptions, in `options.processes` processes.

    What it prints is printed here. It ends with this process, however that ends. Raises ProcessError if it fails.
    """
    count = options.processes
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}", "-m", "--"]
    threads = str(options.threads or max(1, usable_cores() // count))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, ENDS_WITH_STDIN: "1"}
    command = [sys.executable, *torchrun, module, *map(str, arguments), *options.arguments()]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as child:
        try:
            for line in child.stdout:
                print(line, end="", flush=True)
        except BaseException:
            child.terminate()
            raise
    if child.returncode:
        raise ProcessError(
            f"the {count} processes of {module} ended with status {child.returncode}, for the reason they printed; "
            "run the same command again to go on"
        )
