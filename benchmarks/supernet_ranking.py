"""How well a SuperTransformer ranks its SubTransformers: inherited loss against that of each trained alone.

    python benchmarks/supernet_ranking.py --run runs/quickstart --json ranking.json

Judged on 14 architectures from all over the space (smallest, largest, full-size, random) and a band of 10 whose
predicted latencies lie within 10 % of each other, around half of the full-size Transformer's: the case that a search
decides. Each is trained from scratch once, in the folder --standalone, and serves every run with the same text and
model. The defaults of the recipe suit the quickstart (under an hour of two cores); Multi30k, for example:

    python benchmarks/supernet_ranking.py --run runs/multi30k.en-de --updates 4000 --lr 0.002 --warmup 400

Losses are nats a token over the whole validation split, without label smoothing. The JSON holds, for `all` and `band`:
tau_PREDICTOR and spearman_PREDICTOR (Kendall's tau-b and Spearman's rho of a predictor and the loss of the trained,
signed so that 1 is a perfect ranking) and bleu_tau_..., bleu_spearman_... of the same and BLEU; PREDICTOR is inherited
(loss), what it has to beat: parameters, parameters_without_embeddings, flops, decoder_depth; or, with --again,
trained_again: the losses of the same trainings with the next seed, which rank as well as training alone agrees with
itself. `regret` is what the best by inherited loss loses to the best there is, as a share of its loss; `gap` inherited
minus standalone loss.
"""

import itertools
import math
import statistics
from pathlib import Path

import numpy as np
from standalone import (
    SPLIT,
    StandaloneTrainings,
    add_options,
    keep_architectures,
    named_rows,
    read_recipe,
    trainings_of_seed,
    within,
)

from hat import files
from hat.architecture.complexity import count_flops, count_parameters
from hat.architecture.stacks import STACKS, stacks_of
from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.errors import ArtifactError, UsageError
from hat.experiment.run_directory import FULL, RunDirectory, stamp

DEVICE = "cpu"
SEED = 1  # of the architectures, whatever the run's seed is
SPREAD, BAND = 14, 10  # how many architectures
BAND_CENTRE, BAND_WIDTH = 0.5, 0.1  # of the full-size Transformer's latency; slowest over fastest, less 1
DRAWS = 5000
DEFAULTS = {"max_update": 700, "lr": 0.004, "warmup_updates": 100, "precision": "fp32"}
SAVES = 20  # checkpoints of a training; the last few are averaged
SAME_MATHEMATICS = (  # the keys of a training section that say how an update is made
    "lr_scheduler",
    "warmup_init_lr",
    "min_lr",
    "max_tokens",
    "tokens_per_update",
    "weight_decay",
    "adam_betas",
    "label_smoothing",
    "clip_norm",
)
PREDICTORS = {
    "inherited": -1,
    "trained_again": -1,
    "parameters": 1,
    "parameters_without_embeddings": 1,
    "flops": 1,
    "decoder_depth": 1,
}


def find_architectures(folder, run):
    """[{id, group, predicted_ms, architecture}] as the folder has them, else chosen; `group` is spread or band.

    Raises ArtifactError without latency samples of the CPU, or for architectures of another space, UsageError where
    the space has too few.
    """
    space = run.config.search_space

    def choose():
        from latency_predictor.fitting.fit import load_or_fit

        return choose_architectures(space, load_or_fit(run, DEVICE).predict)

    return keep_architectures(folder, space, choose)


def choose_architectures(space, predict):
    """The rows of `find_architectures`; `predict` maps architectures to milliseconds."""
    named = {space.smallest(): "smallest", space.full_transformer(): FULL}
    named.setdefault(space.largest(), "largest")  # without elastic attention it is the full-size Transformer
    rng = np.random.default_rng(SEED)
    drawn = [one for one in dict.fromkeys(space.sample(rng) for _ in range(DRAWS)) if one not in named]
    fill = SPREAD - len(named)
    named |= {architecture: f"random{number}" for number, architecture in enumerate(drawn[:fill], start=1)}
    low_ms = BAND_CENTRE * predict([space.full_transformer()])[0] / math.sqrt(1 + BAND_WIDTH)
    alike = within(drawn[fill:], predict, low_ms, low_ms * (1 + BAND_WIDTH), BAND)
    band = {architecture: f"band{number}" for number, architecture in enumerate(alike, start=1)}
    return named_rows("spread", named, predict) + named_rows("band", band, predict)


def choose_recipe(run, options, folder):
    """The recipe of the folder's trainings, else the defaults and the run's super_training; options given go first."""
    recipe = read_recipe(folder)
    if recipe is None:
        shared = {name: run.sections("super_training")["super_training"][name] for name in SAME_MATHEMATICS}
        recipe = {"seed": run.config.seed, **DEFAULTS, **shared, "init": "scratch"}
        recipe["average_checkpoints"] = run.config.sub_training.average_checkpoints
    given = {
        "max_update": options.updates,
        "lr": options.lr,
        "warmup_updates": options.warmup,
        "tokens_per_update": options.tokens,
        "precision": options.precision,
    }
    recipe |= {name: value for name, value in given.items() if value is not None}
    if recipe["warmup_updates"] >= recipe["max_update"]:
        raise UsageError(f"--warmup {recipe['warmup_updates']} is not below --updates {recipe['max_update']}")
    return recipe | {"save_every": max(1, recipe["max_update"] // SAVES)}


def describe(run, row, result):
    """A row for tables and JSON: what is known of an architecture without the SuperTransformer."""
    from latency_predictor.sampling.lengths import run_lengths
    from latency_predictor.sampling.measure import measuring_spec

    architecture = row["architecture"]
    spec = measuring_spec(run)
    parameters, without_embeddings = count_parameters(architecture, spec)
    return {
        "id": row["id"],
        "group": row["group"],
        "predicted_ms": row["predicted_ms"],
        "parameters": parameters,
        "parameters_without_embeddings": without_embeddings,
        "flops": count_flops(architecture, spec, *run_lengths(run).middle),
        "decoder_depth": architecture.decoder.layers,
        "standalone": result["loss"],
        "bleu": result["scores"]["bleu"],
        "seconds": result["seconds"],
    }


def inherited_losses(run, architectures):
    """Validation losses (nats a token) of architectures with the weights of the run's SuperTransformer."""
    import torch

    every_line = np.arange(run.prepared().sentences[SPLIT])
    loss = run.task.inherited_loss(run, [every_line], "cuda" if torch.cuda.is_available() else "cpu")
    return [nats / tokens for nats, tokens in (loss(architecture, part=0) for architecture in architectures)]


def judge(rows):
    """The figures of one group of rows, as the module's docstring names them; None for what isn't defined."""
    from scipy.stats import kendalltau, spearmanr

    found = {"count": len(rows)}
    qualities = {"": [-row["standalone"] for row in rows], "bleu_": [row["bleu"] for row in rows]}
    for (prefix, quality), (name, sign) in itertools.product(qualities.items(), PREDICTORS.items()):
        if name not in rows[0]:
            continue
        scores = [sign * row[name] for row in rows]
        constant = len(set(scores)) == 1 or len(set(quality)) == 1
        for statistic, function in (("tau", kendalltau), ("spearman", spearmanr)):
            found[f"{prefix}{statistic}_{name}"] = None if constant else float(function(scores, quality).statistic)
    if "inherited" in rows[0]:
        best, chosen = (min(rows, key=lambda row, key=key: row[key]) for key in ("standalone", "inherited"))
        gaps = [row["inherited"] - row["standalone"] for row in rows]
        found |= {"best": best["id"], "chosen": chosen["id"]}
        found["regret"] = chosen["standalone"] / best["standalone"] - 1
        found["gap"] = {"mean": statistics.mean(gaps), "median": statistics.median(gaps)}
        found["gap"] |= {"smallest": min(gaps), "largest": max(gaps)}
    return found


def table(rows):
    """Lines of text, one an architecture, best standalone loss first."""
    lines = [f"{'':10} {'latency':>9} {'parameters':>10} {'depth':>5} {'standalone':>10} {'inherited':>9} {'BLEU':>6}"]
    for row in sorted(rows, key=lambda row: row["standalone"]):
        inherited = f"{row['inherited']:9.4f}" if "inherited" in row else f"{'-':>9}"
        lines.append(
            f"{row['id']:10} {row['predicted_ms']:6.2f} ms {row['parameters'] / 1e6:8.2f} M {row['decoder_depth']:5} "
            f"{row['standalone']:10.4f} {inherited} {row['bleu']:6.2f}"
        )
    return lines


def summary(name, found):
    """Lines of text with the figures of `judge`."""
    lines = [f"\n{name}, {found['count']} architectures: tau and Spearman by loss, by BLEU"]
    for predictor in PREDICTORS:
        keys = [f"{prefix}{kind}_{predictor}" for prefix in ("", "bleu_") for kind in ("tau", "spearman")]
        if keys[0] in found:
            cells = ("   -  " if found[key] is None else f"{found[key]:6.3f}" for key in keys)
            lines.append(f"  {predictor:30} {'  '.join(cells)}")
    if "regret" in found:
        gap = ", ".join(f"{key} {value:.4f}" for key, value in found["gap"].items())
        lines.append(f"  regret {found['regret']:.2%} ({found['chosen']} for {found['best']}); gap {gap}")
    return lines


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    add_options(parser, "standalone-NAME beside the run")
    recipe = "(default: that of the folder's trainings, else {})"
    parser.add_argument("--updates", type=positive_int, help=recipe.format(DEFAULTS["max_update"]))
    parser.add_argument("--lr", type=float, help="peak rate " + recipe.format(DEFAULTS["lr"]))
    parser.add_argument("--warmup", type=positive_int, help="updates " + recipe.format(DEFAULTS["warmup_updates"]))
    parser.add_argument("--tokens", type=positive_int, help="of an update " + recipe.format("the SuperTransformer's"))
    parser.add_argument(
        "--again", action="store_true", help="train all once more with the next seed, and judge how well that ranks"
    )
    run_command(parser, rank, arguments)


def rank(options):
    run = RunDirectory.open(options.run)
    if set(stacks_of(run.config.search_space)) != set(STACKS):
        raise UsageError(
            f"{run.path} holds no translators, which alone are ranked here; see benchmarks/winner_against_random.py"
        )
    trained = stamp(run.super_) is not None
    if options.json and not trained:
        raise ArtifactError(
            f"{run.super_} holds no SuperTransformer to judge; run hat-train-super, or leave out --json"
        )
    folder = Path(options.standalone or run.path.resolve().parent / f"standalone-{run.config.name}")
    chosen = find_architectures(folder, run)
    architectures = {row["id"]: row["architecture"] for row in chosen}
    recipe = choose_recipe(run, options, folder)
    results = StandaloneTrainings(folder, run, recipe).train(architectures, options.workers)
    rows = [describe(run, row, results[row["id"]]) for row in chosen]
    if options.again:
        again = trainings_of_seed(folder, run, recipe, recipe["seed"] + 1).train(architectures, options.workers)
        for row in rows:
            row["trained_again"] = again[row["id"]]["loss"]
    if trained:
        for row, loss in zip(rows, inherited_losses(run, [row["architecture"] for row in chosen]), strict=True):
            row["inherited"] = loss
    found = {"all": judge(rows), "band": judge([row for row in rows if row["group"] == "band"])}
    print("\n".join(table(rows)))
    for name, figures in found.items():
        print("\n".join(summary(name, figures)))
    if not trained:
        print(f"\n{run.super_} holds no SuperTransformer yet, so only what it has to beat is judged")
    if options.json:
        files.write_json(options.json, {**found, "architectures": rows})
        print(f"figures: {options.json}")


if __name__ == "__main__":
    main()
