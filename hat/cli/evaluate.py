"""hat-evaluate: BLEU, chrF, measured latency, parameters and size of models and bundles."""

from hat.cli.common import ArgumentParser, add_run_option, run_command


def main(arguments=None):
    parser = ArgumentParser("Judge models and bundles: BLEU and chrF (sacreBLEU), measured latency, parameters, size.")
    parser.add_argument(
        "target",
        nargs="+",
        metavar="TARGET",
        help="name of a sub-training, folder of a model or bundle, or an architecture file (then with the "
        "SuperTransformer's weights)",
    )
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test", help="sentences to translate")
    parser.add_argument("--device", metavar="NAME", help="device (default: the one last measured in this run, or cpu)")
    parser.add_argument("--no-latency", action="store_true", help="do not measure the latency")
    parser.add_argument("--json", action="store_true", help="print JSON, one line a target, in place of the table")
    add_run_option(parser)
    run_command(parser, _evaluate, arguments)


def _evaluate(options):
    import json

    from hat.evaluation import evaluate, evaluations_table
    from hat.run_directory import RunDirectory

    run = RunDirectory.open(options.run)
    evaluations = []
    for target in options.target:
        evaluation = evaluate(run, target, options.split, options.device, latency=not options.no_latency, again=True)
        evaluations.append(evaluation)
        if options.json:
            print(json.dumps(evaluation, ensure_ascii=False), flush=True)
    if not options.json:
        print("\n".join(evaluations_table(evaluations)))


if __name__ == "__main__":
    main()
