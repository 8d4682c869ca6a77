"""Reads long PostgreSQL statements with named parameters from `.sql` files."""

import re
from importlib.resources import files

# A cast has two colons.
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def read_sql(package: str, name: str) -> str:
    """Return the text of a `.sql` file in a package, without its comments.

    The comments must be lines of their own.
    """
    lines = files(package).joinpath(name).read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("--"))


class NamedStatement:
    """A PostgreSQL statement with named parameters such as `:name`.

    Each parameter may occur more than once. `sql` is the statement with numbered parameters instead.
    """

    def __init__(self, text: str) -> None:
        self._names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        numbers = {name: f"${number}" for number, name in enumerate(self._names, 1)}
        self.sql = _PARAMETER.sub(lambda parameter: numbers[parameter[1]], text)

    def values(self, **values: object) -> list[object]:
        """Return the values of the parameters in the order of their numbers in `sql`.

        Values of other names are left out.
        """
        return [values[name] for name in self._names]
