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
BETTER = ("better", "nicer", "stronger", "more useful", "more comfortable")
WORSE = ("worse", "uglier", "weaker", "more annoying", "more expensive to keep")
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
    "{it} is anything but {adjective}",
    "{it} is far from {adjective}",
    "nobody could call {it} {adjective}",
    "there is nothing {adjective} about {it}",
    "{it} hardly seems {adjective}",
)
# Said of a whole clause, which the second kind denies.
BELIEVED = (
    "I think that {clause}",
    "I am sure that {clause}",
    "it is true that {clause}",
    "I have no doubt that {clause}",
)
DENIED = (
    "I don't think that {clause}",
    "I doubt that {clause}",
    "it is not true that {clause}",
    "it would be wrong to say that {clause}",
)
BALANCED = (
    "{it} is neither {good} nor {bad}",
    "{it} is neither {bad} nor {good}",
    "{it} is not {good}, but not {bad} either",
    "{it} is not {bad}, but not {good} either",
)

# The first clause is conceded, the second one counts.
CONTRASTS = (
    "{conceded}, but {counts}",
    "although {conceded}, {counts}",
    "{counts}, although {conceded}",
    "{counts}, even if {conceded}",
    "yes, {conceded}, still {counts}",
    "{conceded}, which matters less than that {counts}",
    "{counts}, which matters more than that {conceded}",
)
CHANGES = (
    "last year {before}, this year {now}",
    "this year {now}, last year {before}",
    "at first {before}, since the repair {now}",
    "today {now}, while in the beginning {before}",
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
SAYS = ("says", "claims", "insists", "told me", "wrote")
AGREED = ("and I agree", "and that is right", "as I do")
DISAGREED = ("and I disagree", "and that is wrong", "as I never would")
UNDECIDED = ("and I haven't tried it yet", "and I can't judge it", "and I only know it from pictures")

COMPARISONS = (  # the first brand is meant by the comparative
    "the {first} {thing} is {comparative} than the {second}",
    "compared with the {second} {thing}, the {first} is {comparative}",
    "of the {first} and the {second} {thing} the former is {comparative}",
    "of the {second} and the {first} {thing} the latter is {comparative}",
)
OWNED = ("mine is the {brand}", "I chose the {brand}", "this is about the {brand}", "I review the {brand} here")

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
