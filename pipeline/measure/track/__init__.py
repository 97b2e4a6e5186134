"""Where a run's metrics go: JSON Lines always, and any of several trackers beside them.

with track.tracking(folder, Run("try-1", "try", {"rate": 0.1}), {"wandb": {}}) as run:
    run.log("train", {"loss": 0.7}, step=1)

The folder is the truth: ``run.json`` and one line of ``events.jsonl`` for each call. A courier, a
process of its own for each backend, reads the lines and hands them over. Whatever a backend does
(it raises, hangs, dies at import) happens in the courier: the run goes on, the lines wait, and
``replay`` hands over later what could not be handed over at once. Imports nothing else of ours,
and a backend's package only in its courier.
"""

from pipeline.measure.track.backends import BACKENDS, Backend, backend_of, lacking
from pipeline.measure.track.delivery import Delivery, deliveries
from pipeline.measure.track.post import Posted, replay
from pipeline.measure.track.protocol import NullTracker, Run, Several, Tracker, full_name
from pipeline.measure.track.record import JsonLines, Record
from pipeline.measure.track.session import opened, tracking

__all__ = [
    "BACKENDS",
    "Backend",
    "Delivery",
    "JsonLines",
    "NullTracker",
    "Posted",
    "Record",
    "Run",
    "Several",
    "Tracker",
    "backend_of",
    "deliveries",
    "full_name",
    "lacking",
    "opened",
    "replay",
    "tracking",
]
