"""What holds for every test."""

import os

# A test asks no cloud where it is, wherever it runs; tests of that ask a stub.
os.environ["PLOTPOINTE_METADATA"] = "off"
