import os

# Set by `make test-faults`: as many cycles, examples and clients as the guarantees ask for.
IS_FULL = os.environ.get("FAULTS") == "full"
