"""How words are predicted, and how well: what `hat-evaluate` asks of the task language_modeling."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hat.config import from_mapping
from hat.deploy.batching import usable_cores
from hat.errors import ArtifactError, UsageError
from hat.evaluation.language_modeling.scores import LineLoss, compare_lines, score_lines
from hat.evaluation.text import EvaluationText, check_split, split_text
from hat.experiment.run_directory import RunDirectory
from hat.models.language_model_spec import LanguageModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from hat.models.language_model import LanguageModel


WORDS_AT_A_TIME = 1024
EXAMPLE_WORDS = 30  # of an answer in the report, at most


class LanguageJudge:
    """Of the models and bundles of a run. `columns` are (title, key of an evaluation) of what a table shows.

    The first of them counts; `higher_is_better` is said of that one.
    """

    columns = (("ppl", "perplexity"), ("nats", "nats_per_word"))
    higher_is_better = False

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def split_text(self, split: str) -> EvaluationText:
        """The EvaluationText of a prepared split: its lines, in order; UsageError if there is no such split."""
        check_split(split)
        return split_text(split, self._run.prepared().lines(split), [])

    def file_text(self, text_path: Path | str, _other_path: Path | str) -> NoReturn:
        """Raises UsageError: a language model's text has no references."""
        raise UsageError(
            f"--test-set {text_path}: a language model is judged by prepared text; make it data.test of a config, "
            "prepare that with hat-prepare, and give --run"
        )

    def check_model(self, name: str, spec: LanguageModelSpec) -> None:
        """Raise ArtifactError if a model of this spec has other words than the run's data."""
        prepared = self._run.prepared()
        own, theirs = ((each.vocabulary, each.end_of_line, each.unknown) for each in (prepared, spec))
        if own != theirs:
            raise ArtifactError(
                f"{name} has {spec.vocabulary} words, {self._run.data} has {prepared.vocabulary}, or they are "
                "numbered in another order; name the run directory of that experiment with --run"
            )

    def check_bundle(self, path: Path | str, description: dict[str, Any]) -> None:
        """Raise ArtifactError if a bundle has other words than the run's data."""
        self.check_model(str(path), from_mapping(LanguageModelSpec, description["spec"], f"{path}/bundle.json: spec"))

    def beam(self, description: dict[str, Any] | None = None) -> None:
        """None: nothing is searched."""
        return None

    def model_answers(self, model: "LanguageModel", lines: Sequence[str]) -> list[LineLoss]:
        """The LineLoss of each line of a running text, each word seen after all before it, on a GPU if there is one."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(usable_cores())
        vocabulary = self._run.prepared().words()
        sequences = [[*vocabulary.encode(line), vocabulary.end_of_line] for line in lines]
        words = torch.tensor([word for sequence in sequences for word in sequence])
        losses = word_losses(model.to(device).eval(), words.to(device)).double().cpu()
        sums = [float(part.sum()) for part in losses.split([len(sequence) for sequence in sequences])]
        return [(nats, len(line.split()) + 1) for nats, line in zip(sums, lines, strict=True)]

    def bundle_answers(self, path: Path | str, lines: Sequence[str]) -> list[LineLoss]:
        """The LineLoss of each line of a running text, by the bundle at `path`."""
        from hat.deploy.language_model import LanguageModel

        return [(-line.log_probability, line.words) for line in LanguageModel(path).score(lines)]

    def examples(self, count: int) -> tuple[list[str], list[str]]:
        """What the report shows answers to: halves of the first lines of the test text; and the other halves."""
        lines = [line.split() for line in self.split_text("test").sources[:count]]
        halves = [(line[: (len(line) + 1) // 2], line[(len(line) + 1) // 2 :]) for line in lines]
        return [" ".join(first) for first, _ in halves], [" ".join(second) for _, second in halves]

    def example_answers(self, path: Path | str, beginnings: Sequence[str]) -> list[str]:
        """How the bundle at `path` goes on, the likeliest word each time, to the end of the line."""
        from hat.deploy.language_model import LanguageModel

        model = LanguageModel(path)
        written = [model.generate(beginning, EXAMPLE_WORDS, temperature=0) for beginning in beginnings]
        return [text.split("\n")[0] for text in written]

    def score(self, losses: Sequence[LineLoss], _references: Sequence[Any]) -> dict[str, Any]:
        """What `score_lines` says."""
        return score_lines(losses)

    def compare(
        self, losses: Sequence[LineLoss], baseline: Sequence[LineLoss], _references: Sequence[Any]
    ) -> dict[str, Any]:
        """What `compare_lines` says."""
        return compare_lines(losses, baseline)

    def comparison(self, compared: dict[str, Any]) -> str:
        """Part of a line that tells what `compare` found."""
        perplexities = f"perplexity {compared['perplexity']:.2f}, {compared['baseline_perplexity']:.2f}"
        return f"{perplexities}, p = {compared['p_value']:.4f} (paired t-test over lines)"

    def note(self, row: dict[str, Any]) -> str:
        """A few words on how an evaluation was scored."""
        return "perplexities, of words and ends of lines, have their 95 % interval below them"

    def interval(self, row: dict[str, Any]) -> tuple[float, ...]:
        """The 95 % interval of what counts."""
        return tuple(row["perplexity_ci95"])

    def signatures(self, row: dict[str, Any]) -> str:
        """The line that tells by what an evaluation was made."""
        low, high = row["perplexity_ci95"]
        return f"{row['target']}: 95 % interval of the perplexity {low:.2f} to {high:.2f}, {row['words']} words"


def word_losses(model: "LanguageModel", words: "Tensor") -> "Tensor":
    """Negative log-likelihood in nats of each word of a running text after all before it: (words,) -> (words,)

    Before the first one stands the end of a line.
    """
    import torch

    losses, past = [], None
    with torch.inference_mode():
        for states, found, target in _read(model, words):
            if model.cache is not None:
                found = model.cache.losses(found[None], states[None], target[None], past)[0]
                past = model.cache.grown(states[None], target[None], past)
            losses.append(found)
    return torch.cat(losses)


def states_and_losses(model: "LanguageModel", words: "Tensor") -> "tuple[Tensor, Tensor]":
    """States (words, embed_dim) that predict each word of a running text, and what `word_losses` gives without a cache.

    Before the first one stands the end of a line.
    """
    import torch

    with torch.inference_mode():
        states, losses, _ = zip(*_read(model, words), strict=True)
    return torch.cat(states), torch.cat(losses)


def _read(model: "LanguageModel", words: "Tensor") -> "Iterator[tuple[Tensor, Tensor, Tensor]]":
    """(states, losses without a cache, words) of WORDS_AT_A_TIME after another."""
    import torch

    read, memory = torch.cat([words.new_tensor([model.spec.end_of_line]), words[:-1]]), None
    for part, target in zip(read.split(WORDS_AT_A_TIME), words.split(WORDS_AT_A_TIME), strict=True):
        features, memory = model(part[None], memory)
        yield features[0], model.output.losses(features[0], target), target
