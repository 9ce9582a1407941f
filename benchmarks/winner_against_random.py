"""Whether a search's winner beats random SubTransformers of the same latency, all trained alike.

    python benchmarks/winner_against_random.py --run runs/quickstart --search cpu-40pct --seeds 3 --json winner.json

For runs of any task. The random ones have a predicted latency of real calls within 5 % of the winner's, and not above
the budget, or the winner's where that one was measured to be faster than predicted; the search's limits of parameters
and bytes hold for them, too. Winner and random ones are trained as the run's sub_training says, each once a seed, in
the folder --standalone. Losses (nats a token, text or word, without label smoothing) and the task's score (BLEU,
accuracy or perplexity) are of the whole validation split, on which the best of the random ones is found with hindsight,
and means over the seeds; the scores of the two are compared as hat-evaluate --against does (sacreBLEU's paired
bootstrap, McNemar's test, a paired t-test of the lines' losses), by the first seed's answers.

The JSON holds `score_title`, such as BLEU; `winner` and `random` (a list, best loss first), each with loss, loss_error
(its standard error; None of one seed), losses (by seed), score, parameters and predicted_ms; `rank` of the winner among
all by loss and by score, 1 being best, and `rank_range`, the 5 % and 95 % quantiles of that by loss as mean losses vary
by their standard error (None of one seed); `best_random` (an id) by loss and by score, and `difference`, winner minus
that one; `paired`, what the task's judge says of the winner and that one by score.
"""

import functools
from pathlib import Path

import numpy as np
from standalone import (
    SPLIT,
    StandaloneTrainings,
    add_options,
    keep_architectures,
    named_rows,
    trainings_of_seed,
    within,
)

from hat import files
from hat.architecture.complexity import count_parameters
from hat.architecture.file import load_architecture
from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.config import from_mapping
from hat.errors import ArtifactError
from hat.experiment.run_directory import RunDirectory, stamp
from hat.experiment.sections import SUPER
from hat.progress import format_ms
from latency_predictor.fitting.conversion import Conversion
from search.constraints import ceilings
from search.limits import Limits

SEED = 2  # of the random architectures, whatever the run's seed is
NEAR = 0.05  # of the winner's latency
DRAWS = 20000
WINNER = "winner"


def find_architectures(folder, run, name, count):
    """The winner of the search `name` and `count` random ones, as the folder has them, else drawn and written there.

    Raises ArtifactError without a finished search, or if the folder is about another winner.
    """
    directory, space = run.search(name), run.config.search_space
    if stamp(directory) is None:
        raise ArtifactError(f"{directory} holds no finished search; run hat-search, or name another with --search")
    winner = load_architecture(directory / "architecture.yaml")
    choice = files.read_json(directory / "choice.json", "run hat-search again")

    def choose():
        from latency_predictor.fitting.fit import load_or_fit

        predictor = load_or_fit(run, choice["device"], choice["quantile"])
        conversion = from_mapping(Conversion, choice["conversion"], "choice.json: conversion")

        def predict(architectures):
            return conversion.latency_ms(predictor.predict(architectures))

        return choose_architectures(space, predict, winner, choice["budget_ms"], count, allowed_by_limits(run, choice))

    rows = keep_architectures(folder, space, choose)
    if rows[0]["architecture"] != winner:
        raise ArtifactError(f"{folder} is about an earlier winner of {name}; name another folder with --standalone")
    if len(rows) != 1 + count:
        raise ArtifactError(f"{folder} has {len(rows) - 1} random architectures; give --count {len(rows) - 1}")
    return rows


def allowed_by_limits(run, choice):
    """architecture -> whether it meets the limits beside latency of the search whose choice.json this is."""
    limits = from_mapping(Limits, choice["limits"], "choice.json: limits")
    size_bytes = functools.cache(lambda: run.task.bundle_size(run, choice["precision"]))  # it may take a minute
    found = ceilings(limits, run.spec(), lambda architecture: size_bytes()(architecture))
    return lambda architecture: all(ceiling.met_by(architecture) for ceiling in found)


def choose_architectures(space, predict, winner, budget_ms, count, allowed):
    """Rows for `keep_architectures`, the winner first; raises UsageError where the space has too few.

    `predict` maps architectures to milliseconds of real calls, as `budget_ms` is; `allowed` says of one whether it
    meets all other limits.
    """
    rng = np.random.default_rng(SEED)
    drawn = [one for one in dict.fromkeys(space.sample(rng) for _ in range(DRAWS)) if one != winner]
    winner_ms = float(predict([winner])[0])
    high_ms = min(winner_ms * (1 + NEAR), max(winner_ms, budget_ms))
    alike = within(drawn, predict, winner_ms * (1 - NEAR), high_ms, count, allowed)
    named = {winner: WINNER} | {one: f"random{number}" for number, one in enumerate(alike, start=1)}
    return named_rows("same latency", named, predict)


def rank_range(rows):
    """5 % and 95 % quantiles of the rank of the first row by loss, where mean losses vary by their standard error.

    That is taken to be the same for all rows, as one from a few seeds says little. None of one seed.
    """
    losses = np.array([row["losses"] for row in rows])
    seeds = losses.shape[1]
    if seeds == 1:
        return None
    error = np.sqrt(losses.var(axis=1, ddof=1).mean() / seeds)
    varied = np.random.default_rng(SEED).normal(losses.mean(axis=1), error, (DRAWS, len(rows)))
    ranks = 1 + (varied[:, 1:] < varied[:, :1]).sum(axis=1)
    return [int(rank) for rank in np.quantile(ranks, [0.05, 0.95])]


def compare(rows, higher_is_better):
    """Rank of the first row, the winner, among all, the best of the others, and the difference to it.

    By loss, and by score, of which more may be better.
    """
    winner, *others = rows
    found = {"rank": {}, "rank_range": rank_range(rows), "best_random": {}, "difference": {}}
    for key, sign in (("loss", 1), ("score", -1 if higher_is_better else 1)):
        best = min(others, key=lambda row, key=key, sign=sign: sign * row[key])
        found["rank"][key] = 1 + sum(sign * row[key] < sign * winner[key] for row in others)
        found["best_random"][key] = best["id"]
        found["difference"][key] = winner[key] - best[key]
    return found


def report(rows, found, comparison):
    """Lines of text: all rows, best loss first, and how the winner stands; `comparison` is what the judge says."""
    title = found["score_title"]
    lines = [f"{'':10} {'loss':>8} {'error':>7} {title:>7} {'parameters':>12} {'predicted':>11}"]
    for row in sorted(rows, key=lambda row: row["loss"]):
        error = "-" if row["loss_error"] is None else f"{row['loss_error']:.4f}"
        lines.append(
            f"{row['id']:10} {row['loss']:8.4f} {error:>7} {row['score']:7.2f} {row['parameters'] / 1e6:10.2f} M "
            f"{format_ms(row['predicted_ms']):>11}"
        )
    best, difference, rank = (found[key] for key in ("best_random", "difference", "rank"))
    ranks = "" if found["rank_range"] is None else " ({} to {} with nine in ten)".format(*found["rank_range"])
    lines.append(f"\nwinner: {rank['loss']} of {len(rows)} by loss{ranks}, {rank['score']} by {title}")
    lines.append(f"  loss {difference['loss']:+.4f} beside {best['loss']}, the best of the random ones by loss")
    lines.append(f"  {title} {difference['score']:+.2f} beside {best['score']}, the best by {title}")
    return [*lines, f"  the first seed's two: {comparison}"]


def find_origins(run):
    """Folders in the run of the models that its sub-trainings start with or learn from."""
    from hat.training.distillation import training_dependencies

    settings = run.config.sub_training
    teachers = settings.distillation.teachers if settings.distillation else ()
    origins = [f"sub/{teacher}" for teacher in training_dependencies(run, WINNER)]
    return [*origins, "super"] if settings.init == "inherit" or SUPER in teachers else origins


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    add_options(parser, "random/SEARCH in the run")
    parser.add_argument("--search", metavar="NAME", required=True, help="the finished search")
    parser.add_argument("--count", type=positive_int, default=12, help="random architectures")
    parser.add_argument(
        "--seeds", type=positive_int, default=1, help="of the trainings of each: the run's and those after"
    )
    run_command(parser, judge, arguments)


def average(results, score):
    """The figures of a row that come of one architecture's results, one a seed; `score` is the key of what counts."""
    losses = [result["loss"] for result in results]
    return {
        "loss": float(np.mean(losses)),
        "loss_error": float(np.std(losses, ddof=1) / len(losses) ** 0.5) if len(losses) > 1 else None,
        "losses": losses,
        "score": float(np.mean([result["scores"][score] for result in results])),
    }


def prepare_trainings(folder, run, options):
    """StandaloneTrainings for each seed, the run's own in `folder` and the others in folders in it."""
    first, origins = run.config.seed, find_origins(run)
    keys = run.sections("sub_training")["sub_training"]
    recipe = {"seed": first, "precision": options.precision or "fp32", **keys}
    later = range(first + 1, first + options.seeds)
    others = [trainings_of_seed(folder, run, recipe, seed, origins) for seed in later]
    return [StandaloneTrainings(folder, run, recipe, origins), *others]


def judge(options):
    run = RunDirectory.open(options.run)
    folder = Path(options.standalone or run.path / "random" / options.search)
    chosen = find_architectures(folder, run, options.search, options.count)
    trainings = prepare_trainings(folder, run, options)
    architectures = {row["id"]: row["architecture"] for row in chosen}
    results = [each.train(architectures, options.workers) for each in trainings]
    task_judge = run.task.judge(run)
    title, score = task_judge.columns[0]
    rows = [
        {
            "id": row["id"],
            **average([result[row["id"]] for result in results], score),
            "parameters": count_parameters(row["architecture"], run.spec())[0],
            "predicted_ms": row["predicted_ms"],
        }
        for row in chosen
    ]
    found = {"score_title": title, **compare(rows, task_judge.higher_is_better)}
    answers = [trainings[0].answers(name) for name in (WINNER, found["best_random"]["score"])]
    found["paired"] = task_judge.compare(*answers, task_judge.split_text(SPLIT).references)
    print("\n".join(report(rows, found, task_judge.comparison(found["paired"]))))
    if options.json:
        random = sorted(rows[1:], key=lambda row: row["loss"])
        files.write_json(options.json, {"winner": rows[0], "random": random, **found})
        print(f"figures: {options.json}")


if __name__ == "__main__":
    main()
