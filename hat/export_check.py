"""Whether a bundle translates as its PyTorch model does: log-probabilities, and translations of a validation sample."""

import contextlib
from collections import defaultdict

import numpy as np

from hat.data.pairs import sample_text
from hat.deploy.translator import Translator
from hat.errors import ArtifactError
from hat.evaluation import score_translations

SENTENCES = 200  # of the validation set, translated
FORCED_SENTENCES = 16  # of these, compared token by token
LOGIT_TOLERANCE = 1e-4
TIE = 1e-4  # scores closer than this may be told apart by rounding alone


class Reference:
    """What PyTorch makes of a sample of the validation set, by fairseq's SequenceGenerator with `settings`.

    `seed` draws the sample.
    """

    def __init__(self, model, prepared, settings, seed):
        import sentencepiece

        self._prepared = prepared
        sources, self._references = sample_text(prepared, "valid", SENTENCES, seed)
        tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(prepared.sentencepiece(prepared.source_lang)))
        end = model.spec.end_of_sentence
        self._sources = [[*ids, end] for ids in tokenizer.encode(sources)]
        with one_torch_thread():
            self._hypotheses = _translate_by_length(model, prepared, self._sources, settings)
            self._forced = [
                (source, [end, *ids], _log_probabilities(model, source, [end, *ids]))
                for source, (ids, _) in list(zip(self._sources, self._hypotheses, strict=True))[:FORCED_SENTENCES]
            ]

    def judge(self, bundle, exact):
        """`check_exact` or `compare`."""
        return self.check_exact(bundle) if exact else self.compare(bundle)

    def check_exact(self, bundle):
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
        return result

    def compare(self, bundle):
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
            "bleu": bleu,
            "bleu_drop": reference_bleu - bleu,
        }

    @staticmethod
    def describe(result):
        """One line for the user."""
        return (
            f"translates {result['identical']} of {result['sentences']} validation sentences as PyTorch does "
            f"(log-probabilities within {result['largest_logit_difference']:.1e}, BLEU {result['bleu']:.2f}, "
            f"{result['bleu_drop']:+.2f} lost)"
        )

    def _largest_difference(self, beam_search):
        differences = [
            np.abs(beam_search.log_probabilities([source], [target])[0] - expected).max()
            for source, target, expected in self._forced
        ]
        return float(np.max(differences))

    def _bleu(self, translations):
        import sentencepiece

        path = self._prepared.sentencepiece(self._prepared.target_lang)
        texts = sentencepiece.SentencePieceProcessor(model_file=str(path)).decode(translations)
        return score_translations(texts, self._references, self._prepared.target_lang)["bleu"]


@contextlib.contextmanager
def one_torch_thread():
    """Small batches gain nothing from more threads, and lose much on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _translate_by_length(model, prepared, sources, settings):
    """fairseq's (ids, score) of each source; batches of one length, as its length limits follow the batch's longest."""
    from hat.fairseq_plugin.generation import translate_ids

    groups = defaultdict(list)
    for index, source in enumerate(sources):
        groups[len(source)].append(index)
    hypotheses = [None] * len(sources)
    for group in groups.values():
        batch = [sources[index] for index in group]
        limits = (settings.beam, settings.lenpen, settings.max_len_a, settings.max_len_b)
        for index, hypothesis in zip(group, translate_ids(model, prepared, batch, *limits), strict=True):
            hypotheses[index] = hypothesis
    return hypotheses


def _log_probabilities(model, source, target):
    """Log-probabilities (time, vocabulary) after each prefix of `target`, by the PyTorch model."""
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([source]), torch.tensor([target]))
    return logits[0].log_softmax(-1).numpy()
