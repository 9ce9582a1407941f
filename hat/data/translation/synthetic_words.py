"""Word tables of the synthetic German-English corpus. Each row holds one word with all the forms the grammar needs."""

from typing import NamedTuple


class Noun(NamedTuple):
    """gender m, f or n; `weak` masculine nouns end as in the plural outside the nominative singular."""

    german: str
    gender: str
    german_plural: str
    english: str
    english_plural: str
    kinds: tuple[str, ...]
    weak: bool = False


NOUNS = (
    Noun("Mann", "m", "Männer", "man", "men", ("person",)),
    Noun("Frau", "f", "Frauen", "woman", "women", ("person",)),
    Noun("Kind", "n", "Kinder", "child", "children", ("person",)),
    Noun("Lehrer", "m", "Lehrer", "teacher", "teachers", ("person",)),
    Noun("Ärztin", "f", "Ärztinnen", "doctor", "doctors", ("person",)),
    Noun("Student", "m", "Studenten", "student", "students", ("person",), weak=True),
    Noun("Nachbar", "m", "Nachbarn", "neighbour", "neighbours", ("person",), weak=True),
    Noun("Freund", "m", "Freunde", "friend", "friends", ("person",)),
    Noun("Schwester", "f", "Schwestern", "sister", "sisters", ("person",)),
    Noun("Mädchen", "n", "Mädchen", "girl", "girls", ("person",)),
    Noun("Brief", "m", "Briefe", "letter", "letters", ("text", "thing")),
    Noun("Buch", "n", "Bücher", "book", "books", ("text", "thing")),
    Noun("Zeitung", "f", "Zeitungen", "newspaper", "newspapers", ("text", "thing")),
    Noun("Tisch", "m", "Tische", "table", "tables", ("thing",)),
    Noun("Stuhl", "m", "Stühle", "chair", "chairs", ("thing",)),
    Noun("Lampe", "f", "Lampen", "lamp", "lamps", ("thing",)),
    Noun("Uhr", "f", "Uhren", "watch", "watches", ("thing",)),
    Noun("Bild", "n", "Bilder", "picture", "pictures", ("thing",)),
    Noun("Fahrrad", "n", "Fahrräder", "bicycle", "bicycles", ("thing",)),
    Noun("Koffer", "m", "Koffer", "suitcase", "suitcases", ("thing", "opens")),
    Noun("Tasche", "f", "Taschen", "bag", "bags", ("thing", "opens")),
    Noun("Fenster", "n", "Fenster", "window", "windows", ("opens",)),
    Noun("Tür", "f", "Türen", "door", "doors", ("opens",)),
    Noun("Schrank", "m", "Schränke", "cupboard", "cupboards", ("thing", "opens")),
    Noun("Apfel", "m", "Äpfel", "apple", "apples", ("thing",)),
    Noun("Hund", "m", "Hunde", "dog", "dogs", ("animal",)),
    Noun("Katze", "f", "Katzen", "cat", "cats", ("animal",)),
    Noun("Pferd", "n", "Pferde", "horse", "horses", ("animal",)),
)


class Adjective(NamedTuple):
    german: str
    comparative: str
    english: str
    english_comparative: str
    kinds: tuple[str, ...]


ADJECTIVES = (
    Adjective("alt", "älter", "old", "older", ("person", "thing", "animal", "opens")),
    Adjective("jung", "jünger", "young", "younger", ("person", "animal")),
    Adjective("klein", "kleiner", "small", "smaller", ("person", "thing", "animal", "opens")),
    Adjective("groß", "größer", "big", "bigger", ("thing", "animal", "opens")),
    Adjective("nett", "netter", "kind", "kinder", ("person",)),
    Adjective("müde", "müder", "tired", "more tired", ("person", "animal")),
    Adjective("neu", "neuer", "new", "newer", ("thing", "opens")),
    Adjective("billig", "billiger", "cheap", "cheaper", ("thing",)),
    Adjective("schwer", "schwerer", "heavy", "heavier", ("thing",)),
    Adjective("schön", "schöner", "beautiful", "more beautiful", ("thing", "animal", "opens")),
    Adjective("rot", "röter", "red", "redder", ("thing", "opens")),
    Adjective("schnell", "schneller", "fast", "faster", ("animal",)),
)


class Verb(NamedTuple):
    """`cases` are those of its objects, in German order; `prefix` is the separable one.

    German: infinitive without prefix, first and third person present, participle without prefix.
    English: base, third person, past, and the adverb or preposition that goes with it (up, for) or "".
    """

    infinitive: str
    first: str
    third: str
    participle: str
    english: str
    english_third: str
    english_past: str
    cases: tuple[str, ...]
    kinds: tuple[str, ...]
    prefix: str = ""
    particle: str = ""


VERBS = (
    Verb("sehen", "sehe", "sieht", "gesehen", "see", "sees", "saw", ("acc",), ("person", "thing", "animal")),
    Verb(
        "suchen",
        "suche",
        "sucht",
        "gesucht",
        "look",
        "looks",
        "looked",
        ("acc",),
        ("person", "thing", "animal"),
        particle="for",
    ),
    Verb("finden", "finde", "findet", "gefunden", "find", "finds", "found", ("acc",), ("thing", "animal")),
    Verb("kaufen", "kaufe", "kauft", "gekauft", "buy", "buys", "bought", ("acc",), ("thing",)),
    Verb("verkaufen", "verkaufe", "verkauft", "verkauft", "sell", "sells", "sold", ("acc",), ("thing",)),
    Verb("lesen", "lese", "liest", "gelesen", "read", "reads", "read", ("acc",), ("text",)),
    Verb("schreiben", "schreibe", "schreibt", "geschrieben", "write", "writes", "wrote", ("acc",), ("text",)),
    Verb("vergessen", "vergesse", "vergisst", "vergessen", "forget", "forgets", "forgot", ("acc",), ("thing",)),
    Verb("fragen", "frage", "fragt", "gefragt", "ask", "asks", "asked", ("acc",), ("person",)),
    Verb("besuchen", "besuche", "besucht", "besucht", "visit", "visits", "visited", ("acc",), ("person",)),
    Verb("rufen", "rufe", "ruft", "gerufen", "call", "calls", "called", ("acc",), ("person",), prefix="an"),
    Verb("laden", "lade", "lädt", "geladen", "invite", "invites", "invited", ("acc",), ("person",), prefix="ein"),
    Verb(
        "holen",
        "hole",
        "holt",
        "geholt",
        "pick",
        "picks",
        "picked",
        ("acc",),
        ("person", "animal"),
        prefix="ab",
        particle="up",
    ),
    Verb("machen", "mache", "macht", "gemacht", "open", "opens", "opened", ("acc",), ("opens",), prefix="auf"),
    Verb("machen", "mache", "macht", "gemacht", "close", "closes", "closed", ("acc",), ("opens",), prefix="zu"),
    Verb(
        "werfen",
        "werfe",
        "wirft",
        "geworfen",
        "throw",
        "throws",
        "threw",
        ("acc",),
        ("thing",),
        prefix="weg",
        particle="away",
    ),
    Verb("suchen", "suche", "sucht", "gesucht", "choose", "chooses", "chose", ("acc",), ("thing",), prefix="aus"),
    Verb("helfen", "helfe", "hilft", "geholfen", "help", "helps", "helped", ("dat",), ("person",)),
    Verb("danken", "danke", "dankt", "gedankt", "thank", "thanks", "thanked", ("dat",), ("person",)),
    Verb("antworten", "antworte", "antwortet", "geantwortet", "answer", "answers", "answered", ("dat",), ("person",)),
    Verb(
        "hören",
        "höre",
        "hört",
        "gehört",
        "listen",
        "listens",
        "listened",
        ("dat",),
        ("person",),
        prefix="zu",
        particle="to",
    ),
    Verb("geben", "gebe", "gibt", "gegeben", "give", "gives", "gave", ("dat", "acc"), ("thing",)),
    Verb("zeigen", "zeige", "zeigt", "gezeigt", "show", "shows", "showed", ("dat", "acc"), ("thing", "animal")),
    Verb("schicken", "schicke", "schickt", "geschickt", "send", "sends", "sent", ("dat", "acc"), ("thing",)),
    Verb("geben", "gebe", "gibt", "gegeben", "return", "returns", "returned", ("acc",), ("thing",), prefix="zurück"),
)
TRADE_VERBS = ("kaufen", "verkaufen")


class Modal(NamedTuple):
    """German singular and plural; English as `{}`-templates around the base verb, by form of the subject."""

    singular: str
    plural: str
    english: str
    english_third: str
    english_negative: str
    english_third_negative: str
    question: str
    question_third: str


MODALS = (
    Modal("kann", "können", "can {}", "can {}", "cannot {}", "cannot {}", "Can {} {}", "Can {} {}"),
    Modal(
        "muss",
        "müssen",
        "must {}",
        "must {}",
        "do not have to {}",
        "does not have to {}",
        "Do {} have to {}",
        "Does {} have to {}",
    ),
    Modal(
        "will",
        "wollen",
        "want to {}",
        "wants to {}",
        "do not want to {}",
        "does not want to {}",
        "Do {} want to {}",
        "Does {} want to {}",
    ),
    Modal("soll", "sollen", "should {}", "should {}", "should not {}", "should not {}", "Should {} {}", "Should {} {}"),
)


class Pronoun(NamedTuple):
    """`form` selects the verb's form: first, third or plural."""

    german: str
    english: str
    form: str


SUBJECT_PRONOUNS = (
    Pronoun("ich", "I", "first"),
    Pronoun("er", "he", "third"),
    Pronoun("sie", "she", "third"),
    Pronoun("wir", "we", "plural"),
    Pronoun("sie", "they", "plural"),
)
OBJECT_PRONOUNS = {
    "acc": (("mich", "me"), ("ihn", "him"), ("uns", "us")),
    "dat": (("mir", "me"), ("ihm", "him"), ("ihr", "her"), ("uns", "us"), ("ihnen", "them")),
}
NAMES = ("Anna", "Peter", "Maria", "Thomas", "Julia", "Paul")

# Time adverbs by tense. German puts time before place, English the other way round.
ADVERBS = {
    "present": (("heute", "today"), ("jetzt", "now"), ("jeden Tag", "every day"), ("heute Abend", "this evening")),
    "past": (("gestern", "yesterday"), ("letzte Woche", "last week"), ("vor zwei Tagen", "two days ago")),
    "future": (("morgen", "tomorrow"), ("nächste Woche", "next week"), ("in drei Tagen", "in three days")),
}
PLACES = (
    ("im Garten", "in the garden"),
    ("in der Stadt", "in the city"),
    ("auf dem Markt", "at the market"),
    ("in der Schule", "at school"),
    ("zu Hause", "at home"),
    ("vor dem Bahnhof", "in front of the station"),
    ("neben der Kirche", "next to the church"),
    ("hinter dem Haus", "behind the house"),
)
WEEKDAYS = (
    ("Montag", "Monday"),
    ("Dienstag", "Tuesday"),
    ("Mittwoch", "Wednesday"),
    ("Donnerstag", "Thursday"),
    ("Freitag", "Friday"),
    ("Samstag", "Saturday"),
    ("Sonntag", "Sunday"),
)
MONTHS = (
    ("Januar", "January"),
    ("Februar", "February"),
    ("März", "March"),
    ("April", "April"),
    ("Mai", "May"),
    ("Juni", "June"),
    ("Juli", "July"),
    ("August", "August"),
    ("September", "September"),
    ("Oktober", "October"),
    ("November", "November"),
    ("Dezember", "December"),
)

CONJUNCTIONS = (("weil", "because"), ("obwohl", "although"), ("wenn", "when"))


class ThoughtVerb(NamedTuple):
    """A verb with a whole clause as its object."""

    first: str
    third: str
    plural: str
    english: str
    english_third: str
    conjunction: str
    english_conjunction: str


THOUGHT_VERBS = (
    ThoughtVerb("weiß", "weiß", "wissen", "know", "knows", "dass", "that"),
    ThoughtVerb("glaube", "glaubt", "glauben", "believe", "believes", "dass", "that"),
    ThoughtVerb("sage", "sagt", "sagen", "say", "says", "dass", "that"),
    ThoughtVerb("hoffe", "hofft", "hoffen", "hope", "hopes", "dass", "that"),
    ThoughtVerb("frage mich", "fragt sich", "fragen uns", "wonder", "wonders", "ob", "whether"),
)

# Articles by case and gender (p: plural), and the endings of the words that decline like `ein`.
DEFINITE = {
    "nom": {"m": "der", "f": "die", "n": "das", "p": "die"},
    "acc": {"m": "den", "f": "die", "n": "das", "p": "die"},
    "dat": {"m": "dem", "f": "der", "n": "dem", "p": "den"},
}
DEMONSTRATIVE = {
    "nom": {"m": "dieser", "f": "diese", "n": "dieses", "p": "diese"},
    "acc": {"m": "diesen", "f": "diese", "n": "dieses", "p": "diese"},
    "dat": {"m": "diesem", "f": "dieser", "n": "diesem", "p": "diesen"},
}
EIN_ENDINGS = {
    "nom": {"m": "", "f": "e", "n": "", "p": "e"},
    "acc": {"m": "en", "f": "e", "n": "", "p": "e"},
    "dat": {"m": "em", "f": "er", "n": "em", "p": "en"},
}
POSSESSIVES = (("mein", "my"), ("sein", "his"), ("unser", "our"))

# Endings of adjectives: after der and dieser, after ein and its kin, and with no article (plural only).
ADJECTIVE_ENDINGS = {
    "definite": {
        "nom": {"m": "e", "f": "e", "n": "e", "p": "en"},
        "acc": {"m": "en", "f": "e", "n": "e", "p": "en"},
        "dat": {"m": "en", "f": "en", "n": "en", "p": "en"},
    },
    "ein": {
        "nom": {"m": "er", "f": "e", "n": "es", "p": "en"},
        "acc": {"m": "en", "f": "e", "n": "es", "p": "en"},
        "dat": {"m": "en", "f": "en", "n": "en", "p": "en"},
    },
    "bare": {"nom": {"p": "e"}, "acc": {"p": "e"}, "dat": {"p": "en"}},
}
