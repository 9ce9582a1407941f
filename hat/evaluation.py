"""The evaluation stage: BLEU and chrF on a split, parameters, size on disk, measured latency."""

from dataclasses import replace

from hat import files
from hat.complexity import count_parameters
from hat.config import to_mapping
from hat.data.prepared import SPLITS, PreparedData
from hat.errors import UsageError
from hat.evaluation_targets import find_target
from hat.run_directory import stamp


def evaluate(run, target, split="test", device=None, output=None, latency=True, again=False):
    """Judge `target` (a sub-training's name, a model's or bundle's folder, an architecture file) on a split.

    Returns the evaluation as a dictionary and keeps it in `output`, else, for the test split with its latency,
    beside the model or bundle; what is kept there and still true is returned as it is, unless `again`. BLEU and
    chrF are sacreBLEU's, detokenised and cased; the latency (ms) is that of the median sentence on the device
    named, and of the one that nine of ten take no longer than, as the run's config says; None without `latency`.
    """
    from latency_predictor.devices import load_device

    if split not in SPLITS:
        raise UsageError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    prepared = PreparedData(run.data)
    device = load_device(device or run.last_measured_device())
    found = find_target(run, target)
    inputs = _inputs(run, found, split, device, latency)
    kept = found.result if output is None and split == "test" and latency else output
    if kept is not None and not again:
        current = _read_current(kept, inputs)
        if current is not None:
            return current
    evaluation = _judge(run, found, prepared, split, device, latency)
    if kept is not None:
        files.write_json(kept, evaluation | {"inputs": inputs})
    return evaluation


def _inputs(run, found, split, device, latency):
    return files.fingerprint(
        [
            found.content,
            split,
            stamp(run.data),
            run.sections("evaluation"),
            [to_mapping(device), run.sections("latency")] if latency else None,
        ]
    )


def _read_current(path, inputs):
    """The evaluation kept at `path` if it is of these inputs, else None."""
    if not path.exists():
        return None
    evaluation = files.read_json(path, "remove it and evaluate again")
    return evaluation if evaluation.pop("inputs", None) == inputs else None


def _judge(run, found, prepared, split, device, latency):
    translations = found.translate(prepared, split, device.threads)
    parameters, without_embeddings = count_parameters(found.architecture, found.spec)
    evaluation = {
        "target": found.name,
        "kind": found.kind,
        "split": split,
        **score_translations(translations, prepared.raw(split)[1], prepared.target_lang),
        "beam": found.beam,
        "precision": found.precision,
        "parameters": parameters,
        "parameters_without_embeddings": without_embeddings,
        "size_bytes": found.size_bytes,
        "latency_ms": None,
        "latency_p90_ms": None,
        "device": None,
    }
    return evaluation | _measure(run, found, device) if latency else evaluation


def score_translations(translations, references, target_lang):
    """Corpus BLEU and chrF (0 to 100) of detokenised sentences, with sacreBLEU's signatures."""
    from sacrebleu.metrics import BLEU, CHRF

    scores = {}
    for name, metric in (("bleu", BLEU(trg_lang=target_lang)), ("chrf", CHRF())):
        scores[name] = metric.corpus_score(translations, [references]).score
        scores[f"{name}_signature"] = str(metric.get_signature())
    return scores | {"sentences": len(references)}


def _measure(run, found, device):
    """The latency keys of an evaluation; none where the device can't run that precision."""
    from latency_predictor.measure import Measurer

    if device.backend == "torch" and found.precision != "fp32":
        return {}
    device = replace(device, precision=found.precision)
    with Measurer(run, device, found.spec) as measurer:
        sample = measurer.measure_paced(found.architecture)
        median, p90 = (sample.timing(measurer.lengths, quantile).typical for quantile in (0.5, 0.9))
    return {"latency_ms": median, "latency_p90_ms": p90, "device": device.name}


def evaluations_table(evaluations):
    """Lines of text, one per evaluation."""
    width = max(len(row["target"]) for row in evaluations)
    lines = [f"{'target':{width}} {'BLEU':>6} {'chrF':>6} {'latency':>10} {'p90':>10} {'parameters':>11} {'size':>9}"]
    for row in evaluations:
        latency, p90 = ("-" if row[key] is None else f"{row[key]:.2f} ms" for key in ("latency_ms", "latency_p90_ms"))
        lines.append(
            f"{row['target']:{width}} {row['bleu']:6.2f} {row['chrf']:6.2f} {latency:>10} {p90:>10} "
            f"{row['parameters'] / 1e6:9.2f} M {row['size_bytes'] / 1e6:6.1f} MB"
        )
    return lines + sorted({f"{row['bleu_signature']}; {row['chrf_signature']}" for row in evaluations})
