"""What is timed of a language model: a prompt in parts of a few words, then words one at a time, memory handed on."""

from types import SimpleNamespace

import numpy as np

from latency_predictor.on_device.workloads import continuations

VOCABULARY = 20


class Session:
    """Takes a second for each word that it reads; the next word is always one above the last."""

    def __init__(self):
        self.seconds, self.read, self.kept = 0, [], []

    def get_inputs(self):
        return [SimpleNamespace(name="words"), SimpleNamespace(name="key.0", shape=["batch", 2, "kept.0", 4])]

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
