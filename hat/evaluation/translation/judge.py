"""How translations come about, and how good they are: what `hat-evaluate` asks of the task translation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.deploy.batching import usable_cores
from hat.errors import ArtifactError
from hat.evaluation.text import EvaluationText, check_split, split_text
from hat.evaluation.translation.scores import score_translations
from hat.evaluation.translation.significance import paired_bootstrap
from hat.evaluation.translation.texts import file_text
from hat.experiment.run_directory import RunDirectory
from hat.models.translation_spec import ModelSpec

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

    from hat.data.translation.prepared import PreparedData
    from hat.models.translation import Transformer


class TranslationJudge:
    """Of the models and bundles of a run. `columns` are (title, key of an evaluation) of what a table shows.

    The first of them counts; `higher_is_better` is said of that one.
    """

    columns = (("BLEU", "bleu"), ("chrF", "chrf"))
    higher_is_better = True

    def __init__(self, run: RunDirectory) -> None:
        self._run, self._settings = run, run.config.evaluation

    def split_text(self, split: str) -> EvaluationText:
        """The EvaluationText of a prepared split; UsageError if there is no such split."""
        check_split(split)
        return split_text(split, *self._run.prepared().raw(split))

    def file_text(self, source_path: Path | str, reference_path: Path | str) -> EvaluationText:
        """The EvaluationText of two parallel files; see hat.evaluation.translation.texts."""
        return file_text(source_path, reference_path)

    def check_model(self, name: str, spec: ModelSpec) -> None:
        """Raise ArtifactError if a model of this spec has other words than the run's data."""
        prepared = self._run.prepared()
        found, wanted = (f"{each.source_vocabulary} and {each.target_vocabulary} pieces" for each in (spec, prepared))
        if found != wanted:
            raise ArtifactError(
                f"{name} has vocabularies of {found}, but {self._run.data} has {wanted}; name the run directory of "
                "that experiment with --run"
            )

    def check_bundle(self, path: Path | str, description: dict[str, Any]) -> None:
        """Raise ArtifactError if a bundle is of other languages than the run."""
        languages, data = (description["source_lang"], description["target_lang"]), self._run.config.data
        if languages != (data.source_lang, data.target_lang):
            raise ArtifactError(
                f"{path} translates {' to '.join(languages)}, but {self._run.path} holds {data.source_lang} and "
                f"{data.target_lang}; name the run directory of that experiment with --run"
            )

    def beam(self, description: dict[str, Any] | None = None) -> int:
        """That of a bundle with this description; without, of the run's models."""
        return description["search"]["beam"] if description else self._settings.beam

    def model_answers(self, model: "Transformer", sentences: list[str]) -> list[str]:
        """Translations of plain sentences, by fairseq's search on a GPU if there is one; blank ones stay empty."""
        import torch

        from hat.fairseq_plugin.generation import translate_ids

        prepared, settings = self._run.prepared(), self._settings
        torch.set_num_threads(usable_cores())
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        encoded = _sentencepiece(prepared, prepared.source_lang).encode(sentences)
        limits = (settings.beam, settings.lenpen, settings.max_len_a, settings.max_len_b)
        hypotheses = iter(translate_ids(model, prepared, [ids for ids in encoded if ids], *limits))
        found = [next(hypotheses)[0] if ids else [] for ids in encoded]
        return _sentencepiece(prepared, prepared.target_lang).decode(found)

    def bundle_answers(self, path: Path | str, sentences: list[str]) -> list[str]:
        """Translations of plain sentences by the bundle at `path`, on all cores."""
        from hat.deploy.translator import Translator

        return Translator(path, workers=usable_cores()).translate(sentences)

    example_answers = bundle_answers

    def examples(self, count: int) -> tuple[list[Any], list[str]]:
        """What the report shows answers to, and what should come of it: the first lines of the test set."""
        text = self.split_text("test")
        return text.sources[:count], text.references[:count]

    def score(self, translations: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        """{"bleu", "chrf", their signatures, "sentences"}"""
        return score_translations(translations, references, self._run.config.data.target_lang)

    def compare(
        self, translations: Sequence[str], baseline: Sequence[str], references: Sequence[str]
    ) -> dict[str, Any]:
        """What `paired_bootstrap` says."""
        return paired_bootstrap(translations, baseline, references, self._run.config.data.target_lang)

    def comparison(self, compared: dict[str, Any]) -> str:
        """Part of a line that tells what `compare` found."""
        sides = ([compared[f"{side}bleu{kind}"] for kind in ("", "_mean", "_ci95")] for side in ("", "baseline_"))
        found, baseline = (f"BLEU {bleu:.2f} ({mean:.2f} ± {ci95:.2f})" for bleu, mean, ci95 in sides)
        return f"{found}, {baseline}, p = {compared['p_value']:.4f}"

    def note(self, row: dict[str, Any]) -> str:
        """A few words on how an evaluation was scored."""
        return f"BLEU is sacreBLEU {row['bleu_signature']}"

    def interval(self, row: dict[str, Any]) -> None:
        """None: an evaluation resamples no test set, a comparison does."""
        return None

    def signatures(self, row: dict[str, Any]) -> str:
        """The line that tells by what an evaluation was made."""
        names = f"{row['bleu_signature']}; {row['chrf_signature']}"
        return f"{names}; paired bootstrap {row['against']['signature']}" if "against" in row else names


def _sentencepiece(prepared: "PreparedData", lang: str) -> "SentencePieceProcessor":
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(prepared.sentencepiece(lang)))
