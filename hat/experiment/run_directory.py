"""RunDirectory: where everything that comes of one experiment lies, and which stages are up to date."""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat import files
from hat.architecture.stacks import Architecture
from hat.errors import ArtifactError, UsageError
from hat.experiment.config import load_experiment
from hat.experiment.sections import BOOKKEEPING, Experiment
from hat.tasks import task_of

if TYPE_CHECKING:
    from hat.tasks.task import Task


RUNS = Path("runs")
LATEST = RUNS / "latest"
TOKEN_PREFIX = ".disk-"  # of files that processes on several machines leave for a moment to see whether they share one
CALLS = ".calls"  # after a device's name, names the file of its real calls, which lies beside its latency samples
CACHE = "cache.json"  # lies beside a network that hat-cache gave a cache, and says what it found
FULL = "full"  # name of the full-size Transformer among the sub-trainings of a run

# What trained weights depend on: a run directory keeps these for life. The other sections may change,
# and the stages that read them are then done again.
LASTING_SECTIONS = ("seed", "data", "model", "search_space", "super_training")


class RunDirectory:
    """One run directory. Stage results lie in the folders named by the properties below."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = load_experiment(self.path / "config.yaml")

    @classmethod
    def create(cls, config_path: Path | str, path: Path | str | None = None) -> "RunDirectory":
        """Make (or go on with) the run directory of a config: `path`, or `runs/<config name>`.

        Raises UsageError if the directory belongs to another config; nothing in it is touched then.
        """
        path, config = cls.of_config(config_path, path)
        saved = path / "config.yaml"
        if saved.exists():
            _check_same_experiment(load_experiment(saved), config, path, config_path)
        elif path.exists() and not _is_empty(path):
            raise UsageError(f"{path} is not empty and holds no config.yaml; name another directory with --run")
        path.mkdir(parents=True, exist_ok=True)
        files.write_yaml(saved, config.to_dict())
        return cls._opened(path)

    @staticmethod
    def of_config(config_path: Path | str, path: Path | str | None = None) -> tuple[Path, Any]:
        """(path, TranslationExperiment) of the run directory that `create` makes."""
        config = load_experiment(config_path)
        return Path(path) if path else RUNS / config.name, config

    @classmethod
    def open(cls, path: Path | str | None = None) -> "RunDirectory":
        """Open an existing run directory: `path`, or the one that the last command used."""
        if path is None and not LATEST.exists():
            raise ArtifactError("no run yet; start with `hat-run configs/quickstart.yaml` or name one with --run DIR")
        path = Path(path or LATEST.resolve())
        if not (path / "config.yaml").exists():
            raise ArtifactError(f"{path} is not a run directory (it has no config.yaml); name one with --run DIR")
        return cls._opened(path)

    @classmethod
    def _opened(cls, path: Path) -> "RunDirectory":
        run = cls(path)
        run._remember_as_latest()
        return run

    def _remember_as_latest(self) -> None:
        RUNS.mkdir(exist_ok=True)
        temporary = files.temporary_beside(LATEST)
        temporary.symlink_to(self.path.resolve())
        os.replace(temporary, LATEST)

    @property
    def task(self) -> "Task":
        """The Task that this experiment is about."""
        return task_of(self.config)

    def prepared(self) -> Any:
        """What the task's preparation left; raises ArtifactError if it isn't there."""
        return self.task.prepared(self.data)

    def spec(self) -> Any:
        """All that, beside its architecture, fixes a model of this run; raises ArtifactError without prepared data."""
        return self.task.spec(self.config, self.prepared())

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def super_(self) -> Path:
        return self.path / "super"

    @property
    def latency(self) -> Path:
        return self.path / "latency"

    def device_file(self, name: str) -> Path:
        """Where the device of that name is described as it was measured, if only a file of the user's describes it."""
        return self.latency / "devices" / f"{name}.yaml"

    def measured_device(self, name: str) -> str:
        """What --device takes for the device whose samples lie here under that name: its file here, or the name."""
        described = self.device_file(name)
        return str(described) if described.exists() else name

    def last_measured_device(self) -> str:
        """The same for the device whose latency samples are the newest here, or cpu."""
        samples = [path for path in self.latency.glob("*.jsonl") if not path.stem.endswith(CALLS)]
        return self.measured_device(max(samples, key=lambda path: path.stat().st_mtime).stem) if samples else "cpu"

    def search(self, name: str) -> Path:
        return self.path / "search" / name

    def sub(self, name: str) -> Path:
        return self.path / "sub" / name

    def finalist(self, architecture: Architecture) -> Path:
        """Where a search trains this Architecture briefly; all searches of a run share it."""
        return self.path / "finalists" / files.fingerprint(architecture.to_dict())[:12]

    def export(self, name: str) -> Path:
        return self.path / "export" / name

    def prepare(self, source_directory: Path | str | None = None) -> None:
        """The stage `hat-prepare`; raises InUseError where another process does it."""
        with self.working_in(self.data):
            self.task.prepare(self, source_directory)

    def working_in(self, folder: Path | str) -> AbstractContextManager[None]:
        """For the time of a `with` block, the one process that works in a folder of the run, or in the run itself.

        Raises InUseError if there is one already.
        """
        parts = Path(folder).relative_to(self.path).parts
        return files.held(self.path / ".locks" / ".".join(("run", *parts)), folder)

    def sections(self, *names: str) -> dict[str, Any]:
        """The named config sections, as far as the task has them, as one dictionary, for a stage's fingerprint."""
        config = self.config.to_dict()
        return {name: config[name] for name in names if name in config}


def _is_empty(path: Path) -> bool:
    """Whether nothing is in a folder, but for what a kill left of its config.yaml, which is removed, and tokens."""
    for leftover in path.glob(".config.yaml.*.tmp"):
        leftover.unlink()
    return all(entry.name.startswith(TOKEN_PREFIX) for entry in path.iterdir())


def _check_same_experiment(old: Experiment, new: Experiment, path: Path, config_path: Path | str) -> None:
    before, after = old.to_dict(), new.to_dict()
    for config in (before, after):
        config["super_training"] = _course_of(config["super_training"])
    for section in LASTING_SECTIONS:
        if before[section] == after[section]:
            continue
        where = section
        if isinstance(before[section], dict):
            where += "." + next(key for key in before[section] if before[section][key] != after[section][key])
        raise UsageError(f"{path} belongs to another config ({where} differs from {config_path}); use --run NEWDIR")


def _course_of(training: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in training.items() if name not in BOOKKEEPING}


def is_current(stage_directory: Path | str, inputs: Any) -> bool:
    """Whether a stage finished in this folder with exactly these inputs (a JSON-like value)."""
    done = Path(stage_directory) / "done.json"
    return done.exists() and files.read_json(done, "remove it and run again").get("inputs") == files.fingerprint(inputs)


def mark_done(stage_directory: Path | str, inputs: Any, outputs: Iterable[str], data: str | None = None) -> None:
    """Record, as the stage's last act, that it finished with these inputs.

    `outputs` names the files in its folder that the stages after it read: these see by the `stamp` whether any of them
    is another one now, whatever it was made from. `data` is the stamp of the prepared data by which a model's words
    are numbered.
    """
    directory = Path(stage_directory)
    digests = {name: files.sha256_of_file(directory / name) for name in outputs}
    done = {"inputs": files.fingerprint(inputs), "output": files.fingerprint([digests, data])}
    if data:
        done["data"] = data
    files.write_json(directory / "done.json", done)


def stamp(stage_directory: Path | str) -> str | None:
    """Fingerprint of what a finished stage left, for the inputs of the stages after it; None if unfinished."""
    done = Path(stage_directory) / "done.json"
    if not done.exists():
        return None
    output = files.read_json(done, "remove it and run again").get("output")
    return output or files.sha256_of_file(done)  # an earlier version's, in whose place the whole record stood


def learnt_from(stage_directory: Path | str, data: str | None) -> bool:
    """Whether a finished training was of the prepared data with this stamp, as far as it recorded any."""
    return files.read_json(Path(stage_directory) / "done.json", "train it again").get("data", data) == data


def check_trained(run: RunDirectory, name: str) -> None:
    """Raise ArtifactError unless `name` is a finished sub-training of the run's data."""
    finished = sorted(path.parent.name for path in (run.path / "sub").glob("*/done.json"))
    if name not in finished:
        raise ArtifactError(
            f"{run.path} holds no trained network {name!r}; there are: {', '.join(finished) or 'none yet'}"
        )
    if not learnt_from(run.sub(name), stamp(run.data)):
        raise ArtifactError(f"{run.sub(name)} learnt from other prepared data; run hat-train-sub {name} again")


def check_supertransformer(run: RunDirectory, otherwise: str = "") -> None:
    """Raise ArtifactError, whose remedy ends with `otherwise`, unless the run's data have a SuperTransformer."""
    if stamp(run.super_) is None:
        raise ArtifactError(f"{run.super_} holds no finished SuperTransformer; run hat-train-super{otherwise}")
    if not learnt_from(run.super_, stamp(run.data)):
        raise ArtifactError(f"{run.super_} learnt from other prepared data; run hat-train-super{otherwise}")
