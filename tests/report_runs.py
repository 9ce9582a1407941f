"""A finished run directory of two searches whose files are written by hand, for tests of its report."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from search_toys import timed

from hat import files
from hat.architecture.stacks import Architecture
from hat.evaluation.evaluate import NOT_MEASURED
from hat.experiment.run_directory import RunDirectory, mark_done
from latency_predictor.budget import parse_budget
from latency_predictor.fitting.conversion import Conversion
from latency_predictor.sampling.lengths import Lengths
from search.budget_search import Prepared, Task
from search.candidate import Candidate
from search.choice import describe_choice
from search.finalists import Finalist
from search.instruments import Instruments
from search.limits import NO_LIMITS
from search.report import report_data

CONFIG = """
name: fabricated
data: {corpus: synthetic.de-en, source_lang: de, target_lang: en, vocabulary_size: 800}
model: {}
search_space:
  qkv_dim: 128
  encoder: {embed_dim: [128, 64], layers: [3, 2, 1], ffn_dim: [512, 256, 128], self_attention_heads: [4, 2]}
  decoder: {embed_dim: [128, 64], layers: [4, 3, 2, 1], ffn_dim: [512, 256, 128], self_attention_heads: [4, 2],
            cross_attention_heads: [4, 2], cross_attention_span: [1, 2, 3]}
super_training: {max_update: 900, warmup_updates: 100, lr: 0.004}
sub_training: {max_update: 200, warmup_updates: 20, lr: 0.002}
"""
NAMES = ["cpu-60pct", "cpu-40pct"]
BUDGETS = ["60%", "40%"]
FULL_MS = 10.0
SLOWER = 1.5  # nine of ten sentences take up to so many times what the median one takes
LENGTHS = Lengths({"encode": (5, 9), "decode": (5, 9)}, ((5, 5), (9, 9)))


class Predictor:
    """Stands for the fitted predictor: latency by the number of layers."""

    def __init__(self, directory="cpu.predictor"):
        self.slower = {"cpu.predictor": 1.0, "cpu.p90.predictor": SLOWER}[Path(directory).name]

    def predict(self, architectures):
        layers_ms = [0.5 * item.encoder.layers + 2.1 * item.decoder.layers for item in architectures]
        return self.slower * np.array(layers_ms)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run directory of two searches, as the stages leave it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report_data.LatencyPredictor, "load", Predictor)
    monkeypatch.setattr(report_data, "run_lengths", lambda _run: LENGTHS)
    (tmp_path / "config.yaml").write_text(CONFIG)
    run = RunDirectory.create(tmp_path / "config.yaml", tmp_path / "run")
    rng = np.random.default_rng(1)
    write_data(run)
    write_measurements(run, rng)
    for name, budget in zip(NAMES, BUDGETS, strict=True):
        write_search(run, name, budget, rng)
    write_training(run.super_, ["smallest", "largest", "random1", "random2", "mean"], 900, rng)
    for position, name in enumerate(["full", *NAMES]):
        write_trained(run, name, 80.0 - position, rng)
    return run


def write_trained(run, name, bleu, rng):
    write_training(run.sub(name), ["full"], 200, rng)
    for precision, size in (("fp32", 9_000_000), ("int8", 2_500_000)):
        write_evaluation(run, name, precision, bleu - 0.3 * (precision == "int8"), size)


def write_data(run):
    description = {"corpus": "synthetic.de-en", "source_lang": "de", "target_lang": "en", "source_vocabulary": 800}
    description |= {"target_vocabulary": 800, "sentences": {"train": 2, "valid": 2, "test": 2}}
    files.write_json(run.data / "data.json", description)
    for lang, lines in (("de", "Es ist <drei> Uhr.\nGuten Tag.\n"), ("en", "It is <three> o'clock.\nHello.\n")):
        files.write_text(run.data / "raw" / f"test.{lang}", lines)
    mark_done(run.data, {}, [])


def write_measurements(run, rng):
    sample = {"environment": {"cpu": "Some Processor", "cores": 2, "gpu": None}}
    for _ in range(120):
        files.append_json_line(run.latency / "cpu.jsonl", sample)
    for directory, mape in (("cpu.predictor", 0.03), ("cpu.p90.predictor", 0.07)):
        measured = rng.uniform(2, 10, 24)
        held_out = [{"measured_ms": ms, "predicted_ms": ms * rng.normal(1, 0.03)} for ms in measured]
        scores = {"rmse_ms": 0.21, "mape": mape, "kendall_tau": 0.95, "within_5": 0.8, "within_10": 0.98}
        quality = scores | {
            "samples": 120,
            "at_random": 77,
            "held_out": held_out,
            "baselines": {"depth": scores, "linear": scores},
        }
        files.write_json(run.latency / directory / "quality.json", quality)


def write_search(run, name, budget, rng, slower=1.0):
    """A search whose choice is 0.1 ms within its budget, everything taking `slower` times as long."""
    space, budget = run.config.search_space, parse_budget(budget)
    full = timed(slower * FULL_MS, half_width=0.02)
    budget_ms = budget.resolve(full.ms)
    candidates = []
    for _ in range(150):
        architecture = space.sample(rng)
        predicted_ms = float(slower * (Predictor().predict([architecture])[0] + rng.normal(0, 0.1)))
        loss = 1.4 + 6 / (predicted_ms + 1) + rng.uniform(0, 0.6)
        candidates.append({"architecture": architecture.to_dict(), "predicted_ms": predicted_ms, "valid_nats": loss})
    front = [row for row in candidates if not any(dominates(other, row) for other in candidates)]
    best = min((row for row in front if row["predicted_ms"] < budget_ms), key=lambda row: row["valid_nats"])
    candidate = Candidate(Architecture.from_dict(best["architecture"]), best["predicted_ms"], best["valid_nats"])
    winner = Finalist(candidate, timed(budget_ms - 0.1, half_width=0.01), full, budget_ms, meets=True)
    prepared = Prepared(instruments(run), Conversion(0.0, 1.0, 0.0, 2), budget_ms, None, [])
    choice = describe_choice(Task(name, "cpu", budget, NO_LIMITS, {}), winner, prepared, space)
    history = [
        {
            "iteration": step,
            "best_nats": 2.5 - 0.05 * step,
            "median_nats": 3 - 0.06 * step,
            "evaluations": 60 + 40 * step,
        }
        for step in range(8)
    ]
    files.write_json(run.search(name) / "candidates.json", candidates)
    files.write_json(run.search(name) / "front.json", sorted(front, key=lambda row: row["predicted_ms"]))
    files.write_json(run.search(name) / "choice.json", choice)
    files.write_json(run.search(name) / "history.json", history)


def instruments(run):
    """What describe_choice needs of a search's Instruments."""
    asked = dict.fromkeys((field.name for field in dataclasses.fields(Instruments)), None)
    return Instruments(
        **asked | {"spec": run.config.model_spec(800, 800), "middle_length": LENGTHS.middle, "precision": "fp32"}
    )


def dominates(one, other):
    faster, better = one["predicted_ms"] < other["predicted_ms"], one["valid_nats"] < other["valid_nats"]
    return faster and better


def write_training(directory, subnets, updates, rng):
    for step in range(1, 7):
        valid = {name: 8 / step + 1 + 0.2 * number + rng.uniform(0, 0.1) for number, name in enumerate(subnets)}
        row = {"update": updates * step // 6, "epoch": step, "train_loss": 8 / step + 1, "valid": valid}
        files.append_json_line(directory / "metrics.jsonl", row | {"seconds": 20.0 * step})


def write_evaluation(run, name, precision, bleu, size):
    evaluation = {
        "target": name,
        "kind": "bundle",
        "bleu": bleu,
        "chrf": bleu + 5,
        "bleu_signature": "nrefs:1|case:mixed",
    }
    evaluation |= {"sentences": 500, "size_bytes": size, **NOT_MEASURED}
    files.write_json(run.export(name) / f"evaluation.{precision}.json", evaluation)


def write_other_quantile(run, slower):
    """Two searches more, for nine of ten sentences; returns their names."""
    rng = np.random.default_rng(2)
    for name, budget in zip(NAMES, BUDGETS, strict=True):
        write_search(run, f"{name}-p90", f"{budget}@p90", rng, slower)
        write_trained(run, f"{name}-p90", 77.0, rng)
    return [f"{name}-p90" for name in NAMES]


def write_latencies(run, name, milliseconds, full_ms, precision="fp32"):
    """As hat-evaluate found them, in turns with the full-size bundle: nine of ten take half as long again."""
    path, measured = run.export(name) / f"evaluation.{precision}.json", {}
    for which, median_ms in (("latency", milliseconds), ("full_latency", full_ms)):
        measured |= {f"{which}_ms": median_ms, f"{which}_range_ms": [0.99 * median_ms, 1.02 * median_ms]}
        measured |= {f"{which}_p90_ms": 1.5 * median_ms, f"{which}_p90_range_ms": [1.4 * median_ms, 1.6 * median_ms]}
    files.write_json(path, json.loads(path.read_text()) | measured)


def take_share(run, name, taken):
    """Let other work have had the processor for this share of the time while a bundle was timed."""
    path = run.export(name) / "evaluation.fp32.json"
    files.write_json(path, json.loads(path.read_text()) | {"latency_taken": taken})
