"""From the data section of a config to streams of sentence pairs, one per split, and the files they come from."""

import html
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.data.archives import Member
from hat.data.download import download
from hat.data.source_files import SPLITS, find, refuse_source
from hat.data.text import paired, read_lines, read_pairs
from hat.data.translation import corpora
from hat.data.translation.synthetic import generate
from hat.errors import DataError, UsageError

if TYPE_CHECKING:
    from hat.experiment.translation import DataConfig


LANGUAGE = re.compile(r"[A-Za-z]\w*", re.ASCII)
SEGMENT = re.compile(r"<seg[^>]*>(.*?)</seg>", re.IGNORECASE)
TED_METADATA = re.compile(r"\s*</?(url|talkid|keywords|speaker|reviewer|translator|doc)\b")
TED_TEXT_TAGS = re.compile(r"</?(title|description)>")


@dataclass(frozen=True)
class ParallelText:
    """`splits`: train, valid and test as iterables of (source, target); `files`: name -> path of what is read."""

    splits: dict
    files: dict


def open_parallel_text(
    config: "DataConfig", seed: int, source_directory: Path | str | None, download_directory: Path
) -> ParallelText:
    """The parallel text that a DataConfig names.

    Named corpora are read from `source_directory`, or else fetched into `download_directory`. Raises UsageError or
    DataError.
    """
    _check_language_names(config)
    if config.corpus == corpora.FILES:
        return _from_config_files(config, Path(source_directory or ""))
    if config.corpus == corpora.SYNTHETIC:
        refuse_source(config.corpus, source_directory)
        return _from_generator(config, seed)
    corpus = corpora.named_corpus(config.corpus, config.source_lang, config.target_lang)
    languages = (config.source_lang, config.target_lang)
    if source_directory is None:
        for url in _urls(corpus, languages):
            download(url, download_directory, corpora.CHECKSUMS.get(url))
        source_directory = download_directory
    elif not Path(source_directory).is_dir():
        raise DataError(f"--from {source_directory}: no such directory")
    return _from_directory(config.corpus, corpus, languages, Path(source_directory))


def _check_language_names(config: "DataConfig") -> None:
    """fairseq's file names need two different languages of letters and digits."""
    for key in ("source_lang", "target_lang"):
        if not LANGUAGE.fullmatch(getattr(config, key)):
            raise UsageError(f"data.{key}: {getattr(config, key)!r} is not a language code such as en or zh_Hant")
    if config.source_lang == config.target_lang:
        raise UsageError(f"data.target_lang: {config.target_lang!r} is the source language too")


def _from_config_files(config: "DataConfig", folder: Path) -> ParallelText:
    """Corpus `files`: the config's own paths, relative ones below `folder`."""
    paths = {}
    for split in SPLITS:
        named = getattr(config, split)
        if len(named) != 2:
            raise UsageError(f"data.{split}: corpus `files` needs [source file, target file], got {list(named)}")
        paths[split] = [folder / name for name in named]
    files = {name: folder / name for split in SPLITS for name in getattr(config, split)}
    return ParallelText({split: read_pairs(*pair) for split, pair in paths.items()}, files)


def _from_generator(config: "DataConfig", seed: int) -> ParallelText:
    pairs = (("de", "en"), ("en", "de"))
    corpora.check_languages(config.corpus, pairs, config.source_lang, config.target_lang)
    splits = generate(seed, config.synthetic_sentences)
    if config.source_lang == "en":
        splits = {split: [(english, german) for german, english in rows] for split, rows in splits.items()}
    return ParallelText(splits, {})


def _urls(corpus: corpora.Corpus, languages: tuple[str, str]) -> list[str]:
    parts = corpus.train + corpus.valid + corpus.test
    return list(dict.fromkeys(part.url.format(lang=lang) for part in parts for lang in languages))


def _from_directory(name: str, corpus: corpora.Corpus, languages: tuple[str, str], directory: Path) -> ParallelText:
    """A named corpus out of a folder: ready-made splits, the original text files, or the original archives."""
    ready = _ready_made(languages, directory)
    if ready:
        return ParallelText({split: read_pairs(*pair) for split, pair in ready.items()}, _named(ready.values()))
    finder = _Finder(directory)
    located = {split: [(part, finder.files(part, languages)) for part in getattr(corpus, split)] for split in SPLITS}
    if finder.missing:
        raise DataError(
            f"{directory} lacks {', '.join(finder.missing)} (of {name}); add what is missing, "
            f"or put train, valid and test .{languages[0]} and .{languages[1]} files there"
        )
    splits: dict[str, Any] = {split: _chain(parts, languages) for split, parts in located.items()}
    if corpus.valid_every:
        splits["valid"] = []  # filled while train is read
        splits["train"] = _without(splits["train"], corpus.valid_every, splits["valid"])
    return ParallelText(splits, finder.read)


def _ready_made(languages: tuple[str, str], directory: Path) -> dict[str, tuple[Path, ...]] | None:
    """{split: (source path, target path)} if plain or gzip train, valid and test files are all there, else None."""
    paths = {split: tuple(find(directory, f"{split}.{lang}") for lang in languages) for split in SPLITS}
    return paths if all(path for pair in paths.values() for path in pair) else None


def _named(pairs: Iterable[Iterable[Path]]) -> dict[str, Path]:
    return {path.name: path for pair in pairs for path in pair}


class _Finder:
    """Finds the text files of a corpus's parts below `directory`; `missing` and `read` list what it met."""

    missing: list[str]
    read: dict[str, Path]

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.missing, self.read = [], {}

    def files(self, part: corpora.Part, languages: tuple[str, str]) -> list[Any]:
        """Paths of a part: one per language, or a single one for tsv."""
        names = zip(languages, ("src", "ref"), strict=True)
        templates = [(part.url.format(lang=lang), part.member.format(lang=lang, side=side)) for lang, side in names]
        return [self._file(url.rsplit("/", 1)[1], member) for url, member in dict.fromkeys(templates)]

    def _file(self, download_name: str, member: str) -> Path | Member | None:
        found = find(self._directory, member or download_name)
        if found is None and member:
            archive = find(self._directory, download_name)
            if archive:
                self.read[archive.name] = archive
                return Member(archive, member)
        if found is None:
            self.missing.append(f"{download_name} ({member})" if member else download_name)
            return None
        self.read[str(found.relative_to(self._directory))] = found
        return found


def _chain(
    parts: Iterable[tuple[corpora.Part, Sequence[Path | Member]]], languages: tuple[str, str]
) -> Iterator[tuple[str, str]]:
    return itertools.chain.from_iterable(_pairs(part, paths, languages) for part, paths in parts)


def _pairs(part: corpora.Part, paths: Sequence[Path | Member], languages: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the (source, target) lines of one part."""
    if part.text_format == "tsv":
        yield from _tsv_pairs(paths[0], [part.columns.index(lang) for lang in languages])
    else:
        read: Any = {"plain": iter, "seg": _segments, "ted": _ted_text}[part.text_format]
        yield from paired(*(read(read_lines(path)) for path in paths), *paths)


def _tsv_pairs(path: Path | Member, columns: Sequence[int]) -> Iterator[Any]:
    for line in read_lines(path):
        fields = line.split("\t")
        yield tuple(fields[column] if column < len(fields) else "" for column in columns)


def _segments(lines: Iterable[str]) -> Iterator[str]:
    """The text of the <seg> elements, each on a line of its own."""
    for line in lines:
        segment = SEGMENT.search(line)
        if segment:
            yield html.unescape(segment[1])


def _ted_text(lines: Iterable[str]) -> Iterator[str]:
    """IWSLT's training text: titles, descriptions and sentences, without the other metadata."""
    for line in lines:
        if not TED_METADATA.match(line):
            yield TED_TEXT_TAGS.sub("", line)


def _without(
    pairs: Iterable[tuple[str, str]], every: int, held_out: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield the pairs but for every `every`-th, which goes to the list `held_out`."""
    for number, pair in enumerate(pairs, start=1):
        if number % every:
            yield pair
        else:
            held_out.append(pair)
