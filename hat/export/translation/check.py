"""Whether a bundle translates as its PyTorch model does: log-probabilities, and translations of a validation sample."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hat.data.translation.pairs import sample_text
from hat.deploy.translator import Translator
from hat.errors import ArtifactError
from hat.evaluation.translation.scores import score_translations
from hat.experiment.translation import EvaluationConfig
from hat.export.translation.graph_check import TIE, GraphReference, log_probabilities

if TYPE_CHECKING:
    from hat.data.translation.prepared import PreparedData
    from hat.deploy.beam_search import BeamSearch
    from hat.models.translation import Transformer


SENTENCES = 200  # of the validation set, translated
FORCED_SENTENCES = 16  # of these, compared token by token, and translated by every graph
LOGIT_TOLERANCE = 1e-4


class Reference:
    """What PyTorch makes of a sample of the validation set, by fairseq's SequenceGenerator with `settings`.

    `seed` draws the sample.
    """

    def __init__(self, model: "Transformer", prepared: "PreparedData", settings: EvaluationConfig, seed: int) -> None:
        import sentencepiece

        self._prepared = prepared
        sources, self._references = sample_text(prepared, "valid", SENTENCES, seed)
        tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(prepared.sentencepiece(prepared.source_lang)))
        end = model.spec.end_of_sentence
        self._sources = [[*ids, end] for ids in tokenizer.encode(sources)]
        with one_torch_thread():
            self._hypotheses = _translate_by_length(model, prepared, self._sources, settings)
            some, hypotheses = self._sources[:FORCED_SENTENCES], self._hypotheses[:FORCED_SENTENCES]
            self._forced = [
                (source, [end, *ids], log_probabilities(model, source, [end, *ids]))
                for source, (ids, _) in zip(some, hypotheses, strict=True)
            ]

            def translate(beam: int) -> list[tuple[list[int], float]]:
                return _translate_by_length(model, prepared, some, replace(settings, beam=beam))

            self._graphs = GraphReference(model, some, hypotheses, settings, translate)

    def judge(self, bundle: Path | str, exact: bool) -> dict[str, Any]:
        """`check_exact`; else `compare`, where only graphs that differ by more than the weights do are refused."""
        if exact:
            return self.check_exact(bundle)
        result = self.compare(bundle)
        _check_graphs(result["graphs"], max(LOGIT_TOLERANCE, result["largest_logit_difference"]))
        return result

    def check_exact(self, bundle: Path | str) -> dict[str, Any]:
        """Like `compare`; raises ArtifactError unless the bundle does what PyTorch does, ties apart."""
        result = self.compare(bundle)
        difference = result["largest_logit_difference"]
        if not difference <= LOGIT_TOLERANCE:  # so that NaN fails
            raise ArtifactError(
                f"the exported graphs differ from PyTorch by {difference:.1e} in a log-probability (at most "
                f"{LOGIT_TOLERANCE:.0e} is allowed); nothing was replaced; please report this with the architecture"
            )
        different = result["sentences"] - result["identical"] - result["ties"]
        if different:
            raise ArtifactError(
                f"the exported bundle translates {different} of {result['sentences']} validation sentences differently "
                f"from PyTorch; nothing was replaced; please report this with the architecture"
            )
        _check_graphs(result["graphs"], LOGIT_TOLERANCE, exact=True)
        return result

    def compare(self, bundle: Path | str) -> dict[str, Any]:
        """Agreement of the bundle in folder `bundle` with PyTorch, and its BLEU beside PyTorch's, as a dictionary."""
        translator = Translator(bundle)
        found = [hypotheses[0] for hypotheses in translator.translate_ids(self._sources)]
        pairs = list(zip(found, self._hypotheses, strict=True))
        same = [hypothesis.tokens[:-1] == ids for hypothesis, (ids, _) in pairs]
        near = [abs(hypothesis.score - score) < TIE for hypothesis, (_, score) in pairs]
        bleu = self._bleu([hypothesis.tokens[:-1] for hypothesis in found])
        reference_bleu = self._bleu([ids for ids, _ in self._hypotheses])
        return {
            "sentences": len(same),
            "identical": sum(same),
            "ties": sum(close and not equal for close, equal in zip(near, same, strict=True)),
            "largest_logit_difference": self._largest_difference(translator.beam_search),
            "graphs": self._compare_graphs(translator),
            "bleu": bleu,
            "bleu_drop": reference_bleu - bleu,
        }

    @staticmethod
    def describe(result: dict[str, Any]) -> str:
        """One line for the user."""
        return (
            f"translates {result['identical']} of {result['sentences']} validation sentences as PyTorch does "
            f"(log-probabilities within {result['largest_logit_difference']:.1e}, BLEU {result['bleu']:.2f}, "
            f"{result['bleu_drop']:+.2f} lost)"
        )

    def _largest_difference(self, beam_search: "BeamSearch") -> float:
        differences = [
            np.abs(beam_search.log_probabilities([source], [target])[0] - expected).max()
            for source, target, expected in self._forced
        ]
        return float(np.max(differences))

    def _compare_graphs(self, translator: Translator) -> dict[str, Any]:
        with one_torch_thread():
            return self._graphs.compare(translator)

    def _bleu(self, translations: list[list[int]]) -> float:
        import sentencepiece

        path = self._prepared.sentencepiece(self._prepared.target_lang)
        texts = sentencepiece.SentencePieceProcessor(model_file=str(path)).decode(translations)
        return score_translations(texts, self._references, self._prepared.target_lang)["bleu"]


def _check_graphs(graphs: dict[str, Any], tolerance: float, exact: bool = False) -> None:
    """Raise ArtifactError naming the first graph whose scores are off by more, or (`exact`) that finds others."""
    for name, found in graphs.items():
        difference, different = found["largest_score_difference"], found["sentences"] - found["identical"]
        if not difference <= tolerance or (exact and different > found["ties"]):
            raise ArtifactError(
                f"the exported graph {name} searches differently from PyTorch ({different} of {found['sentences']} "
                f"translations, scores by {difference:.1e}, at most {tolerance:.1e} is allowed); nothing was replaced; "
                "please report this with the architecture"
            )


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Small batches gain nothing from more threads, and lose much on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _translate_by_length(
    model: "Transformer", prepared: "PreparedData", sources: Sequence[list[int]], settings: EvaluationConfig
) -> list[tuple[list[int], float]]:
    """fairseq's (ids, score) of each source; batches of one length, as its length limits follow the batch's longest."""
    from hat.fairseq_plugin.generation import translate_ids

    groups = defaultdict(list)
    for index, source in enumerate(sources):
        groups[len(source)].append(index)
    hypotheses: list[Any] = [None] * len(sources)
    for group in groups.values():
        batch = [sources[index] for index in group]
        limits = (settings.beam, settings.lenpen, settings.max_len_a, settings.max_len_b)
        for index, hypothesis in zip(group, translate_ids(model, prepared, batch, *limits), strict=True):
            hypotheses[index] = hypothesis
    return hypotheses
