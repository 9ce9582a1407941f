"""The validation loss against each sentence computed by itself with an extracted model."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from search_toys import SPACE
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hat.errors import ArtifactError
from hat.evaluation.inherited_loss import InheritedLoss
from hat.fairseq_plugin import criterion
from hat.models.translation import SuperTransformer
from hat.models.translation_spec import ModelSpec
from search.scorer import Scorer

PADDING, END, VOCABULARY = 1, 2, 23
SPEC = ModelSpec(
    source_vocabulary=VOCABULARY,
    target_vocabulary=VOCABULARY,
    encoder_position_dim=32,
    decoder_position_dim=32,
    dropout=0.5,
)
SENTENCES = [([5, 6, 7, END], [8, 9, END]), ([4, END], [10, 11, 12, 13, END]), ([20, 21, END], [22, END])]


def padded(rows, left=False):
    width = max(len(row) for row in rows)
    fill = [[PADDING] * (width - len(row)) for row in rows]
    return torch.tensor([f + row if left else row + f for f, row in zip(fill, rows, strict=True)])


def batch(pairs):
    return SimpleNamespace(
        src_tokens=padded([source for source, _ in pairs], left=True),
        prev_output_tokens=padded([[END, *target[:-1]] for _, target in pairs]),
        target=padded([target for _, target in pairs]),
    )


def nats_alone(model, source, target):
    """Summed -ln p of a sentence's tokens."""
    with torch.no_grad():
        logits = model(torch.tensor([source]), torch.tensor([[END, *target[:-1]]]))[0].double().numpy()
    log_sums = np.log(np.exp(logits).sum(axis=1))
    return sum(log_sum - row[token] for row, log_sum, token in zip(logits, log_sums, target, strict=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_sums_are_those_of_the_extracted_model(seed):
    torch.manual_seed(seed)
    supertransformer = SuperTransformer(SPACE, SPEC)
    architecture = SPACE.sample(np.random.default_rng(seed))
    extracted = supertransformer.extract(architecture).eval()
    expected = [
        (sum(nats_alone(extracted, *pair) for pair in part), sum(len(target) for _, target in part))
        for part in (SENTENCES[:2], SENTENCES[2:], [])
    ]
    parts = [[batch(SENTENCES[:1]), batch(SENTENCES[1:2])], [batch(SENTENCES[2:])], []]
    loss = InheritedLoss(supertransformer, parts)
    for part, sums in enumerate(expected):
        assert loss(architecture, part) == pytest.approx(sums, rel=1e-5)
    loss(SPACE.largest(), 0)
    assert loss(architecture, 1) == pytest.approx(expected[1], rel=1e-5)  # whatever was active before
    nats, tokens = map(sum, zip(*expected, strict=True))
    assert InheritedLoss(extracted, parts).mean() == pytest.approx(nats / tokens, rel=1e-5)


def test_gradients_are_those_of_the_mean_over_a_parts_tokens():
    extracted = SuperTransformer(SPACE, SPEC).extract(SPACE.sample(np.random.default_rng(1))).eval()
    loss = InheritedLoss(extracted, [[batch(SENTENCES[:2]), batch(SENTENCES[2:])], [batch(SENTENCES[1:])]])
    for part, sentences in enumerate((SENTENCES, SENTENCES[1:])):
        found, nats = loss.gradients(part), 0.0
        for source, target in sentences:
            logits = extracted(torch.tensor([source]), torch.tensor([[END, *target[:-1]]]))[0]
            nats = nats + functional.cross_entropy(logits, torch.tensor(target), reduction="sum")
        weights = dict(extracted.named_parameters())
        by_hand = torch.autograd.grad(nats / sum(len(target) for _, target in sentences), list(weights.values()))
        for name, gradient in zip(weights, by_hand, strict=True):
            torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


# Operations whose result the process waits for.
WAITING = {"item", "is_nonzero", "_local_scalar_dense", "nonzero", "masked_select", "equal"}


class Watched(TorchDispatchMode):
    """What is computed: names of the operations, and the most logits (or their like) at a time."""

    def __init__(self):
        super().__init__()
        self.names, self.most_logits = [], 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.names.append(function.overloadpacket.__name__)
        for tensor in tree_leaves(result) if self.names[-1] != "t" else ():  # a view of the table
            if isinstance(tensor, torch.Tensor) and tensor.dim() and tensor.size(-1) == VOCABULARY:
                self.most_logits = max(self.most_logits, tensor.numel())
        return result


def test_waits_for_the_device_once_a_candidate_and_never_has_all_logits(monkeypatch):
    monkeypatch.setitem(criterion.TOKENS_AT_A_TIME, "cpu", 3)
    loss = InheritedLoss(SuperTransformer(SPACE, SPEC), [[batch(SENTENCES), batch(SENTENCES[1:])]])
    with Watched() as watched:
        loss(SPACE.smallest(), 0)
    assert sum(name in WAITING for name in watched.names) == 1, watched.names
    assert watched.most_logits == 3 * VOCABULARY


def test_a_diverged_supertransformer_is_an_error():
    supertransformer = SuperTransformer(SPACE, SPEC)
    torch.nn.init.constant_(supertransformer.encoder.embed_tokens.weight, float("nan"))
    with pytest.raises(ArtifactError, match="diverged"):
        InheritedLoss(supertransformer, [[batch(SENTENCES)]])(SPACE.smallest(), 0)


def test_a_score_does_not_depend_on_how_many_are_computed_side_by_side():
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    architectures = [SPACE.sample(rng) for _ in range(12)]
    loss = InheritedLoss(SuperTransformer(SPACE, SPEC), [[batch(SENTENCES * 9)]])
    alone = [loss(architecture, 0) for architecture in architectures]
    threads = torch.get_num_threads()
    assert list(Scorer(loss, threads=3)(architectures, 0)) == alone
    assert torch.get_num_threads() == threads
