"""From the data section of a classifier's config to streams of labelled texts, one a split, and the files they read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hat.data.classification.corpora import GENERATED, LabelledCorpus, labelled_corpus
from hat.data.classification.reviews import generate
from hat.data.classification.tables import read_columns
from hat.data.source_files import FILES, SPLITS, find_splits, refuse_source
from hat.errors import DataError, UsageError

if TYPE_CHECKING:
    from hat.experiment.classification import ClassificationDataConfig


class Example(NamedTuple):
    """A text, or a pair of texts (else `pair` is None), with its label; `place` is where it stands, for errors."""

    text: str
    pair: str | None
    label: str
    place: str


@dataclass(frozen=True)
class LabelledText:
    """`splits`: train, valid and test as iterables of Example; `files`: name -> path of what is read."""

    splits: dict
    files: dict


def open_labelled_text(
    config: "ClassificationDataConfig", seed: int, source_directory: Path | str | None, _download_directory: Path
) -> LabelledText:
    """The labelled text that a ClassificationDataConfig names; a named corpus is read from `source_directory`.

    Raises UsageError or DataError.
    """
    if config.corpus == FILES:
        return _from_config_files(config, Path(source_directory or ""))
    if config.corpus == GENERATED:
        return _from_generator(config, seed, source_directory)
    return _from_directory(config.corpus, labelled_corpus(config.corpus), source_directory)


def _from_config_files(config: "ClassificationDataConfig", folder: Path) -> LabelledText:
    """Corpus `files`: the config's own paths, relative ones below `folder`."""
    for split in SPLITS:
        if not getattr(config, split):
            raise UsageError(f"data.{split}: corpus `files` needs a file at least, .tsv, .csv or .jsonl")
    columns = [config.text, config.label] + ([] if config.text_pair is None else [config.text_pair])
    paths = {split: [folder / name for name in getattr(config, split)] for split in SPLITS}
    files = {name: folder / name for split in SPLITS for name in getattr(config, split)}
    return LabelledText({split: _read(paths[split], columns) for split in SPLITS}, files)


def _from_generator(config: "ClassificationDataConfig", seed: int, source_directory: Path | str | None) -> LabelledText:
    refuse_source(config.corpus, source_directory)
    splits = generate(seed, config.synthetic_sentences)
    return LabelledText(
        {split: [Example(text, None, label, "") for text, label in splits[split]] for split in SPLITS}, {}
    )


def _from_directory(name: str, corpus: LabelledCorpus, directory: Path | str | None) -> LabelledText:
    columns, wanted = [corpus.text, corpus.label], ", ".join(corpus.files.values())
    content = f"{wanted}, plain or .gz, with a header and the columns {' and '.join(columns)}"
    found, files = find_splits(name, corpus.files, content, directory)
    return LabelledText({split: _read([path], columns) for split, path in found.items()}, files)


def _read(paths: Iterable[Path], columns: Sequence[str]) -> Iterator[Example]:
    """Yield the Examples of files with columns [text, label] or [text, label, pair]."""
    for path in paths:
        for number, (text, label, *pair) in read_columns(path, columns):
            place = f"{path}, line {number}"
            if not label.strip():
                raise DataError(f"{place}: no label in column {columns[1]!r}")
            yield Example(text, pair[0] if pair else None, label.strip(), place)
