"""TensorBoard event files, written without torch or TensorFlow."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from pipeline.measure.track.protocol import Run, Values, full_name

_STRING = 7
"""The type of strings in a tensor."""


class TensorBoard:
    """Writes ``<folder of the run>/tensorboard``, or ``<folder>/<run_id>`` where one is named."""

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        """Write nothing yet."""
        self._folder, self._chosen = folder, settings.get("folder")
        self._writer: Any = None

    def start(self, run: Run) -> None:
        """Begin an event file with the configuration and the circumstances as texts."""
        named = self._chosen and Path(self._chosen) / run.run_id
        self._writer = EventFileWriter(str(named or self._folder / "tensorboard"))
        self._text("config", run.config)
        self._text("about", run.about)
        self._writer.flush()

    def log(
        self, step_name: str, metrics: Values, step: int | None = None, *, at: float | None = None
    ) -> None:
        """Write scalars; those of no step stand at step 0."""
        values = [
            Summary.Value(tag=full_name(step_name, name), simple_value=value)
            for name, value in metrics.items()
            if value is not None
        ]
        self._write(values, step or 0, at)

    def artifact(self, name: str, reference: str) -> None:
        """Write the reference as a text."""
        self._text(f"artifacts/{name}", reference)
        self._writer.flush()

    def finish(self, status: str) -> None:
        """Write the status as a text and end the file."""
        self._text("status", status)
        self._writer.close()

    def _text(self, tag: str, value: Any) -> None:  # noqa: ANN401 - JSON is any value
        shown = value if isinstance(value, str) else f"    {json.dumps(value, indent=4)}"
        data = SummaryMetadata(
            plugin_data=SummaryMetadata.PluginData(plugin_name="text", content=b"")
        )
        tensor = TensorProto(dtype=_STRING, string_val=[shown.encode()])
        self._write([Summary.Value(tag=f"{tag}/text", metadata=data, tensor=tensor)], 0, None)

    def _write(self, values: list[Any], step: int, at: float | None) -> None:
        when = time.time() if at is None else at
        self._writer.add_event(Event(wall_time=when, step=step, summary=Summary(value=values)))
        self._writer.flush()
