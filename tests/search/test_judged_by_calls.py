"""Budgets are judged by real calls wherever there are calls of the lengths that the config is about."""

import tiny_language_run
import tiny_run

from latency_predictor.link.devices import Device
from search.instruments import InheritedCalls
from search.run import real_calls_on

CPU = Device("cpu", "onnxruntime")


def test_language_models_are_called_with_prompts_of_the_configured_length(tmp_path):
    run = tiny_language_run.make_run(tmp_path)
    run.prepare()
    with real_calls_on(run, CPU, 0.5) as calls:
        assert isinstance(calls, InheritedCalls)
    latency = run.config.latency
    asked = run.task.calls(run, "valid", 5, seed=1)
    assert {len(ids) for ids in asked["ids"]} == {latency.prompt}
    assert {call["words"] for call in asked["sentences"]} == {latency.words}


def test_sentences_of_a_length_that_the_text_does_not_have_are_the_rulers(tmp_path):
    with real_calls_on(tiny_run.make_run(tmp_path), CPU, 0.5) as calls:
        assert isinstance(calls, InheritedCalls)
    (tmp_path / "fixed").mkdir()
    run = tiny_run.make_run(tmp_path / "fixed", latency={"source_length": 4, "target_steps": 3})
    with real_calls_on(run, CPU, 0.5) as calls:
        assert calls is None
