"""The experiment config: one YAML file, read into frozen dataclasses. Every key is explained in configs/."""

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hat.config import from_mapping, read_yaml_mapping, to_mapping
from hat.errors import UsageError
from hat.experiment.classification import ClassificationExperiment
from hat.experiment.language_modeling import LanguageExperiment
from hat.experiment.sections import TrainingConfig
from hat.experiment.translation import TranslationExperiment

Training = TypeVar("Training", bound=TrainingConfig)

EXPERIMENTS = {
    "translation": TranslationExperiment,
    "classification": ClassificationExperiment,
    "language_modeling": LanguageExperiment,
}

# Keys that the config.yaml of an older run directory holds though they meant nothing in their sections.
RETIRED_KEYS = {"super_training": ("average_checkpoints", "init"), "sub_training": ("validation_subnets",)}


def load_experiment(path: Path | str) -> Any:
    """Read the experiment config of any task; raises UsageError naming the wrong key, ArtifactError without a file."""
    mapping = read_yaml_mapping(path)
    if Path(path).name == "config.yaml":  # a run directory's
        mapping = _without_retired_keys(mapping)
    for section in ("super_training", "sub_training"):
        if isinstance(mapping.get(section), dict):
            mapping[section] = with_tokens_per_update(mapping[section])
    mapping.setdefault("name", Path(path).stem if not str(path).endswith("config.yaml") else "experiment")
    task = mapping.get("task", "translation")
    if task not in EXPERIMENTS:
        raise UsageError(f"{path}: task: {task!r} is not one of {', '.join(EXPERIMENTS)}")
    return from_mapping(EXPERIMENTS[task], mapping, str(path))


def _without_retired_keys(mapping: dict[str, Any]) -> dict[str, Any]:
    kept = dict(mapping)
    for section, retired in RETIRED_KEYS.items():
        if isinstance(kept.get(section), dict):
            kept[section] = {key: value for key, value in kept[section].items() if key not in retired}
    return kept


def with_tokens_per_update(section: dict[str, Any]) -> dict[str, Any]:
    """A training section that has `tokens_per_update`; older ones have `update_freq`, batches in one process, or 1."""
    tokens, batches = section.get("max_tokens", TrainingConfig.max_tokens), section.get("update_freq", 1)
    if "tokens_per_update" in section or not (isinstance(tokens, int) and isinstance(batches, int)):
        return section
    kept = {key: value for key, value in section.items() if key != "update_freq"}
    return kept | {"tokens_per_update": tokens * batches}


def outdated_tokens(path: Path | str) -> dict[str, tuple[int, int]]:
    """{section: (tokens_per_update, update_freq)} of the config at `path`, where a section gives `update_freq`."""
    mapping, found = read_yaml_mapping(path), {}
    for section in ("super_training", "sub_training"):
        keys = mapping.get(section)
        if isinstance(keys, dict) and "update_freq" in keys:
            read = with_tokens_per_update(keys)
            if "update_freq" not in read:
                found[section] = read["tokens_per_update"], keys["update_freq"]
    return found


def fingerprinted(training: TrainingConfig) -> dict[str, Any]:
    """A TrainingConfig as a mapping, with `update_freq` where it says the same: so older results stay up to date."""
    mapping = to_mapping(training)
    tokens = mapping.pop("tokens_per_update")
    batches, rest = divmod(tokens, training.max_tokens)
    return mapping | ({"tokens_per_update": tokens} if rest else {"update_freq": batches})


def with_max_update(training: Training, max_update: int) -> Training:
    """A copy of a TrainingConfig that ends after `max_update` updates, its warm-up kept within them."""
    return replace(training, max_update=max_update, warmup_updates=min(training.warmup_updates, max_update // 2))
