"""Processor, memory and GPUs."""

import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from pipeline.doctor.finding import FAIL, OK, WARN, Finding
from pipeline.measure.processor import CPUINFO, described

_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_GIB = 1024**3
_ENOUGH_MEMORY, _ENOUGH_DISK = 4 * _GIB, 2 * _GIB
_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}


def processor(cpuinfo: Path = CPUINFO) -> Iterator[Finding]:
    """Yield the processor and what of its instructions matters here."""
    found, cores = described(cpuinfo), len(os.sched_getaffinity(0))
    features = [feature for feature in _FEATURES if feature in found.features]
    told = f"{found.name}, {cores} of {os.cpu_count()} cores usable"
    told += f"; {', '.join(features) or 'none of the wide instructions'}"
    if found.features and found.features.isdisjoint(("avx2", "asimd")):
        cure = "run on a processor with AVX2: searches take several times as long without"
        yield Finding("processor", WARN, told, cure)
    else:
        yield Finding("processor", OK, told)


def memory(meminfo: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """Yield how much memory there is and how much of it is free."""
    lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
    total, free = (int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    told = f"{total / _GIB:.1f} GiB, {free / _GIB:.1f} free"
    if free < _ENOUGH_MEMORY:
        cure = "plotpointe plan CONFIG says what a run needs; end other programs"
        yield Finding("memory", WARN, told, cure)
    else:
        yield Finding("memory", OK, told)


def disk(place: Path) -> Iterator[Finding]:
    """Yield how much room there is where the store is, or would be."""
    whole = place.resolve()
    existing = next(p for p in (whole, *whole.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    told = f"{free / _GIB:.1f} GiB free where the store is"
    if not os.access(existing, os.W_OK):
        yield Finding(
            "disk", FAIL, "the store's folder cannot be written", "choose another --store"
        )
    elif free < _ENOUGH_DISK:
        yield Finding("disk", WARN, told, "plotpointe gc, or choose another --store")
    else:
        yield Finding("disk", OK, told)


def gpus(drm: Path = Path("/sys/class/drm"), nvidia: Path = Path("/dev")) -> Iterator[Finding]:
    """Yield the GPUs that the system shows, and whether torch is built for them."""
    found = sorted({_VENDORS[vendor] for vendor in _vendors(drm) if vendor in _VENDORS})
    if any(nvidia.glob("nvidia[0-9]*")) and "NVIDIA" not in found:
        found.append("NVIDIA")
    useful = [name for name in found if name != "Intel" or any(nvidia.glob("dri/renderD*"))]
    if not useful:
        yield Finding("gpu", OK, "none; everything runs on the processor")
        return
    torch = _torch()
    told = f"{', '.join(useful)}; torch {torch or 'is missing'}"
    if "NVIDIA" in useful and torch and "+cpu" in torch:
        cure = "pip install torch --index-url https://download.pytorch.org/whl/cu128"
        yield Finding("gpu", WARN, f"{told} is built without CUDA", cure)
    elif "NVIDIA" in useful and not any(nvidia.glob("nvidiactl")):
        yield Finding("gpu", WARN, f"{told}; no driver is loaded", "install NVIDIA's driver")
    else:
        yield Finding("gpu", OK, told)


def _vendors(drm: Path) -> Iterator[str]:
    for path in drm.glob("card*/device/vendor"):
        try:
            yield path.read_text().strip()
        except OSError:
            continue


def _torch() -> str | None:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None
