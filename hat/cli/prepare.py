"""hat-prepare CONFIG: parallel, labelled or running text to tokenizers and binarised splits."""

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-prepare`."""
    parser = ArgumentParser("Prepare the text of an experiment: tokenizers and binarised splits.")
    parser.add_argument("config", metavar="CONFIG", help="experiment config, such as configs/multi30k.en-de.yaml")
    parser.add_argument("--run", metavar="DIR", help="run directory (default: runs/<config name>)")
    parser.add_argument(
        "--from", metavar="DIR", dest="source_directory", help="folder with the corpus's files, read instead of fetched"
    )
    run_command(parser, _prepare, arguments)


def _prepare(options: argparse.Namespace) -> None:
    from hat.experiment.run_directory import RunDirectory

    run = RunDirectory.create(options.config, options.run)
    run.prepare(options.source_directory)


if __name__ == "__main__":
    main()
