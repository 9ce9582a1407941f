"""The loop of a search: ask, score, tell, save, until it is finished."""

from hat.progress import Progress
from search.sentence_race import raced_losses
from search.state import load_state, save_state


def evolve(evolution, title, path, inputs, evaluations, scores, parents=None):
    """Run a search (Generations) to its end, from where one with the same `inputs` (a fingerprint) stopped.

    Its state is kept at `path` after every generation. `scores` is that of `Evaluations.known_or_scored`. With
    `parents`, which is how many the search breeds from, those that will hardly be among them aren't scored on all
    sentences.
    """
    kept = load_state(path, inputs)
    if kept is not None:
        evolution.restore(kept)
    with Progress(title, evolution.most_candidates, "candidates", initial=evolution.count) as progress:

        def shown(architectures, part):
            for score in scores(architectures, part):
                yield score
                progress.advance(part == 0)

        while not evolution.finished:
            asked = evolution.ask()
            if not asked:
                break
            if parents is None:
                losses = list(evaluations.known_or_scored(asked, shown))
            else:
                whole = [candidate.architecture for candidate in evolution.candidates]
                losses = raced_losses(asked, whole, evaluations, shown, parents)
            evolution.tell(losses)
            save_state(path, inputs, evolution.state())
            progress.advance(0, evolution.standing)
