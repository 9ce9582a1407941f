"""Grammar of the synthetic corpus: noun phrases with cases and endings, clauses with German and English word order."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from hat.data.translation import synthetic_words as words
from hat.data.translation.synthetic_numbers import english_number, german_number

PRONOUN_FORMS = frozenset(german for rows in words.OBJECT_PRONOUNS.values() for german, _ in rows)
ENGLISH_ADVERBS = ("up", "away")


@dataclass(frozen=True)
class Phrase:
    """A piece of a sentence in both languages."""

    german: str
    english: str


@dataclass(frozen=True)
class NounPhrase(Phrase):
    """`form` is what it asks of a verb as its subject (first, third, plural); `article` how `not` is said with it.

    `marked` tells whether its German case shows in its form, so that it may stand first even as an object.
    """

    form: str = "third"
    article: str = "definite"
    marked: bool = False


def decline(noun: words.Noun, case: str, plural: bool) -> str:
    """The German noun in a case and number."""
    if not plural:
        return noun.german_plural if noun.weak and case != "nom" else noun.german
    needs_n = case == "dat" and not noun.german_plural.endswith(("n", "s"))
    return noun.german_plural + ("n" if needs_n else "")


def _determiner(rng: random.Random, case: str, gender: str, negated_indefinite: bool) -> tuple[str, str, str, str]:
    """(German, English, adjective declension, article) for gender m, f, n or p (plural)."""
    plural = gender == "p"
    kind = "indefinite" if negated_indefinite else rng.choice(("the", "the", "indefinite", "indefinite", "this", "my"))
    if kind == "the":
        return words.DEFINITE[case][gender], "the", "definite", "definite"
    if kind == "this":
        return words.DEMONSTRATIVE[case][gender], "these" if plural else "this", "definite", "definite"
    ending = words.EIN_ENDINGS[case][gender]
    if kind == "my":
        german, english = rng.choice(words.POSSESSIVES)
        return german + ending, english, "ein", "definite"
    if negated_indefinite:
        return "kein" + ending, "any" if plural else "a", "ein", "negated"
    if plural:
        return "", "", "bare", "indefinite"
    return "ein" + ending, "a", "ein", "indefinite"


def noun_phrase(rng: random.Random, case: str, kinds: Collection[str], negated_indefinite: bool = False) -> NounPhrase:
    """A noun of one of `kinds` with determiner or number, adjective and ending, in both languages.

    `negated_indefinite` makes it `kein ...`, whose English is `(not) a ...`.
    """
    noun = rng.choice([noun for noun in words.NOUNS if set(kinds) & set(noun.kinds)])
    plural = rng.random() < 0.35
    gender = "p" if plural else noun.gender
    german, english, declension, article = _determiner(rng, case, gender, negated_indefinite)
    if declension == "bare" and rng.random() < 0.7:
        count = rng.randint(2, 99)
        german, english = german_number(count), english_number(count)
    german_parts, english_parts = [german], [english]
    if rng.random() < 0.45:
        adjective = rng.choice([row for row in words.ADJECTIVES if set(row.kinds) & set(noun.kinds)])
        ending = words.ADJECTIVE_ENDINGS[declension][case][gender]
        german_parts.append(adjective.german.removesuffix("e") + ending)
        english_parts.append(adjective.english)
    german_parts.append(decline(noun, case, plural))
    english_parts.append(noun.english_plural if plural else noun.english)
    return NounPhrase(
        " ".join(filter(None, german_parts)),
        with_article(" ".join(filter(None, english_parts))),
        form="plural" if plural else "third",
        article=article,
        marked=gender == "m" and article == "definite",
    )


def with_article(english: str) -> str:
    """`a` becomes `an` before a vowel."""
    return "an " + english[2:] if english.startswith("a ") and english[2] in "aeio" else english


def subject(rng: random.Random) -> NounPhrase:
    """A person as subject: pronoun, name or noun phrase."""
    draw = rng.random()
    if draw < 0.3:
        return NounPhrase(*rng.choice(words.SUBJECT_PRONOUNS))
    if draw < 0.45:
        name = rng.choice(words.NAMES)
        return NounPhrase(name, name)
    return noun_phrase(rng, "nom", ("person",))


def person_object(rng: random.Random, case: str, subject: NounPhrase) -> NounPhrase:
    """A person as object: pronoun (none of the first person beside such a subject) or noun phrase."""
    if rng.random() < 0.3:
        pronouns: Sequence[tuple[str, str]] = words.OBJECT_PRONOUNS[case]
        if subject.english in ("I", "we"):
            pronouns = [row for row in pronouns if row[1] not in ("me", "us")]
        return NounPhrase(*rng.choice(pronouns))
    return noun_phrase(rng, case, ("person",))


@dataclass(frozen=True)
class Clause:
    """One clause; `adverbials` in German order (time, place, price), `tense` present, past, future or a Modal."""

    subject: NounPhrase
    verb: words.Verb
    tense: Any
    objects: tuple[NounPhrase, ...]
    adverbials: tuple[Phrase, ...] = ()
    negated: bool = False

    @property
    def _kein(self) -> bool:
        return any(phrase.article == "negated" for phrase in self.objects)

    def _brackets(self) -> tuple[str, str, str]:
        """(finite verb, rest of the verb at the end of the clause, the two joined as at the end of a subordinate)."""
        verb, form = self.verb, self.subject.form
        infinitive = verb.prefix + verb.infinitive
        if self.tense == "present":
            finite = {"first": verb.first, "third": verb.third, "plural": verb.infinitive}[form]
            return finite, verb.prefix, verb.prefix + finite
        if self.tense == "past":
            finite = {"first": "habe", "third": "hat", "plural": "haben"}[form]
            participle = verb.prefix + verb.participle
            return finite, participle, f"{participle} {finite}"
        if self.tense == "future":
            finite = {"first": "werde", "third": "wird", "plural": "werden"}[form]
        else:
            finite = self.tense.plural if form == "plural" else self.tense.singular
        return finite, infinitive, f"{infinitive} {finite}"

    def _middle(self, without: Phrase | None = None) -> str:
        """The German words between the brackets; `without` is the constituent that stands first instead."""
        negation = [Phrase("nicht", "not")] if self.negated and not self._kein else []
        pronouns = [phrase for phrase in self.objects if phrase.german in PRONOUN_FORMS]
        nouns = [phrase for phrase in self.objects if phrase.german not in PRONOUN_FORMS]
        time, others = self.adverbials[:1], self.adverbials[1:]
        ordered = [*pronouns, *time, *nouns, *negation, *others]
        return " ".join(phrase.german for phrase in ordered if phrase is not without)

    def german_main(self) -> str:
        """Verb second, subject first."""
        finite, rest, _ = self._brackets()
        return _join(self.subject.german, finite, self._middle(), rest)

    def german_inverted(self, first: Phrase | None = None) -> str:
        """Verb second with `first` (an object or adverbial of the clause) in front, or verb first without it."""
        finite, rest, _ = self._brackets()
        front = first.german if first else ""
        return _join(front, finite, self.subject.german, self._middle(without=first), rest)

    def german_final(self) -> str:
        """Verb last, as in a subordinate clause."""
        return _join(self.subject.german, self._middle(), self._brackets()[2])

    def _english_rest(self) -> str:
        """What follows the verb; a pronoun stands between the verb and its adverb (pick him up)."""
        objects = [self.verb.particle, *(phrase.english for phrase in self.objects)]
        if self.verb.particle in ENGLISH_ADVERBS and self.objects[0].german in PRONOUN_FORMS:
            objects.reverse()
        return _join(*objects, *(phrase.english for phrase in reversed(self.adverbials)))

    def english_statement(self) -> str:
        """Subject, verb, objects, place, time."""
        third, base = self.subject.form == "third", self.verb.english
        negated = self.negated or self._kein
        if self.tense == "present":
            verb = self.verb.english_third if third else base
            verb = f"{'does' if third else 'do'} not {base}" if negated else verb
        elif self.tense == "past":
            verb = f"did not {base}" if negated else self.verb.english_past
        elif self.tense == "future":
            verb = f"will not {base}" if negated else f"will {base}"
        else:
            verb = _modal_template(self.tense, third, negated).format(base)
        return _join(self.subject.english, verb, self._english_rest())

    def english_question(self) -> str:
        """Auxiliary, subject, verb, objects, place, time (only for clauses that aren't negated)."""
        third, base = self.subject.form == "third", self.verb.english
        auxiliary = {"present": "Does" if third else "Do", "past": "Did", "future": "Will"}.get(self.tense)
        if auxiliary:
            start = f"{auxiliary} {self.subject.english} {base}"
        else:
            template = self.tense.question_third if third else self.tense.question
            start = template.format(self.subject.english, base)
        return _join(start, self._english_rest())


def _modal_template(modal: words.Modal, third: bool, negated: bool) -> str:
    if negated:
        return modal.english_third_negative if third else modal.english_negative
    return modal.english_third if third else modal.english


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
