"""The neural cache (Grave et al. 2017), whose two parameters are trained like any others (Yan et al. 2020).

p = share * p_cache + (1 - share) * p_model. p_cache looks a word up among those that followed the last states: the
state h_i has the weight softmax over i of theta * h_t . h_i, and gives it to the word that came after it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Past = tuple[Tensor, Tensor]  # states (batch, positions, dim), and the word after each (batch, positions) int64
THETA, SHARE = 0.05, 0.1  # before training
TINY = torch.finfo(torch.float32).tiny


class NeuralCache(nn.Module):
    """The last `states` states, each with the word after it; states that came before no word have a negative one."""

    def __init__(self, states: int) -> None:
        super().__init__()
        self.states = states
        self.raw_theta, self.raw_share = nn.Parameter(torch.empty(1)), nn.Parameter(torch.empty(1))
        self.set(THETA, SHARE)

    @torch.no_grad()
    def set(self, theta: float, share: float) -> None:
        """Give both parameters these values."""
        self.raw_theta.copy_(torch.tensor(theta).expm1().log())
        self.raw_share.copy_(torch.tensor(share).logit())

    @property
    def theta(self) -> Tensor:
        """How sharply the cache tells states apart: positive, (1,)"""
        return F.softplus(self.raw_theta)

    @property
    def share(self) -> Tensor:
        """Of the cache, in all probabilities, where there is any state before: between 0 and 1, (1,)"""
        return torch.sigmoid(self.raw_share)

    def described(self) -> dict[str, float]:
        """What a bundle says of it: {"states", "theta", "share"}"""
        return {"states": self.states, "theta": self.theta.item(), "share": self.share.item()}

    def losses(self, losses: Tensor, states: Tensor, words: Tensor, past: Past | None = None) -> Tensor:
        """With the cache what are `losses` without: negative log-likelihoods in nats, (batch, time).

        states (batch, time, dim) are those that predict `words` (batch, time) int64, which are negative where the word
        isn't known; `past` is what stands before.
        """
        return mixed_losses(losses, *self.look_up(states, words, past))

    def look_up(self, states: Tensor, words: Tensor, past: Past | None = None) -> tuple[Tensor, Tensor]:
        """What `mixed_losses` takes: (the cache's probability of each of `words`, its share there), (batch, time).

        The share is 0 where no state is there to look at. Arguments are as in `losses`.
        """
        weights, followers, share = self._weights(states, words, past)
        return (weights * (followers[:, None] == words[..., None])).sum(dim=-1), share

    def log_probabilities(
        self, log_probabilities: Tensor, states: Tensor, words: Tensor, past: Past | None = None
    ) -> Tensor:
        """The same for all words: (batch, time, vocabulary)"""
        weights, followers, share = self._weights(states, words, past)
        places = followers.clamp(min=0)[:, None].expand_as(weights)
        found = torch.zeros_like(log_probabilities).scatter_add_(2, places, weights)
        share = share[..., None]
        return torch.logaddexp((share * found + TINY).log(), torch.log1p(-share) + log_probabilities)

    def grown(self, states: Tensor, words: Tensor, past: Past | None = None) -> Past:
        """What is to be kept for the words after these."""
        states, words = _together(states, words, past)
        return states[:, -self.states :], words[:, -self.states :]

    def _weights(self, states: Tensor, words: Tensor, past: Past | None) -> tuple[Tensor, Tensor, Tensor]:
        """(weights (batch, time, positions) of the words (batch, positions) at those positions, share (batch, time))

        The positions are those of `past` and of `states`. The share is 0 where no state is there to look at.
        """
        keys, followers = _together(states, words, past)
        place = torch.arange(keys.size(1), device=keys.device)
        own = place[-states.size(1) :, None]
        seen = (place < own) & (place >= own - self.states) & (followers >= 0)[:, None]
        scores = self.theta * (states.float() @ keys.float().transpose(1, 2))
        lowest = torch.finfo(scores.dtype).min
        weights = torch.softmax(scores.masked_fill(~seen, lowest), dim=-1) * seen
        return weights, followers, self.share * seen.any(dim=-1)


def mixed_losses(losses: Tensor, found: Tensor, share: Tensor) -> Tensor:
    """Negative log-likelihoods in nats of words that have these `losses` without the cache, and by it the probability
    `found`, which has the `share`: all of one shape.
    """
    return -torch.logaddexp((share * found + TINY).log(), torch.log1p(-share) - losses)


def _together(states: Tensor, words: Tensor, past: Past | None) -> Past:
    return (states, words) if past is None else (torch.cat([past[0], states], 1), torch.cat([past[1], words], 1))
