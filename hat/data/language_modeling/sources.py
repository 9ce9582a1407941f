"""From the data section of a language model's config to streams of lines, one a split, and the files they read."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hat.data.archives import Member
from hat.data.download import download
from hat.data.language_modeling.corpora import GENERATED, RunningCorpus, running_corpus
from hat.data.language_modeling.tales import generate
from hat.data.source_files import FILES, SPLITS, find, find_splits, refuse_source
from hat.data.text import read_lines
from hat.errors import UsageError

if TYPE_CHECKING:
    from hat.experiment.language_modeling import LanguageDataConfig


@dataclass(frozen=True)
class RunningText:
    """`splits`: train, valid and test as iterables of lines; `files`: name -> path of what is read."""

    splits: dict[str, Iterable[str]]
    files: dict[str, Path]


def open_running_text(
    config: "LanguageDataConfig", seed: int, source_directory: Path | str | None, download_directory: Path
) -> RunningText:
    """The text that a LanguageDataConfig names; a named corpus is read from `source_directory`, or else
    fetched into `download_directory`.

    Raises UsageError or DataError.
    """
    if config.corpus == FILES:
        return _from_config_files(config, Path(source_directory or ""))
    if config.corpus == GENERATED:
        refuse_source(config.corpus, source_directory)
        return RunningText(dict(generate(seed, config.synthetic_sentences)), {})
    corpus = running_corpus(config.corpus)
    if source_directory is None and corpus.url:
        source_directory = download(corpus.url, download_directory, corpus.sha256).parent
    return _from_directory(config.corpus, corpus, source_directory)


def _from_config_files(config: "LanguageDataConfig", folder: Path) -> RunningText:
    """Corpus `files`: the config's own paths, relative ones below `folder`."""
    for split in SPLITS:
        if not getattr(config, split):
            raise UsageError(f"data.{split}: corpus `files` needs a file at least, of text with spaces between words")
    paths = {split: {name: folder / name for name in getattr(config, split)} for split in SPLITS}
    lines = {split: itertools.chain.from_iterable(map(read_lines, paths[split].values())) for split in SPLITS}
    return RunningText(dict(lines), {name: path for of_split in paths.values() for name, path in of_split.items()})


def _from_directory(name: str, corpus: RunningCorpus, directory: Path | str | None) -> RunningText:
    """A named corpus out of a folder: its archive if it is there, or the files themselves."""
    archive = find(Path(directory), corpus.archive) if directory and corpus.url else None
    if archive:
        members = {split: Member(archive, member) for split, member in corpus.files.items()}
        return RunningText({split: read_lines(member) for split, member in members.items()}, {archive.name: archive})
    found, files = find_splits(name, corpus.files, corpus.content, directory)
    return RunningText({split: read_lines(path) for split, path in found.items()}, files)
