"""The training loop over fairseq's Trainer: updates, validation, checkpoints, resuming, progress."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hat import files
from hat.errors import HatError, OutOfMemoryError
from hat.experiment.config import fingerprinted
from hat.experiment.sections import BOOKKEEPING, TrainingConfig
from hat.fairseq_plugin.trainer import (
    HatTrainer,
    float32_weights,
    grouped,
    master_weights,
    precision_of,
    ran_out_of_memory,
    validate,
)
from hat.progress import Progress
from hat.training import processes
from hat.training.batches import UpdateBatches
from hat.training.checkpoints import Checkpoints
from hat.training.log import TrainingLog
from hat.training.resuming import circumstances, position_among, remarks

SECTIONS = ("super_training", "sub_training", "compression")  # of the config, which `training` stands for
LOG_EVERY = 10  # updates between TensorBoard's training points


@dataclass
class LoopState:
    """What is resumed beside fairseq's own state; the loss is summed since the last validation."""

    best: float | None = None
    loss_sum: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0


class TrainingLoop:
    """Trains to `training.max_update`. Killed at any moment and run again, it ends with the same weights.

    All that is random follows from the seed and the update number (fairseq seeds torch so before each update), and
    batches follow from the seed, the epoch and the position in it, which the checkpoint holds.
    `keep_snapshots` is how many of the last saved weights are kept for averaging. `begun` is the folder of another
    training with the same inputs, if there is one, from whose checkpoint this one goes on where it has none itself.
    `progress` makes what shows the progress.
    """

    def __init__(
        self,
        trainer: HatTrainer,
        training: TrainingConfig,
        directory: Path,
        inputs: dict[str, Any],
        title: str,
        keep_snapshots: int = 0,
        begun: Path | None = None,
        progress: Callable[..., Progress] = Progress,
    ) -> None:
        self.trainer, self.training, self.directory, self.title = trainer, training, directory, title
        self.keep_snapshots, self._make_progress = keep_snapshots, progress
        self.checkpoints = Checkpoints(directory / "checkpoints")
        if processes.is_first():
            self.checkpoints.claim(resumable_inputs(inputs, training), training.max_update)
            if begun is not None:
                self._go_on_from(begun)
        processes.barrier()
        self._restore()

    def _go_on_from(self, begun: Path) -> None:
        metrics = begun / "metrics.jsonl"
        if metrics.exists() and not self.checkpoints.last.exists():
            files.write_text(self.directory / metrics.name, metrics.read_text(encoding="utf-8"))
        self.checkpoints.go_on_from(Checkpoints(begun / "checkpoints"))

    def _restore(self) -> None:
        saved = self.checkpoints.restore(self.trainer) or {}
        position = saved.get("train_iterator", {"epoch": 1})
        self.state = LoopState(**saved.get("loop", {}))
        for name, weight in master_weights(self.trainer).items():
            weight.copy_(saved.get("master_weights", {}).get(name, weight))  # fairseq keeps the rounded ones alone
        batches = UpdateBatches.of(self.training, processes.world_size())
        self._circumstances = circumstances(batches, precision_of(self.trainer))
        before = saved.get("circumstances", self._circumstances)
        self.iterator = self.trainer.get_train_iterator(epoch=position["epoch"], load_dataset=True)
        self.iterator.load_state_dict(position_among(batches, position, before, len(self.iterator)))
        self._remaining, self._saved = self._groups(), self.update
        if processes.is_first():
            self.checkpoints.drop_after(self.update)
            lines = remarks(self.title, self.update, before, self._circumstances)
            print("".join(f"{line}\n" for line in lines), end="", flush=True)

    @property
    def update(self) -> int:
        return self.trainer.get_num_updates()

    def run(self, until: int | None = None) -> None:
        """Do the updates that are left, or those up to `until`: the checkpoint then kept leads to the same end.

        Raises HatError if the loss stops being a number, OutOfMemoryError on all ranks if memory runs out on one.
        """
        self._end = min(until or self.training.max_update, self.training.max_update)
        self._began, self._earlier_seconds = time.monotonic(), self.state.seconds
        self._speed = _Speed()
        if self.update >= self._end:
            return
        with self._reporting():
            try:
                for samples in self._remaining:
                    self._train(samples)
                    if self.update >= self._end:
                        return
            except FloatingPointError as error:
                raise HatError(
                    f"training diverged at update {self.update} ({error}); lower lr or set clip_norm in the config"
                ) from None

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Progress bar and log on the first process, for the time of the loop; None on the others."""
        self._progress = self._log = None
        if not processes.is_first():
            yield
            return
        self._log = TrainingLog(self.directory, self.update)
        with self._make_progress(self.title, self._end, "updates", initial=self.update) as self._progress:
            yield
        self._log.close()

    def _groups(self) -> Iterator[list[Any]]:
        """Endless lists of an update's batches, going on from the iterator's position."""
        while True:
            batches = self.iterator.next_epoch_itr(shuffle=True)
            self.trainer.begin_epoch(self.iterator.epoch)
            yield from grouped(batches, self.trainer)
            self.iterator = self.trainer.get_train_iterator(self.iterator.next_epoch_idx, load_dataset=False)

    def _train(self, samples: list[Any]) -> None:
        with self._telling_of_memory(self._learners):
            output = self.trainer.train_step(samples)
        if output is None:  # float16 overflow: the loss scale was lowered, the batch is left out
            return
        loss, tokens = float(output["loss"]) * math.log(2), float(output["sample_size"])
        self.state.loss_sum += loss * tokens
        self.state.tokens += tokens
        self._speed.add(tokens)
        if self._log and self.update % LOG_EVERY == 0:
            self._log.update(self.update, loss, self.trainer.get_lr(), self._speed.tokens_per_second)
        is_last = self.update == self.training.max_update
        validating = is_last or self.update % self.training.validate_every == 0
        with self._speed.paused():
            if validating:
                self._validate()
            if validating or self.update % self.training.save_every == 0:
                self._save_snapshot()
                self._save()
            elif self.update == self._end:  # no snapshot: the average at the end is as without this stop
                self._save()
        if self._progress:
            note = f"loss {loss:.3f}, {self._speed.tokens_per_second:,.0f} {self.trainer.task.item}s/s"
            self._progress.advance(1, note)

    @contextlib.contextmanager
    def _telling_of_memory(self, doing: Callable[[], str]) -> Iterator[None]:
        """Say what was being done, the text that `doing()` gives, and what is to be done when memory runs out."""
        try:
            yield
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:120]
            again = f"goes on after update {self._saved}" if self._saved else "starts again"
            raise OutOfMemoryError(
                f"out of memory in {doing()} ({reason}): lower {self.training.section}.max_tokens, now "
                f"{self.training.max_tokens}, in the config, which makes it another training; as it is, it {again}"
            ) from None

    def _learners(self) -> str:
        architectures = self.trainer.task.learners(self.trainer.get_model(), self.update)
        return f"update {self.update + 1} of {'; '.join(each.summary() for each in architectures)}"

    def _validate(self) -> None:
        with self._telling_of_memory(lambda: f"the validation after update {self.update}"):
            losses = validate(self.trainer)
        self.state.seconds = self._earlier_seconds + time.monotonic() - self._began
        train_loss = self.state.loss_sum / max(self.state.tokens, 1.0)
        self.state.loss_sum = self.state.tokens = 0.0
        improved = self.state.best is None or losses["mean"] < self.state.best
        self.state.best = losses["mean"] if improved else self.state.best
        if not processes.is_first():
            return
        if improved:
            self.checkpoints.save_best(float32_weights(self.trainer))
        self._log.validation(
            {
                "update": self.update,
                "epoch": self.iterator.epoch,
                "train_loss": round(train_loss, 4),
                "valid": {name: round(loss, 6) for name, loss in losses.items()},
                "seconds": round(self.state.seconds, 1),
            }
        )

    def _save_snapshot(self) -> None:
        if self.keep_snapshots and processes.is_first():
            self.checkpoints.save_snapshot(float32_weights(self.trainer), self.update, self.keep_snapshots)

    def _save(self) -> None:
        self._saved = self.update
        if not processes.is_first():
            return
        self.state.seconds = self._earlier_seconds + time.monotonic() - self._began
        state = {
            "train_iterator": self.iterator.state_dict(),
            "loop": asdict(self.state),
            "master_weights": master_weights(self.trainer),
            "circumstances": self._circumstances,
        }
        self.checkpoints.save(self.trainer, state)


def resumable_inputs(inputs: dict[str, Any], training: TrainingConfig) -> dict[str, Any]:
    """What the course of a training depends on: of a stage's `inputs`, with `training` as it is in force.

    How often it saves and validates and what it averages are left out, and under inverse_sqrt how long it goes on.
    """
    idle = {*BOOKKEEPING, *inputs}  # what the inputs name themselves is theirs
    if training.lr_scheduler != "inverse_sqrt":
        idle.discard("max_update")
    ours = {name: value for name, value in fingerprinted(training).items() if name not in idle}
    others = {name: value for name, value in inputs.items() if name not in SECTIONS}
    others.pop("max_update")  # the training's own
    return others | {"training": ours}


class _Speed:
    """Target tokens a second, over all processes, since it was made; pauses don't count."""

    def __init__(self) -> None:
        self._start, self._tokens = time.monotonic(), 0.0

    def add(self, tokens: float) -> None:
        self._tokens += tokens

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._start += time.monotonic() - began

    @property
    def tokens_per_second(self) -> float:
        return self._tokens / max(time.monotonic() - self._start, 1e-9)
