"""Which column of a file is what, by the names that well-known programs give them, in English and German. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from command_center.actions.imports import Row
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
_DISPLAY_NAMES = ("emaildisplayname", "email2displayname", "email3displayname")
"""Where Outlook puts `Name (address)`, the address itself being one inside Exchange."""
# What the name of a column of opt-outs contains, without signs and spaces, as Salesforce, HubSpot, Mailchimp, Marketo,
# Dynamics and their translations name it.
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
"""Words in the name of a column that only says more about opt-outs, or is about something else than email."""
_WHOLE_OPT_OUT = _words("baja noemail noemails nomarketing nonewsletter")
"""Names of columns of opt-outs that are parts of words for other things."""
_STATES = _words("memberstatus status leadstatus")
_STATE_ENDINGS = (
    *("subscriptionstatus", "subscriberstatus", "emailstatus", "marketingstatus", "marketingconsent"),
    *("emailpermission", "emailconsent"),
)
_SUBSCRIBED = _words(
    "subscribed issubscribed emailsubscribed acceptsmarketing acceptsemailmarketing emailpermission emailallowed"
)
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")
T = TypeVar("T")
_FLAGS = ("opted_out", "state", "subscribed")


@dataclass(frozen=True, slots=True)
class Columns:
    """The places of what we know, each kind's in the order of preference, in a header of so many columns."""

    places: Mapping[str, tuple[int, ...]]
    width: int
    names: Sequence[str] = ()

    @property
    def known(self) -> int:
        """How many columns mean something to us."""
        return sum(map(len, self.places.values()))

    def too_wide(self, fields: Sequence[str]) -> bool:
        """Whether a row has values that no column is for: its columns have shifted, most likely."""
        return any(value.strip() for value in fields[self.width :])

    def row(self, line: int, fields: Sequence[str], shared: bool) -> Row:
        """What a row says, unchecked, with a fault if one of its cells cannot be read."""
        reading = _Reading()
        new = NewPerson(
            first_name=self._first("given", fields),
            name=_name(*(self._first(kind, fields) for kind in ("given", "family", "full"))),
            address=reading.value(lambda: self._address(fields), ""),
            title=self._first("title", fields),
            company=self._first("company", fields),
            phone=reading.value(lambda: self._first("phone", fields, read_phone), ""),
            shared=shared,
        )
        opted_out = reading.value(lambda: self._opted_out(fields), False)
        return Row(line, new, opted_out, " ".join(reading.faults) or None)

    def _opted_out(self, fields: Sequence[str]) -> bool:
        """Whether any column says that the person must not be written to. Raises UnreadableCell."""
        cells = {
            kind: [(place, fields[place]) for place in self.places[kind] if place < len(fields)] for kind in _FLAGS
        }
        found = any(means_unsubscribed(cell) for _, cell in cells["state"])
        found |= any(means_not_subscribed(cell) for _, cell in cells["subscribed"])
        unreadable: UnreadableCell | None = None
        for place, cell in cells["opted_out"]:
            try:
                found |= read_opt_out(cell, self.names[place])
            except UnreadableCell as exc:
                unreadable = exc
        if unreadable is not None and not found:
            raise unreadable
        return found

    def _first(self, kind: str, fields: Sequence[str], read: Callable[[str], str] = read_text) -> str:
        """The most preferred value that is there. Raises UnreadableCell."""
        values = (read(fields[place].partition(_SEVERAL)[0]) for place in self.places[kind] if place < len(fields))
        return next(filter(None, values), "")

    def _address(self, fields: Sequence[str]) -> str:
        """The most preferred address; one inside Exchange only if there is no other. Raises UnreadableCell."""
        internal: UnreadableCell | None = None
        for place in self.places["address"]:
            try:
                address = read_address(fields[place].partition(_SEVERAL)[0]) if place < len(fields) else ""
            except UnreadableCell as exc:
                internal = internal or exc
            else:
                if address:
                    return address
        if internal is not None:
            for place in self.places["display"]:
                with suppress(UnreadableCell):
                    address = read_address(fields[place]) if place < len(fields) else ""
                    if "@" in address:
                        return address
            raise internal
        return ""


class _Reading:
    """Collects what is wrong with the cells of a row."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def value(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except UnreadableCell as exc:
            self.faults.append(str(exc))
            return otherwise


def columns(header: Sequence[str]) -> Columns | None:
    """What a header says; None where it names no column of addresses."""
    header = _without_empty_end(header)
    by_key: dict[str, list[int]] = {}
    for place, name in enumerate(header):
        by_key.setdefault(_key(name), []).append(place)
    places = {kind: tuple(place for name in names for place in by_key.get(name, ())) for kind, names in _NAMES.items()}
    places["display"] = tuple(place for name in _DISPLAY_NAMES for place in by_key.get(name, ()))
    for place, name in enumerate(header):
        flag = _flag(name)
        if flag is not None:
            places[flag] = (*places.get(flag, ()), place)
    places |= {kind: () for kind in _FLAGS if kind not in places}
    # Beside a job's title, "Title" is how somebody is addressed.
    places["title"] = places["title"][:1]
    return Columns(places, len(header), tuple(map(read_text, header))) if places["address"] else None


def _without_empty_end(header: Sequence[str]) -> Sequence[str]:
    """Spreadsheets export thousands of empty columns behind the last one."""
    width = len(header)
    while width and not header[width - 1].strip():
        width -= 1
    return header[:width]


def _flag(name: str) -> str | None:
    """Return which of _FLAGS a column is, if any."""
    key = _key(name)
    if key in _SUBSCRIBED:
        return "subscribed"
    if key in _STATES or key.endswith(_STATE_ENDINGS):
        return "state"
    if key not in _WHOLE_OPT_OUT and not key.startswith("unsub") and not any(part in key for part in _OPT_OUT):
        return None
    about = key.endswith("grund") or not _NOT_OPT_OUT.isdisjoint(map(fold, _WORD.findall(name)))
    return None if about else "opted_out"


def _key(name: str) -> str:
    return "".join(char for char in fold(name) if char.isalnum())


def _name(given: str, family: str, full: str) -> str:
    """In German lists "Name" beside "Vorname" is the family's; anywhere else it is the whole."""
    if given and full and not family and not set(fold(given).split()) <= set(fold(full).split()):
        family = full
    return f"{given} {family}".strip() if family or (given and not full) else full
