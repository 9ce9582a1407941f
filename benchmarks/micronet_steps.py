"""What each of MicroNet's steps brings (Yan et al. 2020, arXiv 2005.07877), one upon the other in the paper's order.

    python benchmarks/micronet_steps.py --from DIR --run DIR [--updates 2000] [--architecture FILE] [--json FILE]

The plain network has one table of words. All that is trained lies in the folder --run and is made only where it is
missing: killed and run again, it goes on. Trainings run two at a time, one thread each, where none waits for another;
Hebbian softmax is trained upon the cache before it is known whether that helps. Perplexities are of running text, as
hat-evaluate gives them; parameters and operations are those of hat-inspect --accounting micronet. A searched cache is
searched for again in each later row. Minutes are of the wall clock, of all commands that a row's network takes beside
that of the last row that stays. The JSON holds `rows`, `last` (the last row that stays, beside the plain one) and
`core_minutes`, the sum over all commands, which have one thread each.
"""

import signal
import sys
from pathlib import Path

from micronet_networks import STEPS, Networks
from side_by_side import seconds_of

from hat import files
from hat.accounting.micronet import compare, micronet_account
from hat.accounting.trained import trained_network
from hat.architecture.file import load_architecture
from hat.architecture.stacks import Architecture
from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.errors import UsageError
from hat.evaluation.evaluate import evaluate
from hat.experiment.config import load_experiment

PTB = Path(__file__).resolve().parent.parent / "configs" / "ptb.yaml"
LAYERS = 3
PLAIN = {
    "decoder": {
        "embed_dim": 192,
        "ffn_dim": [576] * LAYERS,
        "self_attention_heads": [4] * LAYERS,
        "head_dim": [24] * LAYERS,
        "context": [65] * LAYERS,
    }
}
SAVING = ("adaptive", "pruned", "quantised")  # steps that stay whatever they cost in perplexity
COLUMNS = ("", "valid ppl", "test ppl", "parameters", "counted", "operations", "score (plain: 2)")
GAINS = ("change of valid ppl", "change of score", "minutes", "")
NOTE = (
    f"{', '.join(SAVING)}: stay, for what they save; any other step is left out of the rows after it unless it lowers "
    "the validation perplexity of the last row that stays, which all changes are against"
)


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--run", required=True, metavar="DIR", type=Path, help="folder of all that is trained")
    parser.add_argument("--from", metavar="DIR", dest="source", help="folder with the corpus's files, as hat-prepare's")
    parser.add_argument("--config", metavar="FILE", default=PTB, help="of a language model with adaptive tables")
    parser.add_argument("--updates", type=positive_int, help="of each training (default: the config's)")
    parser.add_argument("--plain", metavar="FILE", help="architecture of the plain network (default: 3 layers of 192)")
    parser.add_argument("--architecture", metavar="FILE", help="of all others (default: that of the plain one)")
    parser.add_argument("--states", type=positive_int, default=500, metavar="N", help="of a cache that is searched for")
    parser.add_argument("--rate", type=float, default=2.0, metavar="R", help="pruning leaves 1 / R of the weights")
    parser.add_argument("--bits", type=positive_int, default=9, metavar="N", help="of a quantised weight")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    run_command(parser, _main, arguments)


def _main(options):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started ends too
    networks = _networks(options)
    networks.prepare(options.source)
    networks.train((), *(STEPS[:count] for count in (1, 2, 3)))
    rows = []
    for row in rows_of(lambda steps: figures(networks, steps)):
        rows.append(row)
        verdict = ", left out" if row["left_out"] else ""
        print(f"{row['network']}: validation perplexity {row['valid_perplexity']:.2f}{verdict}", flush=True)
    found = {"rows": rows, "last": last_of(rows), "core_minutes": sum(seconds_of(options.run).values()) / 60}
    print("\n".join(table(found)))
    if options.json:
        files.write_json(options.json, found)


def _networks(options):
    """The Networks that are asked for; raises UsageError for a config that is none of a language model with bins."""
    config = load_experiment(options.config)
    if config.task != "language_modeling" or not config.model.cutoffs:
        raise UsageError(
            f"--config {options.config}: has no model.cutoffs; give a language model's, such as {PTB.name}"
        )
    plain = Architecture.from_dict(PLAIN) if options.plain is None else load_architecture(options.plain)
    smaller = plain if options.architecture is None else load_architecture(options.architecture)
    updates = options.updates or config.sub_training.max_update
    return Networks(options.run, config, updates, plain, smaller, options.states, options.rate, options.bits)


def figures(networks, steps):
    """What is measured of a network, made first where it isn't there; `seconds` are those of each of its stages."""
    run, name = networks.finished(steps)
    account = micronet_account(trained_network(run, name))
    plain = micronet_account(trained_network(*networks.finished(())))
    return {
        "network": f"{run.path.name}/sub/{name}",
        **perplexities(run, name),
        "parameters": account["total"]["parameters"],
        "counted_parameters": account["parameters"]["counted"],
        "operations": account["operations"],
        "score": compare(account, plain, "plain")["score"],
        "seconds": networks.seconds(steps),
    }


def perplexities(run, name):
    """{"valid_perplexity", "test_perplexity"} of a network, kept beside it."""
    path, weights = run.sub(name) / "perplexities.json", files.sha256_of_file(run.sub(name) / "model.safetensors")
    kept = files.read_json(path, "remove it") if path.exists() else {}
    if kept.get("weights") != weights:
        splits = {split: evaluate(run, name, None, split, latency=False) for split in ("valid", "test")}
        kept = {f"{split}_perplexity": found["perplexity"] for split, found in splits.items()} | {"weights": weights}
        files.write_json(path, kept)
    return {key: value for key, value in kept.items() if key != "weights"}


def rows_of(figures_of):
    """Yield a row for the plain network and for each step, tried upon those before it that stay.

    figures_of(steps) gives what `figures` does. Changes are against the last row that stays.
    """
    chain, kept = (), figures_of(())
    yield _row("plain", kept, kept) | {"minutes": sum(kept["seconds"].values()) / 60}
    for step in STEPS:
        tried = (*chain, step)
        found = figures_of(tried)
        row = _row(step, found, kept)
        if not row["left_out"]:
            chain, kept = tried, found
        yield row


def _row(step, found, before):
    """`minutes` are those of what the network doesn't share with the one `before`."""
    own = [seconds for stage, seconds in found["seconds"].items() if stage not in before["seconds"]]
    change = found["valid_perplexity"] / before["valid_perplexity"] - 1
    return {
        "step": step,
        **{name: value for name, value in found.items() if name != "seconds"},
        "perplexity_change": change,
        "score_change": found["score"] / before["score"] - 1,
        "minutes": sum(own) / 60,
        "left_out": step not in ("plain", *SAVING) and not change < 0,
    }


def last_of(rows):
    """How many times fewer parameters and operations the last row that stays has, and its perplexities over plain's."""
    plain, last = rows[0], [row for row in rows if not row["left_out"]][-1]
    fewer = {f"{name}_fewer": plain[name] / last[name] for name in ("counted_parameters", "operations")}
    return {"step": last["step"], **fewer} | {
        f"{split}_perplexity_ratio": last[f"{split}_perplexity"] / plain[f"{split}_perplexity"]
        for split in ("valid", "test")
    }


def table(found):
    """Lines of text."""
    yield f"| {' | '.join((*COLUMNS, *GAINS))} |"
    yield "|" + " --- |" * len((*COLUMNS, *GAINS))
    for row in found["rows"]:
        cells = [
            row["step"] if row["step"] == "plain" else f"+ {row['step']}",
            *(f"{row[f'{split}_perplexity']:.2f}" for split in ("valid", "test")),
            *(f"{row[name] / 1e6:.3f} M" for name in ("parameters", "counted_parameters", "operations")),
            f"{row['score']:.3f}",
            *(f"{row[name]:+.1%}" for name in ("perplexity_change", "score_change")),
            f"{row['minutes']:.1f}",
            "left out" if row["left_out"] else "",
        ]
        yield f"| {' | '.join(cells)} |"
    last = found["last"]
    yield NOTE
    yield (
        f"up to {last['step']}: {last['counted_parameters_fewer']:.1f} times fewer parameters and "
        f"{last['operations_fewer']:.1f} times fewer operations than plain at {last['valid_perplexity_ratio']:.3f} "
        f"(valid) and {last['test_perplexity_ratio']:.3f} (test) of its perplexity; {found['core_minutes']:.0f} "
        "core-minutes in all"
    )


if __name__ == "__main__":
    main()
