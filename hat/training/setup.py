"""What training a SuperTransformer and a SubTransformer have in common before the first update."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hat.experiment.config import Training, with_max_update
from hat.experiment.run_directory import RunDirectory
from hat.experiment.sections import TrainingConfig
from hat.fairseq_plugin.trainer import HatTrainer, build_trainer, precision_arguments, rank_arguments
from hat.training import processes
from hat.training.batches import UpdateBatches
from hat.training.memory import keep_freed_memory

if TYPE_CHECKING:
    from hat.training.options import TrainingOptions


def effective(training: Training, options: "TrainingOptions") -> Training:
    """The TrainingConfig with the options' max_update, if they have one."""
    return with_max_update(training, options.max_update) if options.max_update else training


def make_trainer(
    run: RunDirectory,
    prepared: Any,
    training: TrainingConfig,
    model_arguments: list[str],
    options: "TrainingOptions",
    save_directory: Path,
) -> HatTrainer:
    """A fairseq Trainer for this process; initial weights follow from the config's seed."""
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    seed = run.config.seed
    torch.manual_seed(seed)
    batches = UpdateBatches.of(training, processes.world_size())
    if processes.is_first():
        print(
            "".join(f"{line}\n" for line in batches.remarks(training, run.config.data.max_length)), end="", flush=True
        )
    arguments = [
        *batches.arguments(),
        *precision_arguments(options.precision, options.resolved_device()),
        *rank_arguments(processes.world_size(), processes.rank(), processes.local_rank()),
        *("--seed", str(seed), "--save-dir", str(save_directory)),
    ]
    return build_trainer(prepared, run.path / "config.yaml", training, model_arguments, arguments)
