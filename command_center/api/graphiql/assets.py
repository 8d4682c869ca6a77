"""Fetches the GraphiQL page's assets from the npm registry.

The files are put in `vendor/` after their hashes are checked. Run as `python -m command_center.api.graphiql.assets`; a
second run only compares the hashes. Third-party bundles are not committed, and the page never loads them from another
origin. This module uses the standard library only, because it runs during the setup.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from command_center.api.graphiql import npm

# Lines of npm's output that do not explain the error.
DETAILS = ("code ", "errno ", "syscall ", "A complete log")
VENDOR = Path(__file__).with_name("vendor")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of one npm package, and the hash it must have."""

    package: str
    member: str
    sha384: str


# The hashes are those of the page that ships with Strawberry, so the files are those that it loads from other origins.
ASSETS: Mapping[str, Asset] = {
    "react.js": Asset(
        "react@18.2.0",
        "package/umd/react.production.min.js",
        "tMH8h3BGESGckSAVGZ82T9n90ztNXxvdwvdM6UoR56cYcf+0iGXBliJ29D+wZ/x8",
    ),
    "react-dom.js": Asset(
        "react-dom@18.2.0",
        "package/umd/react-dom.production.min.js",
        "bm7MnzvK++ykSwVJ2tynSE5TRdN+xL418osEVF2DE/L/gfWHj91J2Sphe582B1Bh",
    ),
    "graphiql.js": Asset(
        "graphiql@3.8.3",
        "package/graphiql.min.js",
        "HbRVEFG0JGJZeAHCJ9Xm2+tpknBQ7QZmNlO/DgZtkZ0aJSypT96YYGRNod99l9Ie",
    ),
    "graphiql.css": Asset(
        "graphiql@3.8.3",
        "package/graphiql.min.css",
        "Mq3vbRBY71jfjQAt/DcjxUIYY33ksal4cgdRt9U/hNPvHBCaT2JfJ/PTRiPKf0aM",
    ),
    "explorer.js": Asset(
        "@graphiql/plugin-explorer@1.0.2",
        "package/dist/index.umd.js",
        "2oonKe47vfHIZnmB6ZZ10vl7T0Y+qrHQF2cmNTaFDuPshpKqpUMGMc9jgj9MLDZ9",
    ),
    "explorer.css": Asset(
        "@graphiql/plugin-explorer@1.0.2",
        "package/dist/style.css",
        "5DFJlDPW2tSATRbM8kzoP1j194jexLswuNmClWoRr2Q0x7R68JIQzPHZ02Faktwi",
    ),
}


class FetchFailed(Exception):
    """The files could not be fetched. The message is one line."""


def complete(vendor: Path) -> bool:
    """Return whether every file is present and has the expected hash."""
    return all(_holds(vendor / name, asset) for name, asset in ASSETS.items())


def _holds(path: Path, asset: Asset) -> bool:
    try:
        return sha384(path.read_bytes()) == asset.sha384
    except OSError:
        return False


def sha384(content: bytes) -> str:
    """Return the SHA-384 hash in the form of a page's `integrity` attribute."""
    return base64.b64encode(hashlib.sha384(content).digest()).decode()


def fetch(vendor: Path) -> None:
    """Fetch all files, and replace `vendor` in one step.

    Raises: FetchFailed; then `vendor` is unchanged.
    """
    with tempfile.TemporaryDirectory(prefix="graphiql-") as downloads:
        archives = _pack(sorted({asset.package for asset in ASSETS.values()}), Path(downloads))
        fresh = Path(tempfile.mkdtemp(prefix=".vendor-", dir=vendor.parent))
        try:
            fresh.chmod(0o755)
            for name, asset in ASSETS.items():
                (fresh / name).write_bytes(_member(archives[asset.package], asset))
            _swap(fresh, vendor)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _pack(packages: list[str], folder: Path) -> dict[str, Path]:
    """Fetch the archive of each package with npm, and return its path by package."""
    try:
        npm_command = npm.command()
    except npm.NpmMissing as missing:
        raise FetchFailed(str(missing)) from missing
    archives = {}
    for package in packages:
        target = folder / package.replace("/", "-")
        target.mkdir()
        # Few retries, so that a machine without access to the registry gets the error soon.
        arguments = ["pack", package, "--pack-destination", str(target), "--loglevel=error", "--fetch-retries=1"]
        result = subprocess.run([*npm_command, *arguments], capture_output=True, text=True, cwd=folder, check=False)
        archive_paths = list(target.glob("*.tgz"))
        if result.returncode or len(archive_paths) != 1:
            raise FetchFailed(f"npm could not fetch {package}: {_reason(result.stderr)}")
        archives[package] = archive_paths[0]
    return archives


def _reason(stderr: str) -> str:
    lines = [line.removeprefix("npm error ").removeprefix("npm ERR! ") for line in stderr.splitlines()]
    informative = [line for line in lines if line.strip() and not line.startswith(DETAILS)]
    return informative[0].strip() if informative else "it gave no reason"


def _member(archive: Path, asset: Asset) -> bytes:
    try:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(asset.member)
            content = file.read() if file else b""
    except (tarfile.TarError, KeyError, OSError) as broken:
        raise FetchFailed(f"{asset.package} holds no readable {asset.member}") from broken
    if sha384(content) != asset.sha384:
        raise FetchFailed(f"{asset.member} of {asset.package} is not the file it should be: its SHA-384 differs")
    return content


def _swap(fresh: Path, vendor: Path) -> None:
    """Replace `vendor` with `fresh`.

    If another process does the same at this time, either result is complete.
    """
    old = Path(tempfile.mkdtemp(prefix=".vendor-", dir=vendor.parent))
    with suppress(FileNotFoundError):
        vendor.replace(old)
    shutil.rmtree(old, ignore_errors=True)
    try:
        fresh.replace(vendor)
    except OSError:
        if not complete(vendor):
            raise


def main() -> int:
    """Fetch the files if any is missing or wrong, and return the exit status."""
    if complete(VENDOR):
        return 0
    try:
        fetch(VENDOR)
    except (FetchFailed, OSError) as failed:
        print(f"GraphiQL page: {failed}. The API runs without it; `make assets` tries again.", file=sys.stderr)
        return 1
    print("GraphiQL page: fetched and checked.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
