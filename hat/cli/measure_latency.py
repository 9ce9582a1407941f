"""hat-measure-latency: measure architectures of the search space on a device."""

from hat.cli.common import ArgumentParser, add_run_option, positive_int, run_command


def main(arguments=None):
    parser = ArgumentParser("Measure the latency of architectures of the search space; no trained weights are needed.")
    parser.add_argument("--device", metavar="NAME", default="cpu", help="cpu, gpu or another of configs/devices")
    parser.add_argument("--samples", type=positive_int, metavar="N", help="architectures to measure (default: config)")
    add_run_option(parser)
    run_command(parser, _measure, arguments)


def _measure(options):
    from hat.run_directory import RunDirectory
    from latency_predictor.collect import collect

    collect(RunDirectory.open(options.run), options.device, options.samples)
