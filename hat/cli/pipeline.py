"""What hat-run does: every stage in order, each of which does nothing where its result is up to date."""

import contextlib
import time

from hat.progress import format_seconds

FULL = "full"  # name of the full-size Transformer among the trained models of a run
PRECISIONS = ("fp32", "int8")


class StageLog:
    """Runs stages one after the other and prints one line for each; what they print themselves goes to `path`."""

    def __init__(self, path):
        self._path = path

    def stage(self, title, results, function):
        """Call `function()` and return what it returns; `results` are the files it leaves, for telling if it worked."""
        before, start = [_identity(path) for path in results], time.monotonic()
        with open(self._path, "a", encoding="utf-8") as log, contextlib.redirect_stdout(log):
            value = function()
        unchanged = None not in before and before == [_identity(path) for path in results]
        outcome = "up to date" if unchanged else f"done in {format_seconds(time.monotonic() - start)}"
        print(f"{title:<42} {outcome}", flush=True)
        return value


def _identity(path):
    """What changes when a file is written again; None if there is no file."""
    if not path.exists():
        return None
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size


def run_pipeline(run, device_name, budgets, source_directory=None, precision="fp32"):
    """All stages for the LatencyBudgets on one device; returns (path of the report, its ReportData).

    Raises what the stages raise; what is finished by then stays, and the next call goes on from there.
    """
    from hat.training.options import TrainingOptions
    from latency_predictor.devices import load_device

    load_device(device_name).require_local()  # before hours of training
    options = TrainingOptions(precision=precision)
    log = StageLog(run.path / "run.log")
    _prepare(run, log, source_directory)
    _measure(run, log, device_name)
    _train(run, log, options)
    names = _search(run, log, device_name, budgets)
    for name in [FULL, *names]:
        _deploy(run, log, name, options, device_name)
    return _report(run, log, device_name, budgets, names)


def _prepare(run, log, source_directory):
    from hat.data.prepare import prepare

    log.stage("prepare the data", [run.data / "done.json"], lambda: prepare(run, source_directory))


def _measure(run, log, device_name):
    from latency_predictor.collect import collect
    from latency_predictor.fit import load_or_fit

    samples = run.latency / f"{device_name}.jsonl"
    quality = run.latency / f"{device_name}.predictor" / "quality.json"
    log.stage(f"measure latencies on {device_name}", [samples], lambda: collect(run, device_name))
    log.stage("fit the latency predictor", [quality], lambda: load_or_fit(run, device_name))


def _train(run, log, options):
    from hat.training.super import train_super

    log.stage("train the SuperTransformer", [run.super_ / "done.json"], lambda: train_super(run, options))


def _search(run, log, device_name, budgets):
    from search.run import name_budgets, search

    results = [run.search(name) / "done.json" for name in name_budgets(device_name, budgets)]
    wanted = " and ".join(budget.text for budget in budgets)
    return log.stage(f"search for {wanted}", results, lambda: search(run, device_name, budgets))


def _deploy(run, log, name, options, device_name):
    """Train one Transformer on its own, export it, and judge its bundles."""
    from hat.architecture import load_architecture
    from hat.evaluation import evaluate
    from hat.export import export
    from hat.training.sub import train_sub

    if name == FULL:
        architecture = run.config.search_space.full_transformer()
    else:
        architecture = load_architecture(run.search(name) / "architecture.yaml")
    trained, exported = [run.sub(name) / "done.json"], [run.export(name) / "done.json"]
    log.stage(f"train {name}", trained, lambda: train_sub(run, name, architecture, options))
    log.stage(f"export {name}", exported, lambda: export(run, name, PRECISIONS))
    for precision in PRECISIONS:
        bundle, result = run.export(name) / precision, run.export(name) / f"evaluation.{precision}.json"
        log.stage(f"evaluate {name} ({precision})", [result], lambda b=bundle: evaluate(run, b, device=device_name))


def _report(run, log, device_name, budgets, names):
    from hat.deploy.translator import Translator
    from search.report import write_report

    commands = [
        " ".join(["hat-run", str(run.path / "config.yaml"), f"--device {device_name}", "--run NEWDIR"])
        + "".join(f" --latency {budget.text}" for budget in budgets),
        *(f"hat-translate {run.export(name) / 'fp32'} < input.txt > output.txt" for name in names),
    ]

    def translate(name, sentences):
        return Translator(run.export(name) / "fp32").translate(sentences)

    return log.stage(
        "write the report",
        [run.path / "report.html"],
        lambda: write_report(run, device_name, names, commands, translate),
    )
