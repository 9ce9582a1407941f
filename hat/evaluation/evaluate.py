"""The evaluation stage: BLEU and chrF on some text, parameters, size on disk, measured latency."""

import tempfile
from pathlib import Path

from hat import files
from hat.architecture.complexity import count_parameters
from hat.data.translation.prepared import PreparedData
from hat.errors import UsageError
from hat.evaluation.significance import paired_bootstrap
from hat.evaluation.targets import find_target
from hat.evaluation.text import split_text
from hat.experiment.run_directory import stamp

KEPT_SPLIT = "test"  # its evaluations are kept beside what they judge


NOT_MEASURED = dict.fromkeys(
    (
        "latency_ms",
        "latency_range_ms",
        "latency_p90_ms",
        "latency_p90_range_ms",
        "latency_taken",
        "latency_with_text",
        "no_latency",
        "device",
    )
)


def evaluate(run, target, meter, split=KEPT_SPLIT, latency=True, again=False):
    """Judge `target` (a sub-training's name, a model's or bundle's folder, an architecture file) on a split.

    Returns the evaluation of `evaluate_all`; what is kept and still true is returned as it is, unless `again`.
    """
    text = split_text(PreparedData(run.data), split)
    found = find_target(run, target)
    kept = _kept_at(found, text, latency)
    if kept is not None and not again:
        current = _read_current(kept, _inputs(run, found, meter))
        if current is not None:
            return current
    evaluation, _translations = next(_evaluations(run, found, [text], meter, latency))
    return evaluation


def evaluate_all(run, targets, texts, meter, latency=True, against=None):
    """Yield the evaluation, a dictionary, of each target on each EvaluationText.

    BLEU and chrF are sacreBLEU's, detokenised and cased. The latency, in ms, is what calls of the bundle take on the
    device of `meter` (a BundleMeter, see latency_predictor.sampling): the median sentence of the run's validation text,
    and the one that nine of ten take no longer than; of a model it is that of the bundle it would make. None without
    `latency`. On the test split and with its latency, an evaluation is kept beside the model or bundle. With
    `against`, another target, its evaluations come first, and those of the others have as `against` what
    `paired_bootstrap` says of the two. Raises UsageError if one of the targets is that other one itself.
    """
    target_lang = run.config.data.target_lang
    found = [find_target(run, target) for target in targets]
    baselines = [None for _ in texts]
    if against is not None:
        baseline = find_target(run, against)
        _check_different(baseline, found)
        for number, (evaluation, translations) in enumerate(_evaluations(run, baseline, texts, meter, latency)):
            baselines[number] = translations
            yield evaluation
    for target in found:
        evaluations = _evaluations(run, target, texts, meter, latency)
        for text, other, (evaluation, translations) in zip(texts, baselines, evaluations, strict=True):
            if other is not None:
                compared = paired_bootstrap(translations, other, text.references, target_lang)
                evaluation["against"] = {"target": baseline.name, **compared}
            yield evaluation


def _evaluations(run, found, texts, meter, latency):
    """Yield (evaluation, translations) of a Target on each EvaluationText; keeps what is to be kept."""
    prepared = PreparedData(run.data)
    costs = _costs(found, meter if latency else None)
    for text in texts:
        translations = found.translate(prepared, text.sources)
        evaluation = _quality(found, text, translations, prepared.target_lang) | costs
        kept = _kept_at(found, text, latency)
        if kept is not None:
            files.write_json(kept, evaluation | {"inputs": _inputs(run, found, meter)})
        yield evaluation, translations


def _check_different(baseline, others):
    for other in others:
        if other.content == baseline.content:
            raise UsageError(f"--against {baseline.name}: that is {other.name} itself; name another model or bundle")


def _kept_at(found, text, latency):
    """Where an evaluation is kept; None for nowhere."""
    return found.result if text.origin["split"] == KEPT_SPLIT and latency else None


def _inputs(run, found, meter):
    return files.fingerprint(
        [found.content, KEPT_SPLIT, stamp(run.data), run.sections("evaluation", "seed"), meter.inputs()]
    )


def _read_current(path, inputs):
    """The evaluation kept at `path` if it is of these inputs, else None."""
    if not path.exists():
        return None
    evaluation = files.read_json(path, "remove it and evaluate again")
    return evaluation if evaluation.pop("inputs", None) == inputs else None


def _quality(found, text, translations, target_lang):
    return {
        "target": found.name,
        "kind": found.kind,
        **text.origin,
        **score_translations(translations, text.references, target_lang),
        "beam": found.beam,
        "precision": found.precision,
    }


def score_translations(translations, references, target_lang):
    """Corpus BLEU and chrF (0 to 100) of detokenised sentences, with sacreBLEU's signatures."""
    from sacrebleu.metrics import BLEU, CHRF

    scores = {}
    for name, metric in (("bleu", BLEU(trg_lang=target_lang)), ("chrf", CHRF())):
        scores[name] = metric.corpus_score(translations, [references]).score
        scores[f"{name}_signature"] = str(metric.get_signature())
    return scores | {"sentences": len(references)}


def _costs(found, meter):
    parameters, without_embeddings = count_parameters(found.architecture, found.spec)
    counted = {
        "parameters": parameters,
        "parameters_without_embeddings": without_embeddings,
        "size_bytes": found.size_bytes,
    }
    return counted | NOT_MEASURED | (_measure(found, meter) if meter else {})


def _measure(found, meter):
    reason = meter.why_not(found.precision)
    if reason:
        return {"no_latency": reason}
    with tempfile.TemporaryDirectory(prefix="hat-evaluate-") as folder:
        return meter.measure(found.bundle(Path(folder) / "bundle"), found.precision)


def evaluations_table(evaluations):
    """Lines of text: one per evaluation, one per comparison, and the signatures."""
    texts = [row["split"] or row["test_set"]["source"] for row in evaluations]
    width, text_width = (max(map(len, column)) for column in ([row["target"] for row in evaluations], [*texts, "text"]))
    lines = [
        f"{'target':{width}} {'text':{text_width}} {'BLEU':>6} {'chrF':>6} {'latency':>10} {'p90':>10} "
        f"{'parameters':>11} {'size':>9}"
    ]
    for row, text in zip(evaluations, texts, strict=True):
        latency, p90 = ("-" if row[key] is None else f"{row[key]:.2f} ms" for key in ("latency_ms", "latency_p90_ms"))
        lines.append(
            f"{row['target']:{width}} {text:{text_width}} {row['bleu']:6.2f} {row['chrf']:6.2f} "
            f"{latency:>10} {p90:>10} {row['parameters'] / 1e6:9.2f} M {row['size_bytes'] / 1e6:6.1f} MB"
        )
    compared = [_comparison_line(row, text) for row, text in zip(evaluations, texts, strict=True) if "against" in row]
    reasons = {f"- latency of {row['target']}: {row['no_latency']}" for row in evaluations if row.get("no_latency")}
    return lines + sorted(reasons) + compared + sorted({_signatures(row) for row in evaluations})


def _comparison_line(row, text):
    compared = row["against"]
    found, baseline = (
        f"BLEU {compared[f'{side}bleu']:.2f} ({compared[f'{side}bleu_mean']:.2f} ± {compared[f'{side}bleu_ci95']:.2f})"
        for side in ("", "baseline_")
    )
    return f"{row['target']} against {compared['target']} on {text}: {found}, {baseline}, p = {compared['p_value']:.4f}"


def _signatures(row):
    names = f"{row['bleu_signature']}; {row['chrf_signature']}"
    return f"{names}; paired bootstrap {row['against']['signature']}" if "against" in row else names
