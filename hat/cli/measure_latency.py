"""hat-measure-latency: measure architectures of the search space on one device or several."""

import argparse
from collections.abc import Iterable, Sequence

from hat.cli.common import ArgumentParser, add_precision_option, add_run_option, device_at, positive_int, run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `hat-measure-latency`."""
    parser = ArgumentParser("Measure the latency of architectures of the search space; no trained weights are needed.")
    parser.add_argument(
        "--device",
        metavar="NAME",
        action="append",
        help="cpu, gpu, rpi4 or another of configs/devices; may be given several times (default: cpu)",
    )
    parser.add_argument(
        "--samples",
        type=positive_int,
        metavar="N",
        help="measure N architectures (default: the config's number, or until the predictor is good enough)",
    )
    parser.add_argument("--check", action="store_true", help="only say whether the device can be used")
    add_precision_option(parser)
    add_run_option(parser)
    run_command(parser, _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    devices = [device_at(name, options.precision) for name in options.device or ["cpu"]]
    if options.check:
        _check(devices)
        return
    from hat.experiment.run_directory import RunDirectory
    from latency_predictor.sampling.collect import collect_all

    collect_all(RunDirectory.open(options.run), devices, options.samples)


def _check(names: Iterable[str]) -> None:
    """Print one screen for each device; raises DeviceError if one can't be used."""
    from hat.errors import DeviceError
    from latency_predictor.link.check import check_device

    unusable = []
    for name in names:
        text, usable = check_device(name)
        print(text)
        if not usable:
            unusable.append(name)
    if unusable:
        raise DeviceError(f"{', '.join(unusable)} can't be measured; see above for what would mend it")
