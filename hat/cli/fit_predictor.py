"""hat-fit-predictor: fit a latency predictor to the samples of a device, or to CSV files that HAT published."""

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, add_run_option, run_command
from hat.errors import UsageError
from latency_predictor.fitting.models import MODELS


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser("Fit a latency predictor and show how good it is on samples that it did not see.")
    parser.add_argument("--device", metavar="NAME", help="the device whose samples are fitted (default: cpu)")
    add_run_option(parser)
    parser.add_argument("--csv", nargs="+", metavar="FILE", help="instead, CSV or .csv.gz files that HAT published")
    parser.add_argument("--output", metavar="DIR", help="where results of --csv go (default: runs/csv)")
    parser.add_argument(
        "--model",
        choices=("auto", *MODELS),
        default="auto",
        help="the kind of model; auto keeps the one with the least cross-validated error, mlp is the HAT paper's",
    )
    run_command(parser, _fit, arguments)


def _fit(options: argparse.Namespace) -> None:
    if options.csv and (options.device or options.run):
        raise UsageError("--csv takes its samples from files; leave out --device and --run")
    if options.output and not options.csv:
        raise UsageError("--output is for --csv; a device's predictor is kept in its run directory")
    from hat.experiment.run_directory import RunDirectory
    from latency_predictor.fitting.fit import fit_csv, fit_predictor

    if options.csv:
        for path in options.csv:
            fit_csv(path, options.output or "runs/csv", options.model)
    else:
        fit_predictor(RunDirectory.open(options.run), options.device or "cpu", options.model)
