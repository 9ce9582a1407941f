"""The benchmark of a search's winner, for a search that was written by hand and a made-up predictor."""

import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import winner_against_random as benchmark
from standalone import StandaloneTrainings

from hat import files
from hat.experiment.run_directory import mark_done

__all__ = ["StandaloneTrainings", "benchmark"]
OVERHEAD_MS, FACTOR = 0.5, 1.6  # from the ruler to real calls


def finish_search(run, winner, budget_ms):
    """Leave in `run` what the benchmark reads of a finished search `pick`."""
    directory = run.search("pick")
    files.write_yaml(directory / "architecture.yaml", winner.to_dict())
    conversion = {"overhead_ms": OVERHEAD_MS, "factor": FACTOR, "spread": 0.0, "count": 5}
    choice = {"device": "cpu", "quantile": 0.5, "conversion": conversion, "budget_ms": budget_ms}
    choice |= {"precision": "fp32", "limits": {"parameters": None, "size_bytes": None}}
    files.write_json(directory / "choice.json", choice)
    mark_done(directory, {}, [])


def judge_winner(patches, run, predict, *arguments):
    """Run the benchmark on the search `pick`; `predict` maps architectures to the ruler's milliseconds."""
    patches.setattr("latency_predictor.fitting.fit.load_or_fit", lambda *_: SimpleNamespace(predict=predict))
    benchmark.main(["--run", str(run.path), "--search", "pick", *arguments])
