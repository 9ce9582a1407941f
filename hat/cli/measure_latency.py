"""hat-measure-latency: measure architectures of the search space on one device or several."""

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hat.cli.common import ArgumentParser, add_precision_option, add_run_option, device_at, positive_int, run_command

if TYPE_CHECKING:
    from hat.experiment.run_directory import RunDirectory


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
    parser.add_argument(
        "--blocks",
        action="store_true",
        help="instead measure which blocks of pruned matrices pay there, for hat-compress (under a minute)",
    )
    add_precision_option(parser)
    add_run_option(parser)
    run_command(parser, _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    devices = [device_at(name, options.precision) for name in options.device or ["cpu"]]
    if options.check:
        _check(devices)
        return
    from hat.experiment.run_directory import RunDirectory

    if options.blocks:
        _measure_blocks(RunDirectory.open(options.run), devices)
        return
    from latency_predictor.sampling.collect import collect_all

    collect_all(RunDirectory.open(options.run), devices, options.samples)


def _measure_blocks(run: "RunDirectory", names: Iterable[str]) -> None:
    from latency_predictor.link.devices import load_device
    from latency_predictor.sampling.block_products import blocks_path, measure_blocks, summary

    for device in map(load_device, names):
        costs = measure_blocks(run, device)
        for precision in ("fp32", "int8"):
            stacks = costs.at(precision)
            for stack, found in (("encoder", stacks.encoder), ("decoder", stacks.decoder)):
                print(f"{costs.device} {precision}, {stack}: blocks of {summary(found)}")
        print(f"kept: {blocks_path(run, device)}")


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
