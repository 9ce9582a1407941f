"""Whether two translations of the same text differ in BLEU by more than chance: sacreBLEU's paired bootstrap."""

from collections.abc import Sequence
from typing import Any


def paired_bootstrap(
    translations: Sequence[str], baseline: Sequence[str], references: Sequence[str], target_lang: str
) -> dict[str, Any]:
    """Compare detokenised `translations` with those of a baseline by paired bootstrap resampling (Koehn, 2004).

    Returns for both the BLEU, its mean over the resamples and half the width of its 95 % confidence interval (with
    the prefix `baseline_` for the baseline), the two-sided `p_value`, and sacreBLEU's signature with the seed and the
    number of resamples. Equal translations have a p-value of 1.
    """
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    systems = [("baseline", baseline), ("translations", translations)]
    test = PairedTest(systems, {"BLEU": BLEU(trg_lang=target_lang)}, [references], test_type="bs")
    scores: Any
    signatures, scores = test()
    first, second = scores["BLEU"]
    return {
        **_described(second, ""),
        **_described(first, "baseline_"),
        # sacreBLEU counts strictly larger differences of resamples, of which equal translations have none: p = 0.001
        "p_value": 1.0 if translations == baseline else second.p_value,
        "signature": str(signatures["BLEU"]),
    }


def _described(result: Any, prefix: str) -> dict[str, float]:
    return {
        f"{prefix}bleu": float(result.score),
        f"{prefix}bleu_mean": float(result.mean),
        f"{prefix}bleu_ci95": float(result.ci),
    }
