"""hat-generate: text that a language model's bundle goes on with."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hat.cli.common import ArgumentParser, positive_int, run_command
from hat.cli.line_commands import add_bundle
from hat.errors import DataError


def main(arguments: Sequence[str] | None = None, bundle: str | None = None) -> None:
    """Entry point of `hat-generate`; `bundle` is the default for its BUNDLE."""
    parser = ArgumentParser("Write text after a prompt, word by word, as a language model has learnt to.")
    add_bundle(parser, bundle)
    parser.add_argument("--prompt", metavar="TEXT", help="what comes before (default: nothing, a text begins)")
    parser.add_argument("--tokens", type=positive_int, default=50, metavar="N", help="words to write")
    parser.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="below 1 likelier words, 0 the likeliest each time"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed draws the same words")
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="processor threads")
    run_command(parser, _generate, arguments)


def _generate(options: argparse.Namespace) -> None:
    from hat.deploy.language_model import LanguageModel

    if options.prompt is not None and not options.prompt.strip():
        raise DataError("--prompt is blank; give words, or leave it out")
    prompt = options.prompt or ""
    text = LanguageModel(options.bundle, options.threads).generate(
        prompt, options.tokens, options.temperature, options.seed
    )
    print(f"{prompt} {text}" if prompt else text)


if __name__ == "__main__":
    main()
