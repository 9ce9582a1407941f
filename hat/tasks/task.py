"""Task: what the stages ask of the kind of model that an experiment is about."""

import abc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hat.architecture.stacks import Architecture
from hat.deploy.building.block_costs import UNMEASURED, DeviceCosts
from hat.report.loss_scale import NATS, LossScale

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto
    from torch import Tensor

    from hat.experiment.run_directory import RunDirectory
    from hat.experiment.sections import TrainingConfig
    from hat.fairseq_plugin.trainer import HatTrainer


class Task(abc.ABC):
    """One object for each task. Heavy modules are imported inside of the methods that need them.

    `item` is what a loss in nats is given for: a token or a text. `super_model` and `sub_model` are fairseq's names
    (`--arch`) of the SuperTransformer and of a standalone network. `command` uses a bundle. `answers` are what bundles
    give. `precisions` are those of the bundles that `hat-export` makes unless told otherwise. In `loss_scale` tables
    and charts show a loss.

    What is measured is a workload of named `phases` {name: what its length counts}, one after the other, whose times
    add up to the whole. Of them a task gives their lengths (`fixed_lengths` by the config's `length_keys`, else
    `corpus_lengths`), the graphs that they run (`measured_graphs`), numbers beside these (`workload`), and a function
    in latency_predictor.on_device.workloads.WORKLOADS that runs them on a device; one in on_device.bundle_calls.CALLS
    calls its bundles as users do. Samples, predictors and pages follow from that.
    """

    name: str
    item: str
    super_model: str
    sub_model: str
    phases: ClassVar[Mapping[str, str]]
    length_keys: tuple[str, ...]
    command: str
    answers: str
    precisions: tuple[str, ...] = ("fp32", "int8")
    loss_scale: LossScale = NATS

    @abc.abstractmethod
    def title(self, config: Any) -> str:
        """What an experiment is about, in a few words."""

    @abc.abstractmethod
    def prepare(self, run: "RunDirectory", source_directory: Path | str | None = None) -> None:
        """The stage `hat-prepare` of a RunDirectory."""

    @abc.abstractmethod
    def prepared(self, directory: Path | str) -> Any:
        """What it left in `directory`: at least `directory`, `corpus`, and `sentences` {split: count}.

        Raises ArtifactError if the preparation isn't there or never finished.
        """

    @abc.abstractmethod
    def spec(self, config: Any, prepared: Any) -> Any:
        """All that, beside its architecture, fixes a model of these prepared data."""

    @abc.abstractmethod
    def announced_spec(self, config: Any, vocabulary: int | None = None) -> Any:
        """`spec` as far as it is known before any data are prepared: enough to measure with.

        With `vocabulary` words, if given, in place of the config's.
        """

    def pretrained_files(self, config: Any) -> tuple[Path, ...]:
        """Paths of all that the weights of a training from scratch are read from; none where they are drawn."""
        return ()

    def pretrained_weights(self, run: "RunDirectory", architecture: Architecture) -> "dict[str, Tensor]":
        """{name: tensor} that a training from scratch begins with, of `pretrained_files`."""
        raise NotImplementedError(f"{self.name} has no pretrained networks")

    def importance_ordered(self, run: "RunDirectory", network: Any) -> Any:
        """A network that computes what `network` does, of which smaller ones best take the first rows and columns."""
        raise NotImplementedError(f"{self.name} has no order of importance")

    def sensitivity_loss(self, run: "RunDirectory") -> tuple[Callable[[Any], float], str]:
        """(network -> its loss in nats on a part of the validation text, on its device; what that part is, in words):
        how much harm pruning does is told by it.
        """
        raise NotImplementedError(f"{self.name} has no sensitivity")

    def state_bounds(self, run: "RunDirectory", network: Any) -> tuple[float, ...]:
        """The largest size of the states at each place where a network of few bits rounds them."""
        raise NotImplementedError(f"{self.name} rounds no states")

    def loss_text(self, nats: float) -> str:
        """A loss in words: '0.345 nats a text'."""
        return f"{nats:.3f} nats a {self.item}"

    @abc.abstractmethod
    def vocabularies(self, spec: Any) -> dict[str, int]:
        """{"source": number of words}, and the like, of a model of this `spec`."""

    def begin_training(self, trainer: "HatTrainer", training: Any) -> None:  # noqa: B027
        """Add to the training of a network, at the update that it has come to, what the section `training` asks for."""

    @abc.abstractmethod
    def training_arguments(self, prepared: Any, training: "TrainingConfig") -> dict[str, Any]:
        """{name: value} of the fairseq-train arguments of a TrainingConfig that only this task has."""

    @abc.abstractmethod
    def judge(self, run: "RunDirectory") -> Any:
        """What judges the models and bundles of a run: see hat.evaluation.translation.judge."""

    @abc.abstractmethod
    def fixed_lengths(self, config: Any) -> tuple[int, ...] | None:
        """The length of each phase where the config's keys `length_keys` fix them for all latencies, else None."""

    @abc.abstractmethod
    def corpus_lengths(self, config: Any, prepared: Any, split: str) -> Sequence[tuple[int, ...]]:
        """The lengths of each phase, a tuple each with a number for each sentence of a split."""

    def calls_fit(self, config: Any) -> bool:
        """Whether `calls` have the lengths that latencies are about; a config may fix others than the text has."""
        return self.fixed_lengths(config) is None

    def latency_shares(self, config: Any) -> int:
        """Into how many equal shares the time of a call is parted, of which a latency is one: words that it writes."""
        return 1

    def latency_note(self, config: Any) -> str:
        """What a latency is the time of, where that is less than a call; else nothing."""
        return ""

    @abc.abstractmethod
    def measured_graphs(
        self, architecture: Architecture, spec: Any, weights: "Mapping[str, np.ndarray]", precision: str, latency: Any
    ) -> "dict[str, ModelProto]":
        """{name: onnx.ModelProto} of what one sentence runs; `latency` is that section of the config."""

    @abc.abstractmethod
    def workload(self, spec: Any, latency: Any) -> dict[str, int]:
        """{name: number} of what else is run, such as the vocabulary's size: known on the device, the same in all
        samples that are compared.
        """

    def with_few_words(self, spec: Any, words: int) -> Any | None:
        """`spec` with so few words to choose from in the last phase, None where that has no output layer over words:
        how the output layer's time is told.
        """
        return None

    @abc.abstractmethod
    def calls(self, run: "RunDirectory", split: str, count: int, seed: int) -> dict[str, Any]:
        """{"sentences": of a split, "ids": token ids of each}, at most `count`, drawn by `seed`: to time calls with."""

    @abc.abstractmethod
    def bundle_maker(
        self,
        run: "RunDirectory",
        name: str,
        weights: "tuple[Architecture, Any, dict[str, np.ndarray]]",
        inputs: Mapping[str, Any],
    ) -> Any:
        """What makes and judges the bundles of the sub-training `name`: see hat.export.bundles.

        `weights` are what hat.models.checkpoint.load_weights gives, `inputs` all that the bundles are made from.
        """

    @abc.abstractmethod
    def write_trial_bundle(
        self, run: "RunDirectory", model: Any, precision: str, folder: Path, costs: DeviceCosts = UNMEASURED
    ) -> None:
        """Write a bundle of `model` to the new `folder`, to be timed before there is anything to export.

        By `costs` it chooses what is multiplied by blocks.
        """

    @abc.abstractmethod
    def bundle_size(self, run: "RunDirectory", precision: str) -> Callable[[Architecture], int]:
        """Architecture -> bytes of the bundle that hat-export would make of it."""

    def inherited_loss(self, run: "RunDirectory", parts: "Sequence[np.ndarray]", device: str) -> Any:
        """(Architecture, part) -> (validation loss in nats, number of items it is summed over), with the weights of the
        run's SuperTransformer, on `device`. `parts` are arrays of line numbers of the validation split.
        """
        from hat.models.checkpoint import load_model

        return self.network_loss(run, load_model(run.super_), parts, device)

    @abc.abstractmethod
    def network_loss(self, run: "RunDirectory", network: Any, parts: "Sequence[np.ndarray]", device: str) -> Any:
        """What `inherited_loss` gives, with the weights of `network`; its `mean()` is the loss of one trained alone."""

    def validation_loss(self, run: "RunDirectory", network: Any, device: str) -> float:
        """Nats an item over the validation split, without label smoothing, of a network trained alone."""
        import numpy as np

        every_line = np.arange(run.prepared().sentences["valid"])
        return self.network_loss(run, network, [every_line], device).mean()
