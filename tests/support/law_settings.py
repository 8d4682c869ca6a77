"""How many generated cases each law is tried on: few by hand, many in CI."""

import os

from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("LAW_CASES", "200"))

law_settings = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
