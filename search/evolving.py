"""The loop of a search: ask, score, tell, save, until it is finished."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hat.architecture.stacks import Architecture
from hat.progress import Progress
from search.candidate import Scores
from search.evaluations import Evaluations
from search.generations import Generations
from search.sentence_race import raced_losses
from search.state import load_state, save_state


def evolve(
    evolution: Generations,
    title: str,
    path: Path,
    inputs: str,
    evaluations: Evaluations,
    scores: Scores,
    parents: int | None = None,
) -> None:
    """Run a search (Generations) to its end, from where one with the same `inputs` (a fingerprint) stopped.

    Its state is kept at `path` after every generation. `scores` is that of `Evaluations.known_or_scored`. With
    `parents`, which is how many the search breeds from, those that will hardly be among them aren't scored on all
    sentences.
    """
    kept = load_state(path, inputs)
    if kept is not None:
        evolution.restore(kept)
    with Progress(title, evolution.most_candidates, "candidates", initial=evolution.count) as progress:

        def shown(architectures: Sequence[Architecture], part: int) -> Iterator[tuple[float, int]]:
            for score in scores(architectures, part):
                yield score
                progress.advance(part == 0)

        while not evolution.finished:
            asked = evolution.ask()
            if not asked:
                break
            if parents is None:
                losses: list[float | None] = list(evaluations.known_or_scored(asked, shown))
            else:
                whole = [candidate.architecture for candidate in evolution.candidates]
                losses = raced_losses(asked, whole, evaluations, shown, parents)
            evolution.tell(losses)
            save_state(path, inputs, evolution.state())
            progress.advance(0, evolution.standing)
