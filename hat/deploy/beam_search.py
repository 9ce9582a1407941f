"""BeamSearch: the deployed search, which takes for each batch the fastest way that has its options."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from hat.deploy.beams import Hypothesis
from hat.deploy.loop_search import LoopSearch
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import Sessions
from hat.deploy.source_encoder import SourceEncoder
from hat.deploy.step_search import StepSearch
from hat.errors import UsageError


class BeamSearch:
    """Translates token ids with the graphs of `sessions` (see hat.deploy.sessions); one search at a time.

    `loops` tells whether the graphs that search in a loop of their own may be used; without them there is no shortlist.
    """

    def __init__(self, sessions: Sessions, padding: int = 1, end_of_sentence: int = 2, loops: bool = True) -> None:
        self._sessions, self._padding, self._end, self.loops = sessions, padding, end_of_sentence, loops
        self.encoder = SourceEncoder(sessions["encoder"], padding)
        self._searches: dict[str, Any] = {}

    def search(
        self,
        sources: Sequence[Sequence[int]],
        options: SearchOptions,
        prefixes: Sequence[Sequence[int]] | None = None,
        forced_steps: int | None = None,
        shortlist: np.ndarray | None = None,
    ) -> list[list[Hypothesis]]:
        """list of Hypothesis, best first, for each source; all sources are one batch.

        A source is a list of ids ending with </s>; `options` are SearchOptions; `prefixes` holds for each source the
        ids that its hypotheses must begin with. `forced_steps` makes exactly that many steps, never choosing </s>, and
        returns the unfinished hypotheses: for timing. `shortlist` (tokens,) int64 holds, in rising order, the tokens to
        choose from, all those up to </s> among them.
        """
        if not sources:
            return []
        if shortlist is not None:
            _check_shortlist(options.beam, len(shortlist))
        if self._needs_steps(options, prefixes):
            if shortlist is not None:
                raise UsageError(
                    "no shortlist with no_repeat_ngram, unk_penalty, max_len_b 0 or a prefix, or for an earlier "
                    "version's int8 bundle on an x86 processor without VNNI; leave it out"
                )
            return self._stepping().search(sources, options, prefixes=prefixes, forced_steps=forced_steps)
        search = self._looping(loop_name(self._sessions, options.beam, len(sources), shortlist is not None))
        return search.search(sources, options, forced_steps, shortlist)

    def log_probabilities(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]] | np.ndarray
    ) -> np.ndarray:
        """Log-probabilities of all tokens after each prefix of the given targets: for comparing models.

        targets (sentences, time) start with </s>; returns (sentences, time, vocabulary).
        """
        return self._stepping().log_probabilities(sources, targets)

    def _needs_steps(self, options: SearchOptions, prefixes: Sequence[Sequence[int]] | None) -> bool:
        """Whether the loops can't do it: options they don't have, translations of no token, tiny vocabularies."""
        if (
            not self.loops
            or options.max_len_b == 0
            or options.no_repeat_ngram
            or options.unk_penalty
            or prefixes is not None
        ):
            return True
        return 2 * options.beam + 2 > self.encoder.target_vocabulary

    def _looping(self, name: str) -> LoopSearch:
        if name not in self._searches:
            self._searches[name] = LoopSearch(self.encoder, self._sessions[name], self._end)
        return self._searches[name]

    def _stepping(self) -> StepSearch:
        if "step" not in self._searches:
            self._searches["step"] = StepSearch(self.encoder, self._sessions["step"], self._padding, self._end)
        return self._searches["step"]


def _check_shortlist(beam: int, length: int) -> None:
    """Raise UsageError if a shortlist of this length has too few tokens for the candidates of a step."""
    largest = max(1, length // 2 - 1)  # one hypothesis needs no more than the tokens up to </s>
    if beam > largest:
        raise UsageError(
            f"beam {beam} is too large for the {length} tokens of the shortlist; ask for a beam of {largest} at most, "
            "or leave the shortlist out"
        )


def needed_graphs(names: Collection[str], beam: int) -> tuple[str, str]:
    """Those of the `names` of a bundle's graphs that the translation of one sentence with `beam` runs."""
    return ("encoder", loop_name(names, beam, sentences=1))


def loop_name(graphs: Collection[str] | Sessions, beam: int, sentences: int, shortlisted: bool = False) -> str:
    """Which of the names in `graphs` is that of the search with `beam` hypotheses for so many sentences at once."""
    name = "greedy" if beam == 1 else "beam"
    if beam * sentences == 1 and "greedy_single" in graphs:
        name = "greedy_single"
    return f"{name}_shortlist" if shortlisted else name
