"""Stacks of the running program, sampled from outside by py-spy, native frames where possible."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_SECONDS = 60.0
_ALLOW_TRACING, _ANYBODY = 0x59616D61, -1
"""PR_SET_PTRACER and PR_SET_PTRACER_ANY of Linux: a child may then trace its parent."""
_LONGEST_NAME = 80
_IMPORTS = "<frozen importlib"
_WAITS = re.compile(r"(poll|ppoll|select|pselect|epoll_wait|sem_\w*wait|pthread_cond_\w*wait) \(")
_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
_BEGINS, _ASKS_FOR_ROOT = "Sampling process", "Permission Denied"

Stacks = Mapping[tuple[str, ...], int]
"""How often each stack was seen, outermost frame first."""


@dataclass(frozen=True)
class Sampled:
    """What was seen, or why nothing was."""

    stacks: Stacks
    native: bool = False
    """Whether frames of compiled code are among them."""
    missing: str | None = None
    """Why there are no stacks."""

    @property
    def samples(self) -> int:
        """Return how many stacks were seen."""
        return sum(self.stacks.values())


NO_STACKS = Sampled({}, missing="no stacks were asked for")


class PySpy:
    """py-spy, attached to this process by a child of this process; ``sampled`` at the end."""

    def __init__(self, rate: int) -> None:
        """Sample so often a second; nothing runs yet."""
        self._rate = rate
        self._child: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="stacks-")
        self._native, self._missing = False, "py-spy was not started"
        self.sampled = NO_STACKS
        """What was seen, once it has ended."""

    def __enter__(self) -> "PySpy":
        """Begin to sample."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and keep what was seen."""
        self.sampled = self.stop()

    def start(self) -> None:
        """Begin to sample; where that is refused, ``stop`` says why."""
        program = _program()
        if program is None:
            self._missing = "py-spy is not installed: pip install py-spy"
            return
        _let_children_trace()
        for native in (True, False):
            command = [program, "record", "--pid", str(os.getpid()), "--format", "raw"]
            command += ["--rate", str(self._rate), "--function", "--output", str(self._raw)]
            child, said = _begun([*command, *(["--native"] if native else [])])
            if child is not None:
                self._child, self._native = child, native
                return
            self._missing = explain(said)

    @property
    def _raw(self) -> Path:
        return Path(self._folder.name) / "raw.txt"

    def stop(self) -> Sampled:
        """Return what was seen since the start."""
        with self._folder:
            if self._child is None:
                return Sampled({}, missing=self._missing)
            self._child.send_signal(signal.SIGINT)
            try:
                said, _ = self._child.communicate(timeout=_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                said, _ = self._child.communicate()
                said += f" (it did not end within {_PATIENCE_SECONDS:g} s)"
            if not self._raw.exists():
                return Sampled({}, missing=explain(said))
            return Sampled(folded(self._raw.read_text(errors="replace")), self._native)


def _program() -> str | None:
    """Return py-spy beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def _let_children_trace() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_ALLOW_TRACING, ctypes.c_ulong(_ANYBODY), 0, 0, 0)


def _begun(command: Sequence[str]) -> "tuple[subprocess.Popen[str] | None, str]":
    """Return the program once it samples, or None and what it said instead."""
    held = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # it ends by that signal
    try:
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    assert child.stdout is not None
    too_late = threading.Timer(_PATIENCE_SECONDS, child.kill)
    too_late.start()
    said = []
    for line in child.stdout:
        said.append(line)
        if _BEGINS in line:
            too_late.cancel()
            return child, ""
    too_late.cancel()
    child.wait()
    child.stdout.close()
    return None, "".join(said)


def explain(said: str) -> str:
    """Return why py-spy could not sample, with what would let it."""
    words = " ".join(said.split())
    if _ASKS_FOR_ROOT.lower() not in words.lower() and "not permitted" not in words.lower():
        return f"py-spy ended without stacks: {words[:300] or 'it said nothing'}"
    scope = _SCOPE.read_text().strip() if _SCOPE.exists() else None
    if scope in ("2", "3"):
        cure = f"kernel.yama.ptrace_scope is {scope}; 'sysctl kernel.yama.ptrace_scope=1' lets it"
        cure += " until the next start" if scope == "2" else ", after a restart of the machine"
    else:
        cure = "in a container start it with --cap-add SYS_PTRACE, else run the command as root"
    return f"the system does not let py-spy read this process (ptrace): {cure}"


def folded(text: str) -> Stacks:
    """Return the stacks of lines ``frame;frame;frame count``.

    Addresses without a name merge, threads that wait for the system are left out, and so is the
    machinery of imports: five frames for each module, which hide what imports what.
    """
    found: dict[tuple[str, ...], int] = {}
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isdigit() and not _WAITS.match(stack.rpartition(";")[2]):
            frames = tuple(_named(f) for f in stack.split(";") if _IMPORTS not in f) or (_IMPORTS,)
            found[frames] = found.get(frames, 0) + int(count)
    return found


def _named(frame: str) -> str:
    """Return a frame as people read it: no addresses, no arguments of templates and functions."""
    if frame.startswith("0x"):
        return f"? {frame.partition(' ')[2]}".strip()
    name, _, place = frame.rpartition(" (")
    if ".so" not in place:
        return frame
    return f"{_without_arguments(name)} ({place}"


def _without_arguments(name: str) -> str:
    if not ("::" in name or "<" in name):
        return name
    kept, depth = [], 0
    for letter in name.replace("(anonymous namespace)", "anonymous").replace("operator()", "call"):
        depth += letter in "<("
        if depth == 0:
            kept.append(letter)
        depth -= letter in ">)" and depth > 0
    return "".join(kept).strip() or name[:_LONGEST_NAME]


def hottest(stacks: Stacks) -> list[tuple[str, int, int]]:
    """Return frames as (name, samples in itself, samples with what it called), most in first."""
    own: dict[str, int] = {}
    whole: dict[str, int] = {}
    for stack, count in stacks.items():
        own[stack[-1]] = own.get(stack[-1], 0) + count
        for frame in {*stack}:
            whole[frame] = whole.get(frame, 0) + count
    return sorted(
        ((name, own.get(name, 0), count) for name, count in whole.items()),
        key=lambda each: (-each[1], -each[2], each[0]),
    )
