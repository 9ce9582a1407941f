"""The named corpora: where their files really come from, and which of them make each split.

Sources and splits follow the preparation scripts of fairseq (IWSLT'14) and HAT (WMT); unlike those, the text is
kept cased and untokenised, as SentencePiece wants it. Checksums come from published lists (TensorFlow Datasets for
WMT, torchtext for Multi30k); a file without one in CHECKSUMS has none that could be verified, and is taken as it is.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hat.data.source_files import FILES
from hat.errors import UsageError

STATMT = "http://www.statmt.org"
STATMT_DATA = "http://data.statmt.org"
MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
WMT_DEV = f"{STATMT_DATA}/wmt19/translation-task/dev.tgz"
EUROPARL_7 = f"{STATMT}/wmt13/training-parallel-europarl-v7.tgz"
COMMON_CRAWL = f"{STATMT}/wmt13/training-parallel-commoncrawl.tgz"
NEWS_COMMENTARY_9 = f"{STATMT}/wmt14/training-parallel-nc-v9.tgz"
WMT14_TEST = f"{STATMT}/wmt14/test-full.tgz"
IWSLT14 = "http://dl.fbaipublicfiles.com/fairseq/data/iwslt14/de-en.tgz"

TextFormat = Literal["plain", "seg", "ted", "tsv"]


@dataclass(frozen=True)
class Part:
    """Parallel text that is one piece of a split.

    `url` and `member` (the file inside the archive at `url`; empty if `url` is the text itself) may hold {lang} and
    {side}, which is "src" or "ref". Formats: plain; seg = the <seg> elements of SGML or XML; ted = IWSLT's training
    text with its metadata lines; tsv = one file with both languages in tab-separated `columns`.
    """

    url: str
    member: str = ""
    text_format: TextFormat = "plain"
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corpus:
    """A named corpus. Every `valid_every`-th training pair is a validation pair where there is no valid part."""

    language_pairs: tuple[tuple[str, str], ...]
    train: tuple[Part, ...]
    test: tuple[Part, ...]
    valid: tuple[Part, ...] = ()
    valid_every: int | None = None


def _wmt14_train(pair: str) -> tuple[Part, ...]:
    return (
        Part(EUROPARL_7, f"training/europarl-v7.{pair}.{{lang}}"),
        Part(COMMON_CRAWL, f"commoncrawl.{pair}.{{lang}}"),
        Part(NEWS_COMMENTARY_9, f"training/news-commentary-v9.{pair}.{{lang}}"),
    )


_MULTI30K = Corpus(
    language_pairs=tuple(itertools.permutations(("en", "de", "fr", "cs"), 2)),
    train=(Part(f"{MULTI30K}/train.{{lang}}.gz"),),
    valid=(Part(f"{MULTI30K}/val.{{lang}}.gz"),),
    test=(Part(f"{MULTI30K}/test_2016_flickr.{{lang}}.gz"),),
)

_IWSLT14_DE_EN = Corpus(
    language_pairs=(("de", "en"), ("en", "de")),
    train=(Part(IWSLT14, "de-en/train.tags.de-en.{lang}", "ted"),),
    valid_every=23,
    test=tuple(
        Part(IWSLT14, f"de-en/IWSLT14.{talks}.de-en.{{lang}}.xml", "seg")
        for talks in ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
    ),
)

_WMT14_EN_DE = Corpus(
    language_pairs=(("en", "de"),),
    train=_wmt14_train("de-en"),
    valid=(Part(WMT_DEV, "dev/newstest2013.{lang}"),),
    test=(Part(WMT14_TEST, "test-full/newstest2014-deen-{side}.{lang}.sgm", "seg"),),
)

_WMT14_EN_FR = Corpus(
    language_pairs=(("en", "fr"),),
    train=(
        *_wmt14_train("fr-en"),
        Part(f"{STATMT}/wmt13/training-parallel-un.tgz", "un/undoc.2000.fr-en.{lang}"),
        Part(f"{STATMT}/wmt10/training-giga-fren.tar", "giga-fren.release2.fixed.{lang}.gz"),
    ),
    valid_every=1333,
    test=(Part(WMT14_TEST, "test-full/newstest2014-fren-{side}.{lang}.sgm", "seg"),),
)

_WMT19_EN_DE = Corpus(
    language_pairs=(("en", "de"),),
    train=(
        Part(
            "https://s3.amazonaws.com/web-language-models/paracrawl/release3/en-de.bicleaner07.txt.gz",
            text_format="tsv",
            columns=("en", "de"),
        ),
        Part(
            f"{STATMT_DATA}/news-commentary/v14/training/news-commentary-v14.de-en.tsv.gz",
            text_format="tsv",
            columns=("de", "en"),
        ),
        Part(f"{STATMT_DATA}/wikititles/v1/wikititles-v1.de-en.tsv.gz", text_format="tsv", columns=("de", "en")),
        Part(f"{STATMT}/europarl/v9/training/europarl-v9.de-en.tsv.gz", text_format="tsv", columns=("de", "en")),
        Part(COMMON_CRAWL, "commoncrawl.de-en.{lang}"),
        Part("https://s3-eu-west-1.amazonaws.com/tilde-model/rapid2019.de-en.zip", "rapid2019.de-en.{lang}"),
    ),
    valid=(Part(WMT_DEV, "dev/newstest2017-ende-{side}.{lang}.sgm", "seg"),),
    test=(Part(WMT_DEV, "dev/newstest2018-ende-{side}.{lang}.sgm", "seg"),),
)

CORPORA = {
    "multi30k": _MULTI30K,
    "iwslt14.de-en": _IWSLT14_DE_EN,
    "wmt14.en-de": _WMT14_EN_DE,
    "wmt14.en-fr": _WMT14_EN_FR,
    "wmt19.en-de": _WMT19_EN_DE,
}
SYNTHETIC = "synthetic.de-en"
CORPUS_NAMES = (SYNTHETIC, *CORPORA, FILES)

# SHA-256 of the downloads, by address.
CHECKSUMS = {
    EUROPARL_7: "0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7",
    COMMON_CRAWL: "c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5",
    NEWS_COMMENTARY_9: "cb8953f292298e6877ae433c98912b927cb0766b303f4540512ddd286c748485",
    WMT_DEV: "7a7deccf82ebb05ba508dba5eb21356492224e8f630ec4f992132b029b4b25e7",
    f"{STATMT_DATA}/news-commentary/v14/training/news-commentary-v14.de-en.tsv.gz": (
        "8aaa98a77d38bd39dcbdbcb775f3b6c633700e4c10fd915cf3dc6b9bfd0f2dca"
    ),
    f"{STATMT_DATA}/wikititles/v1/wikititles-v1.de-en.tsv.gz": (
        "24b0222ee87b6b8b3142c92f1b6f3c49374503fb066c46f190f00bf717a67102"
    ),
    f"{STATMT}/europarl/v9/training/europarl-v9.de-en.tsv.gz": (
        "c2aef75d81bf06b22e4a9237319c1d53ba9668a13cb155c6b1361182cd3abc84"
    ),
    "https://s3-eu-west-1.amazonaws.com/tilde-model/rapid2019.de-en.zip": (
        "ed5a10e57092715020334b918f6e114e5b6c7206bee3e956f2a1e2937c59c2e7"
    ),
    f"{MULTI30K}/train.cs.gz": "a65adb8b32e3bc664f21ecba7a6e7f6950fd1f405e135f7c312faabdb6255077",
    f"{MULTI30K}/train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    f"{MULTI30K}/train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    f"{MULTI30K}/train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    f"{MULTI30K}/val.cs.gz": "b63226e05c4bd5dd6a42897d74b86a1b9d2c31498252c572b1ea7f7996927fcc",
    f"{MULTI30K}/val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    f"{MULTI30K}/val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    f"{MULTI30K}/val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    f"{MULTI30K}/test_2016_flickr.cs.gz": "200a4a74cc9560f051924abb9803be008d1908d77f747e9141aeb86dfd2797f1",
    f"{MULTI30K}/test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    f"{MULTI30K}/test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    f"{MULTI30K}/test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
}


def named_corpus(name: str, source_lang: str, target_lang: str) -> Corpus:
    """The Corpus called `name`; UsageError if there is none or it doesn't hold that language pair."""
    if name not in CORPORA:
        raise UsageError(f"data.corpus: {name!r} is not one of {', '.join(CORPUS_NAMES)}")
    check_languages(name, CORPORA[name].language_pairs, source_lang, target_lang)
    return CORPORA[name]


def check_languages(name: str, language_pairs: Iterable[tuple[str, str]], source_lang: str, target_lang: str) -> None:
    """UsageError unless the corpus `name` holds text to translate from `source_lang` to `target_lang`."""
    if (source_lang, target_lang) not in language_pairs:
        pairs = ", ".join(f"{source} to {target}" for source, target in language_pairs)
        wrong = f"{source_lang} to {target_lang}"
        raise UsageError(f"data.source_lang, data.target_lang: {name} has no {wrong}; it has {pairs}")
