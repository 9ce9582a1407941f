"""The benchmark of the decoder compares like with like: its peers and HAT translate alike with the same weights."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))  # its modules import each other by name

import decoder_models
import decoder_peers
import decoder_speed

from hat import Translator
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture

ARCHITECTURE = Architecture(
    64, EncoderArchitecture(64, (128,) * 2, (4,) * 2), DecoderArchitecture(64, (128,), (4,), (4,), (1,))
)
COUNT = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(spec, weights, sources, folder with an fp32 bundle) of a small model."""
    folder = tmp_path_factory.mktemp("models")
    sources = decoder_speed.random_sources(np.random.default_rng(3), COUNT)
    spec, weights, model = decoder_models.make_model(ARCHITECTURE, 3, sources)
    decoder_models.write_hat_bundle(folder / "fp32", model, ARCHITECTURE, spec, weights, "fp32", sources)
    return spec, weights, sources, folder


@pytest.mark.parametrize("beam", [1, 5])
def test_fairseq_translates_as_the_bundle_does(made, beam):
    spec, weights, sources, folder = made
    fairseq = decoder_peers.FairseqModel(ARCHITECTURE, spec, weights)
    for source, found in zip(sources, Translator(folder / "fp32", beam=beam).translate_ids(sources), strict=True):
        expected = fairseq.translate([source], beam)[0][0]
        assert found[0].tokens == expected["tokens"].tolist()
        assert found[0].score == pytest.approx(expected["score"].item(), abs=1e-3)


@pytest.mark.parametrize("beam", [1, 5])
def test_ctranslate2_translates_as_the_bundle_does(made, beam):
    """Its beam search ends otherwise at times, so not each hypothesis of a beam is the same."""
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed; the benchmark alone needs it")
    _, weights, sources, folder = made
    path = folder / f"ctranslate2.{beam}"
    decoder_peers.write_ctranslate2_model(path, ARCHITECTURE, weights, range(4, 10))
    translator = decoder_peers.open_ctranslate2(path, "float32")
    same = 0
    for source, found in zip(sources, Translator(folder / "fp32", beam=beam).translate_ids(sources), strict=True):
        words = [decoder_peers.word(token) for token in source]
        longest = int(1.2 * len(source) + 10)
        expected = translator.translate_batch([words], beam_size=beam, max_decoding_length=longest)[0]
        same += expected.hypotheses[0] == [decoder_peers.word(token) for token in found[0].tokens[:-1]]
    assert same == COUNT if beam == 1 else same >= 0.8 * COUNT


def test_translations_end_by_themselves(made):
    _, _, sources, folder = made
    for hypotheses, source in zip(Translator(folder / "fp32").translate_ids(sources), sources, strict=True):
        assert 1 < len(hypotheses[0].tokens) <= int(1.2 * len(source) + 10) + 1
    lengths = [len(pool[0].tokens) for pool in Translator(folder / "fp32").translate_ids(sources)]
    limits = [int(1.2 * len(source) + 10) + 1 for source in sources]
    assert np.mean(np.equal(lengths, limits)) < 0.2
    assert len(set(lengths)) >= 4


def test_ratios_are_ours_over_theirs():
    forced = {"HAT int8": {"beam5 median": 3.0, "greedy median": 1.0}}
    forced["CTranslate2 int8"] = {"beam5 median": 4.0, "greedy median": 2.0}
    assert decoder_speed.ratios({"A": {"forced": forced}}) == {"A_batch1_beam5": 0.75, "A_batch1_greedy": 0.5}
