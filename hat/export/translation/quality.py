"""What a bundle's precision and its shortlist cost in BLEU on the validation set, and whether that is too much."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hat.data.translation.pairs import sample_text
from hat.deploy.batching import usable_cores
from hat.deploy.translator import Translator
from hat.evaluation.translation.scores import score_translations

if TYPE_CHECKING:
    from hat.data.translation.prepared import PreparedData


SENTENCES = 2000  # of the validation set, at most


def measure_quality(bundle: Path | str, prepared: "PreparedData", seed: int) -> dict[str, Any]:
    """{"sentences", "bleu", "bleu_shortlist"} of the bundle in folder `bundle` on a sample of the validation set."""
    sources, references = sample_text(prepared, "valid", SENTENCES, seed)
    quality = {"sentences": len(references)}
    for key, shortlist in (("bleu", False), ("bleu_shortlist", True)):
        translations = Translator(bundle, workers=usable_cores(), shortlist=shortlist).translate(sources)
        quality[key] = score_translations(translations, references, prepared.target_lang)["bleu"]
    return quality


def with_drops(quality: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """`quality` with `bleu_drop` and `bleu_shortlist_drop`, both against the plain BLEU of the fp32 `reference`."""
    drops = {f"{key}_drop": reference["bleu"] - quality[key] for key in ("bleu", "bleu_shortlist")}
    return {**quality, **drops}


def describe(quality: dict[str, Any]) -> str:
    """One line for the user."""
    return (
        f"BLEU {quality['bleu']:.2f} on {quality['sentences']} validation sentences "
        f"({quality['bleu_drop']:+.2f} lost against fp32); with the shortlist {quality['bleu_shortlist']:.2f} "
        f"({quality['bleu_shortlist_drop']:+.2f})"
    )
