"""The accounting of the MicroNet challenge (NeurIPS 2019, language modelling on WikiText-103), from its rules.

A parameter counts bits / 32, a pruned network's mask a bit a weight, layer norms nothing (their scale and shift are
those of the matrix that follows), each scale of rounded weights one. Predicting one word counts its multiplications, at
bits / 32 each, and its additions and other operations, which are done in 32 bits. A matrix product is done for the
weights that aren't zero alone.
"""

from dataclasses import dataclass, replace
from typing import Any

from hat.accounting.network import AccountedNetwork

# What the challenge's own baseline has: the score is the sum of both shares.
BASELINE_PARAMETERS, BASELINE_OPERATIONS = 159e6, 318e6
FULL_BITS = 32


@dataclass(frozen=True)
class Item:
    """One line of the account, for all its layers or bins together.

    `parameters` are all, `nonzero` those kept; `multiplications`, `additions` and `others` (divisions, exponentials and
    the like) are those of predicting one word.
    """

    name: str
    parameters: int = 0
    nonzero: float = 0.0
    multiplications: float = 0.0
    additions: float = 0.0
    others: float = 0.0

    def __add__(self, other: "Item") -> "Item":
        counts = {name: value + getattr(other, name) for name, value in vars(self).items() if name != "name"}
        return replace(self, **counts)

    def operations(self, bits: int) -> float:
        """A multiplication of so many bits counts bits / 32; everything else is done in 32."""
        return self.multiplications * bits / FULL_BITS + self.additions + self.others


def _product(name: str, inputs: int, outputs: int, times: float = 1.0, added: float = 0.0) -> Item:
    """A vector of `inputs` by a matrix, `times` its share that is computed; `added` values are added to the result."""
    additions = times * (inputs - 1) * outputs + added
    return Item(name, multiplications=times * inputs * outputs, additions=additions)


def _matrix(name: str, inputs: int, outputs: int, density: float, use: float = 1.0) -> Item:
    """A product with a weight matrix, in use for the share `use` of the words."""
    item, size = _product(name, inputs, outputs, density * use), inputs * outputs
    return replace(item, parameters=size, nonzero=size * density)


def _vector(name: str, size: int, density: float = 1.0) -> Item:
    """Weights that are added to something."""
    return Item(name, parameters=size, nonzero=size * density, additions=size * density)


def _softmax(name: str, size: int) -> Item:
    """n exponentials, n - 1 additions, n divisions."""
    return Item(name, others=3 * size - 1)


def account(network: AccountedNetwork, attention_of_one_head: bool = False) -> list[Item]:
    """All items. With `attention_of_one_head`, as first published: see `_attention`."""
    items = [
        *_input(network),
        *(item for layer in range(network.layers) for item in _layer(network, layer, attention_of_one_head)),
        *_output(network),
        *_cache(network),
    ]
    found: dict[str, Item] = {}
    for item in items:
        found[item.name] = found[item.name] + item if item.name in found else item
    return list(found.values())


def _input(network: AccountedNetwork) -> list[Item]:
    """Looking a word up costs nothing; those of the later bins are projected."""
    widths = network.bin_widths()
    return [
        _matrix(
            "embedding projections",
            widths[index],
            network.embed_dim,
            network.density("input_projection", index - 1),
            network.bin_shares[index],
        )
        for index in range(1, len(widths))
    ]


def _layer(network: AccountedNetwork, layer: int, attention_of_one_head: bool) -> list[Item]:
    dim, ffn_dim = network.embed_dim, network.ffn_dim[layer]
    width = network.heads[layer] * network.head_dim[layer]
    return [
        Item("layer norms", others=2 * 6 * dim),
        _matrix("queries, keys, values", dim, 3 * width, network.density("qkv", layer)),
        _vector("queries, keys, values", 3 * width),
        *_attention(network, layer, attention_of_one_head),
        _matrix("attention output", width, dim, network.density("attention_output", layer)),
        Item("residual sums", additions=2 * dim),
        _matrix("feed-forward", dim, ffn_dim, network.density("fc1", layer)),
        _vector("feed-forward", ffn_dim),
        Item("ReLU", others=ffn_dim),
        _matrix("feed-forward", ffn_dim, dim, network.density("fc2", layer)),
        _vector("feed-forward", dim),
    ]


def _attention(network: AccountedNetwork, layer: int, of_one_head: bool) -> list[Item]:
    """Between the projections; positions are multiplied by each head's queries, though all heads share them.

    `of_one_head` is how the authors first published it: the product of queries and positions, and the softmax, are
    done by each head but counted once a layer.
    """
    heads, head_dim, context = network.heads[layer], network.head_dim[layer], network.context[layer]
    counted, positions = 1 if of_one_head else heads, head_dim * context
    by_position = _product("queries x positions", head_dim, context, counted, added=counted * context)
    return [
        _product("queries x keys", head_dim, context * heads),
        replace(by_position, parameters=positions, nonzero=positions),
        replace(_softmax("attention softmax", context), others=counted * (3 * context - 1)),
        _product("attention x values", context, heads * head_dim),
    ]


def _output(network: AccountedNetwork) -> list[Item]:
    """The table of each bin is its embedding's; the first bin has a class more for each of the others."""
    items, sizes, dim = [], network.bin_sizes(), network.embed_dim
    for index, (size, width) in enumerate(zip(sizes, network.bin_widths(), strict=True)):
        if index:
            density = network.density("output_projection", index - 1)
            items.append(_matrix("output projections", dim, width, density))
        items.append(_matrix("embedding and output tables", width, size, network.density("embedding", index)))
        items.append(_vector("output biases", size, network.density("output_bias", index)))
        items.append(_softmax("output softmax", size if index else size + len(sizes) - 1))
    if classes := len(sizes) - 1:
        items += [_matrix("classes of later bins", dim, classes, 1.0), _vector("classes of later bins", classes)]
    return items


def _cache(network: AccountedNetwork) -> list[Item]:
    """The state by each of those kept; theta and lambda are its two parameters."""
    if not network.cache:
        return []
    item = _product("cache", network.embed_dim, network.cache) + _softmax("cache", network.cache)
    return [replace(item, parameters=2, nonzero=2)]


def micronet_account(network: AccountedNetwork) -> dict[str, Any]:
    """{"items", "parameters", "operations", "score", ...}: what `hat-inspect --accounting micronet` prints as JSON."""
    items = account(network)
    total = _total(items)
    parameters = {
        "weights": total.nonzero * network.bits / FULL_BITS,
        "mask": total.parameters / FULL_BITS if network.densities else 0.0,
        "quantisers": network.quantisers * (1 + (FULL_BITS - network.bits) / FULL_BITS),
        "weight_scales": float(network.weight_scales),
    }
    size, operations = sum(parameters.values()), total.operations(network.bits)
    published = _total(account(network, attention_of_one_head=True)).operations(network.bits)
    return {
        "accounting": "micronet",
        "items": [{**vars(item), "operations": item.operations(network.bits)} for item in items],
        "total": {**vars(total), "operations": operations},
        "parameters": {**parameters, "counted": size},
        "operations": operations,
        "score": _score(size, operations),
        "with_attention_of_one_head": {"operations": published, "score": _score(size, published)},
    }


def _total(items: list[Item]) -> Item:
    return sum(items, start=Item("total"))


def _score(parameters: float, operations: float) -> float:
    return parameters / BASELINE_PARAMETERS + operations / BASELINE_OPERATIONS


def compare(account: dict[str, Any], other: dict[str, Any], name: str) -> dict[str, Any]:
    """The shares that an account has of another, the `name`'s: their sum is the score with that one as the baseline."""
    parameters = account["parameters"]["counted"] / other["parameters"]["counted"]
    operations = account["operations"] / other["operations"]
    return {"name": name, "parameters": parameters, "operations": operations, "score": parameters + operations}


def render_comparison(against: dict[str, Any]) -> str:
    """What `compare` gives as a line for people."""
    return (
        f"against {against['name']}: {against['parameters']:.4f} of its parameters, {against['operations']:.4f} of its "
        f"operations, score {against['score']:.4f} ({against['name']}: 2)"
    )


def render(account: dict[str, Any]) -> str:
    """What `micronet_account` gives as a table for people."""
    columns = ("parameters", "nonzero", "multiplications", "additions", "others", "operations")
    width = max(len(item["name"]) for item in account["items"])
    lines = [" " * width + "".join(f"{column:>17}" for column in columns)]
    for item in [*account["items"], account["total"]]:
        lines.append(f"{item['name']:<{width}}" + "".join(f"{item[column]:>17,.0f}" for column in columns))
    counted, once = account["parameters"], account["with_attention_of_one_head"]
    return "\n".join(
        [
            *lines,
            f"parameters: {counted['counted'] / 1e6:.3f} M = {counted['weights'] / 1e6:.3f} M of weights + "
            f"{counted['mask'] / 1e6:.3f} M of the mask + {counted['quantisers']:.0f} of quantisers + "
            f"{counted['weight_scales']:.0f} scales of weights",
            f"operations: {account['operations'] / 1e6:.3f} M a word",
            f"score: {account['score']:.5f} = parameters / 159 M + operations / 318 M",
            f"as first published, with queries x positions and the attention's softmax counted for one head a layer: "
            f"{once['operations'] / 1e6:.3f} M a word, score {once['score']:.5f}",
        ]
    )
