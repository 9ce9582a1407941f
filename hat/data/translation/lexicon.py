"""Shortlists from a lexicon learnt from sentence pairs: which target tokens each source token becomes (IBM model 1).

Brown et al. 1993, "The mathematics of statistical machine translation". The </s> of a source serves as its empty word:
it takes the blame for target tokens that nothing else explains.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from hat.deploy.shortlist import Shortlist

if TYPE_CHECKING:
    from hat.data.translation.prepared import PreparedData


PER_TOKEN = 150  # the likeliest translations of a source token: these three were chosen on Multi30k's validation set,
LEAST = 1e-5  # the least probability of one,
COMMON = 300  # and the most frequent target tokens, for as many covered references as some 600 tokens a sentence allow
SPECIAL = 4  # <s>, <pad>, </s>, <unk>
ITERATIONS = 5
LINKS = 60_000_000  # of a source with a target token in one pair: bounds memory (about a GB) and time (a minute or two)
CHUNK = 2000  # pairs whose links are looked up at a time


def learn_shortlist(prepared: "PreparedData", pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Shortlist:
    """The Shortlist learnt from `pairs`, (source ids, target ids) that end with </s>, of prepared data.

    Every source token may stay what it is where the target vocabulary has it too: names and numbers do.
    """
    lexicon = learn_lexicon(pairs, prepared.source_vocabulary, prepared.target_vocabulary)
    offsets, tokens = lexicon.likely(PER_TOKEN, LEAST)
    rows = np.repeat(np.arange(prepared.source_vocabulary), np.diff(offsets))
    same_source, same_target = _same_pieces(prepared)
    links = np.concatenate([rows, same_source]) * prepared.target_vocabulary + np.concatenate([tokens, same_target])
    rows, tokens = np.divmod(np.unique(links), prepared.target_vocabulary)
    offsets = np.searchsorted(rows, np.arange(prepared.source_vocabulary + 1))
    return Shortlist(offsets, tokens, np.union1d(np.arange(SPECIAL), lexicon.most_frequent(COMMON)))


def coverage(shortlist: Shortlist, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> dict[str, float]:
    """{"covered", "mean_tokens"}: the share of target tokens on the list of their own source, and its mean length."""
    covered, total, lengths = 0, 0, []
    for source, target in pairs:
        listed = shortlist.tokens([source])
        covered += int(np.isin(target, listed).sum())
        total += len(target)
        lengths.append(len(listed))
    return {"covered": covered / total, "mean_tokens": float(np.mean(lengths))}


def _same_pieces(prepared: "PreparedData") -> tuple[np.ndarray, np.ndarray]:
    """(source ids, target ids) of the pieces that both vocabularies have."""
    from sentencepiece import SentencePieceProcessor

    languages = (prepared.source_lang, prepared.target_lang)
    models = [SentencePieceProcessor(model_file=str(prepared.sentencepiece(lang))) for lang in languages]
    source, target = ([model.id_to_piece(token) for token in range(SPECIAL, len(model))] for model in models)
    _, source_places, target_places = np.intersect1d(source, target, assume_unique=True, return_indices=True)
    return source_places + SPECIAL, target_places + SPECIAL


class Lexicon:
    """Probabilities that a source token becomes a target token: `matrix`, sparse (source, target vocabulary).

    `frequencies` (target vocabulary,) counts the target tokens that it was learnt from.
    """

    def __init__(self, matrix: sparse.csr_matrix, frequencies: np.ndarray) -> None:
        self.matrix, self.frequencies = matrix, frequencies

    def likely(self, per_token: int, least: float) -> tuple[np.ndarray, np.ndarray]:
        """(offsets (source vocabulary + 1,), tokens): of each source token's translations the `per_token` likeliest.

        Those with a probability below `least` are left out. Source token i has tokens[offsets[i] : offsets[i + 1]].
        """
        rows = np.repeat(np.arange(self.matrix.shape[0]), np.diff(self.matrix.indptr))
        order = np.lexsort((self.matrix.indices, -self.matrix.data, rows))  # row by row, likeliest first
        place = np.arange(len(rows)) - np.repeat(self.matrix.indptr[:-1], np.diff(self.matrix.indptr))
        kept = (place < per_token) & (self.matrix.data[order] >= least)
        counts = np.bincount(rows[kept], minlength=self.matrix.shape[0])
        return np.concatenate([[0], np.cumsum(counts)]), self.matrix.indices[order][kept]

    def most_frequent(self, count: int) -> np.ndarray:
        """The `count` most frequent target tokens, without those that never came."""
        order = np.argsort(-self.frequencies, kind="stable")[:count]
        return order[self.frequencies[order] > 0]


def learn_lexicon(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], source_vocabulary: int, target_vocabulary: int
) -> Lexicon:
    """The Lexicon of `pairs`, (source ids, target ids) that end with </s>; as many of the first as LINKS allows."""
    pairs = _first_pairs(pairs)
    sources, targets = [np.asarray(source) for source, _ in pairs], [np.asarray(target[:-1]) for _, target in pairs]
    shape = (source_vocabulary, target_vocabulary)
    frequencies = np.bincount(np.concatenate(targets), minlength=target_vocabulary)
    matrix = (_counts(sources, source_vocabulary).T @ _counts(targets, target_vocabulary)).tocsr()
    matrix.sort_indices()
    links, starts = _links(matrix, sources, targets)
    rows = np.repeat(np.arange(shape[0]), np.diff(matrix.indptr))
    probabilities = np.ones(matrix.nnz)
    for _ in range(ITERATIONS):
        probabilities = _improve(probabilities, links, starts, rows, source_vocabulary)
    return Lexicon(sparse.csr_matrix((probabilities, matrix.indices, matrix.indptr), shape), frequencies)


def _first_pairs(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Sequence[tuple[Sequence[int], Sequence[int]]]:
    """As many of the first pairs as have LINKS links, but at least one, without those that lack a side."""
    pairs = [(source, target) for source, target in pairs if len(source) > 0 and len(target) > 1]
    links = np.cumsum([len(source) * (len(target) - 1) for source, target in pairs])
    return pairs[: max(1, int(np.searchsorted(links, LINKS, side="right")))]


def _counts(sentences: Sequence[np.ndarray], vocabulary: int) -> sparse.csr_matrix:
    """(sentences, vocabulary), sparse: how often each token comes in each sentence."""
    columns = np.concatenate(sentences)
    ends = np.cumsum([0] + [len(sentence) for sentence in sentences])
    return sparse.csr_matrix((np.ones(len(columns), np.int32), columns, ends), (len(sentences), vocabulary))


def _links(
    matrix: sparse.csr_matrix, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """All links, target token by target token: (places in matrix.data (links,), first link of each target token)."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    keys = rows * matrix.shape[1] + matrix.indices  # sorted
    sizes: Any
    places, sizes = [], []
    for start in range(0, len(sources), CHUNK):
        chunk = list(zip(sources[start : start + CHUNK], targets[start : start + CHUNK], strict=True))
        wanted = [(source[None, :] * matrix.shape[1] + target[:, None]).ravel() for source, target in chunk]
        places.append(np.searchsorted(keys, np.concatenate(wanted)).astype(np.int32))
        sizes += [np.full(len(target), len(source)) for source, target in chunk]
    sizes = np.concatenate(sizes)
    return np.concatenate(places), np.cumsum(sizes) - sizes


def _improve(
    probabilities: np.ndarray, links: np.ndarray, starts: np.ndarray, rows: np.ndarray, source_vocabulary: int
) -> np.ndarray:
    """One step of expectation maximisation."""
    likelihoods = probabilities[links]
    sizes = np.diff(np.append(starts, len(links)))
    likelihoods /= np.repeat(np.add.reduceat(likelihoods, starts), sizes)
    expected = np.bincount(links, likelihoods, len(probabilities))
    totals = np.bincount(rows, expected, source_vocabulary)
    return expected / totals[rows]
