"""hat-prepare --from: a corpus's original files of every format, and real text."""

import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from preparing import error_of, fairseq_sentences, status, write_config, write_lines
from shared_data import shared_data

from hat.data.translation.prepared import PreparedData


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
