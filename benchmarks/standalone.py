"""Architectures trained alone, all alike and each once, in a folder that is kept: what benchmarks judge by.

The folder is a run directory that shares the data of the run that benchmarks work on, and the models to start with or
to learn from, by links. Beside what a run directory holds:

    architectures.jsonl    which architectures: their ids, groups and predicted latencies
    standalone.json        what all trainings have in common (recipe, data...); others are refused
    logs/ID.txt            what a training printed
    sub/ID/                the trained model, result.json and answers.json (what it makes of the validation split)
"""

import contextlib
import fcntl
import itertools
import json
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import traceback
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from hat import files
from hat.architecture.stacks import Architecture
from hat.cli.common import add_run_option, positive_int
from hat.config import from_mapping, to_mapping
from hat.deploy.batching import usable_cores
from hat.errors import ArtifactError, HatError, UsageError
from hat.experiment.config import with_tokens_per_update
from hat.experiment.run_directory import RunDirectory
from hat.progress import Progress

SPLIT = "valid"
REMEDY = "remove it and run again"


def add_options(parser, folder):
    """Add the options that benchmarks of such trainings share; `folder` is the default of --standalone, in words."""
    add_run_option(parser)
    parser.add_argument("--standalone", metavar="DIR", help=f"folder of the trainings (default: {folder})")
    parser.add_argument("--bf16", dest="precision", action="store_const", const="bf16", help="train in bfloat16")
    parser.add_argument("--workers", type=positive_int, default=usable_cores(), help="trainings at a time")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")


def keep_architectures(folder, space, choose):
    """[{id, group, predicted_ms, architecture}] as the folder has them, else those of `choose()`, written there.

    Raises ArtifactError for architectures that aren't of `space`.
    """
    path = Path(folder) / "architectures.jsonl"
    if not path.exists():
        lines = (json.dumps({**row, "architecture": row["architecture"].to_dict()}) + "\n" for row in choose())
        files.write_text(path, "".join(lines))
    rows = files.read_json_lines(path)
    for row in rows:
        row["architecture"] = Architecture.from_dict(row["architecture"], f"{path}: {row['id']}")
        if row["architecture"] not in space:
            raise ArtifactError(f"{path}: {row['id']} is not in the run's search space; name another folder")
    return rows


def named_rows(group, named, predict):
    """Rows for `keep_architectures` of a {architecture: id}; `predict` maps architectures to milliseconds."""
    return [
        {"id": name, "group": group, "predicted_ms": round(float(ms), 4), "architecture": architecture}
        for (architecture, name), ms in zip(named.items(), predict(list(named)), strict=True)
    ]


def within(architectures, predict, low_ms, high_ms, count, allowed=None):
    """The first `count` of architectures with a predicted latency in this range; UsageError if they are fewer.

    `allowed` says of one that has it whether it meets the search's other limits.
    """
    timed = zip(architectures, predict(architectures) if architectures else [], strict=True)
    alike = (one for one, ms in timed if low_ms <= ms <= high_ms and (allowed is None or allowed(one)))
    found = list(itertools.islice(alike, count))
    if len(found) < count:
        limited = "" if allowed is None else " that meet the search's other limits"
        raise UsageError(
            f"search_space: of {len(architectures)} random architectures, {len(found)} take {low_ms:.3g} to "
            f"{high_ms:.3g} ms, where {count} are needed{limited}"
        )
    return found


def read_recipe(folder):
    """The recipe that the trainings of a folder have; None if there are none yet."""
    path = Path(folder) / "standalone.json"
    return files.read_json(path, REMEDY)["recipe"] if path.exists() else None


class StandaloneTrainings:
    """The trainings of one folder.

    `recipe` holds `seed`, `precision` (fp32, bf16) and keys of the config's section sub_training; `origins` are the
    folders in `run` (a RunDirectory) of the models that the trainings start with or learn from, beside a pretrained
    one. Raises ArtifactError if one isn't trained, UsageError if the folder's trainings have another recipe, data,
    model or origins.
    """

    def __init__(self, folder, run, recipe, origins=()):
        self.folder, self._run, self._recipe, self._origins = Path(folder), run, recipe, origins
        path = self.folder / "standalone.json"
        self._training = self._read_training(path)
        common = {"recipe": recipe, "model": self._model(), "data": self._data(), "origins": self._weights()}
        if path.exists():
            _check_same(files.read_json(path, REMEDY), common, path)
        else:
            files.write_json(path, common)

    def _read_training(self, path):
        keys = {name: value for name, value in self._recipe.items() if name not in ("seed", "precision")}
        keys.setdefault("validate_every", keys["max_update"])
        return from_mapping(type(self._run.config.sub_training), with_tokens_per_update(keys), f"{path}: recipe")

    def _model(self):
        return to_mapping(self._run.spec())

    def _data(self):
        paths = sorted(path for split in ("train", SPLIT) for path in self._run.data.glob(f"{split}.*"))
        return {path.name: files.sha256_of_file(path) for path in paths}

    def _weights(self):
        """Digests of the weights that the trainings start with or learn from."""
        from hat.training.sub import pretrained_inputs

        found = pretrained_inputs(self._run) if self._training.init == "scratch" else {}
        for origin in self._origins:
            directory = self._run.path / origin
            if not (directory / "done.json").exists():
                raise ArtifactError(
                    f"{directory} holds no trained model, which others are to learn from; train it first"
                )
            found[origin] = files.sha256_of_file(directory / "model.safetensors")
        return found

    def train(self, architectures, workers):
        """Train those of {id: Architecture} that aren't yet, `workers` at a time; returns {id: result}.

        A result is a dictionary: architecture, loss (nats an item of the validation split), scores (what the task's
        judge says), updates, seconds. Killed and called again, it goes on. Raises UsageError if another process trains
        here, HatError if a training fails, ArtifactError for results of an earlier version.
        """
        waiting = {name: one for name, one in architectures.items() if not self._result(name).exists()}
        if waiting:
            with self._alone():
                self._prepare_folder()
                self._train(waiting, workers, len(architectures))
        return {name: self._read(name, architecture) for name, architecture in architectures.items()}

    def _train(self, waiting, workers, total):
        tasks = {name: (self.folder, name, one.to_dict(), self._recipe["precision"]) for name, one in waiting.items()}
        logs = {name: self.folder / "logs" / f"{name}.txt" for name in tasks}
        title, key = self._run.task.judge(self._run).columns[0]
        print(f"{self.folder}: {len(waiting)} of {total} architectures are to be trained, {workers} at a time")
        with Progress("standalone", total, "architectures", initial=total - len(waiting)) as progress:
            for name in in_processes(train_one, tasks, logs, workers):
                found = self._read(name, waiting[name])
                note = f"{name}: loss {found['loss']:.4f}, {title} {found['scores'][key]:.2f}"
                progress.advance(1, note)
                print(f"{note}, {found['seconds']:.0f} s", flush=True)

    def answers(self, name):
        """What a finished training made of the validation split, in its order: what the task's judge compares."""
        return files.read_json(self.folder / "sub" / name / "answers.json", REMEDY)

    def _result(self, name):
        return self.folder / "sub" / name / "result.json"

    def _read(self, name, architecture):
        path = self._result(name)
        result = files.read_json(path, REMEDY)
        if result["architecture"] != architecture.to_dict():
            raise ArtifactError(f"{path} is of another architecture than {name} is now; name another folder")
        if not {"loss", "scores"} <= result.keys():
            raise ArtifactError(f"{path} is of an earlier version of this benchmark; name another folder")
        return result

    @contextlib.contextmanager
    def _alone(self):
        """Holds a lock that ends with this process, however it ends."""
        with open(self.folder / "lock", "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"another process trains in {self.folder}; wait for it or end it") from None
            yield

    def _prepare_folder(self):
        """Make the folder a run directory with this recipe, and link to what it shares with the run."""
        config = replace(self._run.config, seed=self._recipe["seed"], sub_training=self._training)
        files.write_yaml(self.folder / "config.yaml", config.to_dict())
        if self._training.distillation:
            (self._run.path / "distilled").mkdir(exist_ok=True)  # what teachers write there serves all folders
        for name in ("data", "distilled", *self._origins):
            link, target = self.folder / name, self._run.path.resolve() / name
            if link.is_symlink():
                link.unlink()
            if target.exists() and not link.exists():
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(target)


def trainings_of_seed(folder, run, recipe, seed, origins=()):
    """StandaloneTrainings beside those of `recipe` in `folder`, which differ in the seed: in a folder in it."""
    return StandaloneTrainings(Path(folder) / f"seed{seed}", run, recipe | {"seed": seed}, origins)


def _check_same(recorded, wanted, path):
    for section, values in recorded.items():
        # Keys of the model that HAT has learnt since don't count: without them all is as it was.
        later = wanted["recipe"].keys() if section == "recipe" else ()
        for key in [*values, *(key for key in later if key not in values)]:
            before, now = values.get(key), wanted[section].get(key)
            if before != now:
                raise UsageError(
                    f"{path.parent} holds trainings of another {section} ({key}: {before} instead of {now}); "
                    "name another folder with --standalone"
                )


def train_one(folder, name, architecture, precision):
    """Train and judge one architecture of a folder; its result is written last of all."""
    from hat.training.options import TrainingOptions
    from hat.training.sub import train_sub

    run, architecture = RunDirectory(folder), Architecture.from_dict(architecture)
    options = TrainingOptions(precision=precision, threads=1)
    train_sub(run, name, architecture, options)
    for leftover in ("checkpoints", "tensorboard"):
        shutil.rmtree(run.sub(name) / leftover, ignore_errors=True)
    last = files.read_json_lines(run.sub(name) / "metrics.jsonl")[-1]
    figures, answers = _judge(run, name, options.resolved_device())
    files.write_json(run.sub(name) / "answers.json", answers)
    result = {"architecture": architecture.to_dict(), **figures, "updates": last["update"], "seconds": last["seconds"]}
    files.write_json(run.sub(name) / "result.json", result)


def _judge(run, name, device):
    """({loss, scores}, answers) of a trained model on the validation split."""
    from hat.models.checkpoint import load_model

    model, judge = load_model(run.sub(name)), run.task.judge(run)
    text = judge.split_text(SPLIT)
    loss = run.task.validation_loss(run, model, device)
    if not math.isfinite(loss):
        raise ArtifactError("a validation loss is not a number: the training diverged; lower its rate")
    answers = judge.model_answers(model, text.sources)
    return {"loss": loss, "scores": judge.score(answers, text.references)}, answers


def in_processes(function, tasks, logs, workers):
    """Call function(*arguments) for every {name: arguments}, each in a process of its own; yields names as they end.

    A process prints into its log. It ends when this one does, however that is. Raises HatError if one fails.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a process imports torch
    context, waiting, running = multiprocessing.get_context("spawn"), list(tasks), {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                name = waiting.pop(0)
                process = context.Process(target=_in_process, args=(function, tasks[name], logs[name]), daemon=True)
                process.start()
                running[process.sentinel] = name, process
            for sentinel in wait(list(running)):
                name, process = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise HatError(f"{name} failed: the end of {logs[name]} says why; run again to go on")
                yield name
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _in_process(function, arguments, log):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "a") as handle:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(handle.fileno(), stream.fileno())
    try:
        function(*arguments)
    except HatError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)
