"""The synthetic corpus: numbers, times and clauses against hand-written German and English, splits and seeds."""

import itertools
import random

import pytest

from hat.data.translation import synthetic_words as words
from hat.data.translation.synthetic import generate
from hat.data.translation.synthetic_grammar import Clause, NounPhrase, Phrase, decline, noun_phrase, with_article
from hat.data.translation.synthetic_numbers import (
    digit_date,
    digit_price,
    english_number,
    english_ordinal,
    german_number,
    german_ordinal,
    time_of_day,
    word_date,
    word_price,
)
from hat.errors import UsageError


@pytest.mark.parametrize(
    ("number", "german", "english"),
    [
        (1, "eins", "one"),
        (12, "zwölf", "twelve"),
        (16, "sechzehn", "sixteen"),
        (17, "siebzehn", "seventeen"),
        (21, "einundzwanzig", "twenty-one"),
        (30, "dreißig", "thirty"),
        (77, "siebenundsiebzig", "seventy-seven"),
        (100, "einhundert", "one hundred"),
        (101, "einhunderteins", "one hundred and one"),
        (345, "dreihundertfünfundvierzig", "three hundred and forty-five"),
        (999, "neunhundertneunundneunzig", "nine hundred and ninety-nine"),
    ],
)
def test_numbers(number, german, english):
    assert (german_number(number), english_number(number)) == (german, english)


def test_numbers_are_all_different():
    assert len({german_number(number) for number in range(1000)}) == 1000
    assert len({english_number(number) for number in range(1000)}) == 1000


def test_ordinals():
    german = {1: "ersten", 3: "dritten", 7: "siebten", 8: "achten", 12: "zwölften", 20: "zwanzigsten"}
    english = {1: "first", 2: "second", 5: "fifth", 12: "twelfth", 20: "twentieth", 23: "twenty-third", 30: "thirtieth"}
    assert {number: german_ordinal(number) for number in german} == german
    assert {number: english_ordinal(number) for number in english} == english
    assert german_ordinal(31) == "einunddreißigsten"
    assert english_ordinal(31) == "thirty-first"


@pytest.mark.parametrize(
    ("hour", "minute", "german", "english"),
    [
        (1, 0, "um ein Uhr", "at one o'clock"),
        (3, 30, "um halb vier", "at half past three"),
        (12, 30, "um halb eins", "at half past twelve"),
        (7, 45, "um Viertel vor acht", "at a quarter to eight"),
        (7, 15, "um Viertel nach sieben", "at a quarter past seven"),
        (6, 20, "um zwanzig nach sechs", "at twenty past six"),
        (6, 25, "um fünf vor halb sieben", "at twenty-five past six"),
        (6, 35, "um fünf nach halb sieben", "at twenty-five to seven"),
        (12, 50, "um zehn vor eins", "at ten to one"),
    ],
)
def test_times_of_day(hour, minute, german, english):
    assert time_of_day(hour, minute) == (german, english)


def test_times_of_day_are_all_different():
    spoken = [time_of_day(hour, minute) for hour, minute in itertools.product(range(1, 13), range(0, 60, 5))]
    assert len({german for german, _ in spoken}) == len({english for _, english in spoken}) == 144


def test_dates_and_prices():
    assert digit_date(3, 3, 2019) == ("am 3. März 2019", "on March 3, 2019")
    assert word_date(3, 3) == ("am dritten März", "on the third of March")
    assert digit_price(350) == ("3,50 Euro", "3.50 euros")
    assert digit_price(123450) == ("1.234,50 Euro", "1,234.50 euros")
    assert word_price(12, 50) == ("zwölf Euro fünfzig", "twelve euros fifty")
    assert word_price(21, 0) == ("einundzwanzig Euro", "twenty-one euros")


def verb(english):
    return next(row for row in words.VERBS if row.english == english)


def modal(singular):
    return next(row for row in words.MODALS if row.singular == singular)


MAN = NounPhrase("der alte Mann", "the old man")
CHILDREN = NounPhrase("die Kinder", "the children", form="plural")
LETTER = NounPhrase("den Brief", "the letter", marked=True)
NO_LETTER = NounPhrase("keinen Brief", "a letter", article="negated")
FRIEND = NounPhrase("dem Freund", "the friend")
MONDAY = Phrase("am Montag", "on Monday")
GARDEN = Phrase("im Garten", "in the garden")


@pytest.mark.parametrize(
    ("clause", "german", "english"),
    [
        (
            Clause(MAN, verb("read"), "present", (LETTER,)),
            "der alte Mann liest den Brief",
            "the old man reads the letter",
        ),
        (
            Clause(CHILDREN, verb("read"), "past", (LETTER,), (MONDAY, GARDEN)),
            "die Kinder haben am Montag den Brief im Garten gelesen",
            "the children read the letter in the garden on Monday",
        ),
        (
            Clause(MAN, verb("open"), "present", (LETTER,), negated=True),
            "der alte Mann macht den Brief nicht auf",
            "the old man does not open the letter",
        ),
        (
            Clause(MAN, verb("give"), "past", (FRIEND, NO_LETTER), negated=True),
            "der alte Mann hat dem Freund keinen Brief gegeben",
            "the old man did not give the friend a letter",
        ),
        (
            Clause(CHILDREN, verb("pick"), modal("muss"), (NounPhrase("ihn", "him"),), (MONDAY,)),
            "die Kinder müssen ihn am Montag abholen",
            "the children must pick him up on Monday",
        ),
        (
            Clause(MAN, verb("choose"), "future", (LETTER,)),
            "der alte Mann wird den Brief aussuchen",
            "the old man will choose the letter",
        ),
    ],
)
def test_main_clauses(clause, german, english):
    assert (clause.german_main(), clause.english_statement()) == (german, english)


def test_word_order():
    clause = Clause(MAN, verb("open"), "past", (LETTER,), (MONDAY,))
    assert clause.german_final() == "der alte Mann am Montag den Brief aufgemacht hat"
    assert clause.german_inverted(LETTER) == "den Brief hat der alte Mann am Montag aufgemacht"
    assert clause.german_inverted() == "hat der alte Mann am Montag den Brief aufgemacht"
    assert clause.english_question() == "Did the old man open the letter on Monday"
    present = Clause(CHILDREN, verb("open"), "present", (LETTER,))
    assert present.german_final() == "die Kinder den Brief aufmachen"
    assert present.german_inverted(LETTER) == "den Brief machen die Kinder auf"
    assert Clause(MAN, verb("open"), modal("will"), (LETTER,)).english_question() == (
        "Does the old man want to open the letter"
    )


def test_declension():
    nouns = {noun.german: noun for noun in words.NOUNS}
    assert decline(nouns["Nachbar"], "acc", plural=False) == "Nachbarn"
    assert decline(nouns["Nachbar"], "nom", plural=False) == "Nachbar"
    assert decline(nouns["Kind"], "dat", plural=True) == "Kindern"
    assert decline(nouns["Frau"], "dat", plural=True) == "Frauen"
    assert decline(nouns["Mann"], "acc", plural=False) == "Mann"
    assert with_article("a old apple") == "an old apple"
    assert with_article("a man") == "a man"


@pytest.mark.parametrize(
    ("case", "right", "wrong"),
    [
        ("nom", {"das alte Pferd", "ein altes Pferd", "mein altes Pferd", "dieses alte Pferd"}, {"das altes Pferd"}),
        ("acc", {"den alten Hund", "einen alten Hund", "unseren alten Hund"}, {"der alte Hund", "ein alter Hund"}),
        ("dat", {"der alten Katze", "einer alten Katze", "seiner alten Katze"}, {"die alte Katze", "der alte Katze"}),
        ("dat", {"den alten Pferden", "diesen alten Pferden", "meinen alten Pferden"}, {"den alten Pferde"}),
        ("acc", {"zwei alte Pferde", "die alten Pferde"}, {"zwei alten Pferde", "ein alte Pferde"}),
    ],
)
def test_noun_phrases_take_the_right_endings(case, right, wrong):
    rng = random.Random(5)
    phrases = {noun_phrase(rng, case, ("animal",)).german for _ in range(20000)}
    assert right <= phrases
    assert not wrong & phrases


def test_splits_are_disjoint_and_of_the_asked_size():
    splits = generate(seed=3, train_sentences=2000)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 2000, "valid": 500, "test": 500}
    german = [source for rows in splits.values() for source, _ in rows]
    assert len(set(german)) == len(german)
    held_out = {english for split in ("valid", "test") for _, english in splits[split]}
    assert not held_out & {english for _, english in splits["train"]}


def test_same_seed_same_corpus_other_seed_other_corpus():
    assert generate(1, 50) == generate(1, 50)
    assert generate(1, 50) != generate(2, 50)
    # A larger corpus has the same held-out sentences and begins alike.
    assert generate(1, 60)["train"][:50] == generate(1, 50)["train"]


def test_sentences_are_well_formed():
    for german, english in generate(4, 3000)["train"]:
        assert german[-1] == english[-1]
        assert german[-1] in ".?"
        assert german[0].upper() == german[0]
        for text in (german, english):
            assert text == " ".join(text.split())
            assert not set(text) & set("{}|_")
        assert " a a" not in english.lower().replace(" a animal", "")


def test_no_sentences_asked_is_refused():
    with pytest.raises(UsageError, match="synthetic_sentences: 0"):
        generate(1, 0)
