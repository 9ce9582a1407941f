"""Translator on bundles with random weights: order, options, streams, threads, workers, odd text."""

import gc
import json
import os
import shutil
import threading
import warnings

import pytest
from deployed import SENTENCES, make_bundle

from hat import Translator
from hat.deploy.bundle import file_entry
from hat.deploy.search_options import SearchOptions
from hat.deploy.shortlist import Shortlist
from hat.errors import DataError, UsageError

MANY = [" ".join(SENTENCES[index % 5].split()[index % 3 : 3 + index % 7]) for index in range(60)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "fp32")


@pytest.fixture(scope="module")
def translator(bundle):
    return Translator(bundle)


@pytest.fixture(scope="module")
def translations(translator):
    return translator.translate(SENTENCES)


def cores(monkeypatch, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(count)), raising=False)


def test_order_and_empty_lines(translator, translations):
    assert len(set(translations)) >= 4
    lines = ["", SENTENCES[2], "   ", SENTENCES[0], "\t", SENTENCES[2], ""]
    expected = ["", translations[2], "", translations[0], "", translations[2], ""]
    assert translator.translate(lines) == expected
    assert translator.translate([]) == []


def test_batching_changes_nothing(bundle, translator, translations):
    """One sentence a batch (a batch holds at least one), and all in one."""
    assert Translator(bundle, batch_tokens=1).translate(SENTENCES) == translations
    assert Translator(bundle, batch_tokens=60).translate(MANY) == translator.translate(MANY)


def test_int8_of_earlier_versions_searches_by_steps_where_its_loops_would_overflow(tmp_path, monkeypatch):
    bundle = make_bundle(tmp_path / "int8", "int8")
    monkeypatch.setattr("hat.deploy.sessions.may_saturate", lambda: True)
    assert Translator(bundle).beam_search.loops
    for saturates, loops in ((True, False), (False, True)):
        monkeypatch.setattr("hat.deploy.translator.may_overflow", lambda _model, saturates=saturates: saturates)
        assert Translator(bundle).beam_search.loops == loops
    with_steps = Translator(bundle).beam_search
    monkeypatch.setattr("hat.deploy.translator.may_overflow", lambda _model: True)
    search, options = Translator(bundle).beam_search, SearchOptions(3)
    sources = [[5, 6, 7, 2]]
    assert search.search(sources, options) == with_steps.search(sources, options, prefixes=[[]])


def test_beam_is_the_bundles_unless_given(bundle, translations):
    assert Translator(bundle, beam=3).translate(SENTENCES) == translations
    assert Translator(bundle, beam=1).translate(SENTENCES) != translations


def test_search_options_are_the_bundles_unless_given(bundle):
    assert Translator(bundle).options == SearchOptions(beam=3, lenpen=1.0, max_len_a=1.2, max_len_b=10)
    given = Translator(bundle, lenpen=0.5, min_len=4, max_len_b=7).options
    assert given == SearchOptions(beam=3, lenpen=0.5, max_len_a=1.2, max_len_b=7, min_len=4)
    short = Translator(bundle, max_len_a=0.0, max_len_b=2)
    assert all(len(best[0].tokens) <= 3 for best in short.translate_ids([[5, 6, 7, 8, 9, 2]] * 3))


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"beam": 0}, {"batch_tokens": -1}, {"workers": 0}])
def test_impossible_options(bundle, wrong):
    with pytest.raises(UsageError, match="must be at least 1"):
        Translator(bundle, **wrong)


def test_an_impossible_window(translator):
    with pytest.raises(UsageError, match="window must be at least 1"):
        translator.translate_stream(SENTENCES, window=0)


def test_a_beam_above_the_vocabulary(bundle):
    with pytest.raises(UsageError, match="beam 49 is above the vocabulary of 48"):
        Translator(bundle, beam=49)


def test_more_threads_than_cores(bundle, monkeypatch):
    cores(monkeypatch, 4)
    with pytest.raises(UsageError, match="5 threads are more than the 4 cores"):
        Translator(bundle, threads=5)
    with pytest.raises(UsageError, match="3 workers of 2 threads each are more than the 4 cores"):
        Translator(bundle, threads=2, workers=3)
    Translator(bundle, threads=2, workers=2)


def test_what_is_no_list_of_sentences(translator):
    for wrong in ("one string", [5], [None], [b"bytes"]):
        with pytest.raises(TypeError, match="str"):
            translator.translate(wrong)
    with pytest.raises(TypeError, match="not one string"):
        translator.translate_stream("one string")


def test_nbest_begins_with_the_translation_and_gets_worse(translator, translations):
    found = translator.translate_nbest([*SENTENCES, ""], 3)
    assert [nbest[0][0] for nbest in found[:-1]] == translations
    assert found[-1] == [("", 0.0)] * 3
    for nbest in found[:-1]:
        scores = [score for _, score in nbest]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
    hypotheses = translator.translate_ids(translator._tokenizers.parts(SENTENCES[0]))[0]
    assert [score for _, score in found[0]] == pytest.approx([hypothesis.score for hypothesis in hypotheses])
    assert [nbest[:2] for nbest in found] == translator.translate_nbest([*SENTENCES, ""], 2)
    for impossible in (0, 4):
        with pytest.raises(UsageError, match="with a beam of 3"):
            translator.translate_nbest(SENTENCES, impossible)


def test_long_sentences_are_translated_in_parts_with_a_warning(tmp_path):
    translator = Translator(make_bundle(tmp_path / "bundle", max_source_tokens=20))
    sentence = " ".join(SENTENCES)
    with pytest.warns(UserWarning, match="translated in parts of 19 at most"):
        result = translator.translate(["A pear.", sentence])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = translator._tokenizers.parts(sentence)
        joined = translator.translate_nbest([sentence], 2)[0]
    assert max(map(len, parts)) <= 20
    assert all(part[-1] == 2 for part in parts)
    decode = translator._tokenizers._source.decode
    assert decode(sum((part[:-1] for part in parts), [])) == sentence
    texts = [decode(part[:-1]) for part in parts]
    assert [word for text in texts for word in text.split()] == sentence.split()  # cut between words only
    assert result == translator.translate(["A pear."]) + [" ".join(translator.translate(texts))]
    apart = translator.translate_nbest(texts, 2)
    for rank in range(2):
        text, score = joined[rank]
        assert text == " ".join(nbest[rank][0] for nbest in apart)
        assert score == pytest.approx(sum(nbest[rank][1] for nbest in apart) / len(apart))


ODD = [
    "one\rtwo",
    "a\x00b",
    "line\u2028separator\u2029and\u0085next",
    "half \ud83d of a pair",
    "\ude00\ud83d",
    "😀👩‍👩‍👧‍👦🇩🇪",
    "今天天气很好。 Привет, мир! مرحبا",
    "\ufeff",
    "e\u0301" * 30,
    "x" * 10_000,
    "A pear. " * 1250,
    "<s> </s> <unk> \u2581",
    "\x1b[31m\x7f\x0b\x0c",
    "one\ntwo\r\n",
]


@pytest.mark.filterwarnings("ignore:the sentence")
def test_odd_text_gives_one_line_each(translator, translations):
    lines = [text for index, odd in enumerate(ODD) for text in (odd, SENTENCES[index % 5], "")]
    found = translator.translate(lines)
    assert len(found) == len(lines)
    assert not any("\n" in line or "\r" in line for line in found)
    assert found[1::3] == [translations[index % 5] for index in range(len(ODD))]
    assert found[2::3] == [""] * len(ODD)
    assert found == [translator.translate([line])[0] for line in lines]
    assert found == list(translator.translate_stream(lines, window=5))


def test_a_stream_reads_a_window_ahead_and_no_more(translator):
    read = []

    def endless():
        while True:
            read.append(MANY[len(read) % len(MANY)])
            yield read[-1]

    stream = translator.translate_stream(endless(), window=10)
    assert read == []
    expected = translator.translate(MANY[:25])
    for index in range(25):
        assert next(stream) == expected[index]
        assert len(read) == (index // 10 + 1) * 10
    stream.close()
    assert len(read) == 30


@pytest.mark.parametrize("window", [1, 7, 1000])
def test_a_stream_equals_a_list(translator, window):
    assert list(translator.translate_stream(iter(MANY), window=window)) == translator.translate(MANY)
    assert list(translator.translate_stream([], window=window)) == []


def test_a_stream_that_breaks_gives_what_it_had(translator, translations):
    def broken():
        yield from SENTENCES[:3]
        raise DataError("no more")

    stream = translator.translate_stream(broken(), window=2)
    assert [next(stream) for _ in range(3)] == translations[:3]
    with pytest.raises(DataError, match="no more"):
        next(stream)


def test_threads_share_a_translator(translator):
    expected = translator.translate(MANY)
    found = {}

    def work(name):
        rotated = MANY[name:] + MANY[:name]
        if name % 2:
            found[name] = list(translator.translate_stream(rotated, window=9))
        else:
            found[name] = translator.translate(rotated)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: expected[name:] + expected[:name] for name in range(8)}


@pytest.mark.parametrize("threads", [1, 2])
def test_workers_change_nothing_and_leave_no_thread(bundle, translator, monkeypatch, threads):
    cores(monkeypatch, 8)
    expected = translator.translate(MANY)
    several = Translator(bundle, threads=threads, workers=3, batch_tokens=100)
    before = threading.active_count()
    assert several.translate(MANY) == expected
    stream = several.translate_stream(MANY * 2, window=40)
    assert [next(stream) for _ in range(5)] == expected[:5]
    assert threading.active_count() == before  # even in the midst of a stream
    del stream
    gc.collect()
    assert list(several.translate_stream(MANY * 2)) == expected * 2


def test_an_error_in_a_worker_reaches_the_caller(bundle, monkeypatch):
    cores(monkeypatch, 8)
    several = Translator(bundle, workers=3, batch_tokens=40, min_len=30)  # more than short sentences may have
    before = threading.active_count()
    with pytest.raises(UsageError, match="min_len 30 is above"):
        several.translate(["pear", SENTENCES[0]] * 4)
    assert threading.active_count() == before
    long = [SENTENCES[1]]
    assert several.translate(long * 3) == Translator(bundle, min_len=30).translate(long) * 3


def test_a_shortlist_limits_the_words(bundle, translator, tmp_path):
    with pytest.raises(UsageError, match="has no shortlist"):
        Translator(bundle, shortlist=True)
    path = shutil.copytree(bundle, tmp_path / "bundle")
    words = 40  # of 48
    offsets = [0] * 20 + [8] * 29  # source token 19, a frequent one, brings the rest
    Shortlist(offsets, range(words, 48), range(words)).save(path / "shortlist.npz")
    description = json.loads((path / "bundle.json").read_text())
    description["files"]["shortlist.npz"] = file_entry(path / "shortlist.npz")
    (path / "bundle.json").write_text(json.dumps({**description, "shortlist": "shortlist.npz"}))
    limited = Translator(path, shortlist=True, batch_tokens=1)
    assert Translator(path).translate(SENTENCES) == translator.translate(SENTENCES)
    sources = [source for sentence in MANY for source in translator._tokenizers.parts(sentence)]
    with_rest = [19 in source for source in sources]
    assert True in with_rest
    assert False in with_rest
    free = translator.translate_ids(sources)
    for source, rest, found, all_words in zip(sources, with_rest, limited.translate_ids(sources), free, strict=True):
        assert rest or max(max(hypothesis.tokens) for hypothesis in found) < words, source
        assert not rest or found[0].tokens == all_words[0].tokens
    assert any(max(best[0].tokens) >= words for best, rest in zip(free, with_rest, strict=True) if not rest)
    with pytest.raises(UsageError, match="no shortlist with"):
        Translator(path, shortlist=True, unk_penalty=1.0).translate(SENTENCES)


def test_a_beam_larger_than_the_shortlist_is_refused(bundle, tmp_path):
    path = shutil.copytree(bundle, tmp_path / "bundle")
    Shortlist([0] * 49, [], range(7)).save(path / "shortlist.npz")
    description = json.loads((path / "bundle.json").read_text())
    description["files"]["shortlist.npz"] = file_entry(path / "shortlist.npz")
    (path / "bundle.json").write_text(json.dumps({**description, "shortlist": "shortlist.npz"}))
    for beam in (3, 4, 40):
        with pytest.raises(
            UsageError, match=r"beam \d+ is too large for the 7 tokens of the shortlist; .* of 2 at most"
        ):
            Translator(path, shortlist=True, beam=beam).translate(SENTENCES)
    for beam in (1, 2):
        assert any(Translator(path, shortlist=True, beam=beam).translate(SENTENCES))


def test_prefixes_begin_the_translations(translator):
    free = translator.translate(SENTENCES[:3])
    prefixes = ["The old", "", "  "]
    found = translator.translate(SENTENCES[:3], prefixes)
    assert found[0].startswith("The old")
    assert found[1:] == free[1:]
    assert list(translator.translate_stream(SENTENCES[:3], iter(prefixes), window=2)) == found
    nbest = translator.translate_nbest(SENTENCES[:1], 3, prefixes[:1])[0]
    assert all(text.startswith("The old") for text, _ in nbest)


def test_prefixes_of_another_number(translator):
    with pytest.raises(DataError, match="only 2 prefixes for more sentences"):
        translator.translate(SENTENCES, ["a", "b"])
    with pytest.raises(DataError, match="only 1 sentences for more prefixes"):
        translator.translate(SENTENCES[:1], ["a", "b"])
