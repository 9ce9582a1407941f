"""What `hat-evaluate` can judge: trained models, bundles, and architectures with inherited weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hat import files
from hat.architecture.complexity import ModelSpec
from hat.architecture.file import load_architecture
from hat.architecture.stacks import Architecture
from hat.config import from_mapping
from hat.data.translation.prepared import PreparedData
from hat.deploy.batching import usable_cores
from hat.errors import ArtifactError
from hat.experiment.run_directory import stamp

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Target:
    """Something that translates, found but not loaded yet.

    `bundle` gives the folder of its bundle: its own, or one made in the new folder that it is given. `translate` maps
    (PreparedData, plain sentences) to detokenised translations in the same order, a bundle on all cores, a model on a
    GPU if there is one; blank sentences stay empty.
    `precision` is that of its weights; `content` changes whenever the translations may; `result` is where the
    evaluation is kept, None for nowhere.
    """

    name: str
    kind: str
    architecture: Architecture
    spec: ModelSpec
    precision: str
    beam: int
    size_bytes: int
    content: str
    bundle: Callable
    translate: Callable
    result: Path | None


def find_target(run, name):
    """The Target that `name` means: a sub-training of the run, a model's or bundle's folder, or an architecture file.

    Raises ArtifactError, saying what there is to do, if it is none of them.
    """
    name = str(name)
    trained, path = run.sub(name), Path(name)
    if (trained / "model.json").exists():
        return _model_target(run, name, trained)
    if (path / "bundle.json").exists():
        return _bundle_target(run, path)
    if (path / "model.json").exists():
        return _model_target(run, name, path)
    if path.is_file():
        return _inherited_target(run, path)
    found = run.search(name) / "architecture.yaml"
    if found.exists():
        raise ArtifactError(f"{name!r} is not trained yet; run `hat-train-sub {name}`, or evaluate {found} as it is")
    raise ArtifactError(
        f"{name!r} is neither a sub-training of {run.path} nor the path of a model, a bundle or an architecture file"
    )


def _model_target(run, name, directory):
    from hat.models.checkpoint import load_model

    weights = directory / "model.safetensors"
    return _torch_target(
        run,
        name,
        kind="model",
        model=load_model(directory),
        size_bytes=weights.stat().st_size,
        content=files.sha256_of_file(weights),
        result=_inside(run, directory / "evaluation.json"),
    )


def _inherited_target(run, path):
    from hat.models.checkpoint import load_model

    model = load_model(run.super_).extract(load_architecture(path))
    return _torch_target(
        run,
        str(path),
        kind="inherited",
        model=model,
        size_bytes=FLOAT_BYTES * sum(weight.numel() for weight in model.parameters()),
        content=files.fingerprint([stamp(run.super_), model.architecture.to_dict()]),
        result=None,
    )


def _torch_target(run, name, model, **found):
    settings = run.config.evaluation
    _check_vocabularies(run, name, model.spec)

    def bundle(folder):
        run.task.write_trial_bundle(run, model.cpu(), "fp32", folder)
        return folder

    def translate(prepared, sentences):
        import torch

        from hat.fairseq_plugin.generation import translate_ids

        torch.set_num_threads(usable_cores())
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        encoded = _sentencepiece(prepared, prepared.source_lang).encode(sentences)
        limits = (settings.beam, settings.lenpen, settings.max_len_a, settings.max_len_b)
        hypotheses = iter(translate_ids(model, prepared, [ids for ids in encoded if ids], *limits))
        found = [next(hypotheses)[0] if ids else [] for ids in encoded]
        return _sentencepiece(prepared, prepared.target_lang).decode(found)

    return Target(
        name,
        architecture=model.architecture,
        spec=model.spec,
        precision="fp32",
        beam=settings.beam,
        bundle=bundle,
        translate=translate,
        **found,
    )


def _check_vocabularies(run, name, spec):
    prepared = PreparedData(run.data)
    found, wanted = (f"{owner.source_vocabulary} and {owner.target_vocabulary} pieces" for owner in (spec, prepared))
    if found != wanted:
        raise ArtifactError(
            f"{name} has vocabularies of {found}, but {run.data} has {wanted}; name the run directory of that "
            "experiment with --run"
        )


def _sentencepiece(prepared, lang):
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(prepared.sentencepiece(lang)))


def _bundle_target(run, path):
    from hat.deploy.bundle import open_bundle

    bundle = open_bundle(path)
    description, where = bundle.description, path / "bundle.json"
    languages = description["source_lang"], description["target_lang"]
    data = run.config.data
    if languages != (data.source_lang, data.target_lang):
        raise ArtifactError(
            f"{path} translates {' to '.join(languages)}, but {run.path} holds {data.source_lang} and "
            f"{data.target_lang}; name the run directory of that experiment with --run"
        )

    def translate(prepared, sentences):
        from hat.deploy.translator import Translator

        return Translator(path, workers=usable_cores()).translate(sentences)

    return Target(
        str(path),
        kind="bundle",
        architecture=Architecture.from_dict(description["architecture"], f"{where}: architecture"),
        spec=from_mapping(ModelSpec, description["spec"], f"{where}: spec"),
        precision=description["precision"],
        beam=description["search"]["beam"],
        size_bytes=bundle.size_bytes,
        content=files.sha256_of_file(where),  # it holds the digest of every other file
        bundle=lambda _folder: path,
        translate=translate,
        result=_inside(run, path.resolve().parent / f"evaluation.{path.name}.json"),
    )


def _inside(run, path):
    """`path` if it lies in the run directory; elsewhere nothing is written."""
    return path if run.path.resolve() in path.resolve().parents else None
