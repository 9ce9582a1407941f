"""Translator: text in, text out, from a bundle. Needs numpy, onnxruntime and sentencepiece, nothing else."""

import warnings

import sentencepiece

from hat.deploy.beam_search import BeamSearch
from hat.deploy.bundle import SEARCH_KEYS, open_bundle
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import make_session
from hat.errors import ArtifactError, UsageError

BATCH_TOKENS = 2000
WORD_START = "\u2581"  # SentencePiece's mark at the start of a word


class Translator:
    """Translates with the bundle in folder `bundle`, on `threads` threads; one call at a time.

    `beam` replaces the bundle's beam size; a batch holds at most `batch_tokens` source tokens, padding included.
    Raises ArtifactError for a bundle that is missing, foreign or damaged.
    """

    def __init__(self, bundle, threads=1, beam=None, batch_tokens=BATCH_TOKENS):
        for name, value in (("threads", threads), ("beam", beam), ("batch_tokens", batch_tokens)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        self.bundle = open_bundle(bundle)
        description = self.bundle.description
        self._options = {key: description["search"][key] for key in SEARCH_KEYS}
        self._options["beam"] = beam or self._options["beam"]
        self._end, self._max_source_tokens = description["spec"]["end_of_sentence"], description["max_source_tokens"]
        self._batch_tokens = batch_tokens
        self._source, self._target = (self._tokenizer(side) for side in ("source", "target"))
        sessions = [self._session(graph, threads) for graph in ("encoder", "step")]
        self.beam_search = BeamSearch(*sessions, description["spec"]["padding"], self._end)

    def _tokenizer(self, side):
        path = self.bundle.tokenizer(side)
        try:
            return sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError):
            raise ArtifactError(f"{path} is not a SentencePiece model; export the bundle again") from None

    def _session(self, graph, threads):
        path = self.bundle.graph(graph)
        try:
            return make_session(path, threads)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            reason = " ".join(str(error).split())
            raise ArtifactError(f"{path}: onnxruntime can't run it ({reason}); try a newer onnxruntime") from None

    def translate(self, sentences):
        """Translations in the order of `sentences` (list of str, one line each).

        Empty and blank lines stay empty. A sentence with more tokens than the bundle's `max_source_tokens` is split
        between words, its parts are translated by themselves and joined; a warning says so.
        """
        if isinstance(sentences, str):
            raise TypeError("translate() takes a list of sentences, not one string")
        parts, owners = [], []
        for index, sentence in enumerate(sentences):
            for part in self._split(self._source.encode(sentence), sentence):
                parts.append([*part, self._end])
                owners.append(index)
        texts = [[] for _ in sentences]
        for owner, hypotheses in zip(owners, self.translate_ids(parts)):
            texts[owner].append(self._target.decode(hypotheses[0].tokens[:-1]))
        return [" ".join(text) for text in texts]

    def translate_ids(self, sources):
        """All hypotheses, best first, of token ids that end with </s>, in their order."""
        hypotheses, options = [None] * len(sources), SearchOptions(**self._options)
        for batch in self._batches(sources):
            found = self.beam_search.search([sources[index] for index in batch], options=options)
            for index, sentence_hypotheses in zip(batch, found):
                hypotheses[index] = sentence_hypotheses
        return hypotheses

    def _batches(self, sources):
        """Indices of `sources`, longest first, cut into batches of at most `batch_tokens` padded tokens."""
        batches = []
        for index in sorted(range(len(sources)), key=lambda index: -len(sources[index])):
            if batches and len(sources[batches[-1][0]]) * (len(batches[-1]) + 1) <= self._batch_tokens:
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches

    def _split(self, ids, sentence):
        """Parts of at most max_source_tokens (</s> included), cut before words where possible."""
        limit = self._max_source_tokens - 1
        if len(ids) > limit:
            message = f"the sentence {sentence[:40]!r}... has {len(ids)} tokens: translated in parts of {limit} at most"
            warnings.warn(message, stacklevel=3)
        while len(ids) > limit:
            starts = (at for at in range(limit, 0, -1) if self._source.id_to_piece(ids[at]).startswith(WORD_START))
            cut = next(starts, limit)
            yield ids[:cut]
            ids = ids[cut:]
        if ids:
            yield ids
