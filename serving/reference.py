"""The reference of the HTTP interface as Markdown, written from the interface itself."""

import json
from collections.abc import Iterator
from typing import Any

from serving.app import create_app
from serving.settings import Settings

_HEAD = """# HTTP interface

`plotpointe serve` answers on port 8000. `GET /` is a dashboard, `GET /docs` this reference with
forms to try it, `GET /openapi.json` the machine's version of it.

```
curl localhost:8000/v1/recommend -d '{"user": "1", "k": 10}'
curl localhost:8000/v1/recommend -d '{"history": ["1", "260"], "exclude_ids": ["1196"]}'
curl 'localhost:8000/v1/users/1/recommendations?k=5'
curl 'localhost:8000/v1/items/1/similar?by=image'
```

Items can be added, changed and deleted, and feedback taken, while the service runs:
[how-to/live-items.md](../how-to/live-items.md). `…:upload` takes a form with a file.

More examples, the formulas and what filters mean:
[how-to/recommend.md](../how-to/recommend.md).

- Bodies are read as JSON whatever their content type says. `POST /recommend` answers as
  `POST /v1/recommend`.
- A user who is not known is no error: the list is the popular one, `strategy` says `popular` and
  `user_tier` says `cold`. A 404 is for items and paths alone.
- `history` is folded in: u' = (sqrt(n) u + sum of fold-in vectors) / sqrt(n + m) for the n items
  that a known user has and the m new ones. Without a known user that is the fold-in alone.
  `strategy` is then `model+fold_in` or `fold_in`.
- `positives` are added to that and `negatives` taken away; a raw vector stands for itself.
- `filter`: all of `must`, none of `must_not`, at least one of `should`. `explain: "full"` adds
  `steps`, and `parts` that add up to each score.
- `items` holds exactly `k` items, or `shortfall_reason` says why it cannot.
- Keys may hold any character; write `/` as `%2F` in a path.
- Errors are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`,
  `instance`, `request_id`, and `errors` with each fault's place.
- Every answer carries `X-Request-ID`; one that comes with the request is kept. Answers about a
  user are `Cache-Control: private, no-store`.
- Where keys are configured: `Authorization: Bearer KEY` or `X-API-Key: KEY`; 401 without, 403 where
  its scope does not do. Where rates are: `RateLimit-Limit`, `-Remaining`, `-Reset`, `-Policy`, and
  429 with `Retry-After`. A service that has enough to do answers 503 with `Retry-After`.
- `/metrics` counts requests, errors and seconds per route template, lists per strategy, and tells
  the bundle and the recall of its index.
"""


def page() -> str:
    """Return the reference as Markdown."""
    document = create_app(Settings()).openapi()
    schemas = document["components"]["schemas"]
    parts = [_HEAD]
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            parts.append("\n".join(_operation(path, verb, operation)))
    parts.append("## Messages\n")
    parts += ["\n".join(_message(name, schema)) for name, schema in sorted(schemas.items())]
    return "\n".join(parts)


def _operation(path: str, verb: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {verb.upper()} {path}\n"
    yield f"{operation['description']}\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| parameter | in | type | default | |\n|---|---|---|---|---|"
    for one in parameters:
        default = _default(one["schema"])
        kind = _type(one["schema"])
        yield f"| `{one['name']}` | {one['in']} | {kind} | {default} | {one['description']} |"
    if parameters:
        yield ""
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if sent:
        yield f"Body: {_type(sent['schema'])}\n"
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        kinds = [_type(told.get("schema", {})) or name for name, told in content.items()]
        yield f"- {status}: {', '.join(kinds) or answer['description']}"
    yield ""


def _message(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{schema['description']}\n"
    yield "| field | type | default | |\n|---|---|---|---|"
    for field, told in schema["properties"].items():
        default = "" if field in schema.get("required", []) else _default(told)
        yield f"| `{field}` | {_type(told)} | {default} | {told.get('description', '')} |"
    yield ""


def _default(schema: dict[str, Any]) -> str:
    return f"`{json.dumps(schema['default'])}`" if schema.get("default") is not None else ""


def _type(schema: dict[str, Any]) -> str:
    """Return a schema in words, with links to messages."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(_type(option) for option in options))
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    limits = [f"{schema[key]}" for key in ("minimum", "maximum") if key in schema]
    return str(schema.get("type", "")) + (f" {' to '.join(limits)}" if len(limits) == 2 else "")
