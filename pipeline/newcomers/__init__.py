"""Items that arrive after training: their vectors, computed without torch.

``pipeline/models/attach.py`` is the twin in torch, which attaches the items that training left out;
what it knows is kept as a kit of files, in the model artifact and in the bundle. Numpy and scipy
only, so that the service computes them too.
"""

from pipeline.newcomers.content import Content, open_contents
from pipeline.newcomers.neighbourhood import Neighbourhood
from pipeline.newcomers.network import Arrivals, Network, Relation, Vectors
from pipeline.newcomers.store import kit_files, open_network, write_kit

__all__ = [
    "Arrivals",
    "Content",
    "Neighbourhood",
    "Network",
    "Relation",
    "Vectors",
    "kit_files",
    "open_contents",
    "open_network",
    "write_kit",
]
