"""What a piece of work costs and how far it has come; imports nothing else of ours.

with measure.task("graph") as task:
    with task.progress("neighbours", total=n, unit="items") as bar:
        bar.advance(512)
task.cost.wall_seconds
"""

from pipeline.measure.progress import Bar, Console, Listener, Silent
from pipeline.measure.task import Cost, Task, task

__all__ = ["Bar", "Console", "Cost", "Listener", "Silent", "Task", "task"]
