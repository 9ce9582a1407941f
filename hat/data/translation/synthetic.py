"""A small German-English corpus with real grammar, generated from a seed: no download, the same on every machine.

What a model has to learn: numbers whose digits swap places (einundzwanzig, twenty-one), dates, times of day
(halb vier, half past three), prices, cases that tell subject from object when the object stands first, verbs split
in two or at the end of the clause, do-support and negation in English, time and place in opposite order.
"""

import random

from hat.data.translation import synthetic_words as words
from hat.data.translation.synthetic_grammar import Clause, Phrase, noun_phrase, person_object, subject
from hat.data.translation.synthetic_numbers import digit_date, digit_price, time_of_day, word_date, word_price
from hat.errors import UsageError

HELD_OUT_SENTENCES = 500
MAX_ATTEMPTS_PER_SENTENCE = 50


def generate(seed: int, train_sentences: int) -> dict[str, list[tuple[str, str]]]:
    """{"train": [(German, English), ...], "valid": 500 pairs, "test": 500 pairs}, all German sentences distinct.

    No English sentence of valid or test occurs in train. Raises UsageError if `train_sentences` is not positive or
    more than the grammar gives.
    """
    if train_sentences < 1:
        raise UsageError(f"data.synthetic_sentences: {train_sentences} is not a positive number")
    rng = random.Random(seed)
    seen_german, held_out_english = set(), set()
    splits: dict[str, list[tuple[str, str]]] = {"test": [], "valid": [], "train": []}
    for split, size in (("test", HELD_OUT_SENTENCES), ("valid", HELD_OUT_SENTENCES), ("train", train_sentences)):
        for _ in range(size * MAX_ATTEMPTS_PER_SENTENCE):
            if len(splits[split]) == size:
                break
            german, english = _sentence(rng)
            if german in seen_german or (split == "train" and english in held_out_english):
                continue
            seen_german.add(german)
            splits[split].append((german, english))
            if split != "train":
                held_out_english.add(english)
        if len(splits[split]) < size:
            most = len(splits[split])
            raise UsageError(f"data.synthetic_sentences: {train_sentences} is too many; the grammar gave only {most}")
    return splits


def _sentence(rng: random.Random) -> tuple[str, str]:
    """One sentence pair of a kind drawn by weight, capitalised."""
    kind = rng.choices(SENTENCE_KINDS, SENTENCE_WEIGHTS)[0]
    german, english = kind(rng)
    return german[0].upper() + german[1:], english[0].upper() + english[1:]


def _time(rng: random.Random, tense: str | words.Modal) -> Phrase:
    """A time adverbial that fits the tense; a day may be followed by the time of day, in English by it preceded."""
    draw = rng.random()
    key = tense if tense in words.ADVERBS else "future"
    if draw < 0.3:
        return Phrase(*rng.choice(words.ADVERBS[key]))
    clock = time_of_day(rng.randint(1, 12), 5 * rng.randint(0, 11))
    if draw < 0.45:
        return Phrase(*clock)
    if draw < 0.65:
        german, english = rng.choice(words.WEEKDAYS)
        german, english = f"am {german}", f"on {english}"
    elif draw < 0.85:
        german, english = digit_date(rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2029))
    else:
        german, english = word_date(rng.randint(1, 28), rng.randint(1, 12))
    if rng.random() < 0.3:
        return Phrase(f"{german} {clock[0]}", f"{clock[1]} {english}")
    return Phrase(german, english)


def _price(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.6:
        return digit_price(rng.randint(100, 250_000) if rng.random() < 0.3 else rng.randint(100, 9_999))
    return word_price(rng.randint(2, 999), rng.choice((0, *range(10, 100, 10))))


def _clause(rng: random.Random, negatable: bool = True) -> Clause:
    """A random clause: subject, verb, objects that suit it, perhaps time, place or price, perhaps negated."""
    verb = rng.choice(words.VERBS)
    tense: str | words.Modal = rng.choice(("present", "past", "past", "future", "modal"))
    tense = rng.choice(words.MODALS) if tense == "modal" else tense
    negated = negatable and rng.random() < 0.2
    who, objects = subject(rng), []
    for case in verb.cases:
        if case == "dat" or verb.kinds == ("person",):
            objects.append(person_object(rng, case, who))
        else:
            objects.append(noun_phrase(rng, case, verb.kinds, negated_indefinite=negated and rng.random() < 0.5))
    if negated and all(phrase.article == "indefinite" for phrase in objects):
        negated = False
    adverbials = [_time(rng, tense)] if rng.random() < 0.6 else []
    if verb.infinitive in words.TRADE_VERBS and not verb.prefix and rng.random() < 0.5:
        german, english = _price(rng)
        adverbials.append(Phrase(f"für {german}", f"for {english}"))
    elif rng.random() < 0.3:
        adverbials.append(Phrase(*rng.choice(words.PLACES)))
    return Clause(who, verb, tense, tuple(objects), tuple(adverbials), negated)


def _statement(rng: random.Random) -> tuple[str, str]:
    clause = _clause(rng)
    return clause.german_main() + ".", clause.english_statement() + "."


def _fronted(rng: random.Random) -> tuple[str, str]:
    """A time or place, or an object whose case shows, before the verb."""
    clause = _clause(rng)
    movable = [phrase for phrase in clause.objects if phrase.marked] + list(clause.adverbials)
    if not movable:
        return _statement(rng)
    return clause.german_inverted(rng.choice(movable)) + ".", clause.english_statement() + "."


def _question(rng: random.Random) -> tuple[str, str]:
    clause = _clause(rng, negatable=False)
    return clause.german_inverted() + "?", clause.english_question() + "?"


def _reason(rng: random.Random) -> tuple[str, str]:
    """Main clause and subordinate clause, either of them first."""
    main, other = _clause(rng), _clause(rng)
    german, english = rng.choice(words.CONJUNCTIONS)
    if rng.random() < 0.5:
        return (
            f"{main.german_main()}, {german} {other.german_final()}.",
            f"{main.english_statement()} {english} {other.english_statement()}.",
        )
    return (
        f"{german} {other.german_final()}, {main.german_inverted()}.",
        f"{english} {other.english_statement()}, {main.english_statement()}.",
    )


def _thought(rng: random.Random) -> tuple[str, str]:
    who, verb, clause = subject(rng), rng.choice(words.THOUGHT_VERBS), _clause(rng)
    finite = {"first": verb.first, "third": verb.third, "plural": verb.plural}[who.form]
    if who.form == "plural" and who.german != "wir":
        finite = finite.replace("uns", "sich")
    english = verb.english_third if who.form == "third" else verb.english
    return (
        f"{who.german} {finite}, {verb.conjunction} {clause.german_final()}.",
        f"{who.english} {english} {verb.english_conjunction} {clause.english_statement()}.",
    )


def _price_statement(rng: random.Random) -> tuple[str, str]:
    thing = noun_phrase(rng, "nom", ("thing",))
    german, english = _price(rng)
    plural = thing.form == "plural"
    return (
        f"{thing.german} {'kosten' if plural else 'kostet'} {german}.",
        f"{thing.english} {'cost' if plural else 'costs'} {english}.",
    )


def _comparison(rng: random.Random) -> tuple[str, str]:
    kind = rng.choice(("person", "thing", "animal"))
    adjective = rng.choice([row for row in words.ADJECTIVES if kind in row.kinds])
    first, second = noun_phrase(rng, "nom", (kind,)), noun_phrase(rng, "nom", (kind,))
    plural = first.form == "plural"
    return (
        f"{first.german} {'sind' if plural else 'ist'} {adjective.comparative} als {second.german}.",
        f"{first.english} {'are' if plural else 'is'} {adjective.english_comparative} than {second.english}.",
    )


SENTENCE_KINDS = (_statement, _fronted, _question, _reason, _thought, _price_statement, _comparison)
SENTENCE_WEIGHTS = (20, 25, 12, 13, 15, 8, 7)
