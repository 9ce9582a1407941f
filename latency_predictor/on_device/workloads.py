"""What deployed graphs are timed at: the whole work of one sentence, or a product (Python 3.9, numpy, onnxruntime).

A workload is a function (sessions of these graphs, Task.workload's numbers, points, clock) -> one function for each of
the points, which hold a length for each of the task's phases; it does the work and returns the seconds that each phase
but the last took by the `clock`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnxruntime

from hat.deploy.beam_search import BeamSearch
from hat.deploy.cache import Cache
from hat.deploy.search_options import SearchOptions
from hat.deploy.sessions import Sessions
from hat.deploy.word_steps import WordSteps, in_parts

SEED = 1  # of sentences, whose words don't matter
FIRST_WORD = 4  # token ids below are special symbols
END = 2  # of a sentence
CACHE_PARAMETERS = 0.05, 0.1  # theta and share, whose values don't matter


def translations(
    sessions: Sessions, numbers: Mapping[str, int], points: Sequence[Sequence[int]], clock: Callable[[], float]
) -> list[Callable[[], Sequence[float]]]:
    """Beam search with `beam` hypotheses, of sentences of tokens below `source_vocabulary`."""
    search, options = BeamSearch(sessions), SearchOptions(numbers["beam"])
    search.encoder.clock = clock
    sentences = [_sentence(source, numbers["source_vocabulary"]) for source, _ in points]
    return [
        functools.partial(_translate, search, sentence, options, steps)
        for sentence, (_, steps) in zip(sentences, points)
    ]


def _translate(search: BeamSearch, sentence: list[int], options: SearchOptions, steps: int) -> tuple[float]:
    search.search([sentence], options, forced_steps=steps)
    return (search.encoder.seconds,)


def _sentence(length: int, vocabulary: int) -> list[int]:
    words = np.random.default_rng(SEED).integers(FIRST_WORD, vocabulary, size=length - 1)
    return [*words.tolist(), END]


def classifications(
    sessions: Sessions, numbers: Mapping[str, int], points: Sequence[Sequence[int]], clock: Callable[[], float]
) -> list[Callable[[], Sequence[float]]]:
    """One text of tokens below `vocabulary`; the encoder is all that there is."""
    session = sessions["classifier"]
    names = [each.name for each in session.get_inputs()]
    texts = [np.array([_sentence(length, numbers["vocabulary"])]) for (length,) in points]
    inputs = [{"tokens": tokens, "segments": np.zeros_like(tokens)} for tokens in texts]
    return [functools.partial(_classify, session, {name: each[name] for name in names}) for each in inputs]


def _classify(session: onnxruntime.InferenceSession, inputs: Mapping[str, np.ndarray]) -> tuple[()]:
    session.run(["logits"], inputs)
    return ()


def continuations(
    sessions: Sessions, numbers: Mapping[str, int], points: Sequence[Sequence[int]], clock: Callable[[], float]
) -> list[Callable[[], Sequence[float]]]:
    """A prompt is read, then words are written one at a time, each the likeliest; with a `cache` of so many states."""
    session, states = sessions["step"], numbers.get("cache", 0)
    steps = WordSteps(session, Cache(states, *CACHE_PARAMETERS) if states else None)
    (vocabulary,) = (each.shape[-1] for each in session.get_outputs() if each.name == "log_probabilities")
    prompts = [_sentence(1 + prompt, vocabulary) for prompt, _ in points]  # a line's end stands before it
    return [functools.partial(_continue, steps, prompt, words, clock) for prompt, (_, words) in zip(prompts, points)]


def _continue(steps: WordSteps, prompt: list[int], words: int, clock: Callable[[], float]) -> tuple[float]:
    memory, start = steps.empty, clock()
    for part in in_parts(prompt):
        found, memory = steps(part, memory)
    word = int(found[-1].argmax())
    seconds = clock() - start
    for _ in range(words - 1):  # the first came with the prompt
        found, memory = steps([word], memory)
        word = int(found[-1].argmax())
    return (seconds,)


def products(
    sessions: Sessions, numbers: Mapping[str, int], points: Sequence[Sequence[int]], clock: Callable[[], float]
) -> list[Callable[[], Sequence[float]]]:
    """One matrix product, with as many rows of `x` as the point says."""
    session = sessions["product"]
    features = session.get_inputs()[0].shape[1]
    rows = np.random.default_rng(SEED).uniform(-1, 1, (max(count for (count,) in points), features)).astype(np.float32)
    return [functools.partial(_multiply, session, rows[:count]) for (count,) in points]


def _multiply(session: onnxruntime.InferenceSession, x: np.ndarray) -> tuple[()]:
    session.run(["y"], {"x": x})
    return ()


WORKLOADS = {
    "translation": translations,
    "classification": classifications,
    "language_modeling": continuations,
    "products": products,
}
