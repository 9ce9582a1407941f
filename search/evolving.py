"""The loop of a search: ask, score, tell, save, until it is finished."""

from hat.progress import Progress
from search.state import load_state, save_state


def evolve(evolution, title, path, inputs, evaluations, score):
    """Run a search (Generations) to its end, from where one with the same `inputs` (a fingerprint) stopped.

    Its state is kept at `path` after every generation. `score` maps an architecture to its loss; what
    `evaluations` know already isn't scored again.
    """
    kept = load_state(path, inputs)
    if kept is not None:
        evolution.restore(kept)
    done = len(evolution.candidates)
    with Progress(title, evolution.most_candidates, "candidates", initial=done) as progress:
        while not evolution.finished:
            asked = evolution.ask()
            losses = []
            for architecture in asked:
                losses.append(evaluations.known_or_scored(architecture, score))
                progress.advance()
            if asked:
                evolution.tell(losses)
                save_state(path, inputs, evolution.state())
                progress.advance(0, evolution.standing)
