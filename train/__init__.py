"""Training from the command line."""

import os

# Before cyclegan asks for sleeping threads (see there): training has the cores to itself, and with threads that spin
# while they wait for each other a step takes a quarter less time.
os.environ.setdefault("OMP_WAIT_POLICY", "active")
