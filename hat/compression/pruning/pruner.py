"""Removes groups of weights while a network is trained: what happens after each of its updates.

Group lasso adds lambda * sum over groups g of w_g * sqrt(n_g) * ||W_g|| to the loss, n_g being the parameters of g. Its
proximal step is taken after the optimiser's: a group's root mean square shrinks by an amount times w_g, down to next to
nothing. Plain: w_g = 1. Reweighted (Li et al. 2020, after Candes et al. 2008): w_g = 1 / (root mean square + epsilon),
so that what is small vanishes sooner. Both are trimmed (Yun et al. 2019): w_g = 0 for what would stay if the rest were
removed now. At milestones all of this is decided anew, for the sizes of then.

No fixed lambda suits both short and long trainings, as what gradients do against it grows with the updates. So the
amount is chosen anew for each update: `strength` times what would take away all that are to go, as they are now, in the
updates that are left. Without gradients the last of them falls as (1 - update / end) ** strength; with them, what they
regain is taken as well, and next to nothing is there to be removed in the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from hat import files
from hat.architecture.groups import Groups
from hat.compression.pruning.selection import Place, keep_counts, keep_in_each, keep_over_all
from hat.experiment.sections import CompressionConfig
from hat.training import processes

STEPS = 20  # of the gradual removal
LASSO = ("reweighted", "lasso")
PENALTIES = "penalty_{}.safetensors"  # the weights w_g that are in force from an update on
LEAST = 0.01  # of the smallest that is to stay: no group becomes smaller before it is removed
RANKINGS = {"over_all": keep_over_all, "in_each": keep_in_each}


@dataclass(frozen=True)
class Aim:
    """What is to be left: so many `parameters` of all groups, or, where given, so many groups of each place."""

    parameters: int
    counts: tuple[int, ...] | None = None

    def on_the_way(self, left: float, now: "Aim") -> "Aim":
        """The Aim with the share `left` of the way from `now` still to go; both have counts."""
        counts = [
            aim + round((here - aim) * left) for aim, here in zip(self.counts or (), now.counts or (), strict=False)
        ]
        parameters = self.parameters + round((now.parameters - self.parameters) * left)
        return Aim(parameters, tuple(counts) if self.counts else None)


def sizes_of(groups: Sequence[Groups], weights: Mapping[str, Tensor]) -> list[int]:
    """Parameters of each group of the Groups."""
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    return [each.size(shapes) for each in groups]


def root_mean_squares(groups: Sequence[Groups], weights: Mapping[str, Tensor], sizes: Sequence[int]) -> list[Tensor]:
    """(groups,) of each of the Groups, which have these `sizes`; exactly 0 for what is removed."""
    return [(each.squared_norms(weights) / size).sqrt() for each, size in zip(groups, sizes, strict=True)]


def there(groups: Sequence[Groups], weights: Mapping[str, Tensor]) -> Aim:
    """The Aim that is what isn't zero now."""
    counts = tuple(int((each.squared_norms(weights) > 0).sum()) for each in groups)
    return Aim(sum(size * count for size, count in zip(sizes_of(groups, weights), counts, strict=True)), counts)


def chosen(
    groups: Sequence[Groups],
    weights: Mapping[str, Tensor],
    aim: Aim,
    ranking: str = "over_all",
    importance: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Booleans (groups,) for each of the Groups: what stays of those not yet removed.

    Those of the highest `importance` (groups,), all above 0, stay; without it, those of the largest root mean square.
    `ranking` is a key of RANKINGS; an Aim with counts has no use for it. Raises UsageError if a place would be empty.
    """
    sizes = sizes_of(groups, weights)
    scores = [rms.cpu() for rms in root_mean_squares(groups, weights, sizes)]
    if importance is not None:
        scores = [score.where(rms > 0, 0.0) for score, rms in zip(importance, scores, strict=True)]
    places = [Place(each.kind, size, score.numpy()) for each, size, score in zip(groups, sizes, scores, strict=True)]
    kept = keep_counts(places, aim.counts) if aim.counts else RANKINGS[ranking](places, aim.parameters)
    return [torch.from_numpy(stays) for stays in kept]


class Pruner:
    """Removes all of the Groups but what `aim` leaves from `weights` {name: tensor}, in place, as the config says.

    `before` is what was there when the training began, `importance` that of `chosen`. `update` is how many updates were
    done before: 0, or where a killed training goes on. What then can't be told from the weights lies in `folder`.
    """

    def __init__(
        self,
        groups: Sequence[Groups],
        weights: Mapping[str, Tensor],
        config: CompressionConfig,
        before: Aim,
        aim: Aim,
        folder: Path,
        update: int = 0,
        importance: Sequence[Tensor] | None = None,
    ) -> None:
        self._groups, self._weights, self._config = groups, weights, config
        self._before, self._aim, self._importance = before, aim, importance
        self._folder = folder
        self._sizes = sizes_of(groups, weights)
        self._kept: list[Tensor] | None = None
        if update == 0:
            self._begin()
        else:
            self._go_on(update)

    def after(self, update: int) -> None:
        """To be called after each update of the optimiser with the number of updates done."""
        config, end = self._config, self._config.removal_update
        if config.method in LASSO and update <= end:
            if update in self._milestones:
                self._renew(update, self._staying(self._aim))
            self._shrink(end - update + 1)
        if update == end and config.method in LASSO:
            self._remove(self._aim)
        elif config.method == "gradual" and update <= end and (update % self._interval == 0 or update == end):
            self._remove(self._aim.on_the_way((1 - update / end) ** 3, self._before))
        elif self._kept is not None:
            self._mask()

    @property
    def _interval(self) -> int:
        return max(1, self._config.removal_update // STEPS)

    @property
    def _milestones(self) -> list[int]:
        count = self._config.renewals + 1
        return [self._config.removal_update * number // count for number in range(1, count)]

    def _begin(self) -> None:
        if processes.is_first():
            for path in self._folder.glob(PENALTIES.format("*")):
                path.unlink()  # of another training in this folder
        if self._config.method == "one_shot":
            self._remove(self._aim)
        elif self._config.method in LASSO:
            kept = self._staying(self._aim)
            sizes = [
                rms[stays].min() for rms, stays in zip(self._root_mean_squares(), kept, strict=True) if stays.any()
            ]
            self._threshold = torch.stack(sizes).median()
            self._renew(0, kept)

    def _go_on(self, update: int) -> None:
        if self._config.method in LASSO and update < self._config.removal_update:
            found = self._folder.glob(PENALTIES.format("*"))
            kept = load_file(max(path for path in found if path.name <= PENALTIES.format(f"{update:07d}")))
            self._threshold = kept.pop("threshold")
            self._penalties = [kept[each.place] for each in self._groups]
        else:
            self._kept = [rms > 0 for rms in self._root_mean_squares()]

    def _staying(self, aim: Aim) -> list[Tensor]:
        return chosen(self._groups, self._weights, aim, self._config.ranking, self._importance)

    def _renew(self, update: int, kept: Sequence[Tensor]) -> None:
        """New weights w_g, 0 for what is `kept`; they are written to a file for a training that goes on."""
        sizes = self._root_mean_squares()
        if self._config.method == "reweighted":
            penalties = [1 / (rms + self._config.epsilon) for rms in sizes]
        else:
            penalties = [torch.ones_like(rms) for rms in sizes]
        self._penalties = [penalty * ~stays for penalty, stays in zip(penalties, kept, strict=True)]
        if not processes.is_first():
            return
        named = {each.place: penalty for each, penalty in zip(self._groups, self._penalties, strict=True)}
        with files.replacing(self._folder / PENALTIES.format(f"{update:07d}")) as temporary:
            temporary.write_bytes(save({**named, "threshold": self._threshold}))

    def _shrink(self, updates_left: int) -> None:
        sizes = self._root_mean_squares()
        all_sizes, all_penalties = torch.cat(sizes), torch.cat(self._penalties)
        leaving = (all_sizes > 0) & (all_penalties > 0)
        if not leaving.any():
            return
        amount = self._config.strength * (all_sizes[leaving] / all_penalties[leaving]).max() / updates_left
        for groups, rms, penalty in zip(self._groups, sizes, self._penalties, strict=True):
            least = rms.minimum(LEAST * self._threshold)  # zero would be for ever: it has no gradient
            left = (rms - amount * penalty).maximum(least)
            scale(groups, self._weights, torch.where(rms > 0, left / rms, 0.0))

    def _remove(self, aim: Aim) -> None:
        self._kept = self._staying(aim)
        self._mask()

    def _mask(self) -> None:
        for groups, kept in zip(self._groups, self._kept or [], strict=True):
            if not kept.all():
                scale(groups, self._weights, kept.to(torch.float32))

    def _root_mean_squares(self) -> list[Tensor]:
        return root_mean_squares(self._groups, self._weights, self._sizes)


@torch.no_grad()
def scale(groups: Groups, weights: Mapping[str, Tensor], factors: Tensor) -> None:
    """Multiply all that each of the Groups owns of `weights` {name: tensor} by its factor (groups,), in place."""
    groups.scale(weights, factors)
