"""Search with a race over the validation sentences (`search.rungs`) against scoring all candidates on all of them.

    python benchmarks/search_cost.py --run RUN_DIRECTORY [--latency 60% --latency 40%] [--json FILE]

Needs a trained SuperTransformer and measured latencies. For every budget, both searches start from nothing with the
same seed and the same latency predictor (nothing is measured; what meets the budget is predicted); the time is that of
scoring. The winners are compared by their inherited loss on all validation sentences, and all that the full search
scored is ranked by its loss on the first sentences (Kendall tau).
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

from hat import files
from hat.experiment.run_directory import RunDirectory
from latency_predictor.budget import parse_budget
from latency_predictor.fitting.fit import load_or_fit
from search.evaluations import Evaluations
from search.evolution import Evolution
from search.evolving import evolve
from search.scorer import load_scorer


class Timed:
    """A Scorer that counts the seconds that scoring takes, of the clock and of the processor."""

    def __init__(self, scorer):
        self._scorer, self.seconds, self.cpu_seconds = scorer, 0.0, 0.0

    def __call__(self, architectures, part):
        start, cpu_start = time.monotonic(), time.process_time()
        scores = list(self._scorer(architectures, part))
        self.seconds += time.monotonic() - start
        self.cpu_seconds += time.process_time() - cpu_start
        return iter(scores)


def search(run, predictor, limit_ms, scorer, rungs, title):
    """(Evaluations, what it found as a dictionary) of one search; `rungs` are those of its config, or none."""
    settings = dataclasses.replace(run.config.search, rungs=rungs)

    def allow(architectures):
        return [milliseconds <= limit_ms for milliseconds in predictor.predict(architectures)]

    evolution = Evolution(run.config.search_space, settings, predictor.predict, allow, run.config.seed)
    timed = Timed(scorer)
    with tempfile.TemporaryDirectory() as folder:
        evaluations = Evaluations(Path(folder) / "evaluations.jsonl", "benchmark", len(run.config.search.rungs) + 1)
        parents = settings.parents if rungs else None
        evolve(evolution, title, Path(folder) / "state.json", "benchmark", evaluations, timed, parents)
    winner = min(evolution.candidates, key=lambda candidate: candidate.valid_nats)
    return evaluations, {
        "seconds": timed.seconds,
        "cpu_seconds": timed.cpu_seconds,
        "candidates": evolution.count,
        "scored_on_all": len(evolution.candidates),
        "winner": winner.architecture.to_dict(),
        "valid_nats": winner.valid_nats,
    }


def rank_agreement(evaluations, predict):
    """Kendall tau of the losses on the first sentences, for every rung, with those on all sentences."""
    from scipy.stats import kendalltau

    candidates = evaluations.candidates(predict)
    whole = [candidate.valid_nats for candidate in candidates]
    return [
        kendalltau([evaluations.loss(candidate.architecture, parts) for candidate in candidates], whole).statistic
        for parts in range(1, evaluations.parts)
    ]


def compare(run, predictor, budget, scorer):
    """Both searches of a budget, as a dictionary."""
    full_ms = float(predictor.predict([run.config.search_space.full_transformer()])[0])
    limit_ms = budget.resolve(full_ms)
    evaluations, full = search(run, predictor, limit_ms, scorer, (), f"{budget.text}, all sentences")
    _, raced = search(run, predictor, limit_ms, scorer, run.config.search.rungs, f"{budget.text}, race")
    return {
        "budget": budget.text,
        "full": full,
        "race": raced,
        "same_winner": full["winner"] == raced["winner"],
        "time_share": raced["seconds"] / full["seconds"],
        "cpu_time_share": raced["cpu_seconds"] / full["cpu_seconds"],
        "rank_agreement": rank_agreement(evaluations, predictor.predict),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, metavar="DIR", help="run directory with a trained SuperTransformer")
    parser.add_argument("--latency", action="append", metavar="BUDGET", help="default: search.latency of its config")
    parser.add_argument("--rungs", metavar="N,N", help="in place of search.rungs of its config")
    parser.add_argument("--seed", type=int, help="of the searches, in place of the config's")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    run = RunDirectory.open(options.run)
    if options.rungs:
        rungs = tuple(int(number) for number in options.rungs.split(","))
        run.config = dataclasses.replace(run.config, search=dataclasses.replace(run.config.search, rungs=rungs))
    predictor, scorer = load_or_fit(run, run.last_measured_device()), load_scorer(run)
    if options.seed is not None:  # after the sentences were drawn
        run.config = dataclasses.replace(run.config, seed=options.seed)
    results = []
    for text in options.latency or run.config.search.latency:
        results.append(compare(run, predictor, parse_budget(text), scorer))
        for name in ("full", "race"):
            row = results[-1][name]
            print(
                f"{text:>8} {name:8} {row['seconds']:8.1f} s {row['cpu_seconds']:8.1f} s of CPU  "
                f"{row['scored_on_all']:4} of {row['candidates']} on all  winner {row['valid_nats']:.5f} nats/token"
            )
        agreement = ", ".join(f"{tau:.3f}" for tau in results[-1]["rank_agreement"])
        print(
            f"{text:>8} same winner: {results[-1]['same_winner']}, share of the time {results[-1]['time_share']:.2f} "
            f"(CPU {results[-1]['cpu_time_share']:.2f}), Kendall tau of the rungs {agreement}",
            flush=True,
        )
    if options.json:
        files.write_json(Path(options.json), results)


if __name__ == "__main__":
    main()
