"""The record of a training: `metrics.jsonl` with one line a validation, and TensorBoard's event files."""

import json
from pathlib import Path
from typing import Any

from hat import files


class TrainingLog:
    """Writes both into the stage's folder; what an interrupted run logged after `update` is dropped and done again."""

    def __init__(self, directory: Path, update: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = directory / "metrics.jsonl"
        kept = [row for row in files.read_json_lines(self.path) if row["update"] <= update]
        files.write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        self._board = SummaryWriter(directory / "tensorboard", purge_step=update + 1)

    def update(self, update: int, loss: float, rate: float, tokens_per_second: float) -> None:
        """Log one update to TensorBoard; `loss` in nats a token, `rate` the learning rate."""
        self._board.add_scalar("train/loss", loss, update)
        self._board.add_scalar("train/lr", rate, update)
        self._board.add_scalar("train/tokens_per_second", tokens_per_second, update)

    def validation(self, row: dict[str, Any]) -> None:
        """Log one validation: {"update", "epoch", "train_loss", "valid": {name: nats a token}, "seconds"}."""
        files.append_json_line(self.path, row)
        for name, loss in row["valid"].items():
            self._board.add_scalar(f"valid/{name}", loss, row["update"])
        self._board.flush()

    def close(self) -> None:
        """Flush TensorBoard's files."""
        self._board.close()
