"""`/docs`: the OpenAPI description as a page. The usual viewers load their scripts from other
hosts; this one has none.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Response

_STYLE = (Path(__file__).parent / "docs.css").read_bytes()

PATHS = frozenset({"/docs", "/docs.css", "/openapi.json"})
"""Paths of the description, for whoever asks for a token elsewhere."""


def router(app: FastAPI) -> APIRouter:
    """Serves the page of an application's description."""
    routes = APIRouter(include_in_schema=False)
    html = functools.cache(lambda: page_of(app.openapi()))

    @routes.get("/docs")
    async def docs() -> Response:
        return Response(html(), media_type="text/html")

    @routes.get("/docs.css")
    async def style() -> Response:
        return Response(_STYLE, media_type="text/css")

    return routes


def page_of(description: Mapping[str, Any]) -> str:
    """The HTML page of an OpenAPI description."""
    info, schemas = description["info"], description["components"]["schemas"]
    operations = [
        line
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        for line in _operation(method, path, operation)
    ]
    shapes = [line for name, schema in schemas.items() for line in _schema(name, schema)]
    about = "".join(
        f"<p>{_text(paragraph)}</p>" for paragraph in info["description"].strip().split("\n\n")
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])} API</title>",
            (
                '<link rel="stylesheet" href="docs.css"><link rel="icon"'
                ' href="icon.svg"></head><body><main>'
            ),
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{about}",
            (
                '<p>For programs: <a href="openapi.json">openapi.json</a>. For people: <a'
                ' href=".">the page</a>.</p>'
            ),
            *operations,
            "<h2>What bodies hold</h2>",
            *shapes,
            "</main></body></html>",
        ]
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"<section><h2><code>{method.upper()}"
        f" {escape(path)}</code></h2><p>{_text(operation.get('description', ''))}</p>"
    )
    rows = [
        (
            f"<code>{escape(each['name'])}</code> in the {each['in']}",
            _text(each["description"]) + _example(each["schema"]),
        )
        for each in operation.get("parameters", ())
    ]
    if "requestBody" in operation:
        rows.append(("request", _content(operation["requestBody"])))
    rows += [
        (
            f"answer {status}",
            " ".join(filter(None, (_text(answer["description"]), _content(answer)))),
        )
        for status, answer in sorted(operation["responses"].items())
    ]
    yield _table(rows)
    yield "</section>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "<section"
        f' id="{escape(name)}"><h3>{escape(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
    )
    required = schema.get("required", ())
    yield _table(
        (
            f"<code>{escape(field)}</code>{'' if field in required else ' (optional)'}",
            ": ".join(filter(None, (_type(value), _text(value.get("description", "")))))
            + _example(value),
        )
        for field, value in schema.get("properties", {}).items()
    )
    yield "</section>"


def _table(rows: Any) -> str:
    cells = "".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f"<table>{cells}</table>"


def _content(holder: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{_type(each['schema'])} as {escape(kind)}"
        for kind, each in holder.get("content", {}).items()
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(_type, choices))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(map(escape, kind))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])} by name"
    if kind == "object" and "patternProperties" in schema:
        (value,) = schema["patternProperties"].values()
        return f"object of {_type(value)} by name"
    return escape(kind)


def _example(schema: Mapping[str, Any]) -> str:
    return "".join(
        f"<pre>{escape(json.dumps(example, ensure_ascii=False, indent=1))}</pre>"
        for example in schema.get("examples", ())
    )


def _text(text: str) -> str:
    """Escaped; what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)
    )
