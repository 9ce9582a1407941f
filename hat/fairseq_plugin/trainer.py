"""fairseq's Trainer, set up from our config as `fairseq-train` sets it up from its command line."""

import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import options as fairseq_options
from fairseq.data.iterators import GroupedIterator
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.distributed import utils as distributed
from fairseq.logging import metrics
from fairseq.optim.fp16_optimizer import FP16Optimizer
from fairseq.tasks import setup_task
from fairseq.trainer import Trainer

from hat.experiment.sections import TrainingConfig
from hat.fairseq_plugin.elastic_task import SUBNET_PREFIX
from hat.fairseq_plugin.mends import quiet
from hat.tasks import TASKS


class HatTrainer(Trainer):
    """fairseq's, but each rank draws numbers of its own, and all ranks end where one runs out of memory.

    fairseq would leave the batch out in one process, and in several zero the gradients of those before it too. Where an
    epoch's last batches don't go round, it would count none of a rank's tokens if the last of its batches is empty.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ran_out = torch.zeros(1, device=self.device)  # made while there is memory
        self._is_computing = False

    def _set_seed(self) -> None:
        super()._set_seed()  # by seed and update; one process draws what it always did
        if self.data_parallel_rank:
            key = (self.cfg.common.seed, self.get_num_updates(), self.data_parallel_rank)
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))

    def train_step(self, samples: list[Any], raise_oom: bool = True) -> Any:
        """One update; None if float16 overflowed. What `ran_out_of_memory` knows is raised on all ranks."""
        filled = [sample for sample in samples if sample] or samples[:1]
        self._is_computing = True  # gradients, and no rank has asked the others yet
        try:
            return super().train_step(filled, raise_oom)
        except RuntimeError as error:
            if self._is_computing and ran_out_of_memory(error):
                self._has_any_run_out(True)
            raise

    def _aggregate_logging_outputs(self, *arguments: Any, **options: Any) -> Any:
        """fairseq's first exchange between ranks after the batches of an update, or of a validation's batch."""
        if self._is_computing and self._has_any_run_out(False):
            raise torch.OutOfMemoryError("another process ran out of memory")
        return super()._aggregate_logging_outputs(*arguments, **options)

    def _has_any_run_out(self, this: bool) -> bool:
        self._is_computing = False
        if self.data_parallel_world_size == 1:
            return this
        self._ran_out.fill_(this)
        distributed.all_reduce(self._ran_out, self.data_parallel_process_group)
        return bool(self._ran_out)

    def _log_oom(self, _error: Any) -> None:
        """Nothing: the error that ends the training says it in a line, fairseq in pages."""


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch means that a GPU or the machine has no memory left."""
    told = ("out of memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in told)


def build_trainer(
    prepared: Any,
    config_path: Path | str,
    training: TrainingConfig,
    model_arguments: list[str],
    process_arguments: list[str],
) -> HatTrainer:
    """A HatTrainer for `training` (a TrainingConfig) on the prepared data.

    model_arguments and process_arguments are further fairseq-train arguments: architecture, precision, ranks.
    """
    logging.getLogger("fairseq").setLevel(logging.WARNING)
    cfg = parse(train_arguments(prepared, config_path, training) + model_arguments + process_arguments)
    metrics.reset()
    task = setup_task(cfg.task)
    model, criterion = task.build_model(cfg.model), task.build_criterion(cfg.criterion)
    task.load_dataset("valid")
    return HatTrainer(cfg, task, model, criterion)


def parse(arguments: list[str]) -> Any:
    """fairseq's configuration for the arguments of fairseq-train."""
    with quiet():
        parser = fairseq_options.get_training_parser()
        return convert_namespace_to_omegaconf(fairseq_options.parse_args_and_arch(parser, input_args=arguments))


def train_arguments(prepared: Any, config_path: Path | str, training: TrainingConfig) -> list[str]:
    """The fairseq-train arguments of a TrainingConfig, device and model left out."""
    values = {
        **TASKS[prepared.task].training_arguments(prepared, training),
        "hat-config": config_path,
        "optimizer": "hat_adam",
        "adam-betas": tuple(training.adam_betas),
        "weight-decay": training.weight_decay,
        "clip-norm": training.clip_norm,
        "lr": training.lr,
        "lr-scheduler": training.lr_scheduler,
        "warmup-updates": max(1, training.warmup_updates),
        "warmup-init-lr": training.warmup_init_lr,
        "max-update": training.max_update,
        "max-tokens": training.max_tokens,
        "max-tokens-valid": training.max_tokens,
        "num-workers": 0,
        "required-batch-size-multiple": 1,  # with fairseq's 8 it leaves out the last batch, the longest sentences
    }
    if training.lr_scheduler == "cosine":
        values["min-lr"] = training.min_lr
        values["lr-period-updates"] = max(1, training.max_update - values["warmup-updates"])  # fairseq divides by it
    pairs = [part for name, value in values.items() for part in (f"--{name}", str(value))]
    return [str(prepared.directory), *pairs, "--skip-invalid-size-inputs-valid-test"]


def precision_arguments(precision: str, device: str) -> list[str]:
    """fp16 is fairseq's own; bf16 computes under autocast and keeps float32 weights, on any device."""
    arguments = {"fp32": [], "bf16": ["--autocast-bf16"], "fp16": ["--fp16", "--fp16-no-flatten-grads"]}[precision]
    return arguments + (["--cpu"] if device == "cpu" else [])


def precision_of(trainer: Trainer) -> str:
    """fp32, bf16 or fp16, as `precision_arguments` set it."""
    if trainer.cfg.common.fp16:
        return "fp16"
    return "bf16" if trainer.cfg.model.autocast_bf16 else "fp32"


def rank_arguments(world_size: int, rank: int, local_rank: int) -> list[str]:
    """For `world_size` processes that are joined already; legacy_ddp copes with weights that an update doesn't use."""
    if world_size == 1:
        return []
    values = {"world-size": world_size, "rank": rank, "init-method": "env://"}
    pairs = [part for name, value in values.items() for part in (f"--distributed-{name}", str(value))]
    return [*pairs, "--distributed-no-spawn", "--device-id", str(local_rank), "--ddp-backend", "legacy_ddp"]


def grouped(batches: Iterable[Any], trainer: Trainer) -> GroupedIterator:
    """Lists of batches, one list an update; `batches` is read no further than what is handed out."""
    return GroupedIterator(batches, trainer.cfg.optimization.update_freq[0])


def master_weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Name -> float32 weight that the optimiser of --fp16 keeps of the Transformer's; empty in other precisions."""
    optimizer = trainer.optimizer
    if not isinstance(optimizer, FP16Optimizer):
        return {}
    masters = dict(zip(optimizer.fp16_params, optimizer.fp32_params, strict=True))
    rounded = trainer.get_model().transformer.state_dict(keep_vars=True)
    return {name: masters[weight].detach() for name, weight in rounded.items()}


def float32_weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Name -> float32 weight of the trainer's Transformer, in all precisions as the optimiser left it."""
    return trainer.get_model().transformer.state_dict() | master_weights(trainer)


def optimised_weights(trainer: Trainer) -> dict[str, torch.nn.Parameter]:
    """Name -> what `torch_optimizer(trainer)` changes, each once."""
    optimizer, masters = trainer.optimizer, {}
    if isinstance(optimizer, FP16Optimizer):
        masters = dict(zip(optimizer.fp16_params, optimizer.fp32_params, strict=True))
    named = trainer.get_model().transformer.named_parameters()
    return {name: masters.get(weight, weight) for name, weight in named}


def torch_optimizer(trainer: Trainer) -> torch.optim.Optimizer:
    """torch's own optimiser, inside fairseq's; its step is over before fairseq counts the update."""
    optimizer = trainer.optimizer
    return (optimizer.fp32_optimizer if isinstance(optimizer, FP16Optimizer) else optimizer).optimizer


def validate(trainer: Trainer, split: str = "valid") -> dict[str, float]:
    """Name -> negative log-likelihood in nats an item over a split: every validated subnet's and their 'mean'."""
    batches = trainer.get_valid_iterator(split).next_epoch_itr(shuffle=False, set_dataset_epoch=False)
    with metrics.aggregate(new_root=True) as meters:
        for sample in batches:
            trainer.valid_step(sample)
    names = [key for key in meters if key.startswith(SUBNET_PREFIX)] or ["nll_loss"]
    losses = {_subnet(key): float(meters[key].avg) * math.log(2) for key in names}
    return {**losses, "mean": sum(losses.values()) / len(losses)}


def _subnet(key: str) -> str:
    return key.removeprefix(SUBNET_PREFIX) if key.startswith(SUBNET_PREFIX) else "subtransformer"
