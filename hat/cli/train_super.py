"""hat-train-super [CONFIG]: train the SuperTransformer of a run, preparing its data first if need be."""

from hat.cli.common import ArgumentParser, add_run_option, run_command
from hat.training.options import add_training_options, chosen_options


def main(arguments=None):
    """Entry point of `hat-train-super`."""
    parser = ArgumentParser(
        "Train the SuperTransformer; interrupted, run the same command again and it goes on. "
        "In N processes: torchrun --nproc_per_node N --no-python -- hat-train-super, with the same arguments; "
        "the -- keeps --run from torchrun."
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="experiment config: makes or goes on with its run")
    add_run_option(parser)
    parser.add_argument(
        "--from", metavar="DIR", dest="source_directory", help="folder with the corpus's files, read instead of fetched"
    )
    add_training_options(parser)
    run_command(parser, _train_super, arguments)


def _train_super(options):
    training_options = chosen_options(options)
    from hat.training import processes
    from hat.training.super import train_super

    with processes.joined(training_options.resolved_device()):
        train_super(processes.first_rank_first(lambda: _open_run(options)), training_options)


def _open_run(options):
    from hat.data.prepare import prepare
    from hat.run_directory import RunDirectory

    if options.config is None:
        return RunDirectory.open(options.run)
    run = RunDirectory.create(options.config, options.run)
    prepare(run, options.source_directory)
    return run


if __name__ == "__main__":
    main()
