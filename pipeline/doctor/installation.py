"""Python, packages against what this version asks for, and the native code of ours."""

import importlib.metadata as metadata
import platform
import sys
from collections.abc import Iterator
from typing import Any

from pipeline.doctor.finding import FAIL, OK, SKIP, WARN, Finding, Status
from pipeline.native import library

_PYTHON = (3, 11)
_NATIVE = {
    "pipeline._lists": "inverted lists of a batch",
    "pipeline._edges": "reasons",
    "pipeline.models._kernels": "sparse products of training",
}
_NEEDED = ("", "pipeline")
"""The service, and the stages; the other extras are for those who want them."""


def python() -> Iterator[Finding]:
    """Yield whether this Python is the one that is tested."""
    told = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    if sys.version_info[:2] == _PYTHON:
        yield Finding("python", OK, told)
    else:
        yield Finding("python", FAIL, f"{told}; needs 3.11", "install Python 3.11, then: make demo")


def packages() -> Iterator[Finding]:
    """Yield, for the service and each extra, what is missing or of another version."""
    try:
        wanted = metadata.requires("plotpointe") or []
        told = metadata.version("plotpointe")
    except metadata.PackageNotFoundError:
        what = "plotpointe is not installed, only importable"
        yield Finding("packages", WARN, what, "pip install -e '.[pipeline]'")
        return
    yield Finding("packages", OK, f"plotpointe {told}")
    by_extra = _by_extra(wanted)
    for extra, requirements in by_extra.items():
        yield _judged(extra, requirements)


def _by_extra(wanted: list[str]) -> dict[str, list[Any]]:
    from packaging.requirements import Requirement

    found: dict[str, list[Any]] = {}
    for text in wanted:
        requirement = Requirement(text)
        marker = str(requirement.marker or "")
        extra = marker.partition("extra == ")[2].strip("\"' )")
        if requirement.name != "plotpointe":
            found.setdefault(extra, []).append(requirement)
    return found


def _judged(extra: str, requirements: list[Any]) -> Finding:
    missing, other = [], []
    for requirement in requirements:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            other.append(f"{requirement.name} {version} (wants {requirement.specifier})")
    name = f"extra {extra}" if extra else "the service"
    cure = f"pip install 'plotpointe[{extra}]'" if extra else "pip install plotpointe"
    told = ", ".join([*(f"{one} missing" for one in missing), *other])
    if not told:
        return Finding("packages", OK, f"{name}: all {len(requirements)} packages")
    optional = extra not in _NEEDED and len(missing) == len(requirements)
    status: Status = SKIP if optional else WARN if extra else FAIL
    return Finding("packages", status, f"{name}: {told}", cure)


def native() -> Iterator[Finding]:
    """Yield whether the native code of ours was compiled and loads."""
    absent = []
    for name, what in _NATIVE.items():
        try:
            built = library(name) is not None
        except OSError:
            built = False
        if not built:
            absent.append(what)
    if absent:
        told = f"not compiled: {', '.join(absent)}; slower code does the same"
        cure = "install a C compiler, then: pip install --force-reinstall --no-deps -e ."
        yield Finding("native", WARN, told, cure)
    else:
        yield Finding("native", OK, f"compiled: {', '.join(_NATIVE.values())}")
