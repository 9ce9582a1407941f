"""Elastic layers: subclasses of their torch.nn namesakes that compute with the first rows and columns."""

from torch import Tensor, nn
from torch.nn import functional as F


class ElasticLinear(nn.Linear):
    """`nn.Linear` of which the first `active_out` rows and `active_in` columns are in use."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.activate(in_features, out_features)

    def activate(self, active_in: int, active_out: int) -> None:
        """Use the first `active_in` inputs and the first `active_out` outputs from now on."""
        self.active_in, self.active_out = active_in, active_out

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., active_in) -> (..., active_out)"""
        bias = None if self.bias is None else self.bias[: self.active_out]
        return F.linear(x, self.weight[: self.active_out, : self.active_in], bias)


class ElasticLayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` over the first `active` features."""

    def __init__(self, dim: int, epsilon: float = 1e-5) -> None:
        super().__init__(dim, eps=epsilon)
        self.activate(dim)

    def activate(self, active: int) -> None:
        """Normalise over the first `active` features from now on."""
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """(..., active) -> (..., active)"""
        return F.layer_norm(x, (self.active,), self.weight[: self.active], self.bias[: self.active], self.eps)


class ElasticEmbedding(nn.Embedding):
    """`nn.Embedding` that returns the first `active` features; also serves as the output product's weight."""

    def __init__(self, vocabulary: int, dim: int, padding: int | None = None) -> None:
        super().__init__(vocabulary, dim, padding_idx=padding)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)
        self._fill_padding_idx_with_zero()

    def forward(self, tokens: Tensor, active: int) -> Tensor:  # type: ignore[override]
        """(batch, time) -> (batch, time, active)"""
        return super().forward(tokens)[..., :active]

    def logits(self, x: Tensor) -> Tensor:
        """(..., active) -> (..., vocabulary), the product with the table's first `active` columns."""
        return F.linear(x, self.weight[:, : x.size(-1)])
