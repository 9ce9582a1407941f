"""What is timed of a language model: a prompt in parts of a few words, then words one at a time, memory handed on."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny_language_models import LANGUAGE_SPACE, WORDS, language_spec

from hat.deploy.cache import Cache
from hat.experiment.language_modeling import LanguageLatency
from hat.tasks import TASKS
from latency_predictor.on_device.bench import Bench
from latency_predictor.on_device.workloads import continuations
from latency_predictor.sampling.skeleton import make_skeleton

VOCABULARY = 20


class Session:
    """Takes a second for each word that it reads; the next word is always one above the last."""

    def __init__(self):
        self.seconds, self.read, self.kept = 0, [], []

    def get_inputs(self):
        return [SimpleNamespace(name="words"), SimpleNamespace(name="key.0", shape=["batch", 2, "kept.0", 4])]

    def get_outputs(self):
        return [SimpleNamespace(name="log_probabilities", shape=["batch", "time", VOCABULARY])]

    def run(self, outputs, given):
        assert outputs == ["log_probabilities", "new_key.0"]
        words, memory = given["words"][0].tolist(), given["key.0"]
        self.seconds += len(words)
        self.read.append(words)
        self.kept.append(memory.shape[2])
        found = np.zeros((1, len(words), VOCABULARY), np.float32)
        found[0, -1, (words[-1] + 1) % VOCABULARY] = 1
        return [found, np.zeros((1, 2, memory.shape[2] + len(words), 4), np.float32)]


def test_the_prompt_is_read_in_parts_then_words_are_written_one_at_a_time():
    session = Session()
    numbers = {"vocabulary": VOCABULARY}
    short, long = continuations({"step": session}, numbers, [(3, 2), (70, 4)], lambda: session.seconds)
    for _ in range(2):  # every call begins with an empty memory
        session.read, session.kept = [], []
        assert long() == (71,)  # the end of a line stands before the prompt
        assert [len(words) for words in session.read] == [64, 7, 1, 1, 1]
        assert session.kept == [0, 64, 71, 72, 73]
        first = session.read[1][-1] + 1
        assert session.read[2:] == [[first], [first + 1], [first + 2]]
    assert short() == (4,)


@pytest.mark.parametrize("few", [None, 10])
def test_a_cache_is_looked_up_after_every_word_with_as_many_states_as_a_call_has_by_then(tmp_path, monkeypatch, few):
    """In the deployed graph, and in one of few words, by which the output layer's time is told."""
    looked_up, look_up = [], Cache.look_up

    def spy(cache, log_probabilities, states, words, past):
        looked_up.append((log_probabilities.shape, 0 if past is None else len(past.states)))
        return look_up(cache, log_probabilities, states, words, past)

    monkeypatch.setattr(Cache, "look_up", spy)
    task, latency, spec = TASKS["language_modeling"], LanguageLatency(prompt=70, words=4), language_spec(cache=72)
    assert task.workload(language_spec(), latency) == {"vocabulary": WORDS}
    workload = task.workload(spec, latency)
    assert workload == {"vocabulary": WORDS, "cache": 72}
    measured = spec if few is None else task.with_few_words(spec, few)
    reference, subject = (
        make_skeleton(task, LANGUAGE_SPACE.smallest(), each, "fp32", latency) for each in (spec, measured)
    )
    setup = {"threads": 1, "accelerator": "cpu", "repeats": 1, "task": task.name, "workload": workload}
    setup |= {"phases": list(task.phases), "points": [[70, 4]], "reference": reference}
    found = Bench(tmp_path, setup).measure({"subject": subject})
    assert all(timing["p25"] > 0 for timing in found["lengths"][0]["phases_ms"].values())
    assert {vocabulary for (_, vocabulary), _ in looked_up} == {WORDS, few or WORDS}
    a_call = [(64, 0), (7, 64), (1, 71), (1, 72), (1, 72)]  # words read together, states kept of those before
    calls = [(words, kept) for (words, _), kept in looked_up]
    assert len(calls) > len(a_call)
    assert calls == a_call * (len(calls) // len(a_call))
