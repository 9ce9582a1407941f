"""Pages: Jinja2 templates that extend base.html to one HTML file, with a style sheet and nothing from elsewhere."""

import math
from typing import Any

import jinja2

from hat.progress import format_ms

OWN = "hat.report"


def render(package: str, template: str, **values: Any) -> str:
    """The text of a template of a package; text among the values is escaped."""
    return environment(package).get_template(template).render(values)


def environment(package: str) -> jinja2.Environment:
    """Jinja2's, for the folder `templates` of a package, whose templates may name those of this package too.

    A value that a template asks for and isn't there is an error.
    """
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in (package, OWN)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"percent": percent, "number": number, "ms": milliseconds, "score": score}
    return found


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction in %, a dash where it isn't known."""
    return f"{number(100 * fraction, digits)} %" if _is_known(fraction) else "–"


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many digits behind the point, a dash where it isn't known."""
    return f"{value:.{digits}f}".replace("-", "−") if _is_known(value) else "–"


def milliseconds(value: float | None, unit: bool = True) -> str:
    """'12.34 ms', with or without the unit; a dash where it isn't known."""
    return format_ms(value).removesuffix("" if unit else " ms") if _is_known(value) else "–"


def score(value: float | None) -> str:
    """A quality to three digits: one behind the point, two below ten."""
    return number(value, 1 if _is_known(value) and abs(value) >= 10 else 2)


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
