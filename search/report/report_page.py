"""The report's text and tables around its charts: ReportData to one self-contained HTML page."""

from html import escape

from hat.config import to_mapping
from search.report.architecture_drawing import DRAWING_NOTE, draw_architecture
from search.report.report_charts import (
    colour,
    pareto_figure,
    predictor_figure,
    progress_figure,
    sub_training_figure,
    super_training_figure,
)
from search.report.report_html import document, figure, grid, section, translation

MEGABYTE = 1e6


def render_page(data, commands, examples):
    """The whole page. `commands` are shell lines, `examples` are lists of (label, sentence)."""
    title = f"{translation(data.config.data)} on {data.device}"
    sections = [
        _head(data, title),
        _cards(data),
        section("Result", _result_note(data), _result_table(data) + _bundle_note(data)),
        section("The chosen Transformers, layer by layer", DRAWING_NOTE, _drawings(data)),
        section(
            "The search",
            _SEARCH_NOTE,
            grid(
                figure("Latency and loss", _PARETO_NOTE, pareto_figure(data)),
                figure("Progress", _PROGRESS_NOTE, progress_figure(data)),
            ),
        ),
        section("The latency predictor", _quality_note(data), _predictor(data)),
        section("Training", _TRAINING_NOTE, _training(data)),
        section(
            "Translations",
            f"The first sentences of the test set, as the {data.precision} bundles translate them.",
            _examples(examples),
        )
        if examples
        else "",
        section("How this was made", "", _origin(data, commands)),
    ]
    return document(title, sections)


_RESULT_NOTE = (
    "BLEU and chrF are those of the {precision} bundle on the test set. Measured is its latency on the device: calls "
    "with real sentences, text in and text out, one at a time, by the wall's clock; that of the median sentence, or of "
    "the quantile that a budget names, in brackets the range of the rounds. Predicted is what the predictor says of it."
)
_SEARCH_NOTE = (
    "Evolution over SubTransformers, each scored by its validation loss with weights inherited from the "
    "SuperTransformer, within the budget by its predicted latency. Those that are picked for looking fast are slower "
    "than predicted more often than not, so the best few were then measured; of those that really meet the budget the "
    "best was chosen, by its loss after a short training of its own where the config asks for that."
)
_PARETO_NOTE = "Each dot is a SubTransformer that was scored; dashed lines are the budgets."
_PROGRESS_NOTE = "Loss within the budget, by generation."
_TRAINING_NOTE = (
    "Left: SubTransformers inside the SuperTransformer, which trains all of them at once. Right: the full-size "
    "Transformer and the chosen ones, each trained on its own afterwards."
)


def _result_note(data):
    note, reason = _RESULT_NOTE.format(precision=data.precision), data.full.bundles[data.precision].no_latency
    if reason is None:
        return note
    return f"{note} But here no bundle was timed ({reason}): measured is what the search timed, no bundle's latency."


def _head(data, title):
    space = data.config.search_space.size()
    return (
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="lead">{len(data.picks)} Transformers chosen out of {_large(space)} for their latency on '
        f"<b>{escape(data.device)}</b>, against the full-size Transformer. Experiment {escape(data.config.name)}, "
        f"corpus {escape(data.config.data.corpus)}.</p></header>"
    )


def _large(number):
    if number < 10**6:
        return f"{number:,}"
    exponent = len(str(number)) - 1
    return f"{number / 10**exponent:.1f} × 10<sup>{exponent}</sup>"


def _cards(data):
    full = data.full
    cards = []
    for index, system in enumerate(data.picks, start=1):
        bleu, reference = (each.bundles[data.precision].bleu for each in (system, full))
        cards.append(
            f'<div class="card {colour(index)}"><h3>{escape(system.label)}</h3><div class="big">'
            f"<div><b>{system.speedup:.1f}×</b><span>faster</span></div>"
            f"<div><b>{full.parameters / system.parameters:.1f}×</b><span>smaller</span></div>"
            f"<div><b>{bleu:.1f}</b><span>BLEU ({_signed(bleu - reference)})</span></div></div>"
            f"<p>{system.measured_ms:.2f} ms measured, budget {system.budget_ms:.2f} ms {_verdict(system)}</p></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _signed(difference):
    return f"{difference:+.1f}".replace("-", "−")


def _verdict(system):
    return '<span class="good">✓ met</span>' if system.meets_budget else '<span class="bad">✗ missed</span>'


_RESULT_HEADS = [
    "",
    "BLEU",
    "chrF",
    "predicted",
    "measured",
    "budget",
    "speed-up",
    "parameters",
    "bundle ({other})",
]


def _result_table(data):
    heads = "".join(f"<th>{head.format(other=data.other_precision)}</th>" for head in _RESULT_HEADS)
    rows = "".join(_result_row(data, index, system) for index, system in enumerate(data.systems))
    return f'<div class="scroll"><table><tr>{heads}</tr>{rows}</table></div>'


def _result_row(data, index, system):
    bundle, other = system.bundles[data.precision], system.bundles[data.other_precision]
    low, high = system.measured_range_ms
    cells = [
        f'<span class="swatch {colour(index)}"></span>{escape(system.label)}'
        f"<br><small>{escape(system.architecture.summary())}</small>",
        f"{bundle.bleu:.1f}",
        f"{bundle.chrf:.1f}",
        f"{system.predicted_ms:.2f} ms",
        f"{system.measured_ms:.2f} ms <small>({low:.2f} to {high:.2f})</small>",
        "" if system.budget_ms is None else f"{system.budget_ms:.2f} ms {_verdict(system)}",
        "" if system.budget_ms is None else f"{system.speedup:.2f}×",
        f"{system.parameters / 1e6:.2f} M",
        f"{bundle.size_bytes / MEGABYTE:.2f} MB <small>({other.size_bytes / MEGABYTE:.2f})</small>",
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _bundle_note(data):
    bundle, other = data.full.bundles[data.precision], data.other_precision
    scores = "; ".join(
        f"{system.label} {system.bundles[other].bleu:.1f} BLEU in {_milliseconds(system.bundles[other])}"
        for system in data.systems
    )
    return (
        f'<p class="note">{other} bundles: {escape(scores)}. Test set of {bundle.sentences} sentences; BLEU is '
        f"sacreBLEU <code>{escape(bundle.bleu_signature)}</code>.</p>"
    )


def _milliseconds(bundle):
    """The latency of a bundle, or a dash with why there is none."""
    return f"- ({bundle.no_latency})" if bundle.latency_ms is None else f"{bundle.latency_ms:.2f} ms"


def _drawings(data):
    figures = []
    for index, system in enumerate(data.systems):
        drawing = draw_architecture(system.architecture, data.config.search_space)
        note = f"{system.parameters / 1e6:.2f} M parameters, {system.flops / 1e9:.3f} GFLOPs"
        figures.append(figure(system.label, note, f'<div class="{colour(index)}">{drawing}</div>'))
    return f'<div class="drawings">{"".join(figures)}</div>'


def _quality_note(data):
    quality = data.quality
    return (
        f"Fitted on {data.samples} measured architectures. On the {quality['at_random']} of them that were drawn at "
        f"random, each held out, it is wrong by {100 * quality['mape']:.1f} % on average, and "
        f"{100 * quality['within_10']:.0f} % of its predictions are within 10 %."
    )


def _predictor(data):
    rows = {"this predictor": data.quality, **data.quality["baselines"]}
    heads = ["", "RMSE", "MAPE", "Kendall τ", "within 5 %", "within 10 %"]
    body = "".join(
        f"<tr><td>{escape(name)}</td><td>{row['rmse_ms']:.3f} ms</td><td>{100 * row['mape']:.1f} %</td>"
        f"<td>{row['kendall_tau']:.3f}</td><td>{100 * row['within_5']:.0f} %</td>"
        f"<td>{100 * row['within_10']:.0f} %</td></tr>"
        for name, row in rows.items()
    )
    table = f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>"
    note = "On held-out architectures, beside a fit to depth alone and a linear one."
    return grid(figure("Predicted against measured", "", predictor_figure(data)), figure("Accuracy", note, table))


def _training(data):
    super_curve = data.curves[0]
    minutes = ", ".join(f"{curve.name} {curve.seconds / 60:.1f} min" for curve in data.curves)
    figures = grid(
        figure("SuperTransformer", "", super_training_figure(super_curve)),
        figure(
            "Full-size and chosen Transformers", f"init: {data.config.sub_training.init}", sub_training_figure(data)
        ),
    )
    return figures + f'<p class="note">Training time: {escape(minutes)}.</p>'


def _examples(examples):
    rows = []
    for example in examples:
        for number, (label, text) in enumerate(example):
            css = ' class="first"' if number == 0 else ""
            rows.append(f"<tr{css}><td>{escape(label)}</td><td>{escape(text)}</td></tr>")
    return f'<div class="scroll"><table class="text examples">{"".join(rows)}</table></div>'


def _origin(data, commands):
    environment = ", ".join(f"{key} {value}" for key, value in data.environment.items() if value is not None)
    training = to_mapping(data.config.super_training)
    facts = {
        "measured on": environment,
        "seed": data.config.seed,
        "SuperTransformer": ", ".join(f"{key} {value}" for key, value in training.items()),
        "latency": ", ".join(f"{key} {value}" for key, value in to_mapping(data.config.latency).items()),
        "search": ", ".join(
            f"{key} {value}" for key, value in to_mapping(data.config.search).items() if key != "latency"
        ),
    }
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(fact))}</td></tr>" for name, fact in facts.items())
    lines = escape("\n".join(commands))
    return f'<table class="text">{rows}</table><p>The same again, and the translators in use:</p><pre>{lines}</pre>'
