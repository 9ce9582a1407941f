"""A language model's bundle against PyTorch, its memory, its scores and what it writes; and what it refuses."""

import json
import math
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from tiny_language_models import ADAPTIVE, BINS_SPACE, LANGUAGE_SPACE, WORDS, some_words, super_language_model

import hat
from hat.config import to_mapping
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.language_model_graph import build_language_model_graphs
from hat.errors import ArtifactError, DataError, UsageError

NAMES = ["<eos>", "<unk>", *(f"w{number}" for number in range(2, WORDS))]


def drawn_architectures(space):
    rng = np.random.default_rng(4)
    return [space.sample(rng) for _ in range(4)] + [space.smallest(), space.largest()]


def graphs_of(network, precision="fp32", ranges=None):
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return build_language_model_graphs(network.architecture, network.spec, weights, precision, ranges)


def write(folder, network, names=NAMES, precision="fp32", ranges=None):
    words = folder.parent / "vocabulary.txt"
    words.write_text("".join(f"{name}\n" for name in names))
    description = {
        "task": "language_modeling",
        "precision": precision,
        "architecture": network.architecture.to_dict(),
        "spec": to_mapping(network.spec),
        "context": max(network.architecture.decoder.context),
        "built_from": {},
    }
    write_bundle(folder, graphs_of(network, precision, ranges), {"words": words}, description)
    return folder


@pytest.fixture(scope="module")
def network():
    return super_language_model(**ADAPTIVE).extract(LANGUAGE_SPACE.largest())


@pytest.fixture(scope="module")
def bundle(network, tmp_path_factory):
    return write(tmp_path_factory.mktemp("bundle") / "fp32", network)


@pytest.mark.parametrize(
    ("space", "tables"),
    [
        (LANGUAGE_SPACE, {}),
        (LANGUAGE_SPACE, ADAPTIVE),
        (LANGUAGE_SPACE, {**ADAPTIVE, "activation": "gelu"}),
        (BINS_SPACE, ADAPTIVE),
    ],
    ids=["one", "adaptive", "gelu", "elastic bins"],
)
def test_graph_gives_pytorch_s_probabilities_however_the_text_is_parted(space, tables):
    for architecture in drawn_architectures(space):
        model, words = super_language_model(space, **tables).extract(architecture), some_words(2, 20)
        session = onnxruntime.InferenceSession(graphs_of(model)["step"].SerializeToString())
        with torch.no_grad():
            expected = model.output.log_probabilities(model(words)[0]).numpy()
        for parts in ([20], [1] * 20, [3, 10, 7]):
            memory, found = {}, []
            for part in words.split(parts, dim=1):
                for each in session.get_inputs()[1:]:
                    memory.setdefault(each.name, np.zeros((2, each.shape[1], 0, each.shape[3]), np.float32))
                names = ["log_probabilities", *(f"new_{name}" for name in memory)]
                output, *kept = session.run(names, {"words": part.numpy(), **memory})
                memory = dict(zip(memory, kept, strict=True))
                found.append(output)
            np.testing.assert_allclose(np.concatenate(found, 1), expected, atol=1e-4)
            contexts = architecture.decoder.context
            assert [memory[f"key.{i}"].shape[2] for i in range(len(contexts))] == [each - 1 for each in contexts]


def by_pytorch(network, ids):
    with torch.no_grad():
        return network.output.log_probabilities(network(torch.tensor([ids]))[0])[0]


def test_scores_are_those_of_the_running_text(network, bundle):
    lines = ["w5 w9 w40", "w6", "w7 never seen w12 " + " ".join(["w8"] * 200)]
    ids = [number for line in ["", *lines] for number in (*(_id(word) for word in line.split()), 0)]
    chosen = by_pytorch(network, ids[:-1]).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    counts = [len(line.split()) + 1 for line in lines]
    found = hat.LanguageModel(bundle).score(lines)
    assert [score.words for score in found] == counts
    assert [score.unknown for score in found] == [0, 0, 2]
    for score, part in zip(found, chosen.split(counts), strict=True):
        assert score.log_probability == pytest.approx(float(part.sum()), abs=1e-3)
        assert score.perplexity == pytest.approx(math.exp(-float(part.mean())), rel=1e-4)


def _id(word):
    return NAMES.index(word) if word in NAMES else 1


@pytest.mark.parametrize("seed", range(3))
def test_any_temperature_draws(bundle, seed):
    model = hat.LanguageModel(bundle)
    likeliest = model.generate("w5 w9", words=12, temperature=0)
    assert model.generate("w5 w9", words=12, temperature=1e-60, seed=seed) == likeliest  # below float32's smallest
    hot = model.generate("w5 w9", words=40, temperature=1e60, seed=seed).split()  # above its largest: all alike
    assert "<unk>" not in hot
    assert len(set(hot)) > 10


def test_at_temperature_0_each_word_is_pytorch_s_likeliest(network, bundle):
    ids = [0, _id("w5"), _id("w9")]
    for _ in range(12):
        scores = by_pytorch(network, ids)[-1]
        scores[1] = -math.inf  # <unk> is never written
        ids.append(int(scores.argmax()))
    written = hat.LanguageModel(bundle).generate("w5 w9", words=12, temperature=0)
    assert written.replace("\n", " <eos> ").split() == [NAMES[number] for number in ids[3:]]


def test_words_are_drawn_by_their_probabilities_and_the_seed(network, bundle):
    model = hat.LanguageModel(bundle)
    assert model.generate("w5", 30, seed=3) == model.generate("w5", 30, seed=3) != model.generate("w5", 30, seed=4)
    drawn = [model.generate("w5", 1, seed=seed).replace("\n", "<eos>").strip() for seed in range(800)]
    odds = by_pytorch(network, [0, _id("w5")])[-1].exp().numpy()
    odds[1] = 0
    likeliest = int(odds.argmax())
    share = odds[likeliest] / odds.sum()
    assert drawn.count(NAMES[likeliest]) / 800 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 800))
    assert "<unk>" not in drawn


def command(name, *arguments, text=None):
    words = [sys.executable, "-c", f"from hat.cli.{name} import main; main()", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, input=text)


def test_commands_write_and_score(bundle):
    written = command("generate", bundle, "--prompt", "w5 w9", "--tokens", 5, "--temperature", 0).stdout
    assert written == f"w5 w9 {hat.LanguageModel(bundle).generate('w5 w9', 5, 0)}\n"
    lines = ["w5 w9", "new w6"]
    scores = hat.LanguageModel(bundle).score(lines)
    result = command("score", bundle, text="\n".join(lines) + "\n")
    assert result.stdout.splitlines()[1] == f"{scores[1].log_probability:.4f}\t{scores[1].perplexity:.2f}\t1"
    assert "of 6 words and ends of lines, 1 of them unknown" in result.stderr
    rows = [json.loads(row) for row in command("score", bundle, "--json", text="\n".join(lines)).stdout.splitlines()]
    assert [row["words"] for row in rows] == [3, 3]


def test_what_was_scored_before_a_blank_line_is_kept(bundle, tmp_path):
    result = command("score", bundle, "--output", tmp_path / "out", text="w5 w9\n\nw6\n")
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "line 2 is blank; leave it out; the scores up to there are in" in result.stderr
    assert len((tmp_path / "out.partial").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--prompt", "  "), 3, "--prompt is blank"),
        (("--temperature", "-1"), 2, "temperature 0 or more"),
        (("--seed", "-1"), 2, "seed must be 0 or more, not -1"),
        (("--tokens", "0"), 2, "not a positive integer"),
    ],
)
def test_impossible_options_are_told_in_a_line(bundle, arguments, status, message):
    result = command("generate", bundle, *arguments)
    assert (result.returncode, result.stderr.count("\n")) == (status, 1)
    assert message in result.stderr


def test_other_bundles_and_words_are_refused(network, tmp_path, bundle):
    with pytest.raises(ArtifactError, match="for language_modeling, not for classification; .* hat-generate"):
        hat.Classifier(bundle)
    with pytest.raises(ArtifactError, match="other words than the model, 51 instead of 50"):
        hat.LanguageModel(write(tmp_path / "more", network, [*NAMES, "w50"]))
    with pytest.raises(ArtifactError, match="is no vocabulary"):
        hat.LanguageModel(write(tmp_path / "none", network, NAMES[1:]))
    with pytest.raises(ArtifactError, match="no such bundle"):
        hat.LanguageModel(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="precision 'int3' is not one of fp32, int8"):
        build_language_model_graphs(network.architecture, network.spec, {}, "int3")
    with pytest.raises(DataError, match="line 1 is blank"):
        hat.LanguageModel(bundle).score([" "])
