"""Checks what hat-run left in a run directory: python .ci/check_quickstart.py RUN_DIRECTORY"""

import json
import subprocess
import sys
from pathlib import Path

LEAST_BLEU = 10.0  # of the full-size Transformer; untrained models and models that ignore the source stay far below
LEAST_REPORT_BYTES = 20_000


def main():
    run = Path(sys.argv[1])
    check((run / "report.html").stat().st_size > LEAST_REPORT_BYTES, "the report is there and not empty")
    choices = [json.loads(path.read_text()) for path in sorted(run.glob("search/*/choice.json"))]
    check(len(choices) == 2, "there is a choice for each of the two budgets")
    for choice in choices:
        figures = f"{choice['measured_ms']:.2f} ms measured, budget {choice['budget_ms']:.2f} ms"
        check(choice["measured_ms"] <= choice["budget_ms"], f"{choice['name']} meets its budget: {figures}")
    for name in ["full", *(choice["name"] for choice in choices)]:
        check_bundles(run / "export" / name)
    bleu = json.loads((run / "export" / "full" / "evaluation.fp32.json").read_text())["bleu"]
    check(bleu >= LEAST_BLEU, f"the full-size Transformer translates: BLEU {bleu:.1f}, at least {LEAST_BLEU}")


def check_bundles(exported):
    for precision in ("fp32", "int8"):
        translation = translate(exported / precision, "Wir kaufen heute drei rote Blumen.")
        check(
            translation.count("\n") == 1 and translation.strip(), f"{exported.name} {precision} says: {translation!r}"
        )


def translate(bundle, sentence):
    command = [str(Path(sys.executable).with_name("hat-translate")), str(bundle)]
    return subprocess.run(command, input=sentence + "\n", capture_output=True, text=True, check=True).stdout


def check(holds, what):
    if not holds:
        sys.exit(f"check_quickstart: not so: {what}")
    print(f"ok: {what}")


main()
