"""hat-export: trained SubTransformers to bundles for hat-translate, hat-classify, hat-generate and hat-score."""

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, add_run_option, run_command

PRECISIONS = ("fp32", "int8", "fp16", "bf16", "int4", "kmeans4")

STANDALONE_HELP = "put a translate.py, classify.py or language_model.py into each bundle, which runs it without HAT"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser("Export trained SubTransformers as bundles that run with onnxruntime and numpy alone.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="sub-training to export (default: all of the run)")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        help="kinds of bundles to make (default: fp32 and int8)",
    )
    parser.add_argument("--standalone", action="store_true", help=STANDALONE_HELP)
    parser.add_argument(
        *("--allow-drop", "--allow-bleu-drop"),
        type=_points,
        default=0.3,
        metavar="X",
        help="points of BLEU or accuracy, or percent of perplexity, that a bundle may lose against fp32",
    )
    add_run_option(parser)
    run_command(parser, _export, arguments)


def _points(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise ValueError  # argparse tells the user
    return value


def _export(options: argparse.Namespace) -> None:
    from hat.experiment.run_directory import RunDirectory
    from hat.export.bundles import export, trained_names

    run = RunDirectory.open(options.run)
    for name in [options.name] if options.name else trained_names(run):
        export(run, name, options.precision, options.standalone, options.allow_drop)


if __name__ == "__main__":
    main()
