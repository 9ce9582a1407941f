"""What a search is given, checked before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hat.deploy.search_options import SearchOptions
from hat.deploy.source_encoder import SourceEncoder
from hat.errors import UsageError

MAX_LENGTH = 2000  # tokens of a source or a translation; the graphs place a little more


def length_limits(
    sources: Sequence[Sequence[int]], options: SearchOptions, forced_steps: int | None, encoder: SourceEncoder
) -> list[int]:
    """For each source the most tokens before </s>, by SearchOptions, or `forced_steps` where these are given.

    Raises UsageError for sources, a beam or a number of steps that the SourceEncoder's model can't have.
    """
    _check_sources(sources, encoder.source_vocabulary)
    _check_beam(options.beam, encoder.target_vocabulary)
    if forced_steps is None:
        return [options.length_limit(len(source), MAX_LENGTH) for source in sources]
    if not 1 <= forced_steps <= MAX_LENGTH:
        raise UsageError(f"forced_steps {forced_steps} must be 1 to {MAX_LENGTH}")
    return [forced_steps] * len(sources)


def _check_sources(sources: Sequence[Sequence[int]], vocabulary: int) -> None:
    """Raise UsageError for a source that is empty, too long or has ids that aren't in the vocabulary."""
    for number, source in enumerate(sources):
        if not 1 <= len(source) <= MAX_LENGTH:
            raise UsageError(f"source {number} has {len(source)} tokens; give 1 to {MAX_LENGTH}, the last of them </s>")
        _check_ids(f"source {number}", source, vocabulary)


def _check_beam(beam: int, vocabulary: int) -> None:
    """Raise UsageError for more hypotheses than there are tokens to begin them with: padding is none."""
    if beam >= vocabulary:
        raise UsageError(f"beam {beam} is above {vocabulary - 1}, the tokens of the vocabulary; ask for fewer")


def check_prefixes(
    prefixes: Sequence[Sequence[int]],
    limits: Sequence[int],
    options: SearchOptions,
    vocabulary: int,
    padding: int,
    end_of_sentence: int,
) -> None:
    """Raise UsageError for prefixes that no hypothesis can have, one for each of the `limits` of SearchOptions."""
    if len(prefixes) != len(limits):
        raise UsageError(f"{len(prefixes)} prefixes for {len(limits)} sources; give one for each, [] for none")
    for number, (prefix, limit) in enumerate(zip(prefixes, limits)):
        name, prefix = f"prefix {number}", list(prefix)
        _check_ids(name, prefix, vocabulary)
        if padding in prefix:
            raise UsageError(f"{name} holds {padding}, which is padding; leave it out")
        words = prefix[: prefix.index(end_of_sentence)] if end_of_sentence in prefix else prefix
        if len(words) > limit:
            raise UsageError(
                f"{name} has {len(words)} tokens, more than the {limit} that its translation may have; shorten it or "
                "raise max_len_a or max_len_b"
            )
        _check_repeats(name, words, options.no_repeat_ngram)


def _check_ids(name: str, ids: Iterable[int], vocabulary: int) -> None:
    for token in ids:
        if not 0 <= token < vocabulary:
            raise UsageError(f"{name} holds the id {token}, which isn't one of the vocabulary's 0 to {vocabulary - 1}")


def _check_repeats(name: str, words: Sequence[int], size: int) -> None:
    ngrams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)] if size else []
    if len(set(ngrams)) < len(ngrams):
        raise UsageError(
            f"{name} repeats {size} tokens, against no_repeat_ngram {size}; lower that or change the prefix"
        )
