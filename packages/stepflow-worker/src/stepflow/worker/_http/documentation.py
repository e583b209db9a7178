"""The page at `/docs`: the components of a worker, for people. It loads nothing from other hosts."""

import html
from collections.abc import Iterable

import msgspec

from stepflow.protocol import ComponentInfo

HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem; }
h2 { font: 600 1.1rem ui-monospace, monospace; margin: 2rem 0 0; }
p { margin: .3rem 0; white-space: pre-line; }
pre { background: #8881; overflow: auto; padding: .7rem; }
:root { color-scheme: light dark; }
"""


def page(version: str, components: Iterable[ComponentInfo]) -> str:
    """Return the page as HTML."""
    sections = "".join(map(_section, components)) or "<p>It serves no components.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Stepflow worker</title>'
        f"<style>{_STYLE}</style><h1>Stepflow worker {html.escape(version)}</h1>"
        "<p>It speaks JSON-RPC at <code>POST /</code>. For people there are also "
        '<a href="health">/health</a>, <a href="components">/components</a> and '
        '<a href="openapi.json">/openapi.json</a>.</p>'
        f"{sections}</html>"
    )


def _section(info: ComponentInfo) -> str:
    described = f"<p>{html.escape(info.description)}</p>" if info.description else ""
    schemas = (("input", info.input_schema), ("output", info.output_schema))
    return f"<h2>{html.escape(info.component)}</h2>{described}" + "".join(
        _schema(title, schema) for title, schema in schemas if schema is not None
    )


def _schema(title: str, schema: object) -> str:
    text = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
    return f"<details><summary>{title}</summary><pre>{html.escape(text)}</pre></details>"
