"""Recognises the columns of a file by their names. Pure.

It knows the English and German names that well-known programs use.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from command_center.actions.imports import ImportRow
from command_center.actions.people import NewPerson
from command_center.importing.cells import (
    UnreadableCell,
    means_not_subscribed,
    means_unsubscribed,
    read_address,
    read_opt_out,
    read_phone,
    read_text,
)
from command_center.search.text import fold


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_HEADER_RECORDS = 20
"""The header is one of the first records of this number, because some programs write a few lines before it."""
# Names without punctuation and spaces, in the order of preference. Columns with other names are ignored.
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
_VALUE_SEPARATOR = " ::: "
"""Google separates several values of one kind in a field by this."""
_DISPLAY_NAMES = ("emaildisplayname", "email2displayname", "email3displayname")
"""In these columns Outlook writes `Name (address)`. The address column may contain an Exchange address instead."""
# The names of opt-out columns contain these words, without punctuation and spaces. They come from Salesforce, HubSpot,
# Mailchimp, Marketo, Dynamics and their translations.
_OPT_OUT = (
    *("optout", "optedout", "unsubscri", "donotemail", "donotbulkemail", "donotallowemail", "donotallowbulkemail"),
    *("donotcontact", "blacklisted", "blocklisted", "abgemeldet", "abmeld", "abbestell", "keineemail", "emailsperre"),
    *("werbesperre", "désinscri", "desinscri", "désabonn", "desabonn", "dadodebaja", "bajadetodos", "noenviaremail"),
    *("canceladalasuscripción", "suscripcióncancelada", "cancelólasuscripción", "disiscri", "annullatoliscrizione"),
    *("uitgeschreven", "afgemeld", "descadastrad", "cancelouainscrição", "nãoenviaremail", "suppressed"),
    *("keinemail", "keinewerbung", "keinnewsletter", "keinenewsletter", "werbeverbot", "widerspruch", "widersprochen"),
    *("nichtkontaktieren", "nichtanschreiben", "emailgesperrt", "mailsperre", "kontaktsperre", "kontaktverbot"),
    *("refusemail", "refusdemail", "nepasenvoyer", "nepascontacter", "desuscri", "fechadebaja", "nocontactar"),
    *("noncontattare", "noninviareemail", "nãocontatar", "nietmailen", "nietcontacteren", "geenemail"),
    *("donotmarket", "marketingsuspended"),
)
_NOT_OPT_OUT = _words(
    "reason grund motif motivo campaign kampagne title id count number anzahl url link source by call calls phone sms"
    " fax whatsapp postal mobile text comment comments note notes ip page token rate"
)
"""A column whose name contains one of these words describes an opt-out, or concerns something other than email."""
_EXACT_OPT_OUT = _words("baja noemail noemails nomarketing nonewsletter")
"""These names of opt-out columns must match exactly, because they are also parts of unrelated words."""
_STATE_NAMES = _words("memberstatus status leadstatus")
_STATE_ENDINGS = (
    *("subscriptionstatus", "subscriberstatus", "emailstatus", "marketingstatus", "marketingconsent"),
    *("emailpermission", "emailconsent"),
)
_OPT_IN_NAMES = _words(
    "subscribed issubscribed emailsubscribed acceptsmarketing acceptsemailmarketing emailpermission emailallowed"
)
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")
T = TypeVar("T")
_OPT_OUT_KINDS = ("opted_out", "state", "subscribed")


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Holds the indexes of the recognised columns of a header.

    `places` maps each kind to its columns, in the order of preference. `width` is the number of columns of the header,
    and `names` holds their names.
    """

    places: Mapping[str, tuple[int, ...]]
    width: int
    names: Sequence[str] = ()

    @property
    def recognised_count(self) -> int:
        """Return the number of recognised columns."""
        return sum(map(len, self.places.values()))

    def too_wide(self, fields: Sequence[str]) -> bool:
        """Return whether a row has values beyond the last column of the header.

        Its values have probably shifted into wrong columns.
        """
        return any(value.strip() for value in fields[self.width :])

    def row(self, line: int, fields: Sequence[str], shared: bool) -> ImportRow:
        """Return the person in a row, not yet validated.

        The row has a fault if one of its cells cannot be read.
        """
        reader = _CellReader()
        new = NewPerson(
            first_name=self._first("given", fields),
            name=_full_name(*(self._first(kind, fields) for kind in ("given", "family", "full"))),
            address=reader.value(lambda: self._address(fields), ""),
            title=self._first("title", fields),
            company=self._first("company", fields),
            phone=reader.value(lambda: self._first("phone", fields, read_phone), ""),
            shared=shared,
        )
        opted_out = reader.value(lambda: self._opted_out(fields), False)
        return ImportRow(line, new, opted_out, " ".join(reader.errors) or None)

    def _opted_out(self, fields: Sequence[str]) -> bool:
        """Return whether any column means that the person must not be emailed.

        Raises: UnreadableCell.
        """
        cells = {
            kind: [(index, fields[index]) for index in self.places[kind] if index < len(fields)]
            for kind in _OPT_OUT_KINDS
        }
        opted_out = any(means_unsubscribed(cell) for _, cell in cells["state"])
        opted_out |= any(means_not_subscribed(cell) for _, cell in cells["subscribed"])
        unreadable: UnreadableCell | None = None
        for index, cell in cells["opted_out"]:
            try:
                opted_out |= read_opt_out(cell, self.names[index])
            except UnreadableCell as exc:
                unreadable = exc
        if unreadable is not None and not opted_out:
            raise unreadable
        return opted_out

    def _first(self, kind: str, fields: Sequence[str], read: Callable[[str], str] = read_text) -> str:
        """Return the first non-empty value in the columns of a kind, read by `read`.

        The columns are in the order of preference. The result is empty if there is no value. Raises: UnreadableCell.
        """
        values = (
            read(fields[index].partition(_VALUE_SEPARATOR)[0]) for index in self.places[kind] if index < len(fields)
        )
        return next(filter(None, values), "")

    def _address(self, fields: Sequence[str]) -> str:
        """Return the most preferred address in a row, or an empty text if it has none.

        Raises: UnreadableCell if the row has only addresses that work inside Exchange.
        """
        internal: UnreadableCell | None = None
        for index in self.places["address"]:
            try:
                address = read_address(fields[index].partition(_VALUE_SEPARATOR)[0]) if index < len(fields) else ""
            except UnreadableCell as exc:
                internal = internal or exc
            else:
                if address:
                    return address
        if internal is not None:
            for index in self.places["display"]:
                with suppress(UnreadableCell):
                    address = read_address(fields[index]) if index < len(fields) else ""
                    if "@" in address:
                        return address
            raise internal
        return ""


class _CellReader:
    """Reads the cells of a row and collects their errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def value(self, read: Callable[[], T], default: T) -> T:
        """Return the result of `read`, or the default if the cell cannot be read."""
        try:
            return read()
        except UnreadableCell as exc:
            self.errors.append(str(exc))
            return default


def recognise_columns(header: Sequence[str]) -> ColumnMapping | None:
    """Return the recognised columns of a header.

    The result is None if no column contains addresses.
    """
    header = _without_empty_end(header)
    by_key: dict[str, list[int]] = {}
    for index, name in enumerate(header):
        by_key.setdefault(_key(name), []).append(index)
    places = {kind: tuple(index for name in names for index in by_key.get(name, ())) for kind, names in _NAMES.items()}
    places["display"] = tuple(index for name in _DISPLAY_NAMES for index in by_key.get(name, ()))
    for index, name in enumerate(header):
        kind_of_column = _opt_out_kind(name)
        if kind_of_column is not None:
            places[kind_of_column] = (*places.get(kind_of_column, ()), index)
    places |= {kind: () for kind in _OPT_OUT_KINDS if kind not in places}
    # If there is a column for the job title, a column "Title" contains the form of address, such as Dr.
    places["title"] = places["title"][:1]
    return ColumnMapping(places, len(header), tuple(map(read_text, header))) if places["address"] else None


def _without_empty_end(header: Sequence[str]) -> Sequence[str]:
    """Remove the empty columns at the end.

    Spreadsheets may export thousands of them.
    """
    width = len(header)
    while width and not header[width - 1].strip():
        width -= 1
    return header[:width]


def _opt_out_kind(name: str) -> str | None:
    """Return the kind of an opt-out column by its name, or None for another column.

    The kinds are those in _OPT_OUT_KINDS, such as `state`.
    """
    key = _key(name)
    if key in _OPT_IN_NAMES:
        return "subscribed"
    if key in _STATE_NAMES or key.endswith(_STATE_ENDINGS):
        return "state"
    if key not in _EXACT_OPT_OUT and not key.startswith("unsub") and not any(part in key for part in _OPT_OUT):
        return None
    is_other = key.endswith("grund") or not _NOT_OPT_OUT.isdisjoint(map(fold, _WORD.findall(name)))
    return None if is_other else "opted_out"


def _key(name: str) -> str:
    return "".join(char for char in fold(name) if char.isalnum())


def _full_name(given: str, family: str, full: str) -> str:
    """Return the full name.

    In German lists "Name" next to "Vorname" is the family name, otherwise the full name.
    """
    if given and full and not family and not set(fold(given).split()) <= set(fold(full).split()):
        family = full
    return f"{given} {family}".strip() if family or (given and not full) else full
