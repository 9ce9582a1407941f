"""The report of a search for the whole front: rows of front.json to one self-contained HTML page."""

from html import escape

from hat.architecture import Architecture
from search.report.architecture_drawing import DRAWING_NOTE, draw_architecture
from search.report.front_charts import front_explorer
from search.report.front_rows import SIZES, measured
from search.report.report_charts import colour
from search.report.report_html import document, figure, section, translation

_FRONT_NOTE = (
    "Each dot is a SubTransformer that no other beats in both predicted latency and validation loss; its shade and "
    "area show the third quantity. Grey specks are the others that were scored. The loss is that with weights "
    "inherited from the SuperTransformer. Rest the pointer on a dot for its figures."
)
_POINTS_NOTE = (
    "Measured on the device in turns with the full-size Transformer, by the runtime and with the graphs that are "
    "deployed: the median sentence of the validation text, in brackets the 95 % confidence interval."
)
_NEXT_NOTE = "Name a budget now that the trade-off is known, or train one of the points as it is (points/NUMBER.yaml)."


def render_front_page(config, device_name, candidates, rows, full, commands):
    """The whole page. `candidates`, `rows` and `full` are as in the files; `commands` are shell lines to go on with."""
    title = f"{translation(config.data)} on {device_name}: latency and loss"
    lead = (
        f"{len(rows)} SubTransformers, from {rows[0]['predicted_ms']:.2f} to {rows[-1]['predicted_ms']:.2f} ms, that "
        f"none of the {len(candidates)} scored by this search beats, before any of them is trained on its own. "
        f"Experiment {config.name}, corpus {config.data.corpus}."
    )
    return document(
        title,
        [
            f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>',
            section("The trade-off", _FRONT_NOTE, figure("", "", front_explorer(candidates, rows, full))),
            section("Points measured along the front", _POINTS_NOTE, _points(rows, full)),
            section("The points, layer by layer", DRAWING_NOTE, _drawings(rows, config.search_space)),
            section("What next", _NEXT_NOTE, f"<pre>{escape(chr(10).join(commands))}</pre>"),
        ],
    )


def _points(rows, full):
    heads = ["", "loss (nats)", "predicted", "measured", "speed-up", *(size.label for size in SIZES)]
    lines = [_cells(f"full-size<br><small>{_summary(full)}</small>", full, full)]
    lines += [
        _cells(f"{number}<br><small>{_summary(row)}</small>", row, full)
        for number, row in enumerate(measured(rows), start=1)
    ]
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _cells(first, row, full):
    low_ms, high_ms = row["measured_range_ms"]
    return [
        first,
        f"{row['valid_nats']:.4f}",
        f"{row['predicted_ms']:.2f} ms",
        f"{row['measured_ms']:.2f} ms <small>({low_ms:.2f} to {high_ms:.2f})</small>",
        f"{full['measured_ms'] / row['measured_ms']:.2f}×",
        *(size.format(row) for size in SIZES),
    ]


def _summary(row):
    return escape(Architecture.from_dict(row["architecture"]).summary())


def _drawings(rows, space):
    figures = []
    for number, row in enumerate(measured(rows), start=1):
        drawing = draw_architecture(Architecture.from_dict(row["architecture"]), space)
        note = ", ".join([f"{row['measured_ms']:.2f} ms measured", *(size.format(row) for size in SIZES)])
        figures.append(figure(f"Point {number}", note, f'<div class="{colour(1)}">{drawing}</div>'))
    return f'<div class="drawings">{"".join(figures)}</div>'
