"""How labels come about, and how good they are: what `hat-evaluate` asks of the task classification."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hat.deploy.batching import usable_cores
from hat.errors import ArtifactError, UsageError
from hat.evaluation.classification.scores import compare_labels, score_labels
from hat.evaluation.text import EvaluationText, check_split, split_text
from hat.experiment.run_directory import RunDirectory
from hat.models.classifier_spec import ClassifierSpec

if TYPE_CHECKING:
    from hat.models.classification import Classifier


BATCH_TOKENS = 4096


class ClassificationJudge:
    """Of the models and bundles of a run. `columns` are (title, key of an evaluation) of what a table shows.

    The first of them counts; `higher_is_better` is said of that one.
    """

    columns = (("acc.", "accuracy"), ("F1", "f1"))
    higher_is_better = True

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def split_text(self, split: str) -> EvaluationText:
        """The EvaluationText of a prepared split; UsageError if there is no such split."""
        check_split(split)
        texts, pairs, labels = self._run.prepared().raw(split)
        return split_text(split, texts if pairs is None else list(zip(texts, pairs, strict=True)), labels)

    def file_text(self, text_path: Path | str, _label_path: Path | str) -> NoReturn:
        """Raises UsageError: labelled text has columns, which two files of lines don't have."""
        raise UsageError(
            f"--test-set {text_path}: a classifier is judged by prepared text; make it data.test of a config, prepare "
            "that with hat-prepare, and give --run"
        )

    def check_model(self, name: str, spec: ClassifierSpec) -> None:
        """Raise ArtifactError if a model of this spec has other tokens or labels than the run's data."""
        prepared = self._run.prepared()
        if (spec.vocabulary, list(spec.labels)) != (prepared.vocabulary, list(prepared.labels)):
            raise ArtifactError(
                f"{name} has {spec.vocabulary} tokens and the labels {', '.join(spec.labels)}, but {self._run.data} "
                f"has {prepared.vocabulary} and {', '.join(prepared.labels)}; name the run directory of that "
                "experiment with --run"
            )

    def check_bundle(self, path: Path | str, description: dict[str, Any]) -> None:
        """Raise ArtifactError if a bundle has other labels than the run."""
        labels = self._run.prepared().labels
        if list(description["labels"]) != list(labels):
            raise ArtifactError(
                f"{path} has the labels {', '.join(description['labels'])}, but {self._run.path} {', '.join(labels)}; "
                "name the run directory of that experiment with --run"
            )

    def beam(self, description: dict[str, Any] | None = None) -> None:
        """None: nothing is searched."""
        return None

    def model_answers(self, model: "Classifier", texts: Sequence[str | tuple[str, str]]) -> list[str]:
        """Label names of texts or pairs, on a GPU if there is one."""
        import torch

        from hat.deploy.batching import token_batches
        from hat.deploy.classifier import graph_inputs
        from hat.deploy.text_encoders import open_text_encoder

        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(usable_cores())
        model.to(device).eval()
        prepared = self._run.prepared()
        encoder = open_text_encoder(prepared.text_encoder_file)
        pairs = [(text, None) if isinstance(text, str) else text for text in texts]
        sequences = [encoder.encode(*pair, max_tokens=prepared.max_tokens) for pair in pairs]
        labels: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for batch in token_batches([len(ids) for ids in sequences], BATCH_TOKENS):
                inputs = graph_inputs([sequences[index] for index in batch], vars(model.spec))
                logits = model(**{name: torch.from_numpy(array).to(device) for name, array in inputs.items()})
                for index, best in zip(batch, logits.argmax(-1).tolist(), strict=True):
                    labels[index] = model.spec.labels[best]
        return labels

    def bundle_answers(self, path: Path | str, texts: Sequence[str | tuple[str, str]]) -> list[str]:
        """Label names of texts or pairs, by the bundle at `path`, on all cores."""
        from hat.deploy.classifier import Classifier

        return [label for label, _ in Classifier(path, workers=usable_cores()).classify(texts)]

    example_answers = bundle_answers

    def examples(self, count: int) -> tuple[list[Any], list[str]]:
        """What the report shows answers to, and what should come of it: the first lines of the test set."""
        text = self.split_text("test")
        return text.sources[:count], text.references[:count]

    def score(self, labels: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        """What `score_labels` says."""
        return score_labels(labels, references)

    def compare(self, labels: Sequence[str], baseline: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        """What `compare_labels` says."""
        return compare_labels(labels, baseline, references)

    def comparison(self, compared: dict[str, Any]) -> str:
        """Part of a line that tells what `compare` found."""
        accuracies = f"accuracy {compared['accuracy']:.2f}, {compared['baseline_accuracy']:.2f}"
        return f"{accuracies}, p = {compared['p_value']:.4f} (McNemar)"

    def note(self, row: dict[str, Any]) -> str:
        """A few words on how an evaluation was scored."""
        return "accuracies have their 95 % interval below them"

    def interval(self, row: dict[str, Any]) -> tuple[float, ...]:
        """The 95 % interval of what counts."""
        return tuple(row["accuracy_ci95"])

    def signatures(self, row: dict[str, Any]) -> str:
        """The line that tells by what an evaluation was made."""
        low, high = row["accuracy_ci95"]
        return f"{row['target']}: 95 % interval of the accuracy {low:.2f} to {high:.2f}, {row['sentences']} texts"
