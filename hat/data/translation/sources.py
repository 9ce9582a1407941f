"""From the data section of a config to streams of sentence pairs, one per split, and the files they come from."""

import html
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from hat.data.archives import Member
from hat.data.download import download
from hat.data.source_files import SPLITS, find
from hat.data.text import paired, read_lines, read_pairs
from hat.data.translation import corpora
from hat.data.translation.synthetic import generate
from hat.errors import DataError, UsageError

LANGUAGE = re.compile(r"[A-Za-z]\w*", re.ASCII)
SEGMENT = re.compile(r"<seg[^>]*>(.*?)</seg>", re.IGNORECASE)
TED_METADATA = re.compile(r"\s*</?(url|talkid|keywords|speaker|reviewer|translator|doc)\b")
TED_TEXT_TAGS = re.compile(r"</?(title|description)>")


@dataclass(frozen=True)
class ParallelText:
    """`splits`: train, valid and test as iterables of (source, target); `files`: name -> path of what is read."""

    splits: dict
    files: dict


def open_parallel_text(config, seed, source_directory, download_directory):
    """The parallel text that a DataConfig names.

    Named corpora are read from `source_directory`, or else fetched into `download_directory`. Raises UsageError or
    DataError.
    """
    _check_language_names(config)
    if config.corpus == corpora.FILES:
        return _from_config_files(config, Path(source_directory or ""))
    if config.corpus == corpora.SYNTHETIC:
        if source_directory is not None:
            raise UsageError(f"--from {source_directory}: corpus {config.corpus} is generated, it reads no files")
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


def _check_language_names(config):
    """fairseq's file names need two different languages of letters and digits."""
    for key in ("source_lang", "target_lang"):
        if not LANGUAGE.fullmatch(getattr(config, key)):
            raise UsageError(f"data.{key}: {getattr(config, key)!r} is not a language code such as en or zh_Hant")
    if config.source_lang == config.target_lang:
        raise UsageError(f"data.target_lang: {config.target_lang!r} is the source language too")


def _from_config_files(config, folder):
    """Corpus `files`: the config's own paths, relative ones below `folder`."""
    paths = {}
    for split in SPLITS:
        named = getattr(config, split)
        if len(named) != 2:
            raise UsageError(f"data.{split}: corpus `files` needs [source file, target file], got {list(named)}")
        paths[split] = [folder / name for name in named]
    files = {name: folder / name for split in SPLITS for name in getattr(config, split)}
    return ParallelText({split: read_pairs(*pair) for split, pair in paths.items()}, files)


def _from_generator(config, seed):
    pairs = (("de", "en"), ("en", "de"))
    corpora.check_languages(config.corpus, pairs, config.source_lang, config.target_lang)
    splits = generate(seed, config.synthetic_sentences)
    if config.source_lang == "en":
        splits = {split: [(english, german) for german, english in rows] for split, rows in splits.items()}
    return ParallelText(splits, {})


def _urls(corpus, languages):
    parts = corpus.train + corpus.valid + corpus.test
    return list(dict.fromkeys(part.url.format(lang=lang) for part in parts for lang in languages))


def _from_directory(name, corpus, languages, directory):
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
    splits = {split: _chain(parts, languages) for split, parts in located.items()}
    if corpus.valid_every:
        splits["valid"] = []  # filled while train is read
        splits["train"] = _without(splits["train"], corpus.valid_every, splits["valid"])
    return ParallelText(splits, finder.read)


def _ready_made(languages, directory):
    """{split: (source path, target path)} if plain or gzip train, valid and test files are all there, else None."""
    paths = {split: tuple(find(directory, f"{split}.{lang}") for lang in languages) for split in SPLITS}
    return paths if all(path for pair in paths.values() for path in pair) else None


def _named(pairs):
    return {path.name: path for pair in pairs for path in pair}


class _Finder:
    """Finds the text files of a corpus's parts below `directory`; `missing` and `read` list what it met."""

    def __init__(self, directory):
        self._directory = directory
        self.missing, self.read = [], {}

    def files(self, part, languages):
        """Paths of a part: one per language, or a single one for tsv."""
        names = zip(languages, ("src", "ref"), strict=True)
        templates = [(part.url.format(lang=lang), part.member.format(lang=lang, side=side)) for lang, side in names]
        return [self._file(url.rsplit("/", 1)[1], member) for url, member in dict.fromkeys(templates)]

    def _file(self, download_name, member):
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


def _chain(parts, languages):
    return itertools.chain.from_iterable(_pairs(part, paths, languages) for part, paths in parts)


def _pairs(part, paths, languages):
    """Yield the (source, target) lines of one part."""
    if part.text_format == "tsv":
        yield from _tsv_pairs(paths[0], [part.columns.index(lang) for lang in languages])
    else:
        read = {"plain": iter, "seg": _segments, "ted": _ted_text}[part.text_format]
        yield from paired(*(read(read_lines(path)) for path in paths), *paths)


def _tsv_pairs(path, columns):
    for line in read_lines(path):
        fields = line.split("\t")
        yield tuple(fields[column] if column < len(fields) else "" for column in columns)


def _segments(lines):
    """The text of the <seg> elements, each on a line of its own."""
    for line in lines:
        segment = SEGMENT.search(line)
        if segment:
            yield html.unescape(segment[1])


def _ted_text(lines):
    """IWSLT's training text: titles, descriptions and sentences, without the other metadata."""
    for line in lines:
        if not TED_METADATA.match(line):
            yield TED_TEXT_TAGS.sub("", line)


def _without(pairs, every, held_out):
    """Yield the pairs but for every `every`-th, which goes to the list `held_out`."""
    for number, pair in enumerate(pairs, start=1):
        if number % every:
            yield pair
        else:
            held_out.append(pair)
