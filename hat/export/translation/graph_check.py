"""Whether each graph of a bundle searches as its PyTorch model does, for one sentence and for a batch."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hat.deploy.beam_search import loop_name
from hat.experiment.translation import EvaluationConfig

if TYPE_CHECKING:
    from hat.deploy.beams import Hypothesis
    from hat.deploy.translator import Translator
    from hat.models.translation import Transformer


TIE = 1e-4  # scores closer than this may be told apart by rounding alone


@dataclass(frozen=True)
class _Search:
    """A search with `beam` hypotheses among the token ids `tokens` (None: all), and what PyTorch finds by it.

    `found` holds (ids without </s>, score) of each source.
    """

    beam: int
    tokens: np.ndarray | None
    found: list


class GraphReference:
    """What PyTorch's `model` makes of a few `sources` (ids that end with </s>) by every kind of search.

    `translate(beam)` gives fairseq's (ids without </s>, score) of each source; `hypotheses` are those of the beam that
    `settings` name.
    """

    def __init__(
        self,
        model: "Transformer",
        sources: Sequence[list[int]],
        hypotheses: list[tuple[list[int], float]],
        settings: EvaluationConfig,
        translate: Callable[[int], list[tuple[list[int], float]]],
    ) -> None:
        self._model, self._sources, self._lenpen = model, sources, settings.lenpen
        vocabulary = model.spec.target_vocabulary
        beam = min(max(2, settings.beam), vocabulary // 2 - 1)  # with more, bundles search by the step graph
        tokens = _likely_tokens(hypotheses, max(model.spec.end_of_sentence + 1, 2 * beam + 2))
        self._searches = []
        for width in sorted({1, beam}):
            for kept in (None, tokens):
                with _only(model, kept):
                    known = kept is None and width == settings.beam
                    self._searches.append(_Search(width, kept, hypotheses if known else translate(width)))

    def compare(self, translator: "Translator") -> dict[str, Any]:
        """{graph: {"sentences", "identical", "ties", "largest_score_difference"}} of a Translator's bundle.

        Of each search's best hypotheses: how many are PyTorch's, how many are others of the same score, and how far
        their scores are from those that PyTorch gives the same tokens.
        """
        results: dict[str, list[tuple[bool, float, float]]]
        searches, results = translator.beam_search, {}
        for search in self._searches:
            if search.tokens is not None and not searches.loops:
                continue
            shortlist: dict[str, Any] = {} if search.tokens is None else {"shortlist": search.tokens}
            options = replace(translator.options, beam=search.beam)
            for count in (1, len(self._sources)):
                graphs = translator.bundle.graphs()
                name = loop_name(graphs, search.beam, count, bool(shortlist)) if searches.loops else "step"
                found = searches.search(self._sources[:count], options, **shortlist)
                results.setdefault(name, []).extend(self._judge(search, found))
                if not shortlist:  # a prefix, even an empty one, is the step graph's
                    found = searches.search(self._sources[:count], options, prefixes=[[]] * count)
                    results.setdefault("step", []).extend(self._judge(search, found))
        return {name: _summary(judged) for name, judged in results.items()}

    def _judge(self, search: _Search, found: "Sequence[Sequence[Hypothesis]]") -> list[tuple[bool, float, float]]:
        """(same tokens, distance from PyTorch's best score, distance from PyTorch's score of these tokens) of each."""
        judged = []
        with _only(self._model, search.tokens):
            for source, (ids, score), (best, *_) in zip(self._sources, search.found, found, strict=False):
                same = best.tokens[:-1] == ids
                own_score = score if same else self._score(source, best.tokens)
                judged.append((same, abs(best.score - score), abs(best.score - own_score)))
        return judged

    def _score(self, source: Sequence[int], tokens: Sequence[int]) -> float:
        """PyTorch's score of a translation that ends with </s>."""
        scores = log_probabilities(self._model, source, [tokens[-1], *tokens[:-1]])
        return scores[np.arange(len(tokens)), tokens].sum() / len(tokens) ** self._lenpen


def log_probabilities(model: "Transformer", source: Sequence[int], target: Sequence[int]) -> np.ndarray:
    """Log-probabilities (time, vocabulary) after each prefix of `target`, by the PyTorch model."""
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([source]), torch.tensor([target]))
    return logits[0].log_softmax(-1).numpy()


def _summary(judged: Sequence[tuple[bool, float, float]]) -> dict[str, Any]:
    return {
        "sentences": len(judged),
        "identical": sum(same for same, _, _ in judged),
        "ties": sum(not same and distance < TIE for same, distance, _ in judged),
        "largest_score_difference": float(np.max([own for _, _, own in judged])),
    }


def _likely_tokens(hypotheses: Sequence[tuple[list[int], float]], least: int) -> np.ndarray:
    """A shortlist, ascending: the tokens of translations, and at least as many as the first `least` of them."""
    return np.unique(np.concatenate([np.arange(least), *(np.asarray(ids, np.int64) for ids, _ in hypotheses)]))


@contextlib.contextmanager
def _only(model: "Transformer", tokens: np.ndarray | None) -> Iterator[None]:
    """The PyTorch model gives no others than `tokens` a chance, for a while; None: as it is."""
    import torch

    if tokens is None:
        yield
        return
    mask = torch.full((model.spec.target_vocabulary,), -torch.inf)
    mask[torch.from_numpy(tokens)] = 0.0
    handle = model.decoder.register_forward_hook(lambda _module, _inputs, logits: logits + mask)
    try:
        yield
    finally:
        handle.remove()
