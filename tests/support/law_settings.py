"""How many generated cases each law is tried on: few by hand, many in CI."""

import os

CASES = int(os.environ.get("LAW_CASES", "200"))
