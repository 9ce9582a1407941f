"""What a search looks for."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from hat.deploy.bundle import Bundle
from hat.errors import ArtifactError, UsageError


@dataclass(frozen=True)
class SearchOptions:
    """fairseq's options of generation; raises UsageError for a value that none of them can have.

    A translation has at most `max_len_a * source length + max_len_b` tokens before </s> and at least `min_len`; its
    score is its log-probability over length ** lenpen, </s> counted. `unk_penalty` is subtracted from the
    log-probability of the unknown token. No n-gram of `no_repeat_ngram` tokens comes twice (0: any may).
    """

    beam: int
    lenpen: float = 1.0
    max_len_a: float = 1.2
    max_len_b: int = 10
    min_len: int = 1
    unk_penalty: float = 0.0
    no_repeat_ngram: int = 0

    def __post_init__(self) -> None:
        for name, least in (("beam", 1), ("max_len_b", 0), ("min_len", 0), ("no_repeat_ngram", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name} must be at least {least} and whole, not {value!r}")
        for name in ("lenpen", "max_len_a", "unk_penalty"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
                raise UsageError(f"{name} must be a finite number, not {value!r}")
        if self.max_len_a < 0:
            raise UsageError(f"max_len_a must be at least 0, not {self.max_len_a!r}")

    def length_limit(self, source_length: int, longest: int) -> int:
        """The most tokens before </s> for a source of `source_length` tokens, never above `longest`.

        Raises UsageError where `min_len` is above it.
        """
        limit = min(int(self.max_len_a * source_length + self.max_len_b), longest)
        if self.min_len > limit:
            raise UsageError(
                f"min_len {self.min_len} is above {limit}, the most tokens that a source of {source_length} tokens may "
                f"give (max_len_a {self.max_len_a}, max_len_b {self.max_len_b}); lower min_len or raise max_len_b"
            )
        return limit


def bundle_options(bundle: Bundle, **given: Any) -> SearchOptions:
    """SearchOptions of a Bundle, with those in `given` that aren't None in their place."""
    names = {field.name for field in fields(SearchOptions)}
    known = {name: value for name, value in bundle.description["search"].items() if name in names}
    try:
        options = SearchOptions(**known)
    except UsageError as error:
        raise ArtifactError(f"{bundle.path}: search options of the bundle: {error}; export it again") from None
    options = replace(options, **{name: value for name, value in given.items() if value is not None})
    vocabulary = bundle.description["spec"]["target_vocabulary"]
    if options.beam > vocabulary:
        raise UsageError(f"beam {options.beam} is above the vocabulary of {vocabulary}; ask for a smaller one")
    return options
