"""Short reviews labelled with the writer's verdict, generated from a seed: no download, the same on every machine.

What a model has to learn, since the single words tell little: that a negation turns a word's meaning, which of two
clauses counts, how many points of how many, and whose. There is no noise in the labels.
"""

import random

from hat.data.classification import review_words as words
from hat.errors import UsageError

LABELS = {-1: "negative", 0: "neutral", 1: "positive"}
HELD_OUT_TEXTS = 1000
MAX_ATTEMPTS_PER_TEXT = 50
SCALES = (5, 10, 20)
SHARES = {-1: (0, 0.3), 0: (0.45, 0.6), 1: (0.8, 1)}  # of the points that a verdict is


def generate(seed: int, train_texts: int) -> dict[str, list[tuple[str, str]]]:
    """{"train": [(text, label), ...], "valid": 1000, "test": 1000}, all texts distinct, labels drawn evenly.

    Raises UsageError if there aren't `train_texts` different ones.
    """
    splits: dict[str, list[tuple[str, str]]]
    rng, seen, splits = random.Random(seed), set(), {"test": [], "valid": [], "train": []}
    for split, size in (("test", HELD_OUT_TEXTS), ("valid", HELD_OUT_TEXTS), ("train", train_texts)):
        for _ in range(size * MAX_ATTEMPTS_PER_TEXT):
            if len(splits[split]) == size:
                break
            verdict = rng.choice(tuple(LABELS))
            text = _review(rng, verdict)
            if text not in seen:
                seen.add(text)
                splits[split].append((text, LABELS[verdict]))
        if len(splits[split]) < size:
            most = len(splits[split])
            raise UsageError(f"data.synthetic_sentences: {train_texts} is too many; the generator gave only {most}")
    return splits


def _review(rng: random.Random, verdict: int) -> str:
    """A review with this verdict (-1, 0 or 1): the sentence that has it, and remarks around it."""
    thing = rng.choice(tuple(words.THINGS))
    kind = rng.choices(KINDS, KIND_WEIGHTS)[0]
    sentences = [kind(rng, verdict, thing)]
    for template in rng.sample(words.REMARKS, rng.choice((0, 0, 0, 1))):
        sentences.insert(rng.choice((0, len(sentences))), _remark(rng, template))
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in map(_spaced, sentences))


def _spaced(sentence: str) -> str:
    return " ".join(sentence.split())


def _subject(rng: random.Random, thing: str) -> str:
    return f"the {rng.choice((thing, *words.THINGS[thing]))}"


def _adjective(rng: random.Random, verdict: int) -> str:
    return rng.choice({-1: words.BAD, 0: words.ORDINARY, 1: words.GOOD}[verdict])


def _statement(rng: random.Random, verdict: int, thing: str) -> str:
    """A clause that says so of the thing, by a word that means it or by the negation of the contrary."""
    it = _subject(rng, thing)
    if verdict == 0:
        if rng.random() < 0.5:
            good, bad = rng.choice(words.GOOD), rng.choice(words.BAD)
            return rng.choice(words.BALANCED).format(it=it, good=good, bad=bad)
        template, adjective = rng.choice(words.PLAIN), _adjective(rng, 0)
        return template.format(it=it, degree=rng.choice(words.DEGREES), adjective=adjective)
    negated = rng.random() < 0.3
    template = rng.choice(words.NEGATED if negated else words.PLAIN)
    adjective = _adjective(rng, -verdict if negated else verdict)
    return template.format(it=it, degree=rng.choice(words.DEGREES), adjective=adjective)


def _other_verdict(rng: random.Random, verdict: int) -> int:
    return rng.choice([other for other in LABELS if other != verdict])


def _contrast(rng: random.Random, verdict: int, thing: str) -> str:
    conceded = _statement(rng, _other_verdict(rng, verdict), thing)
    return rng.choice(words.CONTRASTS).format(conceded=conceded, counts=_statement(rng, verdict, thing))


def _points(rng: random.Random, verdict: int) -> dict[str, str]:
    """{"points", "scale"} in words."""
    scale = rng.choice(SCALES)
    low, high = SHARES[verdict]
    points = rng.choice([points for points in range(scale + 1) if low <= points / scale <= high])
    return {"points": words.NUMBERS[points], "scale": words.NUMBERS[scale]}


def _rating(rng: random.Random, verdict: int, thing: str) -> str:
    own = rng.choice(words.RATED).format(**_points(rng, verdict))
    if rng.random() < 0.4:
        return own
    points = _points(rng, _other_verdict(rng, verdict))
    theirs = rng.choice(words.RATED_BY_OTHERS).format(other=rng.choice(words.OTHERS), **points)
    return f"{own}, {theirs}" if rng.random() < 0.5 else f"{theirs}, {own}"


def _remark(rng: random.Random, template: str) -> str:
    """A sentence without a verdict."""
    return template.format(
        month=rng.choice(words.MONTHS),
        number=rng.choice(words.NUMBERS[2:]),
        other=rng.choice(words.OTHERS),
        adjective=_adjective(rng, rng.choice(tuple(LABELS))),
        brand=rng.choice(words.BRANDS),
    )


KINDS = (_statement, _contrast, _rating)
KIND_WEIGHTS = (75, 17, 8)
