"""Successive halving (Jamieson and Talwalkar 2016): finalists begin their real training, and the worse half is dropped.

An order by inherited weights often turns round once the weights are trained; what the survivor was trained is the
beginning of its final training.
"""

from collections.abc import Callable, Iterable, Sequence

from hat.architecture.stacks import Architecture
from hat.experiment.run_directory import RunDirectory
from hat.training.options import TrainingOptions
from search.finalists import Finalist, by_inherited_loss


class Halving:
    """Ranks finalists by training them: at each of `updates`, the worse half of those still in the race is dropped.

    `train(architectures, until)` gives their validation losses, in nats per target token, after that many updates. No
    more than `most` are trained, the best by inherited loss; with fewer than two, that loss alone decides.
    `losses` is what was found: Architecture -> {update: loss}.
    """

    def __init__(
        self, updates: Sequence[int], most: int, train: Callable[[Sequence[Architecture], int], Sequence[float]]
    ) -> None:
        self._updates, self._most, self._train = updates, most, train
        self.losses: dict[Architecture, dict[int, float]] = {}

    def rank(self, finalists: Iterable[Finalist]) -> list[Finalist]:
        """The Finalists best first: the survivors by their last loss, then those dropped, the last to go first."""
        ranked = by_inherited_loss(finalists)
        alive, dropped = ranked[: self._most], ranked[self._most :]
        for until in self._updates:
            if len(alive) < 2:
                break
            architectures = [finalist.candidate.architecture for finalist in alive]
            losses = dict(zip(architectures, self._train(architectures, until), strict=True))
            for architecture, loss in losses.items():
                self.losses.setdefault(architecture, {})[until] = loss
            alive = sorted(alive, key=lambda finalist: losses[finalist.candidate.architecture])
            kept = (len(alive) + 1) // 2
            alive, dropped = alive[:kept], alive[kept:] + dropped
        return alive + dropped


def train_finalists(
    run: RunDirectory, options: TrainingOptions, architectures: Sequence[Architecture], until: int
) -> list[float]:
    """The validation losses, in nats per target token, of these architectures after `until` updates of their training.

    They are trained at the same time, one process a core, by the run's own recipe with TrainingOptions `options`, in
    folders of the run that its searches share and that `hat-train-sub` goes on from.
    """
    from hat.training.parallel import Job, train_all
    from hat.training.sub import brief_loss

    jobs = [Job(f"finalist-{run.finalist(each).name}", each, until) for each in architectures]
    train_all(run, jobs, options, f"train {len(jobs)} finalists to update {until}")
    return [brief_loss(run, job.name, job.architecture, until, options) for job in jobs]
