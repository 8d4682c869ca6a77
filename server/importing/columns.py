"""Which column of a file is what, by the names that well-known programs give them, in English and German. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actions.people import NewPerson
from search.text import fold

HEADER_WITHIN = 20
"""The header is among the first so many records: some programs say a few words before it."""
# Without signs and spaces, in the order of preference. A column of another name is left alone.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "address": (
        *("email", "emailaddress", "emailadresse", "emailaddress1", "email1", "email1value", "email1address"),
        *("primaryemail", "workemail", "businessemail", "emailwork", "emailgeschäftlich", "mail", "mailadresse"),
        *("mailaddress", "emailaddress2", "email2", "email2value", "email2address", "emailadresse2", "email3value"),
        *("email3address", "emailadresse3", "personalemail", "emailprivat"),
    ),
    "given": ("firstname", "givenname", "forename", "vorname"),
    "family": ("lastname", "familyname", "surname", "nachname", "familienname", "zuname"),
    "full": ("fullname", "name", "displayname", "contactname", "fullnamecontact", "vollständigername", "anzeigename"),
    "title": (
        *("jobtitle", "organization1title", "organizationtitle", "position", "jobposition", "berufsbezeichnung"),
        *("stellenbezeichnung", "funktion", "title"),
    ),
    "company": (
        *("company", "companyname", "accountname", "companyaccount", "account", "organizationname", "organisationname"),
        *("organization1name", "organization", "organisation", "firma", "firmenname", "unternehmen"),
        *("unternehmensname", "associatedcompany", "employer"),
    ),
    "phone": (
        *("phone", "phonenumber", "businessphone", "workphone", "primaryphone", "directphone", "officephone"),
        *("telephone", "telefon", "telefonnummer", "telefongeschäftlich", "phone1value", "mobilephone", "mobile"),
        *("mobilephonenumber", "mobil", "mobiltelefon", "handy", "cellphone", "phone2value", "companymainphone"),
        *("homephone", "telefonprivat"),
    ),
}
_SEVERAL = " ::: "
"""Google puts several values of a kind into one field like this."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The places of what we know, each kind's in the order of preference, in a header of so many columns."""

    places: Mapping[str, tuple[int, ...]]
    width: int

    @property
    def known(self) -> int:
        """How many columns mean something to us."""
        return sum(map(len, self.places.values()))

    def too_wide(self, fields: Sequence[str]) -> bool:
        """Whether a row has values that no column is for: its columns have shifted, most likely."""
        return any(value.strip() for value in fields[self.width :])

    def person(self, fields: Sequence[str], shared: bool) -> NewPerson:
        """The person a row tells of, unchecked."""
        return NewPerson(
            first_name=self._first("given", fields),
            name=_name(*(self._first(kind, fields) for kind in ("given", "family", "full"))),
            address=self._first("address", fields),
            title=self._first("title", fields),
            company=self._first("company", fields),
            phone=self._first("phone", fields),
            shared=shared,
        )

    def _first(self, kind: str, fields: Sequence[str]) -> str:
        """The most preferred value that is there."""
        values = (fields[place].partition(_SEVERAL)[0].strip() for place in self.places[kind] if place < len(fields))
        return next(filter(None, values), "")


def columns(header: Sequence[str]) -> Columns | None:
    """What a header says; None where it names no column of addresses."""
    keys = [_key(name) for name in header]
    places = {
        kind: tuple(place for name in names for place, key in enumerate(keys) if key == name)
        for kind, names in _NAMES.items()
    }
    # Beside a job's title, "Title" is how somebody is addressed.
    places["title"] = places["title"][:1]
    return Columns(places, len(header)) if places["address"] else None


def _key(name: str) -> str:
    return "".join(char for char in fold(name) if char.isalnum())


def _name(given: str, family: str, full: str) -> str:
    """In German lists "Name" beside "Vorname" is the family's; anywhere else it is the whole."""
    if given and full and not family and not set(fold(given).split()) <= set(fold(full).split()):
        family = full
    return f"{given} {family}".strip() if family or (given and not full) else full
