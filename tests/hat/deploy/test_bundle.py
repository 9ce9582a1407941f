"""Bundles on disk: what is in them, and every way in which one can be wrong."""

import json
import lzma
import shutil

import pytest
from deployed import make_bundle, make_spec, peaked_weights, train_tokenizer

from hat.architecture.complexity import count_parameters
from hat.architecture.stacks import Architecture, DecoderArchitecture, EncoderArchitecture
from hat.deploy.building.bundle_writer import write_bundle
from hat.deploy.building.graphs import build_graphs
from hat.deploy.bundle import VERSION, file_entry, open_bundle
from hat.deploy.translator import Translator
from hat.errors import ArtifactError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "fp32")


@pytest.fixture
def bundle(original, tmp_path):
    return shutil.copytree(original, tmp_path / "bundle")


def error_of(path):
    with pytest.raises(ArtifactError) as caught:
        open_bundle(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def change_description(bundle, **changes):
    path = bundle / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_bundle_opens_and_knows_its_size(bundle):
    opened = open_bundle(bundle)
    assert opened.size_bytes == sum(file.stat().st_size for file in bundle.iterdir())
    assert opened.description["version"] == VERSION
    names = {file.name for file in bundle.iterdir()}
    assert {"encoder.onnx", "step.onnx", "sentencepiece.model.xz", "weights.bin"} <= names
    assert names == {"bundle.json", *opened.description["files"]}


@pytest.mark.parametrize(
    "options", [{}, {"share_all_embeddings": False}, {"share_all_embeddings": False, "normalize_before": True}]
)
def test_fp32_is_hardly_larger_than_its_weights(tmp_path, options):
    """Embeddings that encoder, decoder and output layer share are in it once."""
    architecture = Architecture(
        64, EncoderArchitecture(48, (128, 64), (4, 2)), DecoderArchitecture(64, (256, 128), (2, 4), (4, 2), (2, 1))
    )
    spec = make_spec(vocabulary=8000, **options)
    weights = peaked_weights(architecture, spec, seed=1)
    tokenizer = train_tokenizer(tmp_path / "tokenizer.model")
    graphs = build_graphs(architecture, spec, weights)
    write_bundle(tmp_path / "bundle", graphs, {"source": tokenizer, "target": tokenizer}, {})
    assert (tmp_path / "bundle" / "weights.bin").stat().st_size < 1.01 * 4 * count_parameters(architecture, spec)[0]
    graph_files = list((tmp_path / "bundle").glob("*.onnx"))
    assert sum(file.stat().st_size for file in graph_files) < 50_000 * len(graph_files)  # whatever the widths


def test_different_tokenizers_are_both_kept(tmp_path):
    spec = make_spec()
    architecture = Architecture(8, EncoderArchitecture(8, (8,), (1,)), DecoderArchitecture(8, (8,), (1,), (1,), (1,)))
    graphs = build_graphs(architecture, spec, peaked_weights(architecture, spec, seed=1))
    tokenizers = {
        "source": train_tokenizer(tmp_path / "a", vocabulary=44),
        "target": train_tokenizer(tmp_path / "b", vocabulary=48),
    }
    write_bundle(tmp_path / "bundle", graphs, tokenizers, {})
    for side, path in tokenizers.items():
        stored = (tmp_path / "bundle" / f"sentencepiece.{side}.model.xz").read_bytes()
        assert lzma.decompress(stored) == path.read_bytes()


def test_a_bundle_whose_sentencepiece_model_is_not_compressed_is_used_as_before(bundle):
    expected = Translator(bundle).translate(["A pear."])
    name, earlier = "sentencepiece.model.xz", "sentencepiece.model"
    (bundle / earlier).write_bytes(lzma.decompress((bundle / name).read_bytes()))
    (bundle / name).unlink()
    listed = json.loads((bundle / "bundle.json").read_text())["files"]
    del listed[name]
    change_description(
        bundle,
        files={**listed, earlier: file_entry(bundle / earlier)},
        tokenizers={"source": earlier, "target": earlier},
    )
    assert Translator(bundle).translate(["A pear."]) == expected


def test_missing(tmp_path):
    assert "no such bundle; make one with hat-export" in error_of(tmp_path / "nothing")


def test_foreign(tmp_path, bundle):
    (tmp_path / "empty").mkdir()
    assert "is not a bundle (it has no bundle.json)" in error_of(tmp_path / "empty")
    assert "is not a bundle" in error_of(bundle / "step.onnx")
    (bundle / "bundle.json").write_text('{"format": "something else"}')
    assert "does not describe a bundle" in error_of(bundle)
    (bundle / "bundle.json").write_text("[1, 2]")
    assert "does not describe a bundle" in error_of(bundle)


def test_a_folder_of_bundles_names_them(tmp_path, original):
    for precision in ("int8", "fp32"):
        shutil.copytree(original, tmp_path / "export" / precision)
    assert "holds the bundles fp32, int8; name one of them" in error_of(tmp_path / "export")


def test_other_versions(bundle):
    change_description(bundle, version=VERSION - 1)
    assert f"format version {VERSION - 1}, older than {VERSION}; export it again with hat-export" in error_of(bundle)
    change_description(bundle, version=VERSION + 1)
    assert f"format version {VERSION + 1}, newer than {VERSION}; update HAT" in error_of(bundle)
    change_description(bundle, version="1")
    assert "version '1' is not a number" in error_of(bundle)


def test_what_this_version_does_not_know_is_left_alone(bundle):
    description = json.loads((bundle / "bundle.json").read_text())
    change_description(bundle, later={"key": 1}, search={**description["search"], "later_option": 3})
    opened = open_bundle(bundle)
    assert opened.description["later"] == {"key": 1}
    assert Translator(bundle).options.beam == description["search"]["beam"]


def test_impossible_values_are_the_bundles_fault(bundle):
    search = json.loads((bundle / "bundle.json").read_text())["search"]
    change_description(bundle, search={**search, "beam": 0})
    with pytest.raises(ArtifactError, match="search options of the bundle: beam must be at least 1"):
        Translator(bundle)
    change_description(bundle, search=search, max_source_tokens=1)
    assert "max_source_tokens is below 2" in error_of(bundle)


def test_unreadable(bundle):
    (bundle / "bundle.json").unlink()
    (bundle / "bundle.json").mkdir()
    assert "bundle.json can't be read (Is a directory)" in error_of(bundle)


@pytest.mark.parametrize("cut", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_every_file_cut_short_or_changed_is_noticed(bundle, cut):
    for file in sorted(bundle.iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[: int(cut * len(content))])
        assert file.name in error_of(bundle)
        if file.name != "bundle.json":
            at = int(cut * len(content))
            file.write_bytes(content[:at] + bytes([content[at] ^ 32]) + content[at + 1 :])
            assert f"{file.name} is not the exported file" in error_of(bundle)
        file.write_bytes(content)
    open_bundle(bundle)


def test_description_cut_short(bundle):
    path = bundle / "bundle.json"
    path.write_text(path.read_text()[:300])
    assert "bundle.json is damaged" in error_of(bundle)
    for damaged in (b"\xff\xfe{}", b"[" * 100_000, b""):
        path.write_bytes(damaged)
        assert "bundle.json is damaged" in error_of(bundle)


def test_all_wrong_keys_are_listed_at_once(bundle):
    change_description(bundle, search={"beam": "five"}, source_lang=None, max_source_tokens="long")
    assert "missing or ill-typed source_lang, max_source_tokens;" in error_of(bundle)
    change_description(bundle, source_lang="en", max_source_tokens=9)
    assert "search.beam, search.lenpen, search.max_len_a, search.max_len_b" in error_of(bundle)


def test_truncated_tampered_and_missing_files(bundle):
    weights = bundle / "weights.bin"
    content = weights.read_bytes()
    weights.write_bytes(content[:-7])
    assert f"weights.bin has {len(content) - 7} bytes instead of {len(content)}" in error_of(bundle)
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "weights.bin is not the exported file (its SHA-256 differs)" in error_of(bundle)
    weights.unlink()
    assert "weights.bin is missing" in error_of(bundle)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("encoder.onnx", "encoder.onnx: onnxruntime can't run it"),
        ("beam.onnx", "beam.onnx: onnxruntime can't run it"),
        ("sentencepiece.model.xz", "is not a SentencePiece model"),
    ],
)
def test_files_of_another_kind_under_right_checksums(bundle, name, complaint):
    (bundle / name).write_bytes(b"something else entirely")
    description = json.loads((bundle / "bundle.json").read_text())
    change_description(bundle, files={**description["files"], name: file_entry(bundle / name)})
    with pytest.raises(ArtifactError, match=complaint) as caught:
        Translator(bundle).translate(["A pear."])
    assert "\n" not in str(caught.value)


def test_weights_without_a_checksum_are_refused(bundle):
    files = json.loads((bundle / "bundle.json").read_text())["files"]
    weights = files.pop("weights.bin")
    change_description(bundle, files=files)
    assert "bundle.json: files lacks weights.bin, which encoder.onnx reads; export it again" in error_of(bundle)
    change_description(bundle, files={**files, "weights.bin": weights})
    open_bundle(bundle)


def test_files_outside_the_bundle_are_refused(bundle):
    description = json.loads((bundle / "bundle.json").read_text())
    change_description(bundle, files={**description["files"], "../evil": {"size": 1, "sha256": ""}})
    assert "'../evil' is not a file of the bundle" in error_of(bundle)
    change_description(bundle, files=description["files"], graphs={"encoder": "../encoder.onnx", "step": "step.onnx"})
    assert "graphs.encoder names no file of the bundle" in error_of(bundle)
    change_description(bundle, graphs={"encoder": ["encoder.onnx"], "step": "step.onnx"})
    assert "graphs.encoder names no file of the bundle" in error_of(bundle)
    change_description(bundle, graphs=description["graphs"], shortlist="../shortlist.npz")
    assert "shortlist names no file of the bundle" in error_of(bundle)
    change_description(bundle, shortlist=None, graphs={**description["graphs"], "later": "../later.onnx"})
    assert "graphs.later names no file of the bundle" in error_of(bundle)
