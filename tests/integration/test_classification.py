"""Classification through the real commands, stage after stage, on tiny data."""

import json
import re

import pytest
import tiny_classifier

from hat import Classifier
from hat.cli import evaluate, export, measure_latency, prepare, search, train_sub, train_super
from hat.deploy.building.block_costs import UNMEASURED
from hat.export.classification.bundle_maker import ClassifierBundleMaker


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with all stages done for one budget."""
    folder = tmp_path_factory.mktemp("classification")
    made = tiny_classifier.make_run(folder)
    run = ["--run", str(made.path)]
    prepare.main([str(folder / "tiny.yaml"), *run])
    train_super.main([*run, "--device", "cpu", "--threads", "1"])
    measure_latency.main(["--device", "cpu", *run])
    search.main(["--latency", "90%", "--name", "small", "--threads", "1", *run])
    for options in (["small"], ["--architecture", "full"]):
        train_sub.main([*options, *run, "--device", "cpu", "--threads", "1"])
    export.main(run)
    return made


@pytest.mark.parametrize("name", ["small", "full"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_bundles_learnt_the_task(run, name, precision):
    found = Classifier(run.export(name) / precision).classify(
        ["the film is good and the book is awful", "the song is dull and the play is lovely"]
    )
    assert [label for label, _ in found] == ["good", "bad"]


def test_evaluations_of_model_and_bundle_agree(run, capsys):
    targets = ["full", "small", str(run.export("small") / "fp32")]
    evaluate.main([*targets, "--against", str(run.export("full") / "fp32"), "--json", "--run", str(run.path)])
    baseline, full, small, bundle = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert full["accuracy"] == baseline["accuracy"] > 85
    assert full["against"]["p_value"] == 1.0
    assert bundle["accuracy"] == small["accuracy"]
    assert bundle["confusion"] == small["confusion"]
    assert small["parameters"] < full["parameters"]
    assert 0 < bundle["latency_ms"] <= bundle["latency_p90_ms"]
    low, high = full["accuracy_ci95"]
    assert low < full["accuracy"] <= high


def test_two_files_of_lines_are_no_labelled_text(run, capsys):
    with pytest.raises(SystemExit) as ended:
        evaluate.main(["full", "--test-set", "in.txt", "labels.txt", "--run", str(run.path)])
    assert ended.value.code == 2
    assert "--test-set in.txt: a classifier is judged by prepared text" in capsys.readouterr().err


def test_a_larger_loss_of_accuracy_is_accepted_where_it_is_allowed(run):
    """By the option that the refusal names."""
    weights = None, None, {}
    maker = ClassifierBundleMaker(weights, {}, None, {}, None, [], [], UNMEASURED)
    message = maker.refusal("int8", {"quality": {"accuracy_drop": 1.23}}, 0.3)
    option, value = re.search(r"hat-export (--\S+) (\S+) accepts it", message).groups()
    assert maker.refusal("int8", {"quality": {"accuracy_drop": 1.23}}, float(value)) is None
    export.main(["small", option, value, "--run", str(run.path)])


def test_the_chosen_one_was_chosen_by_calls_of_its_bundle(run):
    choice = json.loads((run.search("small") / "choice.json").read_text())
    assert 0 < choice["measured_ms"] <= choice["budget_ms"]
    assert choice["valid_nats"] < 0.69  # better than a coin
