"""What a piece of work costs and how far it has come; imports nothing else of ours.

with measure.task("graph") as task:
    with task.progress("neighbours", total=n, unit="items") as bar:
        bar.advance(512)
task.cost.wall_seconds
"""

from pipeline.measure.cost import Cost, Energy, Meter, NoMeter, TaskCost, Throughput
from pipeline.measure.progress import Bar, Console, Event, Heard, Listener, Metrics, Silent
from pipeline.measure.task import Task, task

__all__ = [
    "Bar",
    "Console",
    "Cost",
    "Energy",
    "Event",
    "Heard",
    "Listener",
    "Meter",
    "Metrics",
    "NoMeter",
    "Silent",
    "Task",
    "TaskCost",
    "Throughput",
    "task",
]
