"""TrainingOptions: how a training runs, as opposed to what it trains (that is the config's)."""

import argparse
import os
import platform
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hat.errors import DeviceError, UsageError
from hat.experiment.config import outdated_tokens
from hat.training.lifeline import ENDS_WITH_STDIN


@dataclass(frozen=True)
class TrainingOptions:
    """`threads` None leaves torch's default; `max_update` and `init` None take the config's.

    In `processes` of this machine are trained the SuperTransformer and what isn't trained beside others; 1 where
    torchrun has started them already.
    """

    precision: str = "fp32"
    device: str | None = None
    threads: int | None = None
    max_update: int | None = None
    init: str | None = None
    processes: int = 1

    def arguments(self) -> list[str]:
        """Those of the command of a training; `max_update` has none, and `processes` are started by torchrun."""
        given = {"--threads": self.threads, "--device": self.device, "--init": self.init}
        precision = [] if self.precision == "fp32" else [f"--{self.precision}"]
        return precision + [part for name, value in given.items() if value for part in (name, str(value))]

    def of_a_teacher(self) -> "TrainingOptions":
        """The TrainingOptions of the teacher of what is trained with these: its recipe is the config's."""
        return replace(self, max_update=None, init=None)

    def resolved_device(self) -> str:
        """'cpu' or 'cuda'; raises DeviceError if a GPU is asked for and absent, UsageError for fp16 on a CPU."""
        import torch

        available = torch.cuda.is_available()
        device = self.device or ("cuda" if available else "cpu")
        if device == "cuda" and not available:
            raise DeviceError("--device cuda: torch finds no GPU here; use --device cpu")
        if device == "cpu" and self.precision == "fp16":
            raise UsageError("--fp16 needs a GPU; use --bf16 on a CPU")
        return device


def chosen_options(parsed: argparse.Namespace) -> TrainingOptions:
    """The TrainingOptions of a command's parsed options; warns of bfloat16 on a CPU that has no instructions for it."""
    from hat.training import processes

    lacking: dict[str, Any] = {"training_device": None, "init": None, "processes": 1}  # some commands lack them
    device, init, count = (getattr(parsed, name, default) for name, default in lacking.items())
    options = TrainingOptions(parsed.training_precision, device, parsed.threads, init=init, processes=count)
    if count > 1 and processes.world_size() > 1:
        raise UsageError("--processes: torchrun has started processes already; leave one of the two out")
    if not processes.is_first():
        return options
    if options.precision == "bf16" and options.resolved_device() == "cpu" and not _has_bf16_instructions():
        print(
            "warning: --bf16: this CPU has no bfloat16 instructions, so that training takes many times as long as in "
            "float32; leave --bf16 out",
            file=sys.stderr,
        )
    return options


def warn_of_update_freq(path: Path | str, options: TrainingOptions) -> None:
    """Say on stderr how many tokens an update has where the config at `path` gives `update_freq`.

    In earlier versions each process had that many batches; now all processes have them together.
    """
    from hat.training import processes

    count = max(options.processes, processes.world_size())
    if count == 1 or not processes.is_first() or os.environ.get(ENDS_WITH_STDIN):  # told by what started the processes
        return
    for section, (tokens, batches) in outdated_tokens(path).items():
        print(
            f"warning: {path}: {section}.update_freq: {batches} makes {tokens} tokens an update, over all {count} "
            f"processes together; earlier versions took {count * tokens}: for these write "
            f"tokens_per_update: {count * tokens} in its place",
            file=sys.stderr,
        )


def _has_bf16_instructions() -> bool:
    """Whether oneDNN finds AVX512-BF16 or AMX here; True where torch doesn't tell, and on other than x86."""
    import torch

    known = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    if None in known or platform.machine() not in ("x86_64", "AMD64"):
        return True
    return any(supported() for supported in known)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add --bf16, --fp16, --threads, --processes and --device to a command's parser."""
    add_computing_options(parser)
    add_processes_option(parser)
    kept: dict[str, Any] = {"dest": "training_device", "choices": ("cpu", "cuda")}
    parser.add_argument("--device", help="where to train (default: a GPU if there is one)", **kept)


def add_computing_options(parser: argparse._ActionsContainer) -> None:
    """Add --bf16, --fp16 (both in `training_precision`) and --threads to a command's parser."""
    from hat.cli.common import positive_int

    precision = parser.add_mutually_exclusive_group()
    kept: dict[str, Any] = {"dest": "training_precision", "action": "store_const", "default": "fp32"}
    precision.add_argument("--bf16", const="bf16", help="compute in bfloat16", **kept)
    precision.add_argument("--fp16", const="fp16", help="train in float16 (GPU)", **kept)
    parser.add_argument("--threads", type=positive_int, help="CPU threads of a process (default: torch's choice)")


def add_processes_option(parser: argparse._ActionsContainer) -> None:
    """Add --processes N."""
    from hat.cli.common import positive_int

    parser.add_argument(
        "--processes", type=positive_int, default=1, metavar="N", help="train in N processes of this machine, one a GPU"
    )
