"""The shipped configs: each loads, explains all its keys, and repeats the numbers of the paper where it claims to."""

import re
from pathlib import Path

import pytest

from hat.accounting.micronet import micronet_account
from hat.accounting.network import load_network
from hat.experiment.config import load_experiment
from hat.experiment.inspection import inspect_file

CONFIGS = Path(__file__).parents[1] / "configs"
EXPERIMENTS = sorted(CONFIGS.glob("*.yaml"))
WMT = ["wmt14.en-de", "wmt14.en-fr", "wmt19.en-de"]
PAPER = [*WMT, "iwslt14.de-en"]


def load(name):
    return load_experiment(CONFIGS / f"{name}.yaml")


def test_all_announced_configs_are_there():
    announced = {*PAPER, "quickstart", "quickstart.smallest", "quickstart.classification", "multi30k.en-de"}
    announced |= {"sst2", "sst2.bert", "ptb", "wikitext-103", "quickstart.language_modeling"}
    assert {path.name.removesuffix(".yaml") for path in EXPERIMENTS} == announced


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_config_is_named_after_its_file_and_has_budgets(path):
    config = load_experiment(path)
    assert config.name == path.name.removesuffix(".yaml")
    assert len(config.search.latency) >= 2


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.name)
def test_every_key_is_explained_where_it_stands(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if re.match(r"\s*\w+: \S", line)]
    assert len(keys) > 50
    assert [line for line in keys if "  # " not in line] == []


@pytest.mark.parametrize("name", PAPER)
def test_space_of_the_paper(name):
    space = load(name).search_space
    ffn_dims, heads = ((1024, 2048, 3072), (4, 8)) if name in WMT else ((512, 1024, 2048), (2, 4))
    assert space.qkv_dim == 512
    assert space.encoder.layers == (6,)
    assert space.decoder.layers == (1, 2, 3, 4, 5, 6)
    assert space.decoder.cross_attention_span == (1, 2, 3)
    for stack in (space.encoder, space.decoder):
        assert stack.embed_dim == (512, 640)
        assert stack.ffn_dim == ffn_dims
        assert stack.self_attention_heads == heads
    assert space.decoder.cross_attention_heads == heads


def test_size_of_the_paper_s_wmt_space():
    """By hand: 2 x 2 widths, encoder (3 x 2)^6, decoder the sum over its depths of (3 x 2 x 2 x 3)^depth."""
    assert load("wmt14.en-de").search_space.size() == 4 * 6**6 * sum(36**depth for depth in range(1, 7))


@pytest.mark.parametrize("name", WMT)
def test_wmt_recipe_of_the_paper(name):
    config = load(name)
    for training, warmup in ((config.super_training, 10000), (config.sub_training, 4000)):
        assert (training.max_update, training.warmup_updates) == (40000, warmup)
        assert (training.lr_scheduler, training.lr) == ("cosine", 1e-3)
        assert (training.warmup_init_lr, training.min_lr) == (1e-7, 1e-7)
        assert (training.max_tokens, training.tokens_per_update) == (4096, 8 * 16 * 4096)
        assert (training.adam_betas, training.weight_decay, training.clip_norm) == ((0.9, 0.98), 0.0, 0.0)
        assert training.label_smoothing == 0.1
    assert config.sub_training.init == "scratch"
    assert (config.model.dropout, config.model.attention_dropout) == (0.3, 0.1)
    assert config.model.share_all_embeddings
    assert (config.evaluation.beam, config.evaluation.lenpen) == (4, 0.6)
    assert (config.latency.source_length, config.latency.target_steps) == (30, 30)


def test_iwslt_recipe_of_the_paper():
    config = load("iwslt14.de-en")
    for training, warmup in ((config.super_training, 10000), (config.sub_training, 4000)):
        assert (training.max_update, training.warmup_updates) == (50000, warmup)
        assert (training.lr_scheduler, training.lr, training.warmup_init_lr) == ("inverse_sqrt", 5e-4, 1e-7)
        assert (training.max_tokens, training.tokens_per_update, training.weight_decay) == (4096, 4096, 1e-4)
        assert (training.adam_betas, training.label_smoothing) == ((0.9, 0.98), 0.1)
    assert (config.sub_training.init, config.sub_training.average_checkpoints) == ("scratch", 10)
    assert config.model.dropout == 0.375
    assert not config.model.share_all_embeddings
    assert not config.model.share_decoder_input_output_embed
    assert (config.evaluation.beam, config.evaluation.lenpen) == (5, 1.0)
    assert (config.latency.source_length, config.latency.target_steps) == (23, 23)


@pytest.mark.parametrize("name", PAPER)
def test_search_and_measuring_of_the_paper(name):
    config = load(name)
    search = config.search
    assert (search.population, search.parents, search.mutations, search.crossovers) == (125, 25, 50, 50)
    assert (search.mutation_probability, search.iterations) == (0.3, 30)
    assert config.latency.repeats == 20
    assert (config.latency.samples, config.latency.most_samples) == (None, 400)  # the paper takes 2,000


@pytest.mark.parametrize("name", ["quickstart", "quickstart.smallest", "multi30k.en-de"])
def test_own_spaces_are_elastic_in_encoder_depth(name):
    assert len(load(name).search_space.encoder.layers) > 1


def test_core_of_micronet_is_the_largest_network_of_wikitext_103():
    """Against the description that its published counts follow from; layer norms and its cache are counted apart."""
    config, published = load("wikitext-103"), load_network(CONFIGS / "accounting/micronet.yaml")
    largest = config.search_space.largest().decoder
    for name in ("embed_dim", "ffn_dim", "head_dim", "context"):
        assert getattr(largest, name) == getattr(published, name)
    assert largest.self_attention_heads == published.heads
    assert (config.model.cutoffs, config.model.bin_dims) == (published.cutoffs, published.bin_dims)
    found = inspect_file(CONFIGS / "wikitext-103.yaml", None, 30)
    norms, cache = (2 * 8 + 1) * 2 * 256, 2
    assert found["vocabulary"] == 267735
    assert found["parameters"] == micronet_account(published)["total"]["parameters"] + norms - cache
