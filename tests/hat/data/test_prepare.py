"""hat-prepare through its own command: what it leaves, when it does nothing, and what it refuses."""

import errno
import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import yaml
from shared_data import shared_data

from hat.cli.prepare import main
from hat.data import splits as splits_module
from hat.data.prepared import PreparedData
from hat.data.synthetic import generate
from hat.errors import ArtifactError
from hat.run_directory import stamp

STACK = {"embed_dim": [16], "layers": [1], "ffn_dim": [16], "self_attention_heads": [2]}
SCHEDULE = {"max_update": 10, "warmup_updates": 5, "lr": 0.001}


@pytest.fixture(autouse=True)
def _inside_scratch_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_config(path="small.yaml", **data):
    data = {"corpus": "files", "source_lang": "de", "target_lang": "en", "vocabulary_size": 120, **data}
    config = {
        "data": data,
        "model": {"share_all_embeddings": data.get("shared_vocabulary", True)},
        "search_space": {
            "qkv_dim": 16,
            "encoder": STACK,
            "decoder": {**STACK, "cross_attention_heads": [2], "cross_attention_span": [1]},
        },
        "super_training": SCHEDULE,
        "sub_training": SCHEDULE,
    }
    Path(path).write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def write_lines(path, lines, packed=False):
    content = "".join(line + "\n" for line in lines).encode()
    Path(path).write_bytes(gzip.compress(content) if packed else content)


FILES = {split: [f"{split}.de", f"{split}.en"] for split in ("train", "valid", "test")}
NO_FILES = {split: [] for split in FILES}


@pytest.fixture
def text():
    """A tiny parallel text in the current folder: {split: pairs}."""
    pairs = generate(7, 300)["train"]
    text = {"train": pairs[:200], "valid": pairs[200:220], "test": pairs[220:240]}
    for split, rows in text.items():
        for side, lang in enumerate(("de", "en")):
            write_lines(f"{split}.{lang}", [row[side] for row in rows])
    return text


def status(*arguments):
    """Exit status of hat-prepare."""
    try:
        main(list(arguments))
    except SystemExit as ended:
        return ended.code
    return 0


def error_of(capsys, *arguments):
    """(status, error line): the one line that hat-prepare ends with on stderr."""
    code = status(*arguments)
    lines = [line for line in capsys.readouterr().err.splitlines() if ": error: " in line]
    assert len(lines) == 1, lines
    return code, lines[0]


def fairseq_sentences(data, split, lang, pair="de-en"):
    """(dictionary, id arrays) as fairseq's own loader reads them."""
    from fairseq.data import Dictionary, data_utils

    dictionary = Dictionary.load(str(data / f"dict.{lang}.txt"))
    dataset = data_utils.load_indexed_dataset(str(data / f"{split}.{pair}.{lang}"), dictionary)
    return dictionary, [dataset[index].numpy() for index in range(len(dataset))]


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
    assert len(names) == 24
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


def test_what_a_killed_preparation_left_is_swept_away(text):
    left_over = Path("runs/small/data.building/raw")
    config = write_config(**FILES)
    status(config, "--run", "clean")
    Path("runs/small").mkdir()
    Path("runs/small/config.yaml").write_bytes(Path("clean/config.yaml").read_bytes())
    left_over.mkdir(parents=True)
    (left_over / "train.de").write_text("half a sen")
    assert status(config) == 0
    assert not left_over.parent.exists()
    for name in ("raw/train.de", "train.de-en.de.bin", "dict.en.txt"):
        assert Path("runs/small/data", name).read_bytes() == Path("clean/data", name).read_bytes()


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


@pytest.mark.parametrize(
    ("break_text", "code", "message"),
    [
        (lambda: Path("train.de").write_bytes(b""), 3, "train.de is empty"),
        (lambda: write_lines("valid.en", ["One."]), 3, "valid.de has 20 lines, valid.en has 1"),
        (lambda: Path("test.en").write_bytes(b"na\xefve\n" * 20), 3, "test.en, line 1, byte 3: not UTF-8"),
        (lambda: Path("train.en").write_bytes(b"x" * 2_000_000), 3, "train.en, line 1: longer than"),
        (lambda: Path("train.de").unlink(), 3, "train.de: no such file"),
        (lambda: write_lines("valid.de", [""] * 20), 3, "the valid split has no pair with text on both sides"),
    ],
)
def test_unusable_text_ends_with_its_status_and_leaves_nothing(text, capsys, break_text, code, message):
    break_text()
    got, line = error_of(capsys, write_config(**FILES))
    assert got == code
    assert message in line
    assert [path.name for path in Path("runs/small").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        ({"vocabulary_size": 5000}, 2, "data.vocabulary_size 5000 is more than the training text can fill"),
        ({"vocabulary_size": 12}, 2, "data.vocabulary_size 12 can't hold the characters"),
        ({"vocabulary_size": 0}, 2, "data.vocabulary_size: 0 is not between"),
        ({"max_length": 1}, 3, "every pair of the train split is longer than data.max_length 1"),
        ({"train": ["train.de"]}, 2, "data.train: corpus `files` needs [source file, target file]"),
        ({"corpus": "wmt99", **NO_FILES}, 2, "data.corpus: 'wmt99' is not one of synthetic.de-en, multi30k"),
        ({"corpus": "wmt14.en-de", **NO_FILES}, 2, "wmt14.en-de has no de to en; it has en to de"),
        ({"target_lang": "de"}, 2, "data.target_lang: 'de' is the source language too"),
        ({"source_lang": "de-DE"}, 2, "data.source_lang: 'de-DE' is not a language code"),
        ({"corpus": "synthetic.de-en", "synthetic_sentences": 0}, 2, "data.synthetic_sentences: 0"),
        ({"vocabulry_size": 100}, 2, "did you mean 'vocabulary_size'"),
    ],
)
def test_impossible_settings_end_with_their_status(text, capsys, data, code, message):
    got, line = error_of(capsys, write_config(**{**FILES, **data}))
    assert got == code
    assert message in line
    assert not Path("runs/small/data").exists()


def test_largest_possible_vocabulary_is_possible(text, capsys):
    _, line = error_of(capsys, write_config(**FILES, vocabulary_size=5000), "--run", "too_large")
    largest = int(line.rsplit(" ", 1)[1])
    assert status(write_config(**FILES, vocabulary_size=largest), "--run", "largest") == 0
    assert PreparedData("largest/data").target_vocabulary == largest


def test_failed_preparation_keeps_the_earlier_one(text, capsys, monkeypatch):
    config = write_config(**FILES)
    status(config)
    before = stamp("runs/small/data")
    write_lines("train.de", ["Nur eine Zeile."])
    code, _ = error_of(capsys, config)
    assert code == 3
    assert stamp("runs/small/data") == before

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "train.de")

    write_lines("train.de", [german for german, _ in text["train"]][::-1])
    monkeypatch.setattr(splits_module, "_open_text", full)
    code, line = error_of(capsys, config)
    assert code == 7
    assert "the disk is full" in line
    assert stamp("runs/small/data") == before
    assert not Path("runs/small/data.building").exists()


def test_run_directory_that_cannot_be_made(text, capsys):
    code, line = error_of(capsys, write_config(**FILES), "--run", "train.de/run")
    assert code == 7
    assert "a file stands where a directory is needed" in line


def test_run_directory_of_another_config(text, capsys):
    status(write_config(**FILES), "--run", "mine")
    before = stamp("mine/data")
    code, line = error_of(capsys, write_config("other.yaml", **FILES, max_length=9), "--run", "mine")
    assert code == 2
    assert "data.max_length differs" in line
    assert stamp("mine/data") == before


def test_from_folder_with_ready_made_splits(text):
    assert status(write_config(corpus="iwslt14.de-en"), "--from", ".") == 0
    assert PreparedData("runs/small/data").raw("valid")[0] == [german for german, _ in text["valid"]]


def test_from_folder_that_lacks_files_names_them(text, capsys):
    Path("partly").mkdir()
    write_lines("partly/train.de", ["Ja."])
    code, line = error_of(capsys, write_config(corpus="multi30k"), "--from", "partly")
    assert code == 3
    assert "partly lacks train.en.gz, val.de.gz, val.en.gz, test_2016_flickr.de.gz, test_2016_flickr.en.gz" in line
    code, line = error_of(capsys, write_config(corpus="multi30k"), "--from", "absent", "--run", "other")
    assert code == 3
    assert "absent: no such directory" in line


def ted_archive(folder, lang_pairs):
    """de-en.tgz in `folder` as IWSLT'14 has it: metadata lines in training text, XML test sets."""
    names = {}
    for side, lang in enumerate(("de", "en")):
        train = ["<url>http://x</url>", "<talkid>1</talkid>", f"<title>{lang} Titel</title>"]
        names[f"train.tags.de-en.{lang}"] = train + [pair[side] for pair in lang_pairs]
        for talks in ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012"):
            names[f"IWSLT14.{talks}.de-en.{lang}.xml"] = [
                '<?xml version="1.0" encoding="UTF-8"?>',
                '<doc docid="1" genre="lectures">',
                f'<seg id="1"> {talks} {lang} &amp; more </seg>',
                "</doc>",
            ]
    with tarfile.open(folder / "de-en.tgz", "w:gz") as archive:
        for name, lines in names.items():
            write_lines(folder / name, lines)
            archive.add(folder / name, f"de-en/{name}")
            (folder / name).unlink()


def test_iwslt_archive_gives_fairseqs_splits(text, tmp_path):
    folder = tmp_path / "original"
    folder.mkdir()
    ted_archive(folder, text["train"])
    assert status(write_config(corpus="iwslt14.de-en", vocabulary_size=150), "--from", str(folder)) == 0
    prepared = PreparedData("runs/small/data")
    numbered = ["de Titel"] + [german for german, _ in text["train"]]
    assert prepared.raw("valid")[0] == numbered[22::23]
    assert prepared.raw("train")[0] == [line for number, line in enumerate(numbered, 1) if number % 23]
    assert prepared.raw("test")[1] == [
        f"{talks} en & more" for talks in ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
    ]
    recorded = json.loads(Path("runs/small/data/data.json").read_text())["inputs"]
    assert recorded == {"de-en.tgz": hashlib.sha256((folder / "de-en.tgz").read_bytes()).hexdigest()}


def test_archive_without_the_member_or_damaged(text, capsys, tmp_path):
    folder = tmp_path / "original"
    folder.mkdir()
    with tarfile.open(folder / "de-en.tgz", "w:gz") as archive:
        archive.add("train.de", "other.de")
    config = write_config(corpus="iwslt14.de-en")
    code, line = error_of(capsys, config, "--from", str(folder))
    assert code == 3
    assert "de-en.tgz holds no de-en/train.tags.de-en.de" in line
    (folder / "de-en.tgz").write_bytes(b"not an archive")
    code, line = error_of(capsys, config, "--from", str(folder))
    assert code == 3
    assert "de-en.tgz is damaged" in line


def test_tab_separated_and_extracted_originals(text, tmp_path):
    """WMT'19's formats: both languages in one file, SGML for valid and test, members already extracted."""
    folder = tmp_path / "wmt19"
    (folder / "dev").mkdir(parents=True)
    german_first = "".join(f"{german}\t{english}\n" for german, english in text["train"])
    english_first = "".join(f"{english}\t{german}\n" for german, english in text["valid"])
    for name, content in {
        "en-de.bicleaner07.txt.gz": english_first,
        "news-commentary-v14.de-en.tsv.gz": german_first,
        "wikititles-v1.de-en.tsv.gz": "Titel\tTitle\nnur eine Spalte\n",
        "europarl-v9.de-en.tsv.gz": "Ja.\tYes.\n",
    }.items():
        (folder / name).write_bytes(gzip.compress(content.encode()))
    for side, lang in enumerate(("de", "en")):
        write_lines(folder / f"commoncrawl.de-en.{lang}", [f"{lang} crawl"])
        write_lines(folder / f"rapid2019.de-en.{lang}", [f"{lang} rapid"])
        role = "ref" if lang == "de" else "src"
        for year, split in ((2017, "valid"), (2018, "test")):
            segments = [f'<seg id="{n}">{pair[side]}</seg>' for n, pair in enumerate(text[split])]
            write_lines(folder / "dev" / f"newstest{year}-ende-{role}.{lang}.sgm", ["<refset>", *segments])
    config = write_config(corpus="wmt19.en-de", source_lang="en", target_lang="de", vocabulary_size=150)
    assert status(config, "--from", str(folder)) == 0
    prepared = PreparedData("runs/small/data")
    expected = [*text["valid"], *text["train"], ("Titel", "Title"), ("Ja.", "Yes.")]
    expected += [("de crawl", "en crawl"), ("de rapid", "en rapid")]
    assert prepared.raw("train") == ([english for _, english in expected], [german for german, _ in expected])
    assert prepared.raw("test") == ([english for _, english in text["test"]], [german for german, _ in text["test"]])


def test_prepared_data_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match="run hat-prepare"):
        PreparedData(tmp_path)


def test_truncated_raw_text_is_noticed(text):
    status(write_config(**FILES))
    write_lines("runs/small/data/raw/test.de", ["Nur eine."])
    with pytest.raises(ArtifactError, match="has 1 lines instead of 20; run hat-prepare"):
        PreparedData("runs/small/data").raw("test")


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['hat-prepare', '--help']\ntry:\n    import hat.cli.prepare as p; p.main()\nfinally:\n"
    )
    code += "    assert not {'torch', 'fairseq', 'sentencepiece'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--from DIR" in done.stdout


@pytest.mark.slow
def test_multi30k_from_folder():
    """The real command on real text: 29,000 pairs."""
    folder = shared_data("multi30k").resolve()
    config = write_config(corpus="multi30k", source_lang="en", target_lang="de", vocabulary_size=6000)
    command = [sys.executable, "-m", "hat.cli.prepare", config, "--from", str(folder), "--run", "m30k"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "next: hat-train-super" in done.stdout
    prepared = PreparedData("m30k/data")
    assert prepared.sentences == {"train": 29000, "valid": 1014, "test": 1000}
    assert (prepared.source_vocabulary, prepared.target_vocabulary) == (6000, 6000)
    dictionary, sentences = fairseq_sentences(Path("m30k/data"), "test", "de", "en-de")
    unknown = sum(int((ids == dictionary.unk()).sum()) for ids in sentences)
    assert unknown <= 5
    decoded = [dictionary.string(ids, "sentencepiece") for ids in sentences]
    agree = sum(ours == theirs for ours, theirs in zip(decoded, prepared.raw("test")[1], strict=True))
    assert agree >= 990  # the rest has characters that SentencePiece normalises, such as typographic quotes
