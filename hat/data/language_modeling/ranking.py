"""Which words a vocabulary has: numbered by falling frequency, as adaptive tables need them."""

from collections import Counter

from hat.deploy.words import END_OF_LINE, UNKNOWN


def ranked_words(counts: Counter[str], most: int | None) -> list[str]:
    """The `most` most frequent words (None: all), the most frequent first; equally frequent ones as they first came.

    `counts` are those of the training text, with END_OF_LINE once a line. END_OF_LINE and UNKNOWN are always among
    them; UNKNOWN is as frequent as all words together that it stands for.
    """
    words = [word for word, _ in counts.most_common() if word not in (END_OF_LINE, UNKNOWN)]
    kept = words if most is None else words[: most - 2]
    unknown = counts[UNKNOWN] + sum(counts[word] for word in words[len(kept) :])
    frequencies = {word: counts[word] for word in kept} | {END_OF_LINE: counts[END_OF_LINE], UNKNOWN: unknown}
    return sorted(frequencies, key=lambda word: -frequencies[word])
