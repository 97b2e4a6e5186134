"""What changed in a series of runs, and whether the latest are worse: arrays in, alarms out.

changes.py      find_change_points: where a series took another level
regression.py   regression_alarm: recent runs against reference runs, as distributions

Both compare ranks, so one run on a busy machine alarms nobody, and both state the chance of a false
alarm. Give them runs of one environment: two machines differ without anything having changed.
"""

from pipeline.measure.alarms.changes import ChangePoint, find_change_points
from pipeline.measure.alarms.regression import Alarm, Worse, regression_alarm

__all__ = ["Alarm", "ChangePoint", "Worse", "find_change_points", "regression_alarm"]
