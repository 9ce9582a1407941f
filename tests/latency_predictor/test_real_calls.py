"""Real calls of a bundle on a device: by the agent on this machine, with and without text, and when it is lost."""

import json
import os
import signal
import sys

import numpy as np
import pytest
import torch
from tiny_run import make_run

from hat.data.translation.prepared import PreparedData
from hat.deploy.translator import Translator
from hat.errors import UsageError
from hat.export.translation.trial_bundle import write_trial_bundle
from hat.models.translation import Transformer
from latency_predictor.budget import parse_budget
from latency_predictor.link.devices import Device
from latency_predictor.on_device.call_bench import KEPT, CallBench
from latency_predictor.sampling.real_calls import RealCalls, check_sentences
from latency_predictor.sampling.turns import latencies_of

CPU = Device("cpu", "onnxruntime")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calls")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield make_run(folder)


@pytest.fixture(scope="module")
def bundle(run):
    return write_bundle(run, run.path / "bundle", seed=1)


def write_bundle(run, folder, seed, precision="fp32"):
    torch.manual_seed(seed)
    prepared = PreparedData(run.data)
    spec = run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)
    write_trial_bundle(run, Transformer(run.config.search_space.smallest(), spec).eval(), precision, folder)
    return folder


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_sentence_is_translated_on_the_device(run, tmp_path, precision):
    bundle = write_bundle(run, tmp_path / "bundle", seed=2, precision=precision)
    with RealCalls(run, CPU) as real_calls:
        first, second = (real_calls.time([bundle])[0] for _ in range(2))
    sentences = [line for line in PreparedData(run.data).raw("valid")[0] if line.strip()]
    for calls in (first, second):
        assert len(calls.calls_ms) == min(100, len(sentences))
        assert min(calls.calls_ms) > 0
        assert calls.text
        assert 0 <= calls.taken <= 1
        assert calls.latency(0.9).ms == pytest.approx(np.quantile(calls.calls_ms, 0.9))


def test_a_device_without_sentencepiece_times_the_search_alone_and_says_so(run, bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    monkeypatch.setattr("latency_predictor.on_device.bundle_calls.importlib.util.find_spec", lambda _name: None)
    bench = CallBench(tmp_path, {"threads": 1, "accelerator": "cpu"})
    (tmp_path / "there").symlink_to(bundle.resolve())
    answer = bench.measure({"bundles": ["there"], "sentences": ["ein Hund"], "ids": [[5, 6, 2]]})
    assert answer["text"] == (False,)
    assert len(answer["calls_ms"][0]) == 1


def test_that_text_is_missing_is_told_once(run, bundle, monkeypatch, capsys):
    def without_text(_calls, named, at):
        return {"missing": [], "calls_ms": [[1.0]], "taken": 0.0, "text": [False]}

    with RealCalls(run, CPU) as real_calls:
        monkeypatch.setattr(RealCalls, "_measured", without_text)
        assert not any(real_calls.time([bundle])[0].text for _ in range(2))
    told = capsys.readouterr().err
    assert told.count("warning: cpu: latencies are without making tokens of text and text of tokens") == 1


def test_two_folders_with_the_same_bundle_take_what_it_takes(run, bundle, tmp_path):
    copy(bundle, tmp_path / "again")
    with RealCalls(run, CPU) as real_calls:
        first, second = real_calls.time([bundle, tmp_path / "again"])
    assert first.calls_ms == second.calls_ms


def test_bundles_take_turns_after_a_few_sentences(run, bundle, tmp_path, monkeypatch):
    """One slow stretch of the machine, ten calls long, is felt by both and not by one alone."""
    called = []
    monkeypatch.setattr(
        "latency_predictor.on_device.call_bench.bundle_call", lambda folder, *_: (recorder(folder.name, called), True)
    )
    bench = CallBench(tmp_path, {"threads": 1, "accelerator": "cpu"})
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "bundle.json").write_text("{}")
    sentences = [str(number) for number in range(20)]
    answer = bench.measure({"bundles": ["a", "b"], "sentences": sentences, "ids": [[]] * 20})
    assert [len(calls_ms) for calls_ms in answer["calls_ms"]] == [20, 20]
    for start in range(6, len(called) - 10, 5):  # after the warm-up
        assert {name for name, _ in called[start : start + 10]} == {"a", "b"}
    for name in "ab":
        assert {sentence for caller, sentence in called if caller == name} == set(sentences)


def recorder(name, called):
    return lambda sentence, _ids: called.append((name, sentence))


def test_an_agent_that_is_lost_gets_the_bundle_again(run, bundle):
    with RealCalls(run, CPU) as real_calls:
        real_calls.time([bundle])
        os.kill(real_calls._agent, signal.SIGKILL)
        assert len(real_calls.time([bundle])[0].calls_ms) > 0


def test_a_bundle_that_made_room_for_others_is_sent_again(run, tmp_path):
    bench = CallBench(tmp_path / "device", {"threads": 1, "accelerator": "cpu"})
    (tmp_path / "device").mkdir()
    folders = [write_bundle(run, tmp_path / f"{seed}", seed) for seed in range(2)]
    for number in range(KEPT + 1):
        copy(folders[number % 2], tmp_path / "device" / f"{number}")
        assert not bench.measure({"bundles": [f"{number}"], "sentences": ["ein"], "ids": [[5, 2]]})["missing"]
    assert bench.measure({"bundles": ["0", "1"], "sentences": ["ein"], "ids": [[5, 2]]}) == {"missing": ["0"]}
    assert sorted(int(path.name) for path in (tmp_path / "device").iterdir()) == list(range(1, KEPT + 1))


def copy(folder, to):
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())


def test_a_trial_bundle_translates_as_its_model_does(run, tmp_path):
    """Its own greedy search in PyTorch, without caches."""
    torch.manual_seed(3)
    prepared = PreparedData(run.data)
    spec = run.config.model_spec(prepared.source_vocabulary, prepared.target_vocabulary)
    model = Transformer(run.config.search_space.smallest(), spec).eval()
    write_trial_bundle(run, model, "fp32", tmp_path / "bundle")
    source, found = [5, 6, 7, 2], [spec.end_of_sentence]
    with torch.no_grad():
        for _ in range(4):
            found.append(int(model(torch.tensor([source]), torch.tensor([found]))[0, -1].argmax()))
    translator = Translator(tmp_path / "bundle", beam=1)
    scores = translator.beam_search.log_probabilities([source], [found[:-1]])[0]
    assert scores.argmax(axis=-1).tolist() == found[1:]


def test_rounds_give_the_median_and_nine_of_ten(run, bundle):
    (((median, p90), text),) = latencies_of(run, CPU, [bundle], (0.5, 0.9))
    assert median.low_ms <= median.ms <= median.high_ms
    assert median.ms <= p90.ms
    assert text


def test_a_percentile_with_too_few_sentences(run):
    count = PreparedData(run.data).sentences["valid"]
    check_sentences(run, [parse_budget("9ms")])
    with pytest.raises(UsageError, match=rf"9ms@p99 needs 500 validation sentences.* has {count}"):
        check_sentences(run, [parse_budget("9ms"), parse_budget("9ms@p99")])


def test_requests_are_json(run):
    request = RealCalls(run, CPU)._request
    assert json.loads(json.dumps(request)) == request
    assert all(ids[-1] == 2 for ids in request["ids"])
