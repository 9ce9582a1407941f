"""What the searches by ask and tell share: operators on genomes, generations of new architectures, the state.

No architecture is asked for twice. All randomness comes from (seed, generation), so a search restored from its state
goes on exactly as it would have without the interruption.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hat.architecture.space import SearchSpace
from hat.architecture.stacks import Architecture
from hat.experiment.sections import SearchConfig
from search.candidate import Candidate, Predict

# Rounds of proposals after which a generation makes do with what it has: this bounds every loop here.
ROUNDS = 40


@dataclass(frozen=True)
class Individual:
    """A genome of the search space and the Candidate that it decodes to."""

    genome: tuple[int, ...]
    candidate: Candidate


class Generations:
    """Ask for a generation of architectures, tell their losses, until `finished`; the base of every search.

    `settings` is a SearchConfig; `predict` maps a list of architectures to their latencies in ms; `starters` are
    architectures that the first generation holds. A search says what else its first generation holds
    (`_ask_first(rng)`), who breeds the later ones (`_mating_pool(rng)`: genomes), which of the proposals are
    allowed (`_allowed(architectures)`: booleans), what its history keeps of a generation (`_summary(losses)`), and
    how it stands, in a phrase (`standing`).
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: SearchConfig,
        predict: Predict,
        seed: int,
        starters: Sequence[Architecture] = (),
    ) -> None:
        self._space, self._settings, self._predict = space, settings, predict
        self._seed, self._starters = seed, starters
        self._choices = np.array([len(gene.choices) for gene in space.genes])
        self._generation, self._exhausted = 0, False
        self._scored: dict[Architecture, Individual] = {}  # in the order of asking
        # (genome, predicted_ms) of the generation in hand
        self._asked: dict[Architecture, tuple[tuple[int, ...], float]] = {}
        self.history: list[dict[str, Any]] = []

    @property
    def finished(self) -> bool:
        """Whether all iterations are done, or nothing new that is allowed was found."""
        return self._exhausted or self._generation >= self._settings.iterations

    @property
    def standing(self) -> str:
        """How it stands, in a phrase."""
        raise NotImplementedError

    @property
    def most_candidates(self) -> int:
        """How many are asked for at most."""
        settings = self._settings
        return settings.population + (settings.iterations - 1) * (settings.mutations + settings.crossovers)

    @property
    def candidates(self) -> list[Candidate]:
        """Every Candidate with a loss, in the order of asking."""
        return [individual.candidate for individual in self._individuals]

    @property
    def _individuals(self) -> list[Individual]:
        return [kept for kept in self._scored.values() if kept.candidate.valid_nats is not None]

    @property
    def count(self) -> int:
        """How many were asked for and told."""
        return len(self._scored)

    def ask(self) -> list[Architecture]:
        """The next generation: allowed architectures, none asked before; [] ends the search."""
        rng = np.random.default_rng([self._seed, self._generation])
        self._asked = {}
        if self._generation == 0:
            self._keep_new([self._space.encode(item) for item in self._starters], self._settings.population)
            self._ask_first(rng)
        else:
            self._breed(rng, self._mating_pool(rng))
        self._exhausted = not self._asked
        return list(self._asked)

    def _breed(self, rng: np.random.Generator, pool: Sequence[Sequence[int]]) -> None:
        mutants, children = self._settings.mutations, self._settings.mutations + self._settings.crossovers
        self._fill(mutants, lambda count: self._mutated(rng, pool, count))
        self._fill(children, lambda count: self._crossed(rng, pool, count))
        self._fill(children, lambda count: self._random(rng, count))

    def tell(self, losses: Sequence[float | None]) -> None:
        """Give the losses of the architectures last asked for, in their order; None for those that were given up."""
        for (architecture, (genome, predicted_ms)), loss in zip(self._asked.items(), losses, strict=True):
            self._scored[architecture] = Individual(genome, Candidate(architecture, predicted_ms, loss))
        self._generation += 1
        self.history.append({"iteration": self._generation, **self._summary(losses), "evaluations": len(self._scored)})
        self._asked = {}

    def _ask_first(self, rng: np.random.Generator) -> None:
        """Add what else the first generation holds."""
        raise NotImplementedError

    def _mating_pool(self, rng: np.random.Generator) -> Sequence[Sequence[int]]:
        """The genomes that breed the next generation."""
        raise NotImplementedError

    def _allowed(self, architectures: Sequence[Architecture]) -> Sequence[bool]:
        """Which of the proposals are allowed."""
        raise NotImplementedError

    def _summary(self, losses: Sequence[float | None]) -> dict[str, Any]:
        """What the history keeps of a generation."""
        raise NotImplementedError

    def _fill(self, wanted: int, propose: Callable[[int], np.ndarray]) -> None:
        """Add allowed new proposals until `wanted` are asked for, in a bounded number of rounds.

        `propose(count)` gives an array of genomes (count, genes).
        """
        for _ in range(ROUNDS):
            missing = wanted - len(self._asked)
            if missing <= 0:
                return
            self._keep_new(propose(missing), wanted)

    def _keep_new(self, genomes: Iterable[Sequence[int]], wanted: int) -> None:
        new: dict[Architecture, tuple[int, ...]] = {}
        for genome in genomes:
            architecture = self._space.decode(genome)
            if architecture not in self._scored and architecture not in self._asked:
                new.setdefault(architecture, tuple(int(index) for index in genome))
        if not new:
            return
        figures = zip(self._predict(list(new)), self._allowed(list(new)), strict=True)
        for (architecture, genome), (predicted_ms, allowed) in zip(new.items(), figures, strict=True):
            if allowed and len(self._asked) < wanted:
                self._asked[architecture] = genome, float(predicted_ms)

    def _random(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.integers(self._choices, size=(count, len(self._choices)))

    def _mutated(self, rng: np.random.Generator, parents: Sequence[Sequence[int]], count: int) -> np.ndarray:
        """Copies of random parents, each gene drawn anew with `mutation_probability`."""
        chosen = np.array(parents)[rng.integers(len(parents), size=count)]
        changed = rng.random(chosen.shape) < self._settings.mutation_probability
        return np.where(changed, self._random(rng, count), chosen)

    def _crossed(self, rng: np.random.Generator, parents: Sequence[Sequence[int]], count: int) -> np.ndarray:
        """Children of two random parents, each gene from either with equal chance."""
        mothers, fathers = np.array(parents)[rng.integers(len(parents), size=(2, count))]
        return np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, JSON-like; between tell and the next ask."""
        scored = [
            [list(individual.genome), individual.candidate.predicted_ms, individual.candidate.valid_nats]
            for individual in self._scored.values()
        ]
        return {"generation": self._generation, "scored": scored, "history": self.history}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._generation, self.history = state["generation"], list(state["history"])
        for genome, predicted_ms, loss in state["scored"]:
            architecture = self._space.decode(genome)
            self._scored[architecture] = Individual(tuple(genome), Candidate(architecture, predicted_ms, loss))
