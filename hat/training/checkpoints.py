"""What a training leaves while it runs: one checkpoint to resume from, and weights to average or to keep."""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from hat import files
from hat.errors import ArtifactError
from hat.training import processes

if TYPE_CHECKING:
    from hat.fairseq_plugin.trainer import HatTrainer


class Checkpoints:
    """The folder `checkpoints` of a training stage; every file in it appears complete or not at all.

    checkpoint_last.pt    fairseq's trainer state (weights, optimiser, schedule), the iterator's position, our state
    update_NNNNNNN.safetensors    weights alone at the last few saves
    best.safetensors      weights alone with the lowest mean validation loss
    inputs.json           what the training depends on: one with other inputs starts over, and these move aside
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self.last = self.directory / "checkpoint_last.pt"
        self.best = self.directory / "best.safetensors"

    def claim(self, inputs: Any, max_update: int) -> None:
        """Make the folder ready for a training with these inputs up to `max_update`.

        What one with other inputs left, or one that may have gone further, is moved aside, and a line says where to.
        """
        recorded, fingerprint = self.directory / "inputs.json", files.fingerprint(inputs)
        if self.directory.exists() and not _leads_to(recorded, fingerprint, max_update):
            self._move_aside()
        files.write_json(recorded, {"inputs": fingerprint, "max_update": max_update})
        for leftover in self.directory.glob(".*.tmp"):
            leftover.unlink()

    def _move_aside(self) -> None:
        if not self.last.exists():  # nothing to resume from
            shutil.rmtree(self.directory)
            return
        numbers = (number for number in itertools.count(1) if not self._aside(number).exists())
        aside = self._aside(next(numbers))
        self.directory.rename(aside)
        print(f"warning: the checkpoints in {self.directory} are of another training; they are now in {aside}")

    def _aside(self, number: int) -> Path:
        return self.directory.with_name(f"{self.directory.name}.old-{number}")

    def go_on_from(self, other: "Checkpoints") -> None:
        """Copy the Checkpoints `other` if they are of the same inputs and none to resume from is here."""
        if self.last.exists() or not other.last.exists() or self._inputs() != other._inputs():
            return
        for path in (*other.snapshots(), other.best, other.last):  # the one to resume from comes last
            if path.exists():
                with files.replacing(self.directory / path.name) as temporary:
                    shutil.copyfile(path, temporary)

    def _inputs(self) -> str:
        return files.read_json(self.directory / "inputs.json", "remove its folder to train from the start")["inputs"]

    def save(self, trainer: "HatTrainer", state: dict[str, Any]) -> None:
        """Replace the checkpoint to resume from; `state` is a dictionary of plain values to restore with it."""
        trainer.consolidate_optimizer()
        content = trainer.state_dict()
        content["extra_state"].update(state)
        with files.replacing(self.last) as temporary, open(temporary, "wb") as handle:
            torch.save(content, handle)

    def restore(self, trainer: "HatTrainer") -> dict[str, Any] | None:
        """Load the checkpoint into a fairseq Trainer; returns the saved state, or None if there is none.

        The first process decides, reads and sends it. Raises ArtifactError if it is truncated, foreign or of another
        model.
        """
        if not processes.from_first(self.last.exists):
            return None
        # fairseq asks every process whether the file is there, and reads it in the first
        path = self.last if processes.is_first() else __file__
        try:
            return trainer.load_checkpoint(str(path))
        except Exception as error:  # torch and fairseq raise half a dozen kinds, bare Exception among them
            if processes.is_lost(error):
                raise
            reason = " ".join(str(error).split())[:200]
            if "Optimizer does not match" in reason:
                how = "without" if trainer.cfg.common.fp16 else "with"
                raise ArtifactError(
                    f"{self.last} was saved {how} --fp16; go on like that, or remove it to train from the start"
                ) from None
            raise ArtifactError(
                f"{self.last} is truncated or not a checkpoint of this training ({reason}); "
                "restore it from a copy, or remove it to train from the start"
            ) from None

    def save_best(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Keep these weights (name -> tensor) as the best so far."""
        _save_weights(self.best, weights)

    def save_snapshot(self, weights: Mapping[str, torch.Tensor], update: int, keep: int) -> None:
        """Keep these weights (name -> tensor) as those of `update`, and only the `keep` newest of their kind."""
        _save_weights(self.directory / f"update_{update:07d}.safetensors", weights)
        for old in self.snapshots()[:-keep]:
            old.unlink()

    def snapshots(self, since: int = 0) -> list[Path]:
        """Paths of the weights saved by update, after the update `since`, oldest first."""
        return sorted(path for path in self.directory.glob("update_*.safetensors") if _update_of(path) > since)

    def drop_after(self, update: int) -> None:
        """Remove weights from after `update`, which a killed run saved past the checkpoint it resumes from."""
        for path in self.snapshots():
            if _update_of(path) > update:
                path.unlink()


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Name -> tensor of weights that a Checkpoints saved; raises ArtifactError if they are missing or damaged."""
    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError) as error:
        raise ArtifactError(f"{path} is missing or damaged ({error}); remove {path.parent} to train again") from None


def _update_of(path: Path) -> int:
    return int(path.stem.removeprefix("update_"))


def _save_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    with files.replacing(path) as temporary:
        temporary.write_bytes(save({name: tensor.cpu().contiguous() for name, tensor in weights.items()}))


def _leads_to(path: Path, fingerprint: str, max_update: int) -> bool:
    """Whether a training with these inputs goes on from the checkpoints beside inputs.json, `path`."""
    if not path.exists():
        return False
    kept = files.read_json(path, "remove its folder to train from the start")
    return kept["inputs"] == fingerprint and kept["max_update"] <= max_update
