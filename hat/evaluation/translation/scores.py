"""How good translations are: sacreBLEU's BLEU and chrF."""

from collections.abc import Sequence
from typing import Any


def score_translations(translations: Sequence[str], references: Sequence[str], target_lang: str) -> dict[str, Any]:
    """Corpus BLEU and chrF (0 to 100) of detokenised sentences, with sacreBLEU's signatures."""
    from sacrebleu.metrics import BLEU, CHRF

    scores = {}
    for name, metric in (("bleu", BLEU(trg_lang=target_lang)), ("chrf", CHRF())):
        scores[name] = metric.corpus_score(translations, [references]).score
        scores[f"{name}_signature"] = str(metric.get_signature())
    return scores | {"sentences": len(references)}
