"""Running text prepared: vocabularies by frequency, numbers of words, what is left out, and what is refused."""

import gzip
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from shared_data import shared_data
from tiny_language_run import make_run

from hat import files
from hat.config import from_mapping
from hat.data.language_modeling.corpora import CORPORA
from hat.data.language_modeling.ranking import ranked_words
from hat.data.language_modeling.sources import open_running_text
from hat.data.language_modeling.tales import generate
from hat.errors import ArtifactError, DataError, UsageError
from hat.experiment.language_modeling import LanguageDataConfig


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_words_are_ranked_by_frequency_with_the_unknown_among_them():
    counts = Counter({"a": 9, "b": 7, "<eos>": 8, "c": 3, "d": 3, "e": 1})
    assert ranked_words(counts, None) == ["a", "<eos>", "b", "c", "d", "e", "<unk>"]
    assert ranked_words(counts, 5) == ["a", "<eos>", "b", "<unk>", "c"]  # <unk> stands for d and e: 4 times
    assert ranked_words(counts + Counter({"<unk>": 20}), 5)[0] == "<unk>"


def test_prepared_text_is_the_words_of_its_lines(tmp_path):
    run = make_run(tmp_path)
    (tmp_path / "valid.txt").write_text("anna  bought\ttea\n\n   \nzeno bought tea tea\n", encoding="utf-8")
    run.prepare()
    prepared, words = run.prepared(), run.prepared().words()
    assert prepared.lines("valid") == ["anna bought tea", "zeno bought tea tea"]
    assert prepared.counts["valid"] == {"split": "valid", "lines": 2, "empty": 2, "words": 7, "unknown": 1}
    named = [words.words[number] for number in prepared.stream("valid")]
    assert named == ["anna", "bought", "tea", "<eos>", "<unk>", "bought", "tea", "tea", "<eos>"]
    counts = np.bincount(prepared.stream("train"), minlength=len(words))
    assert list(counts) == sorted(counts, reverse=True)
    assert words.words[-1] == "<unk>"
    assert counts.sum() == prepared.counts["train"]["words"] + prepared.counts["train"]["lines"]


def test_preparing_again_does_nothing_and_changed_text_is_noticed(tmp_path, capsys):
    run = make_run(tmp_path)
    run.prepare()
    run.prepare()
    assert "data is up to date" in capsys.readouterr().out
    (tmp_path / "valid.txt").write_text("ben bought milk\n", encoding="utf-8")
    run.prepare()
    assert run.prepared().lines("valid") == ["ben bought milk"]


def test_a_named_corpus_is_read_from_a_folder_plain_or_packed(tmp_path):
    config = {"corpus": "ptb", "train": [], "valid": [], "test": []}
    run = make_run(tmp_path, data=config)
    with pytest.raises(UsageError, match="corpus ptb is not downloaded: put ptb.train.txt"):
        run.prepare()
    folder = tmp_path / "from"
    folder.mkdir()
    (folder / "ptb.train.txt").write_text("anna bought tea\n" * 9 + "ben bought milk bread pears apples clara\n")
    (folder / "ptb.valid.txt.gz").write_bytes(gzip.compress(b"ben bought milk\n"))
    with pytest.raises(DataError, match="not all of ptb is there"):
        run.prepare(folder)
    (folder / "ptb.test.txt").write_text("ben\n")
    with pytest.raises(UsageError, match="model.cutoffs: 12 is not below the 11 words"):
        run.prepare(folder)
    assert not (tmp_path / "run/data").exists()


def test_wikitext_is_fetched_or_read_from_its_archive_or_its_files(tmp_path, monkeypatch):
    texts = {"train": " \n = Title = \n" + " anna bought tea \n" * 9, "valid": " anna \n", "test": " tea \n"}
    archive = tmp_path / "from" / "wikitext-2-v1.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as packed:
        for split, text in texts.items():
            packed.writestr(f"wikitext-2/wiki.{split}.tokens", text)
    named = {"corpus": "wikitext-2", "train": [], "valid": [], "test": []}
    config = from_mapping(LanguageDataConfig, named, "test")
    corpus = replace(CORPORA["wikitext-2"], url=archive.as_uri(), sha256=files.sha256_of_file(archive))
    monkeypatch.setitem(CORPORA, "wikitext-2", corpus)

    def read(directory):
        text = open_running_text(config, 1, directory, tmp_path / "fetched")
        return {split: "".join(f"{line}\n" for line in lines) for split, lines in text.splits.items()}

    assert read(None) == read(archive.parent) == texts
    assert files.sha256_of_file(tmp_path / "fetched" / archive.name) == corpus.sha256
    for split, text in texts.items():
        (tmp_path / f"wiki.{split}.tokens").write_text(text)
    assert read(tmp_path) == texts
    with pytest.raises(DataError, match="not all of wikitext-2 is there; put wikitext-2-v1.zip, or wikitext-2/wiki"):
        read(tmp_path / "run")


def test_penn_treebank_has_its_known_size(tmp_path):
    folder = shared_data("ptb")
    run = make_run(tmp_path, data={"corpus": "ptb", "train": [], "valid": [], "test": []})
    run.prepare(folder)
    prepared = run.prepared()
    assert prepared.vocabulary == 10_000
    assert [len(prepared.stream(split)) for split in ("train", "valid", "test")] == [929_589, 73_760, 82_430]
    assert prepared.counts["test"]["unknown"] == 0  # <unk> stands in the text


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b"", DataError, "is empty"),
        (b"\n  \n", DataError, r"the train split has no line with a word in it \(2 read\)"),
        (b"caf\xe9\n", DataError, "not UTF-8"),
    ],
)
def test_text_that_is_none_is_refused(tmp_path, text, error, message):
    run = make_run(tmp_path)
    (tmp_path / "train.txt").write_bytes(text)
    with pytest.raises(error, match=message):
        run.prepare()
    assert not run.data.exists()


def test_tales_follow_from_the_seed():
    splits = generate(3, 100)
    assert splits == generate(3, 100)
    assert splits["train"] != generate(4, 100)["train"]
    assert {name: len(lines) for name, lines in splits.items()} == {"train": 100, "valid": 500, "test": 500}


def test_a_vocabulary_that_is_gone_or_another_is_told(tmp_path):
    run = make_run(tmp_path)
    run.prepare()
    path = run.data / "vocabulary.txt"
    path.write_text(path.read_text() + "more\n")
    with pytest.raises(ArtifactError, match="words instead of"):
        run.prepared().words()
    path.write_text("neither of the two\n")
    with pytest.raises(ArtifactError, match="is no vocabulary"):
        run.prepared().words()
    path.unlink()
    with pytest.raises(ArtifactError, match="is missing; prepare or export it again"):
        run.prepared().words()
