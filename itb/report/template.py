"""Renders the templates in ``reports/``; every value is escaped, and pages fetch nothing.

A page's content security policy allows only the script that belongs to it, so
that hostile output of a test stays text.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from itb.data import shipped
from itb.model import Outcome
from itb.report import summary
from itb.util.text import duration
from itb.util.when import utc


def render(template: str, **values: Any) -> str:
    """Return the text of a template of ``reports/`` with these values."""
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> Environment:
    folder = shipped.folder("reports")
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (folder / "report.js").read_text(encoding="utf-8")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.filters |= {"duration": duration, "utc": utc}
    environment.globals |= {
        "marks": summary.MARKS,
        "Outcome": Outcome,
        # our own files; CSS and scripts cannot be escaped as HTML is
        "css": Markup((folder / "report.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_checksum": checksum,
    }
    return environment
