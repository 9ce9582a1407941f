"""hat-search: find the best SubTransformer for each latency budget."""

from hat.cli.common import ArgumentParser, add_latency_option, add_run_option, run_command


def main(arguments=None):
    parser = ArgumentParser(
        "Find the SubTransformer of lowest validation loss that meets a latency budget on a device."
    )
    add_latency_option(parser)
    parser.add_argument("--device", metavar="NAME", help="device (default: the one last measured in this run, or cpu)")
    parser.add_argument("--name", help="name of the result, for one budget (default: DEVICE-BUDGET)")
    add_run_option(parser)
    run_command(parser, _search, arguments)


def _search(options):
    from hat.errors import UsageError
    from hat.run_directory import RunDirectory
    from latency_predictor.budget import parse_budget
    from search.run import search

    budgets = [parse_budget(text) for text in options.latency or ()]
    run = RunDirectory.open(options.run)
    budgets = budgets or [parse_budget(text) for text in run.config.search.latency]
    if not budgets:
        raise UsageError("no latency budget; write for example --latency 200ms or --latency 50%")
    search(run, options.device or run.last_measured_device(), budgets, options.name)


if __name__ == "__main__":
    main()
