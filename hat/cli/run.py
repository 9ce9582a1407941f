"""hat-run CONFIG: from parallel text and latency budgets to deployed translators and a report, all stages."""

import argparse
from collections.abc import Sequence

from hat.cli.common import (
    ArgumentParser,
    add_latency_option,
    add_limit_options,
    add_precision_option,
    device_at,
    run_command,
)
from hat.training.options import add_computing_options, add_processes_option, chosen_options, warn_of_update_freq


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-run`."""
    parser = ArgumentParser(
        "Do all stages of an experiment: prepare, measure, train the SuperTransformer, search, train the chosen "
        "SubTransformers and the full-size Transformer, export, evaluate, report. Stages that are up to date are "
        "skipped."
    )
    parser.add_argument("config", metavar="CONFIG", help="experiment config, such as configs/quickstart.yaml")
    parser.add_argument("--device", metavar="NAME", default="cpu", help="device whose latency counts")
    add_latency_option(parser)
    add_limit_options(parser)
    add_precision_option(parser)
    parser.add_argument("--run", metavar="DIR", help="run directory (default: runs/<config name>)")
    parser.add_argument(
        "--from", metavar="DIR", dest="source_directory", help="folder with the corpus's files, read instead of fetched"
    )
    training = parser.add_argument_group("how all is trained")
    add_computing_options(training)
    add_processes_option(training)
    run_command(parser, _run, arguments)


def _run(options: argparse.Namespace) -> None:
    from hat.cli.pipeline import Pipeline
    from hat.errors import UsageError
    from hat.experiment.run_directory import RunDirectory
    from latency_predictor.budget import parse_budget
    from search.limits import parse_limits
    from search.report.run_report import result_table

    limits = parse_limits(options.max_parameters, options.max_size)
    budgets = [parse_budget(text) for text in options.latency or ()]
    training_options = chosen_options(options)
    warn_of_update_freq(options.config, training_options)
    run = RunDirectory.create(options.config, options.run)
    budgets = budgets or [parse_budget(text) for text in run.config.search.latency]
    if not budgets:
        raise UsageError("no latency budget; write for example --latency 200ms or --latency 50%")
    device = device_at(options.device, options.precision)
    stages = Pipeline(run, device, budgets, limits, options.source_directory, training_options)
    with run.working_in(run.path):
        report, data = stages.run()
    best = run.export(data.picks[-1].name)
    print("\n" + "\n".join(result_table(data)))
    print(f"\nreport: {report}\nnext: {run.task.command} {best / data.precision} < input.txt > output.txt")


if __name__ == "__main__":
    main()
