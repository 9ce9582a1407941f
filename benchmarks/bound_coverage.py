"""How often the 95 % upper bound of a run's latency predictor holds, for fresh random architectures.

    python benchmarks/bound_coverage.py --run runs/quickstart --device cpu --json coverage.json

Architectures that the run's samples don't hold are drawn at random and measured as samples are, those at another pace
than the samples' once more. Of each one measured, the latency at the samples' pace is held against the bound that was
predicted for it: of the median sentence, and of nine in ten. Fresh samples are kept in RUN/latency/fresh, so that an
interrupted benchmark goes on; `--again` measures them anew.

The JSON holds `device`, the `samples` that were fitted, those `at_random`, and for each of `quantiles`: `below` of
`count`, their ratio `coverage` with its 95 % interval `coverage_ci95` (Clopper and Pearson, 1934), `margin`, by which
the bound is above the prediction in the median, and `mape`, both fractions.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hat import files
from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.errors import UsageError
from hat.experiment.run_directory import RunDirectory
from hat.progress import Progress

QUANTILES = {"p50": 0.5, "p90": 0.9}  # of the sentences
SEED = 3  # of the architectures, whatever the run's seed is
DRAWS = 100  # for each architecture wanted, before a small space counts as used up


def fresh_architectures(space, known, count):
    """`count` different random architectures that are not among the `known`; raises UsageError in too small a space."""
    found = {}
    for index in range(DRAWS * count):
        architecture = space.sample(np.random.default_rng((SEED, index)))
        if architecture not in known:
            found.setdefault(architecture)
        if len(found) == count:
            return list(found)
    raise UsageError(f"--architectures {count}: only {len(found)} that were not measured could be found; ask for fewer")


def measure_fresh(run, device, samples, count, path):
    """LatencySamples of `count` architectures that are not in `samples`; those in the file at `path` are not repeated.

    Raises UsageError if the file is about other samples.
    """
    from latency_predictor.fitting.pace import Pace
    from latency_predictor.sampling.measure import Measurer
    from latency_predictor.sampling.sample import read_samples

    space, series = run.config.search_space, samples[0].series
    architectures = fresh_architectures(space, {sample.architecture for sample in samples}, count)
    with Measurer(run, device) as measurer:
        kept = {sample.architecture: sample for sample in read_samples(path, space, measurer.protocol)}
        if any(sample.series != series for sample in kept.values()):
            raise UsageError(f"{path} was measured beside other samples than there are now; give --again")
        pace = Pace.of(samples, space, measurer.lengths)
        with Progress(f"Measuring on {device.name}", count, "architectures") as progress:
            for architecture in architectures:
                if architecture not in kept:
                    sample = measurer.measure(architecture)
                    kept[architecture] = replace(sample, at_random=True, series=series)
                    files.append_json_line(path, kept[architecture].to_dict())
                progress.advance()
        doubtful = [each for each in architectures if kept[each].visits == 1 and not pace.is_near(kept[each])]
        with Progress(f"Measuring again on {device.name}", len(doubtful), "architectures") as progress:
            for architecture in doubtful:
                kept[architecture] = pace.better(kept[architecture], measurer.measure(architecture))
                files.append_json_line(path, kept[architecture].to_dict())
                progress.advance()
        return [pace.even(kept[architecture]) for architecture in architectures]


def judge(predictor, fresh, lengths, quantile):
    """Figures of one quantile of the sentences; `fresh` are LatencySamples at the pace of the predictor's."""
    from scipy.stats import binomtest

    from latency_predictor.fitting.quality import errors
    from latency_predictor.sampling.sample import latencies_ms

    architectures, measured_ms = [sample.architecture for sample in fresh], latencies_ms(fresh, lengths, quantile)
    predicted_ms, upper_ms = predictor.predict(architectures), predictor.upper(architectures)
    below = int(np.sum(measured_ms <= upper_ms))
    interval = binomtest(below, len(fresh)).proportion_ci(0.95, method="exact")
    return {
        "below": below,
        "count": len(fresh),
        "coverage": below / len(fresh),
        "coverage_ci95": [interval.low, interval.high],
        "margin": float(np.median(upper_ms / predicted_ms - 1)),
        "mape": errors(measured_ms, predicted_ms)["mape"],
    }


def judge_run(run, device_name, count, again=False):
    """What the JSON holds."""
    from latency_predictor.fitting.fit import load_or_fit
    from latency_predictor.link.devices import load_device
    from latency_predictor.sampling.lengths import run_lengths
    from latency_predictor.sampling.sample import read_samples, samples_path

    device = load_device(device_name)
    predictors = {name: load_or_fit(run, device_name, quantile) for name, quantile in QUANTILES.items()}
    samples = read_samples(samples_path(run, device), run.config.search_space)
    path = run.latency / "fresh" / f"{device.name}.jsonl"
    if again:
        path.unlink(missing_ok=True)
    fresh, lengths = measure_fresh(run, device, samples, count, path), run_lengths(run)
    figures = {name: judge(predictors[name], fresh, lengths, quantile) for name, quantile in QUANTILES.items()}
    at_random = int(np.sum(predictors["p50"].at_random))
    return {"device": device.name, "samples": len(samples), "at_random": at_random, "quantiles": figures}


def table(found):
    """The figures as lines of text."""
    lines = [f"{found['device']}: {found['samples']} samples, {found['at_random']} of them drawn at random"]
    for name, row in found["quantiles"].items():
        low, high = row["coverage_ci95"]
        lines.append(
            f"{name}: {row['below']} of {row['count']} fresh random architectures are below the bound, "
            f"{row['coverage']:.1%} ({low:.1%} to {high:.1%}); it is {row['margin']:.1%} above the prediction, "
            f"whose error is {row['mape']:.1%}"
        )
    return "\n".join(lines)


def main(arguments=None):
    parser = ArgumentParser(__doc__.split("\n\n")[0])
    parser.add_argument("--run", metavar="DIR", required=True, help="run directory with latency samples of the device")
    parser.add_argument("--device", metavar="NAME", default="cpu", help="the device (default: cpu)")
    parser.add_argument("--architectures", type=positive_int, default=200, metavar="N", help="how many (default: 200)")
    parser.add_argument("--again", action="store_true", help="measure anew what an earlier call measured")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    run_command(parser, lambda options: _run(parser, options), arguments)


def _run(parser, options):
    if options.json and not Path(options.json).resolve().parent.is_dir():
        parser.error(f"{options.json}: no such folder; name a file in one that is there")
    found = judge_run(RunDirectory.open(options.run), options.device, options.architectures, options.again)
    print(table(found))
    if options.json:
        files.write_json(options.json, found)
        print(f"figures: {options.json}")


if __name__ == "__main__":
    main()
