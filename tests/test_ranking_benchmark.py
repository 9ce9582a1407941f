"""The benchmark of the ranking: its figures by hand, its band, and that what was trained once is not trained again."""

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from search_toys import latency
from tiny import TINY_SPACE
from tiny_classifier import make_run as make_classifier
from tiny_run import make_run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import standalone
import supernet_ranking

from hat import files
from hat.errors import UsageError
from hat.experiment.config import load_experiment
from hat.experiment.run_directory import RunDirectory
from hat.training.super import train_super

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = load_experiment(ROOT / "configs" / "quickstart.yaml").search_space
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
RECIPE = ["--updates", "12", "--lr", "0.01", "--warmup", "4"]


def predict(architectures):
    return [latency(architecture) for architecture in architectures]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# --- figures --------------------------------------------------------------------------------------------------------


def row(name, standalone_loss, inherited, bleu, parameters, depth):
    return {
        "id": name,
        "group": "band",
        "standalone": standalone_loss,
        "inherited": inherited,
        "bleu": bleu,
        "parameters": parameters,
        "parameters_without_embeddings": parameters,
        "flops": 7,
        "decoder_depth": depth,
    }


def test_figures_are_those_computed_by_hand():
    rows = [
        row("a", 0.10, 0.40, 90.0, 5, 2),
        row("b", 0.12, 0.30, 91.0, 9, 2),
        row("c", 0.20, 0.50, 80.0, 4, 1),
        row("d", 0.30, 0.60, 70.0, 3, 1),
    ]
    found = supernet_ranking.judge(rows)
    assert found["tau_inherited"] == pytest.approx(4 / 6)  # five pairs in order, one (a, b) turned round
    assert found["tau_parameters"] == pytest.approx(4 / 6)
    assert found["bleu_tau_inherited"] == pytest.approx(1)
    assert found["spearman_inherited"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found["tau_decoder_depth"] == pytest.approx(4 / math.sqrt(4 * 6))  # tau-b: four of six pairs differ in depth
    assert found["tau_flops"] is None  # all the same: no ranking at all
    assert (found["best"], found["chosen"]) == ("a", "b")
    assert found["regret"] == pytest.approx(0.2)
    assert found["gap"] == pytest.approx({"mean": 0.27, "median": 0.3, "smallest": 0.18, "largest": 0.3})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert any("regret 20.00% (b for a)" in line for line in supernet_ranking.summary("band", found))


# --- architectures --------------------------------------------------------------------------------------------------


def test_architectures_are_spread_and_a_band_of_nearly_equal_latency():
    rows = supernet_ranking.choose_architectures(QUICKSTART, predict)
    groups = {group: [one for one in rows if one["group"] == group] for group in ("spread", "band")}
    assert (len(groups["spread"]), len(groups["band"])) == (14, 10)
    assert len({one["architecture"] for one in rows}) == len({one["id"] for one in rows}) == 24
    named = {one["id"]: one["architecture"] for one in rows}
    assert named["smallest"] == QUICKSTART.smallest()
    assert named["largest"] == QUICKSTART.largest()
    assert named["full"] == QUICKSTART.full_transformer()
    milliseconds = [latency(one["architecture"]) for one in groups["band"]]
    assert max(milliseconds) <= 1.1 * min(milliseconds)
    assert min(milliseconds) < 0.5 * latency(QUICKSTART.full_transformer()) < max(milliseconds)
    assert [one["predicted_ms"] for one in groups["band"]] == pytest.approx(milliseconds, abs=1e-4)
    assert rows == supernet_ranking.choose_architectures(QUICKSTART, predict)


def test_without_elastic_attention_the_largest_is_the_full_size_transformer():
    decoder = dataclasses.replace(QUICKSTART.decoder, cross_attention_span=(1,))
    rows = supernet_ranking.choose_architectures(dataclasses.replace(QUICKSTART, decoder=decoder), predict)
    names = [one["id"] for one in rows if one["group"] == "spread"]
    assert names == ["smallest", "full", *(f"random{number}" for number in range(1, 13))]
    assert len({one["architecture"] for one in rows}) == 24


def test_a_space_without_a_band_is_told():
    with pytest.raises(UsageError, match="of [0-9]+ random architectures, 0 take .* ms, where 10 are needed"):
        supernet_ranking.choose_architectures(TINY_SPACE, lambda architectures: [1.0 for _ in architectures])


# --- a whole run ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(run with a SuperTransformer, folder in which five architectures were trained)."""
    folder = tmp_path_factory.mktemp("ranking")
    run = make_run(folder, sub_training={"average_checkpoints": 1})
    train_super(run)
    with pytest.MonkeyPatch.context() as patches:
        patches.chdir(folder)
        few(patches)
        benchmark("--run", run.path, "--workers", 2, *RECIPE)
    return run, folder / "standalone-tiny"


def few(patches):
    """Three architectures and a band of two, by a made-up predictor."""
    patches.setattr(supernet_ranking, "SPREAD", 3)
    patches.setattr(supernet_ranking, "BAND", 2)
    patches.setattr(supernet_ranking, "BAND_CENTRE", 0.7)
    patches.setattr("latency_predictor.fitting.fit.load_or_fit", lambda run, device: SimpleNamespace(predict=predict))


def benchmark(*arguments):
    supernet_ranking.main([str(argument) for argument in arguments])


def failure(capsys, *arguments):
    """(exit status, the one line on stderr)."""
    with pytest.raises(SystemExit) as end:
        benchmark(*arguments)
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return end.value.code, message


@pytest.fixture
def made(finished, tmp_path):
    """A copy of `finished` to change."""
    run, folder = finished
    shutil.copytree(run.path, tmp_path / "run")
    shutil.copytree(folder, tmp_path / "standalone-tiny", symlinks=True)
    return RunDirectory(tmp_path / "run"), tmp_path / "standalone-tiny"


def test_finished_trainings_are_reused_and_judged(made, monkeypatch):
    run, folder = made
    monkeypatch.setattr(standalone, "in_processes", None)  # nothing is left to train
    benchmark("--run", run.path, "--json", "out.json")
    found = json.loads(Path("out.json").read_text())
    rows = {one["id"]: one for one in found["architectures"]}
    assert list(rows) == ["smallest", "full", "largest", "band1", "band2"]
    assert (found["all"]["count"], found["band"]["count"]) == (5, 2)
    for name, one in rows.items():
        last = files.read_json_lines(folder / "sub" / name / "metrics.jsonl")[-1]
        assert last["update"] == 12
        assert one["standalone"] == pytest.approx(last["valid"]["mean"], abs=2e-5)  # by fairseq, of the same weights
        assert one["seconds"] == last["seconds"]
    best = min(files.read_json_lines(run.super_ / "metrics.jsonl"), key=lambda one: one["valid"]["mean"])["valid"]
    for name in ("smallest", "largest"):
        assert rows[name]["inherited"] == pytest.approx(best[name], abs=2e-5)
    chosen = min(rows.values(), key=lambda one: one["inherited"])["standalone"]
    lowest = min(one["standalone"] for one in rows.values())
    assert found["all"]["regret"] == pytest.approx((chosen - lowest) / lowest)


def test_trainings_of_another_seed_are_ranked_against_too(made):
    run, folder = made
    benchmark("--run", run.path, "--again", "--json", "out.json")
    found = json.loads(Path("out.json").read_text())
    assert RunDirectory(folder / "seed2").config.seed == 2
    for one in found["architectures"]:
        last = files.read_json_lines(folder / "seed2" / "sub" / one["id"] / "metrics.jsonl")[-1]["valid"]["mean"]
        assert one["trained_again"] == pytest.approx(last, abs=2e-5) != one["standalone"]
    assert -1 <= found["all"]["tau_trained_again"] <= 1


def test_what_is_kept_is_small_and_whole(finished):
    run, folder = finished
    for name in ("largest", "band2"):
        kept = {path.name for path in (folder / "sub" / name).iterdir()}
        assert not kept & {"checkpoints", "tensorboard"}
        assert {"model.safetensors", "result.json", "answers.json"} < kept
        assert len(json.loads((folder / "sub" / name / "answers.json").read_text())) == 20
    assert RunDirectory(folder).config.sub_training.init == "scratch"
    assert RunDirectory(folder).config.sub_training.max_tokens == run.config.super_training.max_tokens


def test_goes_on_where_it_was_killed(made):
    """Killed (SIGKILL) in a training, its processes end with it; another run does what is left, to the same losses."""
    run, folder = made
    before = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("sub/*/result.json")}
    losses = {name: files.read_json(folder / "sub" / name / "result.json", "")["loss"] for name in before}
    for name in ("full", "band2"):
        shutil.rmtree(folder / "sub" / name)
    script = ROOT / "benchmarks" / "supernet_ranking.py"
    command = [sys.executable, script, "--run", run.path, "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    wait_for(lambda: (folder / "sub" / "full" / "checkpoints").exists())
    [child] = children(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not Path(f"/proc/{child}").exists())
    assert not (folder / "sub" / "full" / "result.json").exists()
    benchmark("--run", run.path)
    for path in folder.glob("sub/*/result.json"):
        name = path.parent.name
        assert files.read_json(path, "")["loss"] == pytest.approx(losses[name], abs=1e-6)
        assert (path.stat().st_mtime_ns == before[name]) == (name not in ("full", "band2"))


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def children(pid):
    """Process ids of those that a process has spawned to train."""
    import psutil

    found = psutil.Process(pid).children(recursive=True)
    return [one.pid for one in found if any("spawn_main" in part for part in one.cmdline())]


def test_a_run_without_supertransformer_trains_and_judges_what_is_to_be_beaten(made, capsys):
    run, _ = made
    shutil.rmtree(run.super_)
    benchmark("--run", run.path)
    printed = capsys.readouterr().out
    assert "decoder_depth" in printed
    assert "inherited  " not in printed.split("\n\n")[1]
    assert "no SuperTransformer yet" in printed
    status, message = failure(capsys, "--run", run.path, "--json", "out.json")
    assert status == 4
    assert "run hat-train-super" in message


def test_architectures_stay_when_the_predictor_changes(made, monkeypatch):
    run, folder = made
    before = (folder / "architectures.jsonl").read_bytes()
    monkeypatch.setattr("latency_predictor.fitting.fit.load_or_fit", None)
    benchmark("--run", run.path)
    assert (folder / "architectures.jsonl").read_bytes() == before


def test_a_key_that_configs_gain_later_does_not_void_what_is_trained(made, monkeypatch):
    run, _ = made
    usual = standalone.StandaloneTrainings._model
    monkeypatch.setattr(standalone.StandaloneTrainings, "_model", lambda self: usual(self) | {"new_key": True})
    monkeypatch.setattr(standalone, "in_processes", None)
    benchmark("--run", run.path)
    monkeypatch.setattr(standalone.StandaloneTrainings, "_model", lambda self: usual(self) | {"dropout": 0.7})
    with pytest.raises(SystemExit) as end:
        benchmark("--run", run.path)
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--updates", "13"], 2, "another recipe (max_update: 12 instead of 13); name another folder"),
        (["--lr", "0"], 2, "lr: 0.0 is not between"),
        (["--tokens", "7"], 2, "another recipe (tokens_per_update: "),
        (["--bf16"], 2, "another recipe (precision: fp32 instead of bf16)"),
        (["--warmup", "12"], 2, "--warmup 12 is not below --updates 12"),
        (["--workers", "0"], 2, "--workers"),
        (["--standalone", "new"], 4, "run `hat-measure-latency --device cpu`"),
        (["--run", "nowhere"], 4, "not a run directory"),
    ],
)
def test_wrong_options(made, capsys, arguments, status, message):
    found = failure(capsys, "--run", made[0].path, *arguments)
    assert found[0] == status
    assert message in found[1]
    assert not Path("new").exists()


def test_runs_of_other_tasks_are_refused(tmp_path, capsys):
    status, message = failure(capsys, "--run", make_classifier(tmp_path).path)
    assert status == 2
    assert "holds no translators, which alone are ranked here" in message


def test_other_text_is_told(made, capsys):
    run, _ = made
    path = next(run.data.glob("valid.*.en.bin"))
    path.write_bytes(path.read_bytes() + b"more")
    status, message = failure(capsys, "--run", run.path)
    assert status == 2
    assert "another data (valid.de-en.en.bin" in message


def test_a_failed_training_is_told(made, capsys, monkeypatch):
    run, folder = made
    (folder / "sub" / "band1" / "result.json").unlink()
    (folder / "sub" / "band1" / "model.safetensors").write_bytes(b"cut")
    status, message = failure(capsys, "--run", run.path, "--workers", "1")
    assert status == 1
    assert f"band1 failed: the end of {folder / 'logs' / 'band1.txt'} says why" in message
    assert "truncated or damaged" in (folder / "logs" / "band1.txt").read_text().splitlines()[-1]


def test_two_at_a_time_in_one_folder_are_refused(made, capsys):
    import fcntl

    run, folder = made
    (folder / "sub" / "band1" / "result.json").unlink()
    with open(folder / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        status, message = failure(capsys, "--run", run.path)
    assert status == 2
    assert "another process trains in" in message
