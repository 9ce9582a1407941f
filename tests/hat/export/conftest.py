"""A run whose sub-training can be exported."""

import shutil

import pytest
import yaml
from deployed import SENTENCES
from exports import save_random_model
from tiny import TINY_SPACE

from hat.data.translation.prepare import prepare
from hat.experiment.run_directory import RunDirectory


@pytest.fixture(scope="module")
def prepared_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    for lang in ("en", "xx"):
        lines = SENTENCES if lang == "en" else [sentence.lower() for sentence in SENTENCES]
        (folder / f"text.{lang}").write_text("\n".join(lines) + "\n")
    text = [str(folder / "text.en"), str(folder / "text.xx")]
    training = {"max_update": 1, "warmup_updates": 1, "lr": 0.1}
    data = {"corpus": "files", "source_lang": "en", "target_lang": "xx", "vocabulary_size": 50, "max_length": 60}
    config = {
        "data": {**data, **{split: text for split in ("train", "valid", "test")}},
        "model": {},
        "search_space": TINY_SPACE.to_dict(),
        "super_training": training,
        "sub_training": training,
        "evaluation": {"beam": 3},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = RunDirectory.create(folder / "config.yaml", folder / "run")
        prepare(run)
        save_random_model(run, seed=4)
        yield run


@pytest.fixture
def run(prepared_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prepared_run.path, tmp_path / "run")
    return RunDirectory.open(tmp_path / "run")
