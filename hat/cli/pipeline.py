"""What hat-run does: every stage in order, each of which does nothing where its result is up to date."""

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.experiment.run_directory import FULL, RunDirectory
from hat.progress import format_seconds

if TYPE_CHECKING:
    from hat.training.options import TrainingOptions
    from latency_predictor.budget import LatencyBudget
    from search.limits import Limits
    from search.report.report_data import ReportData


class StageLog:
    """Runs stages one after the other and prints one line for each.

    What they print themselves goes to `path`; their warnings are also shown.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def stage(self, title: str, results: Sequence[Path], function: Callable[[], Any]) -> Any:
        """Call `function()` and return what it returns; `results` are the files it leaves, for telling if it worked."""
        before, start = [_identity(path) for path in results], time.monotonic()
        with self._redirected():
            value = function()
        unchanged = before and None not in before and before == [_identity(path) for path in results]
        outcome = "up to date" if unchanged else f"done in {format_seconds(time.monotonic() - start)}"
        print(f"{title:<42} {outcome}", flush=True)
        return value

    @contextlib.contextmanager
    def _redirected(self) -> Iterator[None]:
        with open(self._path, "a+", encoding="utf-8", buffering=1) as log:
            start = log.seek(0, os.SEEK_END)
            try:
                with contextlib.redirect_stdout(log):
                    yield
            finally:
                log.seek(start)
                print("".join(line for line in log if line.startswith("warning:")), end="", file=sys.stderr)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written again; None if there is no file."""
    if not path.exists():
        return None
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size


class Pipeline:
    """All stages for some LatencyBudgets and Limits on one device, in order. Stages raise their own errors.

    What is finished when one is raised stays, and the next call of `run` goes on from there. Measuring comes
    before training, so that an impossible budget doesn't cost hours. All trainings have the TrainingOptions `options`.
    """

    def __init__(
        self,
        run: RunDirectory,
        device_name: str,
        budgets: "Sequence[LatencyBudget]",
        limits: "Limits",
        source_directory: str | None,
        options: "TrainingOptions",
    ) -> None:
        from latency_predictor.link.check import check_accelerator
        from latency_predictor.link.devices import load_device
        from latency_predictor.sampling.lengths import check_quantiles

        device = load_device(device_name)
        check_accelerator(device)
        check_quantiles(run, budgets)
        self._run, self._device_name, self._budgets = run, device_name, budgets
        self._limits, self._precision = limits, device.precision
        self._samples = run.latency / f"{device.name}.jsonl"
        self._predictor = run.latency / f"{device.name}.predictor"
        self._source_directory = source_directory
        self._options = options
        self._log = StageLog(run.path / "run.log")

    def run(self) -> "tuple[Path, ReportData]":
        """Do every stage; returns (path of the report, its ReportData)."""
        self._prepare()
        self._measure()
        self._train_super()
        names = self._search()
        self._train_subs([FULL, *names])
        for name in [FULL, *names]:
            self._export(name)
        self._evaluate([FULL, *names])
        return self._report(names)

    def _prepare(self) -> None:
        run, results = self._run, [self._run.data / "done.json"]
        self._log.stage("prepare the data", results, lambda: run.prepare(self._source_directory))

    def _measure(self) -> None:
        from latency_predictor.fitting.fit import load_or_fit
        from latency_predictor.sampling.collect import collect

        run, name = self._run, self._device_name
        self._log.stage(f"measure latencies on {name}", [self._samples], lambda: collect(run, name))
        self._log.stage("fit the predictor", [self._predictor / "done.json"], lambda: load_or_fit(run, name))

    def _train_super(self) -> None:
        from hat.training.super import train_super
        from search.run import check_budgets

        run, results = self._run, [self._run.super_ / "done.json"]
        wanted = run, self._device_name, self._budgets, self._limits
        if not results[0].exists():
            self._log.stage("check the budgets", [], lambda: check_budgets(*wanted))
        if run.config.super_training.distillation is not None:
            self._train_subs([FULL])
        self._log.stage("train the SuperTransformer", results, lambda: train_super(run, self._options))

    def _search(self) -> list[str]:
        from search.run import name_budgets, search

        run, budgets = self._run, self._budgets
        names = name_budgets(self._samples.stem, budgets, limits=self._limits)
        results = [run.search(name) / "done.json" for name in names]
        wanted = ", ".join([" and ".join(budget.text for budget in budgets), *self._limits.texts()])
        function = functools.partial(
            search, run, self._device_name, budgets, limits=self._limits, options=self._options
        )
        return self._log.stage(f"search for {wanted}", results, function)

    def _train_subs(self, names: Sequence[str]) -> None:
        from hat.training.parallel import Job, train_all
        from hat.training.sub import choose_architecture

        run, results = self._run, [self._run.sub(name) / "done.json" for name in names]
        jobs = [Job(*choose_architecture(run, name, FULL if name == FULL else None)) for name in names]
        title = f"train {', '.join(names)}"
        self._log.stage(title, results, lambda: train_all(run, jobs, self._options, title))

    def _export(self, name: str) -> None:
        from hat.export.bundles import export

        run = self._run
        # Nothing is refused here: the report shows what int8 costs, and is what the user asked for.
        self._log.stage(
            f"export {name}",
            [run.export(name) / "done.json"],
            lambda: export(run, name, run.task.precisions, allowed_drop=float("inf")),
        )

    def _evaluate(self, names: Sequence[str]) -> None:
        """Judge all bundles, whose calls take turns."""
        from hat.evaluation.evaluate import evaluate_together
        from latency_predictor.sampling.bundle_meter import BundleMeter

        run = self._run
        bundles = [run.export(name) / precision for name in names for precision in run.task.precisions]
        results = [bundle.parent / f"evaluation.{bundle.name}.json" for bundle in bundles]
        meter = BundleMeter(run, self._device_name)
        self._log.stage("evaluate the bundles", results, lambda: evaluate_together(run, bundles, meter))

    def _report(self, names: Sequence[str]) -> "tuple[Path, ReportData]":
        from search.report.run_report import write_report

        run, results = self._run, [self._run.path / "report.html"]

        def answer(name: str, sentences: Sequence[Any]) -> Sequence[str]:
            return run.task.judge(run).example_answers(run.export(name) / self._precision, sentences)

        arguments = (run, self._samples.stem, names, self._commands(names), answer)
        return self._log.stage("write the report", results, lambda: write_report(*arguments))

    def _commands(self, names: Sequence[str]) -> list[str]:
        """The shell lines that the report shows."""
        budgets = "".join(f" --latency {budget.text}" for budget in self._budgets)
        limits = "".join(f" {option}" for option in self._limits.options())
        bundles = [self._run.export(name) / self._precision for name in names]
        return [
            f"hat-run {self._run.path / 'config.yaml'} --device {self._device_name}{budgets}{limits} --run NEWDIR",
            *(f"{self._run.task.command} {bundle} < input.txt > output.txt" for bundle in bundles),
        ]
