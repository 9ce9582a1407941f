"""The labels of a training split: which there are, whether they look like labels, and how even they are."""

from collections.abc import Mapping

from hat.errors import DataError

MOST_LABELS = 20  # more may be numbers, or texts, taken for labels by mistake
MOST_DISTINCT = 0.1  # of the rows, with more labels than that
LOPSIDED = 0.9  # share of one label from which on accuracy says little


def label_names(counts: Mapping[str, int]) -> list[str]:
    """The labels of the training split, sorted, from {label: number of texts}; DataError if they can't be learnt."""
    names, total = sorted(counts), sum(counts.values())
    if len(names) == 1:
        raise DataError(f"the train split has one label only, {names[0]!r}; a classifier needs two or more")
    if len(names) > MOST_LABELS and len(names) > MOST_DISTINCT * total:
        raise DataError(
            f"data.label: {len(names)} different labels in {total} rows of the train split, such as {names[0]!r} and "
            f"{names[1]!r}: those look like numbers or texts; name the column with the labels"
        )
    return names


def describe_labels(counts: Mapping[str, int]) -> list[str]:
    """Lines for the user: how many texts of the training split each label has, and a warning if one has nearly all."""
    total = sum(counts.values())
    shares = ", ".join(f"{name} {counts[name]} ({100 * counts[name] / total:.1f} %)" for name in sorted(counts))
    lines = [f"labels of train: {shares}"]
    most = max(counts, key=counts.get)
    if counts[most] > LOPSIDED * total:
        share = f"{100 * counts[most] / total:.1f} % of the training texts are labelled {most!r}"
        lines.append(f"warning: {share}; whoever says so always has that accuracy, look at F1 too")
    return lines
