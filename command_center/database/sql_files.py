"""Long PostgreSQL statements: they are read from `.sql` files, and their parameters have names."""

import re
from importlib.resources import files

# A cast has two colons.
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def read_sql(package: str, name: str) -> str:
    """Return the text of a `.sql` file in a package, without its comments, which must be lines of their own."""
    lines = files(package).joinpath(name).read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("--"))


class NamedStatement:
    """A PostgreSQL statement with parameters such as `:name`. Each may occur more than once.

    `sql` is the statement with numbered parameters instead.
    """

    def __init__(self, text: str) -> None:
        self._names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        numbers = {name: f"${number}" for number, name in enumerate(self._names, 1)}
        self.sql = _PARAMETER.sub(lambda parameter: numbers[parameter[1]], text)

    def values(self, **values: object) -> list[object]:
        """Return the values of the parameters in their order. Values of other names are left out."""
        return [values[name] for name in self._names]
