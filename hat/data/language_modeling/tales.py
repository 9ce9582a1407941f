"""Short tales, generated from a seed: no download, the same on every machine.

What a model has to learn: which words follow each other, and who a tale is about. The heroes, the thing and the place
come back in every line of a tale, so that what stands several lines before helps; names are rarer the later they stand
in their list, as words are in any text.
"""

import random

HELD_OUT_LINES = 500
NAMES = (
    *("anna", "ben", "clara", "david", "emma", "felix", "greta", "henry", "ida", "jonas", "karla", "leo", "mara"),
    *("nils", "olga", "paul", "quentin", "rosa", "simon", "tilda", "urs", "vera", "walter", "xenia", "yan", "zora"),
)
THINGS = (
    "lamp",
    "letter",
    "key",
    "coat",
    "boat",
    "map",
    "drum",
    "mirror",
    "clock",
    "kite",
    "basket",
    "flute",
    "anchor",
)
PLACES = ("house", "garden", "harbour", "school", "market", "forest", "mill", "bridge", "station", "castle", "island")
TIMES = ("in the morning", "at noon", "in the evening", "at night", "on sunday", "after the rain", "before winter")
QUALITIES = ("old", "small", "blue", "heavy", "broken", "golden", "borrowed", "strange")
FIRST = "once there was {hero} who lived near the {place} with {friend}"
LINES = (
    "{time} {hero} found a {quality} {thing} behind the {place}",
    "{hero} gave the {thing} to {friend} and {friend} kept it",
    "{friend} asked {hero} whether the {thing} was {quality}",
    "{hero} and {friend} walked to the {place} {time}",
    "nobody at the {place} had seen such a {quality} {thing}",
    "{time} the {thing} was gone and {hero} looked for it",
    "{friend} said that {hero} should leave the {place}",
)
LAST = "and so {hero} came back to the {place} with {friend} and the {thing}"


def generate(seed: int, train_lines: int) -> dict[str, list[str]]:
    """{"train": `train_lines` lines, "valid": 500, "test": 500}, whole tales but for the last one of each."""
    rng = random.Random(seed)
    sizes = {"test": HELD_OUT_LINES, "valid": HELD_OUT_LINES, "train": train_lines}
    return {split: _tales(rng, size) for split, size in sizes.items()}


def _tales(rng: random.Random, size: int) -> list[str]:
    lines: list[str] = []
    while len(lines) < size:
        lines += _tale(rng)
    return lines[:size]


def _tale(rng: random.Random) -> list[str]:
    hero, thing, place = _rare_last(rng, NAMES), _rare_last(rng, THINGS), _rare_last(rng, PLACES)
    friend = _rare_last(rng, [name for name in NAMES if name != hero])
    templates = (FIRST, *rng.sample(LINES, rng.randint(3, 5)), LAST)
    return [
        template.format(
            hero=hero,
            friend=friend,
            thing=thing,
            place=place,
            time=rng.choice(TIMES),
            quality=rng.choice(QUALITIES),
        )
        for template in templates
    ]


def _rare_last(rng: random.Random, words: tuple[str, ...] | list[str]) -> str:
    """One of `words`, the n-th 1 / n times as often as the first (Zipf)."""
    return rng.choices(words, [1 / rank for rank in range(1, len(words) + 1)])[0]
