"""HAT's FLOPs counter, torchprofile, written anew: what our counts are held against."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class TorchprofileCounter(TorchDispatchMode):
    """Counts the multiply-adds that HAT's counter counts: of products, layer norms, and elements multiplied.

    Its handlers: https://github.com/zhijian-liu/torchprofile/blob/master/torchprofile/handlers.py
    """

    def __init__(self):
        super().__init__()
        self.multiply_adds = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name == "addmm":
            self.multiply_adds += outputs.numel() * args[1].size(-1)
        elif name in ("mm", "bmm"):
            self.multiply_adds += outputs.numel() * args[0].size(-1)
        elif name == "native_layer_norm":
            self.multiply_adds += outputs[0].numel()
        elif name in ("mul", "mul_") and outputs.is_floating_point():
            self.multiply_adds += outputs.numel()
        return outputs


def attention_as_hat_writes_it(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False):
    query = query * query.size(-1) ** -0.5
    weights = query @ key.transpose(-2, -1)
    if is_causal:
        weights = weights + torch.full_like(weights, -torch.inf).triu(1)
    return weights.softmax(-1) @ value
