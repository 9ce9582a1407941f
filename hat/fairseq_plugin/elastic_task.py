"""What a fairseq task needs to train a SuperTransformer by the lessons of a strategy, whatever its model is for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask

from hat.architecture.stacks import Architecture
from hat.errors import UsageError
from hat.experiment.config import load_experiment
from hat.fairseq_plugin.logged import log_losses
from hat.tasks import task_of
from hat.training.strategies import STRATEGIES
from hat.training.validation import named_subnets

if TYPE_CHECKING:
    from hat.fairseq_plugin.trainer import HatTrainer
    from hat.training.strategies.lesson import Lesson


SUBNET_PREFIX = "nll_loss_"


@dataclass
class ElasticTaskConfig(FairseqDataclass):
    # fairseq's argument parser knows no other spelling of the type
    hat_config: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "experiment config: search space, model, seed"}
    )


class ElasticTask:
    """Stands before a fairseq task among the bases of a class; `target_padding` marks what of a target doesn't count.

    Lessons follow from (seed, update number), so every rank and accumulation step gives the same ones. Validation
    scores each subnet of `named_subnets`; fairseq's `loss`, hence its best checkpoint, is their mean.
    """

    target_padding: int | None = None
    teachers_class: Any = None  # (trainer, transformers, weight) -> what `added_to` a sample gives lessons to it

    def read_experiment(self, cfg: Any) -> None:
        """Take in the experiment of `--hat-config`; raises UsageError without one."""
        if not cfg.hat_config:
            raise UsageError(f"--task {cfg._name} needs --hat-config, the experiment's YAML file")
        self.experiment = load_experiment(cfg.hat_config)
        self.item = task_of(self.experiment).item
        self.teachers = None  # those from whom a SubTransformer learns beside its references
        self.subnets = named_subnets(
            self.experiment.search_space, self.experiment.seed, self.experiment.super_training.validation_subnets
        )

    def learn_from(self, trainer: "HatTrainer", transformers: Iterable[Any], *weights: float) -> None:
        """Have `transformers` teach what `trainer` trains.

        The first of `weights` is the share of the references that they replace, a further one that of what else the
        task's teachers give.
        """
        self.teachers = self.teachers_class(trainer, transformers, *weights)

    def can_reuse_epoch_itr(self, dataset: Any) -> bool:
        """No: batches are made anew each epoch from (seed, epoch), so a resumed run makes the same ones."""
        return False

    def train_step(
        self,
        sample: dict[str, Any],
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
    ) -> tuple[Any, Any, dict[str, Any]]:
        """One batch, forward and backward; a SuperTransformer's gradients are summed over the strategy's lessons."""
        step = super().train_step  # type: ignore[misc]
        if not hasattr(model, "activate"):
            return step(self._taught(sample), model, criterion, optimizer, update_num, ignore_grad)
        results = []
        for lesson in self.lessons(update_num):
            model.activate(lesson.architecture)
            part = self._taught(lesson.sentences(sample, self.target_padding))
            results.append(step(part, model, criterion, optimizer, update_num, ignore_grad))
        losses, sizes, outputs = zip(*results, strict=True)
        return sum(losses), sum(sizes), {key: sum(output[key] for output in outputs) for key in outputs[0]}

    def _taught(self, sample: dict[str, Any]) -> dict[str, Any]:
        return self.teachers.added_to(sample) if self.teachers else sample

    def lessons(self, update: int) -> "list[Lesson]":
        """What is taught in this update: a list of Lesson."""
        experiment = self.experiment
        return STRATEGIES[experiment.super_training.strategy](experiment.search_space, experiment.seed, update)

    def learners(self, model: Any, update: int) -> list[Architecture]:
        """The architectures that this update trains."""
        if not hasattr(model, "activate"):
            return [model.transformer.architecture]
        return [lesson.architecture for lesson in self.lessons(update)]

    def valid_step(self, sample: dict[str, Any], model: Any, criterion: Any) -> tuple[Any, Any, dict[str, Any]]:
        if not hasattr(model, "activate"):
            return super().valid_step(sample, model, criterion)  # type: ignore[misc]
        outputs = {}
        for name, architecture in self.subnets.items():
            model.activate(architecture)
            loss, sample_size, outputs[name] = super().valid_step(sample, model, criterion)  # type: ignore[misc]
        mean = dict(outputs["smallest"])
        for key in ("loss", "nll_loss"):
            mean[key] = torch.stack([output[key] for output in outputs.values()]).mean()
        mean.update({SUBNET_PREFIX + name: output["nll_loss"] for name, output in outputs.items()})
        return loss, sample_size, mean

    def reduce_metrics(self, logging_outputs: Sequence[dict[str, Any]], criterion: Any) -> None:
        super().reduce_metrics(logging_outputs, criterion)  # type: ignore[misc]
        tokens = sum(output.get("ntokens", 0) for output in logging_outputs)
        keys = [SUBNET_PREFIX + name for name in self.subnets]
        log_losses(logging_outputs, [key for key in keys if logging_outputs and key in logging_outputs[0]], tokens)


@dataclass
class PreparedTaskConfig(ElasticTaskConfig):
    data: Optional[str] = field(default=None, metadata={"help": "folder that hat-prepare made"})  # noqa: UP045


class PreparedTask(ElasticTask, FairseqTask):
    """An ElasticTask on `prepared`, what our own task's preparation left; without fairseq's dictionaries."""

    source_dictionary = target_dictionary = None

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.read_experiment(cfg)
        self.prepared = task_of(self.experiment).prepared(cfg.data)

    @classmethod
    def setup_task(cls, cfg: Any, **_: Any) -> "PreparedTask":
        return cls(cfg)

    def model_spec(self) -> Any:
        """The spec of the models of these data."""
        return task_of(self.experiment).spec(self.experiment, self.prepared)

    def max_positions(self) -> None:
        return None  # nothing is longer than the preparation, or the config, lets it be
