"""hat-prepare through its own command: what it leaves, and when it does nothing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from preparing import FILES, fairseq_sentences, status, write_config, write_lines

from hat.data.translation.prepared import PreparedData
from hat.experiment.run_directory import stamp


def test_fairseq_reads_back_the_text(text):
    assert status(write_config(**FILES)) == 0
    data = Path("runs/small/data")
    prepared = PreparedData(data)
    assert prepared.sentences == {"train": 200, "valid": 20, "test": 20}
    for split, rows in text.items():
        assert prepared.raw(split) == tuple(map(list, zip(*rows, strict=True)))
        for side, lang in enumerate(("de", "en")):
            dictionary, sentences = fairseq_sentences(data, split, lang)
            assert len(dictionary) == prepared.source_vocabulary == 120
            processor = sentencepiece.SentencePieceProcessor(model_file=str(prepared.sentencepiece(lang)))
            assert [dictionary[index] for index in range(120)] == [processor.id_to_piece(index) for index in range(120)]
            assert (dictionary.bos(), dictionary.pad(), dictionary.eos(), dictionary.unk()) == (0, 1, 2, 3)
            for ids, row in zip(sentences, rows, strict=True):
                assert ids[-1] == dictionary.eos()
                assert processor.decode(ids[:-1].tolist()) == row[side]
                pieces = dictionary.string(ids[:-1]).replace(" ", "").replace("\u2581", " ").strip()
                assert pieces == row[side]


@pytest.mark.slow
def test_plain_fairseq_train_reads_it(text):
    status(write_config(**FILES))
    sizes = [f"--{side}-{name}" for side in ("encoder", "decoder") for name in ("embed-dim=16", "ffn-embed-dim=16")]
    schedule = ["--optimizer=adam", "--lr=0.001", "--max-tokens=400", "--max-update=2", "--no-save", "--cpu"]
    schedule += ["--data-buffer-size=0"]  # fairseq's thread that reads ahead, caught at work by the end, aborts
    model = ["--arch=transformer", "--encoder-layers=1", "--decoder-layers=1", "--share-all-embeddings"]
    command = [sys.executable, "-m", "fairseq_cli.train", "runs/small/data", "-s", "de", "-t", "en"]
    done = subprocess.run([*command, *model, *sizes, *schedule], capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-2000:]
    assert "[de] dictionary: 120 types" in output
    assert "done training" in output


def test_dictionary_counts_are_those_of_the_training_text(text):
    status(write_config(**FILES))
    data = Path("runs/small/data")
    ids = np.concatenate([part for lang in ("de", "en") for part in fairseq_sentences(data, "train", lang)[1]])
    dictionary, _ = fairseq_sentences(data, "train", "de")
    counts = np.bincount(ids, minlength=120)
    assert [dictionary.get_count(index) for index in range(4, 120)] == counts[4:].tolist()


def test_separate_vocabularies(text):
    assert status(write_config(**FILES, shared_vocabulary=False)) == 0
    data = Path("runs/small/data")
    german, english = ((data / f"sentencepiece.{lang}.model").read_bytes() for lang in ("de", "en"))
    assert german != english
    assert (data / "dict.de.txt").read_text() != (data / "dict.en.txt").read_text()


def test_same_text_gives_the_same_files(text):
    config = write_config(**FILES)
    status(config, "--run", "one")
    status(config, "--run", "two")
    names = sorted(str(path.relative_to("one/data")) for path in Path("one/data").rglob("*") if path.is_file())
    assert len(names) == 25
    for name in names:
        assert Path("one/data", name).read_bytes() == Path("two/data", name).read_bytes(), name


def test_second_run_does_nothing_until_a_file_changes(text, capsys):
    config = write_config(**FILES)
    status(config)
    before = stamp("runs/small/data")
    assert status(config) == 0
    assert "up to date" in capsys.readouterr().out
    write_lines("test.de", ["Ja."] * 20)
    assert status(config) == 0
    assert "up to date" not in capsys.readouterr().out
    assert stamp("runs/small/data") != before
    assert PreparedData("runs/small/data").raw("test")[0] == ["Ja."] * 20
    Path("train.de").unlink()
    assert status(config) == 0
    assert "up to date" in capsys.readouterr().out


def test_empty_and_over_long_pairs_are_left_out_and_counted(text, capsys):
    pairs = [("", "Empty."), ("Leer.", " \t"), ("sehr " * 200, "Long."), ("Gut.", "Good.")]
    for side, lang in enumerate(("de", "en")):
        with open(f"train.{lang}", "a", encoding="utf-8") as train:
            train.writelines(pair[side] + "\n" for pair in pairs)
        write_lines(f"test.{lang}", [pair[side] for pair in pairs])
    assert status(write_config(**FILES, max_length=180)) == 0
    out = capsys.readouterr().out
    assert "train: 201 of 204 pairs kept, left out: 2 with an empty side, 1 longer than data.max_length 180" in out
    assert "test: 4 of 4 pairs kept, among them: 2 with an empty side, 1 longer than data.max_length 180" in out
    prepared = PreparedData("runs/small/data")
    assert prepared.sentences == {"train": 201, "valid": 20, "test": 4}
    assert prepared.raw("train")[0][-1] == "Gut."
    assert prepared.raw("test") == (["", "Leer.", " ".join(["sehr"] * 200), "Gut."], ["Empty.", "", "Long.", "Good."])
    for split in ("train", "test"):
        assert len(fairseq_sentences(Path("runs/small/data"), split, "de")[1]) == prepared.sentences[split]


def test_synthetic_corpus_in_both_directions():
    for source, target in (("de", "en"), ("en", "de")):
        config = write_config(
            corpus="synthetic.de-en",
            source_lang=source,
            target_lang=target,
            vocabulary_size=300,
            synthetic_sentences=400,
        )
        assert status(config, "--run", source) == 0
    forwards, backwards = PreparedData("de/data"), PreparedData("en/data")
    assert forwards.sentences == {"train": 400, "valid": 500, "test": 500}
    assert forwards.raw("test") == backwards.raw("test")[::-1]


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['hat-prepare', '--help']\ntry:\n    import hat.cli.prepare as p; p.main()\nfinally:\n"
    )
    code += "    assert not {'torch', 'fairseq', 'sentencepiece'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--from DIR" in done.stdout
