"""Write docs/reference from the code: configuration, artifacts, verbs, HTTP, OpenAPI, API.

python -m docs.generate          writes the pages; a test compares them with the code.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import typer

from docs import api
from pipeline.cli import app
from pipeline.config import Config
from pipeline.schema import KINDS
from pipeline.sections import Section
from serving import reference
from serving.app import create_app
from serving.settings import Settings

REFERENCE = Path(__file__).parent / "reference"
NOTICE = "<!-- written by docs/generate.py; edit the code instead -->\n\n"


def configuration() -> str:
    """Return the page of every configuration key with its default and meaning."""
    lines = [
        "# Configuration",
        "",
        "A YAML file names what differs from these defaults; `plotpointe config FILE` prints the "
        "resolved whole, `--set a.b=value` overrides one value. An unknown key is an error. "
        "`runtime` and raw paths stay outside every fingerprint.",
    ]
    _section(Config, "", lines)
    return NOTICE + "\n".join(lines) + "\n"


def _section(section: type[Section], prefix: str, lines: list[str]) -> None:
    nested: list[tuple[str, type[Section]]] = []
    title = prefix.rstrip(".") or "the whole"
    lines += ["", f"## {title}", "", "| key | default | meaning |", "|---|---|---|"]
    for name, field in section.model_fields.items():
        inner = _inner(field.annotation)
        if inner is not None:
            nested.append((f"{prefix}{name}.", inner))
        default = "required" if field.is_required() else _default(field)
        meaning = " ".join((field.description or "").split())
        lines.append(f"| `{prefix}{name}` | {default} | {meaning} |")
    for deeper, inner in nested:
        _section(inner, deeper, lines)


def _inner(annotation: Any) -> type[Section] | None:
    for option in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return "see below"
    if isinstance(value, dict | tuple):
        value = list(value)
    return "none" if value is None else f"`{value}`"


def artifacts() -> str:
    """Return the page of artifact kinds and their files."""
    lines = ["# Artifact kinds", "", "`*` stands for a modality: `text`, `image` or any other."]
    for kind in KINDS.values():
        lines += ["", f"## {kind.name}", "", f"Version {kind.version}, made by `{kind.made_by}`."]
        lines += ["", "| file | format | columns | always there |", "|---|---|---|---|"]
        for name, spec in kind.files.items():
            columns = ", ".join(f"{f.name}: {f.type}" for f in spec.schema) if spec.schema else ""
            required = "yes" if spec.required else "no"
            lines.append(f"| `{name}` | {spec.format} | {columns} | {required} |")
    return NOTICE + "\n".join(lines) + "\n"


def command_line() -> str:
    """Return the page of every verb with its arguments and options."""
    group = typer.main.get_command(app)
    lines = ["# Command line", "", "Every verb also answers `--help`."]
    for name, command in sorted(_commands(group, "")):
        lines += ["", f"## plotpointe {name}", "", " ".join((command.help or "").split()), ""]
        lines += ["| argument | default | meaning |", "|---|---|---|"]
        for parameter in command.params:
            lines.append(_parameter(parameter))
    return NOTICE + "\n".join(lines) + "\n"


def _commands(group: Any, prefix: str) -> list[tuple[str, Any]]:
    found = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += [(prefix + name, command)] if command.invoke_without_command else []
            found += _commands(command, f"{prefix}{name} ")
        else:
            found.append((prefix + name, command))
    return found


def _parameter(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    name = ", ".join(parameter.opts) if is_option else (parameter.name or "").upper()
    default = parameter.default
    shown = "required" if parameter.required else f"`{default}`" if default is not None else ""
    meaning = " ".join((getattr(parameter, "help", None) or "").split())
    return f"| `{name}` | {shown} | {meaning} |"


def http() -> str:
    """Return the page of the HTTP interface."""
    return NOTICE + reference.page()


def openapi() -> str:
    """Return the OpenAPI document of the service as it is by default."""
    return json.dumps(create_app(Settings()).openapi(), indent=1, ensure_ascii=False) + "\n"


def _api(part: str) -> str:
    return NOTICE + api.page(part)


PAGES = {
    **{f"api-{part}.md": partial(_api, part) for part in api.PARTS},
    "artifacts.md": artifacts,
    "cli.md": command_line,
    "configuration.md": configuration,
    "http.md": http,
    "openapi.json": openapi,
}

if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for page, text in PAGES.items():
        (REFERENCE / page).write_text(text())
