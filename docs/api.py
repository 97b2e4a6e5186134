"""Pages of what may be imported: signatures and docstrings, read without running anything."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]

PARTS = {
    "measure": (
        "Measurement: `pipeline.measure`",
        "Imports nothing else of this project; usable alone in any training script.",
        ("pipeline.measure",),
    ),
    "models": (
        "Models: `pipeline.models`",
        "Tensors in, tensors out; no files, no configuration objects.",
        ("pipeline.models",),
    ),
    "floor": (
        "The floor: artifacts, ids, neighbours",
        "What notebooks read artifacts with; the service stands on it too. No torch, no pandas.",
        (
            "pipeline.artifacts", "pipeline.schema", "pipeline.ids", "pipeline.interactions",
            "pipeline.nearest", "pipeline.scoring", "pipeline.rerank", "pipeline.files",
            "pipeline.registry", "pipeline.errors",
        ),
    ),
    "client": (
        "The client: `serving.client`",
        "A typed client of the HTTP interface, tested against its document.",
        ("serving.client",),
    ),
}  # fmt: skip
"""By name of the page: its title, what it is about, and the modules on it."""


def page(part: str) -> str:
    """Return the reference page of a part."""
    title, about, modules = PARTS[part]
    lines = [f"# {title}", "", about]
    for name in modules:
        loaded: Any = griffe.load(
            name, search_paths=[str(ROOT)], submodules=True, allow_inspection=False
        )
        for module in _modules(loaded):
            lines += _of_module(module)
    return "\n".join(lines) + "\n"


def _modules(module: Any) -> Iterator[Any]:
    yield module
    for name in sorted(module.modules):
        if not name.startswith("_"):
            yield from _modules(module.modules[name])


def _of_module(module: Any) -> list[str]:
    """Return the lines of a module that defines something public, none for any other."""
    own = [each for each in module.members.values() if _is_public(each)]
    if not own:
        return []
    lines = ["", f"## {module.path}", "", *_text(module)]
    for each in own:
        lines += ["", f"### {each.name}", "", "```python", _signature(each), "```", ""]
        lines += _text(each)
        if each.is_class:
            lines += _members(each)
    return lines


def _is_public(member: Any) -> bool:
    defined = not member.is_alias and (member.is_function or member.is_class)
    return defined and not member.name.startswith("_")


def _members(class_: Any) -> list[str]:
    """Return a list of a class's fields and methods, each with what it is in a line."""
    told = []
    for each in class_.members.values():
        if each.is_alias or each.name.startswith("_") or not each.docstring:
            continue
        shown = _signature(each) if each.is_function else each.name
        told.append(f"- `{shown}`: {' '.join(_text(each)[0].split())}")
    return ["", *told] if told else []


def _signature(member: Any) -> str:
    if not member.is_function:
        bases = ", ".join(str(base) for base in member.bases)
        return f"class {member.name}({bases})" if bases else f"class {member.name}"
    given = [each for each in member.parameters if each.name not in ("self", "cls")]
    parts = [_parameter(each) for each in given]
    returns = f" -> {member.returns}" if member.returns else ""
    return f"{member.name}({', '.join(parts)}){returns}"


def _parameter(parameter: Any) -> str:
    mark = {"variadic positional": "*", "variadic keyword": "**"}.get(parameter.kind.value, "")
    typed = f": {parameter.annotation}" if parameter.annotation else ""
    default = f" = {parameter.default}" if parameter.default is not None and not mark else ""
    return f"{mark}{parameter.name}{typed}{default}"


def _text(member: Any) -> list[str]:
    """Return a docstring's lines; sections such as ``Shapes:`` become emphasised lines."""
    if not member.docstring:
        return []
    lines = []
    for line in inspect.cleandoc(member.docstring.value).splitlines():
        is_section = line.endswith(":") and line[:-1].isalpha() and line[0].isupper()
        lines.append(f"*{line}*  " if is_section else line.replace("``", "`"))
    return lines
