"""Whether an email may leave at all: an unsubscribed person, a blocked domain or an ended campaign says no.

A blocked domain stands for its subdomains too, and for its spellings: `bücher.example` is `xn--bcher-kva.example`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from command_center.actions import transitions
from command_center.actions.context import Limits
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection, Row
from command_center.email_addresses import distinct, domain_of, lookup_key, lower_numbered_keys
from models.emails import addresses
from models.enums import FailureCode

Pair = tuple[int, int | None]
"""The person an email is to, and the campaign it is part of."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why an email does not leave."""

    code: FailureCode
    message: str


async def find_suppressions(
    connection: Connection, limits: Limits, pairs: Iterable[Pair], locked: bool = False
) -> dict[Pair, Suppression]:
    """Why nothing may be sent to these people as part of these campaigns; without those it may be sent to.

    Locked, nobody is unsubscribed before the transaction ends.
    """
    asked = set(pairs)
    people = await _people(connection, {person for person, _ in asked}, locked)
    ended = await _ended(connection, {campaign for _, campaign in asked if campaign is not None})
    found = {pair: _reason(people.get(pair[0]), pair[1] in ended, limits) for pair in asked}
    return {pair: no for pair, no in found.items() if no is not None}


async def _people(connection: Connection, ids: Collection[int], locked: bool = False) -> dict[int, Row]:
    if not ids:
        return {}
    rows = await connection.fetch(
        "SELECT id, address, address_folded, unsubscribed_at FROM people"
        f" WHERE {connection.in_any('id')} ORDER BY id" + (connection.for_update("SHARE") if locked else ""),
        connection.array_param(ids),
    )
    return {row["id"]: row for row in rows}


async def lock_recipient_and_campaign(connection: Connection, email_id: int) -> None:
    """Locks whom an email is to and what it is part of, before the email itself, as whoever unsubscribes the one or
    ends the other does: either they find the email scheduled, or it finds them unsubscribed and ended."""
    row = await connection.fetch_one("SELECT person_id, campaign_id FROM emails WHERE id = ?", email_id)
    if row is not None:
        await connection.fetch_one(
            "SELECT id FROM campaigns WHERE id = ?" + connection.for_update("SHARE"), row["campaign_id"]
        )
        await connection.fetch_one(
            "SELECT id FROM people WHERE id = ?" + connection.for_update("SHARE"), row["person_id"]
        )


async def hold_back(uow: UnitOfWork, limits: Limits, rows: Sequence[Row]) -> list[Row]:
    """Fails those of the emails, which must be locked, that may not leave; returns the others, in their order."""
    tx = uow.connection
    people = await _people(tx, {row["person_id"] for row in rows})
    ended = await _ended(tx, {row["campaign_id"] for row in rows if row["campaign_id"] is not None})
    unsubscribed = await _unsubscribed_copies(tx, rows)
    held: dict[Suppression, list[Row]] = {}
    free: list[Row] = []
    for row in rows:
        person = people.get(row["person_id"])
        no = _reason(person, row["campaign_id"] in ended, limits) or _copied(row, unsubscribed, limits)
        if no is None and person is not None:
            no = await _sent_to_duplicate(uow, row, person)
        (free if no is None else held.setdefault(no, [])).append(row)
    for no, failed in held.items():
        await transitions.change(uow, failed, transitions.failure(no.code, no.message, uow.now))
    return free


def unsubscribed_message(address: str) -> str:
    return f"{address} has unsubscribed."


async def _sent_to_duplicate(uow: UnitOfWork, row: Row, person: Row) -> Suppression | None:
    """Why an email to a duplicate does not leave: its bulk send goes to another person with the same address.

    New bulk sends leave duplicates out; one that was scheduled before they became duplicates may contain them.
    """
    lower = lower_numbered_keys(person["address_folded"])
    if not lower:
        return None
    tx = uow.connection
    other = await tx.fetch_one(
        "SELECT s.id FROM emails e JOIN emails s ON s.bulk_send_id = e.bulk_send_id JOIN people p ON p.id = s.person_id"
        f" WHERE e.id = ? AND p.team_id = e.team_id AND {tx.in_texts('p.address_folded')} LIMIT 1",
        *(row["id"], tx.text_array(lower)),
    )
    if other is None:
        return None
    message = f"This bulk send goes to another person with the address {person['address']}."
    return Suppression(FailureCode.CHANNEL_REFUSED, message)


async def _unsubscribed_copies(connection: Connection, rows: Sequence[Row]) -> set[tuple[int, str]]:
    """Return team and comparison key of each unsubscribed person who has an address among the copies of the emails."""
    keys = {(row["team_id"], lookup_key(address)) for row in rows for address in copies_of(row)}
    if not keys:
        return set()
    found = await connection.fetch(
        f"SELECT team_id, address_folded FROM people WHERE {connection.in_any('team_id')}"
        f" AND {connection.in_texts('address_folded')} AND unsubscribed_at IS NOT NULL",
        connection.array_param({team for team, _ in keys}),
        connection.text_array({key for _, key in keys}),
    )
    return {(row["team_id"], row["address_folded"]) for row in found} & keys


def _copied(row: Row, unsubscribed: Collection[tuple[int, str]], limits: Limits) -> Suppression | None:
    """Why an email does not leave because of its copies: each of them is a message too."""
    copies = copies_of(row)
    for address in copies:
        domain = domain_of(address)
        if _blocked(domain, limits.blocked_domains):
            return Suppression(
                FailureCode.BLOCKED_DOMAIN, f"Nothing is sent to {domain}, not even a copy to {address}."
            )
        if (row["team_id"], lookup_key(address)) in unsubscribed:
            return Suppression(FailureCode.UNSUBSCRIBED, f"A copy would go to {address}, who has unsubscribed.")
    # Emails from before these limits, or from before they were lowered.
    if len(copies) > limits.copies:
        return Suppression(FailureCode.CHANNEL_REFUSED, too_many_copies(len(copies), limits))
    if 1 + len(copies) > limits.emails_per_day:
        return Suppression(FailureCode.CHANNEL_REFUSED, too_many_recipients(1 + len(copies), limits))
    return None


def copies_of(row: Row) -> tuple[str, ...]:
    """Return the cc and bcc of an email, each address once in whatever spelling."""
    return distinct((*addresses(row["cc"]), *addresses(row["bcc"])))


def too_many_copies(number: int, limits: Limits) -> str:
    return f"An email may have at most {limits.copies} cc and bcc together, not {number}."


def too_many_recipients(number: int, limits: Limits) -> str:
    return f"Each cc and bcc counts, and at most {limits.emails_per_day} emails leave in a day: {number} are too many."


async def _ended(connection: Connection, campaigns: set[int]) -> set[int]:
    if not campaigns:
        return set()
    rows = await connection.fetch(
        f"SELECT id FROM campaigns WHERE {connection.in_any('id')} AND ended_at IS NOT NULL",
        connection.array_param(campaigns),
    )
    return {row["id"] for row in rows}


def _reason(person: Row | None, ended: bool, limits: Limits) -> Suppression | None:
    if person is None or person["unsubscribed_at"] is not None:
        return Suppression(
            FailureCode.UNSUBSCRIBED, unsubscribed_message(person["address"] if person else "The person")
        )
    domain = domain_of(person["address"])
    if _blocked(domain, limits.blocked_domains):
        message = f"Nothing is sent to {domain}, so not to {person['address']}."
        return Suppression(FailureCode.BLOCKED_DOMAIN, message)
    return Suppression(FailureCode.CAMPAIGN_ENDED, "The campaign has ended.") if ended else None


def _blocked(domain: str, blocked: frozenset[str]) -> bool:
    """Whether a domain is on the list, or lies below one that is."""
    while domain and domain not in blocked:
        domain = domain.partition(".")[2]
    return bool(domain)
