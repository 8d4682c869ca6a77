"""Whatever uvicorn logs is seen by the tests, which say when it may log nothing."""

import pytest
from uvicorn.config import LOGGING_CONFIG


@pytest.fixture(autouse=True)
def _uvicorn_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOGGING_CONFIG["loggers"]["uvicorn"], "propagate", True)
