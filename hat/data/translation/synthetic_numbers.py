"""Numbers, dates, times of day and prices, in German and English words."""

from hat.data.translation.synthetic_words import MONTHS

GERMAN_UNITS = (
    "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun",
    "zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
)  # fmt: skip
GERMAN_TENS = (
    None, None, "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
)  # fmt: skip
ENGLISH_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
ENGLISH_TENS = (
    None, None, "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
ENGLISH_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
}  # fmt: skip
GERMAN_ORDINALS = {1: "ersten", 3: "dritten", 7: "siebten", 8: "achten"}


def german_number(number: int) -> str:
    """0..999 in words: the units stand before the tens (einundzwanzig)."""
    if number >= 100:
        rest = number % 100
        return _german_joined(number // 100) + "hundert" + (german_number(rest) if rest else "")
    if number < 20:
        return GERMAN_UNITS[number]
    tens, units = divmod(number, 10)
    return (_german_joined(units) + "und" if units else "") + GERMAN_TENS[tens]


def _german_joined(units: int) -> str:
    return "ein" if units == 1 else GERMAN_UNITS[units]


def english_number(number: int) -> str:
    """0..999 in words (twenty-one, three hundred and five)."""
    if number >= 100:
        rest = number % 100
        return ENGLISH_UNITS[number // 100] + " hundred" + (f" and {english_number(rest)}" if rest else "")
    if number < 20:
        return ENGLISH_UNITS[number]
    tens, units = divmod(number, 10)
    return ENGLISH_TENS[tens] + (f"-{ENGLISH_UNITS[units]}" if units else "")


def german_ordinal(number: int) -> str:
    """1..31, dative (dritten, einundzwanzigsten)."""
    return GERMAN_ORDINALS.get(number) or german_number(number) + ("ten" if number < 20 else "sten")


def english_ordinal(number: int) -> str:
    """1..31 (third, twenty-first)."""
    head, dash, last = english_number(number).rpartition("-")
    return head + dash + ENGLISH_ORDINALS.get(last, last + "th")


def digit_date(day: int, month: int, year: int) -> tuple[str, str]:
    """("am 3. März 2019", "on March 3, 2019"); month 1..12."""
    german, english = MONTHS[month - 1]
    return f"am {day}. {german} {year}", f"on {english} {day}, {year}"


def word_date(day: int, month: int) -> tuple[str, str]:
    """("am dritten März", "on the third of March"); month 1..12."""
    german, english = MONTHS[month - 1]
    return f"am {german_ordinal(day)} {german}", f"on the {english_ordinal(day)} of {english}"


def time_of_day(hour: int, minute: int) -> tuple[str, str]:
    """(German, English) of hour 1..12 and a minute that is a multiple of five, as one says it.

    German counts towards the next hour from twenty-five past on: halb vier is half past three.
    """
    following = hour % 12 + 1
    german, next_german = german_number(hour), german_number(following)
    english, next_english = english_number(hour), english_number(following)
    if minute == 0:
        return f"um {'ein' if hour == 1 else german} Uhr", f"at {english} o'clock"
    before = english_number(60 - minute) if minute > 30 else None
    spoken = {
        15: (f"Viertel nach {german}", f"a quarter past {english}"),
        25: (f"fünf vor halb {next_german}", f"twenty-five past {english}"),
        30: (f"halb {next_german}", f"half past {english}"),
        35: (f"fünf nach halb {next_german}", f"twenty-five to {next_english}"),
        45: (f"Viertel vor {next_german}", f"a quarter to {next_english}"),
    }
    if minute not in spoken and before:
        spoken[minute] = (f"{german_number(60 - minute)} vor {next_german}", f"{before} to {next_english}")
    elif minute not in spoken:
        spoken[minute] = (f"{german_number(minute)} nach {german}", f"{english_number(minute)} past {english}")
    return f"um {spoken[minute][0]}", f"at {spoken[minute][1]}"


def digit_price(cents: int) -> tuple[str, str]:
    """("1.234,50 Euro", "1,234.50 euros") of an amount in cents."""
    english = f"{cents / 100:,.2f}"
    return english.translate(str.maketrans(",.", ".,")) + " Euro", english + " euros"


def word_price(euros: int, cents: int) -> tuple[str, str]:
    """("zwölf Euro fünfzig", "twelve euros fifty"); euros 2..999, cents 0 or 10..99."""
    german, english = f"{german_number(euros)} Euro", f"{english_number(euros)} euros"
    return (f"{german} {german_number(cents)}", f"{english} {english_number(cents)}") if cents else (german, english)
