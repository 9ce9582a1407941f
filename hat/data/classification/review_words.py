"""Word tables of the generated reviews."""

THINGS = {  # a thing and what can be said of it
    "phone": ("screen", "battery", "camera", "case"),
    "radio": ("sound", "display", "handle", "case"),
    "kettle": ("handle", "lid", "display", "switch"),
    "chair": ("seat", "back", "fabric", "frame"),
    "bicycle": ("frame", "saddle", "brake", "lamp"),
    "suitcase": ("handle", "lock", "fabric", "lid"),
    "hotel": ("room", "breakfast", "view", "pool"),
    "restaurant": ("menu", "kitchen", "service", "wine"),
    "museum": ("tour", "shop", "garden", "service"),
    "campsite": ("view", "shop", "kitchen", "pool"),
}
BRANDS = ("Arlo", "Benna", "Corvi", "Delmo", "Estri", "Fanto", "Gilda", "Hosta")

GOOD = [
    "good",
    "great",
    "excellent",
    "lovely",
    "pleasant",
    "reliable",
    "comfortable",
    "clever",
    "solid",
    "wonderful",
    "charming",
    "superb",
    "handy",
    "beautiful",
]
BAD = [
    "bad",
    "awful",
    "terrible",
    "poor",
    "dull",
    "annoying",
    "useless",
    "ugly",
    "unpleasant",
    "dreadful",
    "weak",
    "shabby",
    "clumsy",
    "boring",
]
ORDINARY = ["average", "ordinary", "okay", "acceptable", "unremarkable", "middling", "so-so", "plain"]
DEGREES = ("", "", "very", "really", "quite", "rather", "truly")

# Said of an adjective: {it} is the thing, {adjective} follows. The second kind says the contrary of the adjective.
PLAIN = (
    "{it} is {degree} {adjective}",
    "{it} turned out {degree} {adjective}",
    "everything about {it} is {degree} {adjective}",
    "{it} seems {degree} {adjective}",
)
NEGATED = (
    "{it} is not {degree} {adjective}",
    "{it} is far from {adjective}",
    "there is nothing {adjective} about {it}",
    "{it} hardly seems {adjective}",
)
BALANCED = (
    "{it} is neither {good} nor {bad}",
    "{it} is neither {bad} nor {good}",
)

# The first clause is conceded, the second one counts.
CONTRASTS = (
    "{conceded}, but {counts}",
    "although {conceded}, {counts}",
    "{counts}, although {conceded}",
    "{counts}, even if {conceded}",
)
OTHERS = (
    "my brother",
    "my sister",
    "the seller",
    "my neighbour",
    "a friend",
    "the magazine",
    "my teacher",
    "the guide",
)

NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
RATED = ("I give it {points} out of {scale}", "{points} out of {scale} from me", "for me {points} of {scale} points")
RATED_BY_OTHERS = ("others gave it {points} out of {scale}", "{other} gave it {points} out of {scale}")

REMARKS = (
    "I bought it in {month}",
    "we were there in {month}",
    "it cost {number} euros",
    "we paid {number} euros",
    "I have known it for {number} days",
    "{other} has seen it too",
    "I had expected something {adjective}",
    "the advertisement promised something {adjective}",
    "in the pictures it looked {adjective}",
    "{other} had hoped for something {adjective}",
    "the {brand} wasn't to be had",
)
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
