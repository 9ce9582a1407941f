"""The frame of a report: its document, sections and figures, with one style sheet and nothing from elsewhere."""

from html import escape

from search.report.report_style import STYLE

LANGUAGES = {"en": "English", "de": "German", "fr": "French", "cs": "Czech"}


def translation(data_config):
    """What is translated to what, as in 'German to English'."""
    languages = data_config.source_lang, data_config.target_lang
    return " to ".join(LANGUAGES.get(code, code) for code in languages)


def document(title, sections):
    """A whole self-contained HTML page; sections that are empty are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def section(title, note, body):
    """A heading, a line of explanation where there is one, and HTML."""
    note = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{note}{body}</section>"


def grid(*figures):
    """Figures side by side, where there is room."""
    return f'<div class="grid">{"".join(figures)}</div>'


def figure(title, note, body, css=""):
    """HTML with a caption, and a smaller `note` under it."""
    small = f"<small>{escape(note)}</small>" if note else ""
    return f'<figure class="{css}"><figcaption>{escape(title)}{small}</figcaption>{body}</figure>'
