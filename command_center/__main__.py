"""Defines the entry point of `command-center` and `python -m command_center`.

The API's three packages `schema`, `resolvers` and `models` are at the root of the repository. The wheel contains them
inside this package, so that it installs nothing else at the top level and cannot overwrite the files of another
distribution. In both cases this module puts their folder first on the import path.
"""

import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
BUNDLED = PACKAGE / "api_layers"


def add_api_layers() -> None:
    """Make `schema`, `resolvers` and `models` importable.

    They take precedence over other installed packages with these names.
    """
    folder = str(BUNDLED if BUNDLED.is_dir() else PACKAGE.parent)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


def main() -> None:
    """Run the command line."""
    add_api_layers()
    # Imported here because it imports the API's packages.
    from command_center.server import cli

    cli.main()


if __name__ == "__main__":
    main()
