"""Schemathesis against a real server, from an environment of its own: SCHEMATHESIS is its executable."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.fuzz_server import SEED, FuzzServer, count
from tests.support.paths import ROOT

SCHEMATHESIS = str(Path(os.environ["SCHEMATHESIS"]).absolute())
EXAMPLES = count("SCHEMATHESIS_EXAMPLES", 5)
CHECKS = "only_the_client_is_to_blame,response_schema_conformance,content_type_conformance,negative_data_rejection"


@pytest.mark.timeout(7200)
def test_schemathesis_finds_nothing(ground: FuzzServer, tmp_path: Path) -> None:
    command = [
        *(SCHEMATHESIS, "run", f"{ground.url}/graphql", "--header", f"Authorization: Bearer {ground.tokens[0]}"),
        *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--seed", SEED, "--continue-on-failure", "--no-color"),
        *("--generation-database", "none", "--suppress-health-check", "all"),
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    print(run.stdout[-3000:])
    assert run.returncode == 0, run.stdout[-20000:] + run.stderr[-5000:]
    assert not ground.complaints()
