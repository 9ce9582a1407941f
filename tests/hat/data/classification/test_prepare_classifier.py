"""hat-prepare of labelled text through its own command: what it leaves, when it does nothing, what it refuses."""

import itertools
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from deaths import run_and_die
from labelled_text import FILES, reviews, write_config, write_table
from preparing import error_of, status
from pretrained_folders import TEXTS, bert_vocabulary, write_bert_folder, write_network_settings
from shared_data import shared_data

from hat.data.classification.prepared import ClassificationData
from hat.data.classification.sources import open_labelled_text
from hat.errors import ArtifactError
from hat.experiment.classification import ClassificationDataConfig
from hat.experiment.run_directory import stamp

__all__ = ["reviews"]
DATA = Path("runs/small/data")
NO_FILES = {split: [] for split in FILES}


def content(data):
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def test_what_it_leaves(reviews):
    assert status(write_config()) == 0
    data = ClassificationData(DATA)
    assert data.labels == ("negative", "neutral", "positive")
    assert data.sentences == {"train": 300, "valid": 20, "test": 20}
    model = sentencepiece.SentencePieceProcessor(model_file=str(data.text_encoder_file))
    assert (data.vocabulary, data.first, data.separator, data.padding) == (120, 0, 2, 1)
    assert (data.segments, data.pair_separators, data.max_tokens) == (0, 1, 24)
    cut = 0
    for split, rows in reviews.items():
        texts, pairs, labels = data.raw(split)
        assert (list(zip(texts, labels, strict=True)), pairs) == (rows, None)
        assert [data.labels[number] for number in data.label_ids(split)] == labels
        assert data.label_ids(split).dtype == np.int64
        ids = data.token_ids(split)
        assert len(ids) == len(rows)
        for number, text in enumerate(texts):
            pieces = model.encode(text)
            assert ids[number].tolist() == [0, *pieces[:22], 2]
            assert ids.sizes[number] == len(ids[number])
            cut += split == "train" and len(pieces) > 22
    assert 0 < data.counts["train"]["cut"] == cut
    assert data.token_ids("train").sizes.max() == 24  # those of a dataset that is there no more


def test_pairs(reviews):
    rows = [(f"{text} ", label, other) for (text, label), (other, _) in itertools.pairwise(reviews["train"])]
    for name in ("train.tsv", "valid.csv", "test.jsonl"):
        write_table(name, ["review", "stars", "second"], rows)
    assert status(write_config(text="review", label="stars", text_pair="second", max_length=20)) == 0
    data = ClassificationData(DATA)
    assert data.segments == 2
    texts, pairs, labels = data.raw("valid")
    assert list(zip(texts, labels, pairs, strict=True)) == rows
    ids = data.token_ids("valid")[3].tolist()
    assert len(ids) == 20
    assert (ids[0], ids.count(2), ids[-1]) == (0, 2, 2)


def test_a_pretrained_tokenizer(reviews, tmp_path):
    transformers = pytest.importorskip("transformers")
    for name in ("train.tsv", "valid.csv", "test.jsonl"):
        write_table(name, ["text", "label"], [(text, str(len(text) % 2)) for text in TEXTS])
    write_bert_folder(tmp_path / "bert", bert_vocabulary())
    config = write_config(model={"pretrained": "bert"})
    assert status(config) == 0
    data, reference = ClassificationData(DATA), transformers.BertTokenizerFast.from_pretrained("bert")
    assert data.text_encoder_file.name == "tokenizer.json"
    assert (data.segments, data.vocabulary) == (2, len(reference))
    expected = reference(TEXTS, truncation=True, max_length=24)["input_ids"]
    assert [ids.tolist() for ids in data.token_ids("train")] == expected
    before = stamp(DATA)
    (tmp_path / "bert" / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    assert status(config) == 0
    assert stamp(DATA) != before


def test_empty_texts_are_left_out_of_training_and_kept_in_the_test(reviews, capsys):
    for split, (name,) in FILES.items():
        write_table(name, ["text", "label"], [*reviews[split], (" ", "neutral"), ("", "positive")])
    assert status(write_config()) == 0
    out = capsys.readouterr().out
    assert "train: 300 of 302 texts kept, left out: 2 empty; cut to data.max_length 24: " in out
    assert "test: 22 of 22 texts kept, among them: 2 empty" in out
    data = ClassificationData(DATA)
    assert data.raw("test")[0][-2:] == [" ", ""]
    assert data.token_ids("test")[21].tolist() == [0, 2]


def test_labels_are_told_and_a_lopsided_split_is_warned_of(reviews, capsys):
    assert status(write_config()) == 0
    assert "labels of train: negative " in capsys.readouterr().out
    rows = [(text, "no" if number % 20 else "yes") for number, (text, _) in enumerate(reviews["train"])]
    for (name,) in FILES.values():
        write_table(name, ["text", "label"], rows)
    assert status(write_config(), "--run", "lopsided") == 0
    out = capsys.readouterr().out
    assert "labels of train: no 285 (95.0 %), yes 15 (5.0 %)" in out
    assert "warning: 95.0 % of the training texts are labelled 'no'" in out


def test_killed_at_any_write_it_ends_with_the_same_data(reviews):
    config = write_config()
    assert status(config, "--run", "whole") == 0
    for count in itertools.count(1, 4):
        exit_code = run_and_die(lambda: status(config), replacements=count)
        died = exit_code == -signal.SIGKILL
        assert died or exit_code == 0
        assert status(config) == 0
        assert content(DATA) == content(Path("whole/data"))
        assert sorted(path.name for path in DATA.parent.glob("[!.]*")) == ["config.yaml", "data"]
        shutil.rmtree(DATA.parent)
        if not died:
            break
    assert count > 12


def test_second_run_does_nothing_until_a_file_changes(reviews, capsys):
    config = write_config()
    status(config)
    before = stamp(DATA)
    assert status(config) == 0
    assert "up to date" in capsys.readouterr().out
    write_table("test.jsonl", ["text", "label"], reviews["test"][::-1])
    assert status(config) == 0
    assert stamp(DATA) != before
    assert ClassificationData(DATA).raw("test")[0] == [text for text, _ in reviews["test"]][::-1]


def test_generated_reviews():
    assert (
        status(write_config(corpus="synthetic.reviews", synthetic_sentences=400, vocabulary_size=200, **NO_FILES)) == 0
    )
    assert ClassificationData(DATA).sentences == {"train": 400, "valid": 1000, "test": 1000}


def test_sst2():
    config = ClassificationDataConfig(corpus="sst2")
    text = open_labelled_text(config, 1, shared_data("sst2"), None)
    rows = {split: list(examples) for split, examples in text.splits.items()}
    assert {split: len(rows[split]) for split in rows} == {"train": 60614, "valid": 6735, "test": 872}
    assert rows["test"][0][:3] == ("it 's a charming and often affecting journey . ", None, "1")
    assert {row.label for split in rows for row in rows[split]} == {"0", "1"}
    assert sorted(text.files) == ["dev.tsv.gz", "test.tsv.gz", "train.tsv.gz"]


def test_sst2_without_its_files(capsys, tmp_path):
    config = write_config(corpus="sst2", **NO_FILES)
    code, line = error_of(capsys, config)
    assert code == 2
    assert "put train.tsv, dev.tsv, test.tsv, plain or .gz, with a header and the columns sentence and label" in line
    code, line = error_of(capsys, config, "--from", str(tmp_path))
    assert code == 3
    assert "not all of sst2 is there" in line


def rewrite(split, rows):
    write_table(FILES[split][0], ["text", "label"], rows)


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (
            lambda: rewrite("test", [("a", "neutral"), ("b", "netural")]),
            3,
            "test.jsonl, line 2: label 'netural' of the",
        ),
        (lambda: rewrite("valid", [("a", "5")]), 3, "valid.csv, line 2: label '5' of the valid split is not in train"),
        (lambda: rewrite("train", [("a", "one")] * 5), 3, "the train split has one label only, 'one'"),
        (
            lambda: rewrite("train", [("a", f"0.{i}") for i in range(50)]),
            3,
            "50 different labels in 50 rows of",
        ),
        (lambda: rewrite("train", [("", "a"), (" ", "b")]), 3, "the train split has no text that isn't empty (2 read)"),
        (lambda: rewrite("train", [("a", "")]), 3, "train.tsv, line 2: no label in column 'label'"),
        (lambda: write_table("train.tsv", ["text", "stars"], []), 3, "column 'label' is there nowhere"),
        (lambda: Path("valid.csv").unlink(), 3, "valid.csv: no such file"),
        (lambda: Path("valid.csv").write_bytes(b"text,label\n\xff,1\n"), 3, "valid.csv, line 2, byte 1: not UTF-8"),
    ],
)
def test_unusable_text_ends_with_its_status_and_leaves_nothing(reviews, capsys, spoil, code, message):
    spoil()
    got, line = error_of(capsys, write_config())
    assert got == code
    assert message in line
    assert [path.name for path in Path("runs/small").glob("[!.]*")] == ["config.yaml"]


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ({"corpus": "sst3", **NO_FILES}, 2, "data.corpus: 'sst3' is not one of synthetic.reviews, sst2, files"),
        ({"valid": []}, 2, "data.valid: corpus `files` needs a file at least"),
        ({"vocabulary_size": 5000}, 2, "data.vocabulary_size 5000 is more than the training text can fill"),
        ({"model": {"pretrained": "absent"}}, 4, "absent is no folder"),
    ],
)
def test_impossible_settings_end_with_their_status(reviews, capsys, config, code, message):
    got, line = error_of(capsys, write_config(**config))
    assert got == code
    assert message in line
    assert not DATA.exists()


def test_a_pretrained_folder_with_another_vocabulary(reviews, capsys, tmp_path):
    pytest.importorskip("tokenizers")
    write_network_settings(write_bert_folder(tmp_path / "bert", bert_vocabulary()), vocab_size=30522)
    code, line = error_of(capsys, write_config(model={"pretrained": "bert"}))
    assert code == 4
    assert "tokens, but config.json says vocab_size: 30522" in line


def test_data_that_is_not_there_or_damaged(reviews):
    with pytest.raises(ArtifactError, match="run hat-prepare"):
        ClassificationData(DATA)
    assert status(write_config()) == 0
    (DATA / "raw" / "test.jsonl").write_text('{"text": "a", "label": "neutral"}\n')
    with pytest.raises(ArtifactError, match="has 1 lines instead of 20; run hat-prepare"):
        ClassificationData(DATA).raw("test")
    (DATA / "valid.ids.bin").unlink()
    with pytest.raises(ArtifactError, match=r"valid\.ids\.bin is missing; run hat-prepare"):
        ClassificationData(DATA).token_ids("valid")
    (DATA / "data.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is not what hat-prepare writes"):
        ClassificationData(DATA)
