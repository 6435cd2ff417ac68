"""What the package's HTML pages share: one file that opens offline, in light and dark, on a phone and on a desk."""

from __future__ import annotations

from typing import Any

from graphforget.errors import missing_extra

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 74rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
.lead { color: color-mix(in srgb, currentColor 70%, transparent); max-width: 46rem }
.wide { overflow-x: auto } svg { width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem }
th, td { text-align: right; white-space: nowrap; padding: .3rem .6rem; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left } th small { font-weight: normal; display: block }
tr.gold td { background: var(--soft) }
"""


def render(template: str, **values: Any) -> str:
    """Fill a jinja template in which every string is escaped.

    Args:
        template: the page's source.
        values: what it names; ``Markup`` goes in as it is.

    Raises:
        MissingExtra: jinja2 is not installed.

    Example:
        >>> render("<p>{{ name }}</p>", name="<b>")
        '<p>&lt;b&gt;</p>'
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise missing_extra("jinja2", "report") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found: str = environment.from_string(template).render(style=STYLE, **values)
    return found
