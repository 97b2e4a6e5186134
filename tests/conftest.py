"""What holds for every test."""

import os

from hypothesis import settings

# A test asks no cloud where it is, wherever it runs; tests of that ask a stub.
os.environ["PLOTPOINTE_METADATA"] = "off"

# How long an example takes is the machine's affair, which may be doing other things.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
