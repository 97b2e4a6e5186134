"""What happens around every request; one idea a class, pure ASGI, outermost first.

watch.py     Watch: names, times, counts, traces and logs, and turns a crash into a problem
(starlette)  CORSMiddleware, where origins are allowed
guard.py     Keys: who may ask; Rate: how often
body.py      BodyLimit: bodies read whole, in time and within a size; Json: every body is JSON
gate.py      Gate: so many at once, the rest waits or is turned away; late answers are ended
ready.py     Ready: lists that need no search are sent before any routing
"""

from serving.middleware.body import BodyLimit, Json
from serving.middleware.gate import Gate, GateLimits, Lag
from serving.middleware.guard import Keys, Rate
from serving.middleware.ready import Ready
from serving.middleware.watch import SECURITY_HEADERS, Watch, route_of

__all__ = [
    "SECURITY_HEADERS", "BodyLimit", "Gate", "GateLimits", "Json", "Keys", "Lag", "Rate", "Ready",
    "Watch", "route_of",
]  # fmt: skip
