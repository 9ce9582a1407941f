"""hat-fit-predictor: fit a latency predictor to the samples of a device, or to CSV files that HAT published."""

from pathlib import Path

from hat.cli.common import ArgumentParser, add_run_option, run_command


def main(arguments=None):
    parser = ArgumentParser("Fit a latency predictor and show how good it is on samples held out.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--device", metavar="NAME", default="cpu", help="the device whose samples are fitted")
    source.add_argument("--csv", nargs="+", metavar="FILE", help="CSV or .csv.gz files that HAT published, instead")
    parser.add_argument("--output", metavar="DIR", type=Path, default=Path("runs/csv"), help="for --csv: results")
    add_run_option(parser)
    run_command(parser, _fit, arguments)


def _fit(options):
    from hat.run_directory import RunDirectory
    from latency_predictor.fit import fit_csv, fit_predictor

    if options.csv:
        for path in options.csv:
            fit_csv(path, options.output)
    else:
        fit_predictor(RunDirectory.open(options.run), options.device)
