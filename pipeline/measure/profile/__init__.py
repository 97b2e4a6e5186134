"""Where the time of a program goes: two profilers, the machine's ceilings, tables and words.

recorder.py    the door: a ``with`` block, and the profile of it
operators.py   tables from the events of torch's profiler; observe.py: names for layers
stacks.py      stacks by py-spy; flame.py: drawn as one SVG file
ceilings.py    what the machine can do at most
words.py       the bottlenecks as sentences; result.py: the folder that is written
"""

from pipeline.measure.profile.observe import Observed, Work
from pipeline.measure.profile.recorder import Options, Recorder
from pipeline.measure.profile.result import Profile
from pipeline.measure.profile.stacks import NO_STACKS, PySpy, Sampled

__all__ = ["NO_STACKS", "Observed", "Options", "Profile", "PySpy", "Recorder", "Sampled", "Work"]
