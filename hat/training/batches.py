"""How the tokens of an update are dealt out to the processes that train together."""

from collections.abc import Iterator
from dataclasses import dataclass

from hat.errors import UsageError
from hat.experiment.sections import TrainingConfig


@dataclass(frozen=True)
class UpdateBatches:
    """An update: `count` batches of at most `tokens` tokens in each of `processes`."""

    processes: int
    count: int
    tokens: int

    @classmethod
    def of(cls, training: TrainingConfig, processes: int) -> "UpdateBatches":
        """As few and large batches as `training` (a TrainingConfig) allows; raises UsageError if they'd be empty."""
        total = training.tokens_per_update
        count = -(-total // (training.max_tokens * processes))
        tokens = total // (count * processes)
        if tokens == 0:
            raise UsageError(
                f"{training.section}.tokens_per_update: {total} is less than a token for each batch of {processes} "
                "processes; raise it, or take fewer processes"
            )
        return cls(processes, count, tokens)

    def arguments(self) -> list[str]:
        """Those of fairseq-train."""
        return ["--max-tokens", str(self.tokens), "--update-freq", str(self.count)]

    def remarks(self, training: TrainingConfig, max_length: int) -> Iterator[str]:
        """Lines for the user: how an update is made up, and where that isn't what the config asks for."""
        total, key = self.processes * self.count * self.tokens, f"{training.section}.tokens_per_update"
        parts = f"{self.processes} processes x {self.count} batches of {self.tokens:,} tokens"
        if total != training.tokens_per_update:
            wanted = f"{training.tokens_per_update:,}"
            yield f"warning: {key}: {wanted} can't be dealt out evenly; an update has {total:,}: {parts}"
        elif self.processes > 1:
            yield f"an update: {parts}"
        if self.tokens <= max_length and self.tokens < training.max_tokens:
            yield (
                f"warning: {key}: batches of {self.tokens:,} tokens leave out longer sentences, which data.max_length: "
                f"{max_length:,} would keep; raise it, or take fewer processes"
            )
