"""The wheel beside the package `schema` of PyPI, whose name is also that of one of our API layers."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OTHER = "schema"
USE_OTHER = "import schema; print(schema.Schema(int).validate(7))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def run(*words: str | Path) -> str:
    """Run a command outside the checkout, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", env=environment, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Environment:
    """A virtual environment that sees our dependencies, but not our checkout."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self._bin = folder / "bin"
        # A path in a .pth file is searched for packages; the .pth file of the checkout in there has no effect.
        (site_packages,) = folder.glob("lib/python*/site-packages")
        (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    def pip(self, *words: str | Path) -> None:
        run(self._bin / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", *words)

    def assert_product_works(self) -> None:
        command = self._bin / "command-center"
        assert run(command, "sdl") == (ROOT / "schema" / "schema.graphql").read_text()

    def assert_other_works(self) -> None:
        assert run(self._bin / "python", "-c", USE_OTHER) == "7\n"


def test_the_wheel_has_one_top_level_package(wheel: Path) -> None:
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"command_center"}


@pytest.mark.parametrize("removed", ["command-center", OTHER])
@pytest.mark.parametrize("product_first", [True, False])
def test_both_packages_work_and_either_can_be_removed(
    wheel: Path, tmp_path: Path, product_first: bool, removed: str
) -> None:
    environment = Environment(tmp_path / "venv")
    for package in (wheel, OTHER) if product_first else (OTHER, wheel):
        environment.pip("install", "--no-deps", package)
    environment.assert_product_works()
    environment.assert_other_works()
    environment.pip("uninstall", "--yes", removed)
    if removed == OTHER:
        environment.assert_product_works()
    else:
        environment.assert_other_works()
