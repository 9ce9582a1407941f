"""hat-evaluate: BLEU, chrF, accuracy or perplexity, measured latency, parameters and size of models and bundles."""

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, add_run_option, run_command


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser("Judge models and bundles: BLEU and chrF (sacreBLEU), measured latency, parameters, size.")
    parser.add_argument(
        "target",
        nargs="+",
        metavar="TARGET",
        help="name of a sub-training, folder of a model or bundle, or an architecture file (then with the "
        "SuperTransformer's weights)",
    )
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--split", choices=("train", "valid", "test"), default="test", help="sentences to translate")
    text.add_argument(
        "--test-set",
        nargs=2,
        action="append",
        metavar=("SRC", "REF"),
        help="translate the lines of SRC (plain or gzip) instead, and compare with those of REF; may be given several "
        "times",
    )
    parser.add_argument(
        "--against",
        metavar="TARGET",
        help="judge this one too, and say whether the BLEU of the others differs from its by more than chance "
        "(sacreBLEU's paired bootstrap)",
    )
    parser.add_argument("--device", metavar="NAME", help="device (default: the one last measured in this run, or cpu)")
    parser.add_argument("--no-latency", action="store_true", help="do not measure the latency")
    parser.add_argument("--json", action="store_true", help="print JSON, one line a target, in place of the table")
    add_run_option(parser)
    run_command(parser, _evaluate, arguments)


def _evaluate(options: argparse.Namespace) -> None:
    import json

    from hat.evaluation.evaluate import evaluate_all, evaluations_table
    from hat.experiment.run_directory import RunDirectory
    from latency_predictor.sampling.bundle_meter import BundleMeter

    run = RunDirectory.open(options.run)
    judge = run.task.judge(run)
    if options.test_set:
        texts = [judge.file_text(*paths) for paths in options.test_set]
    else:
        texts = [judge.split_text(options.split)]
    evaluations = []
    meter = BundleMeter(run, options.device)
    for evaluation in evaluate_all(run, options.target, texts, meter, not options.no_latency, options.against):
        evaluations.append(evaluation)
        if options.json:
            print(json.dumps(evaluation, ensure_ascii=False), flush=True)
    if not options.json:
        print("\n".join(evaluations_table(judge, evaluations)))


if __name__ == "__main__":
    main()
