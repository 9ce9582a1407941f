"""A translator under a soak: a long stream of ordinary and odd lines through one bundle.

Every line must come back, in its order, memory must stay flat, and a line's translation must be the one that it has
when it is translated by itself. Prints what was found and ends with status 1 if one of these fails.

    python benchmarks/soak.py runs/multi30k.en-de/export/full/int8 --corpus valid.en.gz
"""

import argparse
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

import psutil

from hat import Translator
from hat.data.text import read_lines

MOST_WORDS = 200
LONG_LINE = 10_000  # characters
RSS_SAMPLES = 40
GROWTH_ALLOWED = 1.1  # median memory of the last quarter over that of the second
OTHER_SCRIPTS = [
    "Привет, мир",
    "今天天气很好。",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "Ξεσκεπάζω",
    "안녕하세요",
    "שלום עולם",
    "ñandú Œuvre",
]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "🧪", "❤️"]
ODD = [
    "a\x00b",
    "one\rtwo",
    "line\u2028separator",
    "next\u0085line",
    "\ud83d alone",
    "\ufeff",
    "e\u0301" * 20,
    "\u202eabc",
    "<s> </s> <unk>",
]
BLANK = ["", " ", "\t", "\u3000"]
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def sentences(count, seed, corpus):
    """Yield `count` lines, the same for the same seed; `corpus` is a list of sentences to take words from."""
    rng = random.Random(seed)
    words = [word for line in corpus for word in line.split()] or _made_up_words(rng)
    for _ in range(count):
        kind = rng.random()
        if kind < 0.03:
            yield rng.choice(BLANK)
        elif kind < 0.06:
            yield " ".join(rng.choices(EMOJI + words[:20], k=rng.randint(1, 20)))
        elif kind < 0.09:
            yield " ".join(rng.choices(OTHER_SCRIPTS, k=rng.randint(1, 12)))
        elif kind < 0.11:
            yield rng.choice(ODD)
        elif kind < 0.113:
            yield _long_line(rng, words)
        elif corpus and kind < 0.5:
            yield rng.choice(corpus)
        else:
            yield " ".join(rng.choices(words, k=int(MOST_WORDS ** rng.random())))


def _made_up_words(rng):
    return ["".join(rng.choices(LETTERS, range(26, 0, -1), k=rng.randint(1, 9))) for _ in range(5000)]


def _long_line(rng, words):
    """With blanks between words or without any."""
    separator = rng.choice([" ", ""])
    return separator.join(rng.choices(words, k=LONG_LINE))[:LONG_LINE]


def soak(translator, make_lines, count, window, results):
    """Write the stream's translations to the text file `results`; returns their number and the memory on the way."""
    process, memory, found = psutil.Process(), [], 0
    every = max(count // RSS_SAMPLES, 1)
    for translation in translator.translate_stream(make_lines(), window=window):
        results.write(translation + "\n")
        found += 1
        if found % every == 0:
            memory.append(process.memory_info().rss)
            print(f"{found} of {count} lines, {memory[-1] / 1e6:.0f} MB", file=sys.stderr)
    return found, memory


def differences(translator, make_lines, found, chosen):
    """(index, line, streamed, alone) of each line in `chosen` that is translated otherwise by itself."""
    wrong = []
    for index, (line, streamed) in enumerate(zip(make_lines(), found, strict=True)):
        blank_kept = bool(line.strip()) or not streamed
        if index in chosen or not blank_kept:
            alone = translator.translate([line])[0]
            if alone != streamed:
                wrong.append((index, line, streamed, alone))
    return wrong


def is_flat(memory):
    """Whether the last quarter of the samples is hardly above the second."""
    quarter = len(memory) // 4
    if quarter == 0:
        return True
    second, last = sorted(memory[quarter : 2 * quarter]), sorted(memory[-quarter:])
    return last[quarter // 2] <= GROWTH_ALLOWED * second[quarter // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", metavar="BUNDLE")
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", metavar="FILE", help="real sentences, plain or gzip (default: made-up words)")
    parser.add_argument("--sample", type=int, default=1000, help="lines to translate by themselves as well")
    parser.add_argument("--all", action="store_true", help="translate all lines by themselves as well")
    parser.add_argument("--window", type=int, help="lines that the stream reads ahead (default: the translator's)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--beam", type=int)
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # long lines are told one by one
    corpus = list(read_lines(options.corpus)) if options.corpus else []
    raise SystemExit(0 if run(options, [line for line in corpus if line.strip()]) else 1)


def run(options, corpus):
    """Soak and compare; whether all is well."""

    def make_lines():
        return sentences(options.sentences, options.seed, corpus)

    translator = Translator(options.bundle, beam=options.beam, workers=options.workers)
    start_memory, start = psutil.Process().memory_info().rss, time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        open(Path(folder) / "found", "w+", encoding="utf-8", newline="\n") as results,
    ):
        count, memory = soak(translator, make_lines, options.sentences, options.window, results)
        seconds = time.monotonic() - start
        results.seek(0)
        found = results.read().split("\n")[:-1]
    memory_text = " ".join(f"{value / 1e6:.0f}" for value in (start_memory, memory[-1], max(memory)))
    print(f"lines: {options.sentences} in, {count} out, {seconds:.0f} s")
    print(f"memory: {memory_text} MB (start, end, peak), {'flat' if is_flat(memory) else 'GROWING'}")
    if len(found) != options.sentences:
        print("LOST or added lines")
        return False
    every = range(options.sentences)
    chosen = set(every if options.all else random.Random(0).sample(every, min(options.sample, options.sentences)))
    wrong = differences(translator, make_lines, found, chosen)
    print(f"alone: {len(chosen)} lines translated by themselves, {len(wrong)} otherwise than in the stream")
    for index, line, streamed, alone in wrong[:5]:
        print(f"  line {index + 1} {line[:60]!r}: {streamed[:60]!r}, alone {alone[:60]!r}")
    return is_flat(memory) and not wrong


if __name__ == "__main__":
    main()
