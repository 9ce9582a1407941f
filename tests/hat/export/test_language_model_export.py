"""Bundles of a language model: what is done for which of them."""

from tiny_language_run import make_run

from hat.experiment.run_directory import mark_done, stamp
from hat.export.bundles import export
from hat.export.language_modeling import bundle_maker
from hat.models.checkpoint import MODEL_FILES, save_model
from hat.models.language_model import LanguageModel


def test_int8_is_calibrated_where_it_is_asked_for_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path)
    run.prepare()
    save_model(run.sub("full"), LanguageModel(run.config.search_space.full_transformer(), run.spec()))
    mark_done(run.sub("full"), "untrained", MODEL_FILES, stamp(run.data))
    calibrated, calibrate = [], bundle_maker.calibrate_language_model
    monkeypatch.setattr(
        bundle_maker, "calibrate_language_model", lambda *given: (calibrated.append(given), calibrate(*given))[1]
    )
    export(run, "full", ["fp32", "fp16"])
    assert not calibrated
    export(run, "full", ["fp32", "int8"], allowed_drop=100)
    assert len(calibrated) == 1
    assert all((run.export("full") / precision / "bundle.json").exists() for precision in ("fp32", "fp16", "int8"))
