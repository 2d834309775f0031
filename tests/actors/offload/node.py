"""A child for tests: a node with a worker, waiting to be killed. Writes the worker's pid.

Argument: "idle", or "busy" for a worker that computes without end.
"""

import os
import sys
import threading

from mechane.actors.offload.offload import Offload

FUNCTIONS = "mechane.tests.actors.offload.functions"

offload = Offload(prefixes=(FUNCTIONS,))
offload.start()
ready = threading.Event()
offload.submit(f"{FUNCTIONS}:add", (1, 2), lambda outcome: ready.set(), 30.0)
ready.wait(30)
if sys.argv[1] == "busy":
    offload.submit(f"{FUNCTIONS}:hang", (), print, 0.5)
os.write(1, f"{offload.pids()[0]}\n".encode())
threading.Event().wait(60)  # killed long before
