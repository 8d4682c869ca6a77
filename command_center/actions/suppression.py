"""Decides whether an email may be sent.

None is sent to an unsubscribed person or a blocked domain, nor for an ended campaign.

A blocked domain includes its subdomains and its other spelling: `bücher.example` is `xn--bcher-kva.example`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from command_center.actions import transitions
from command_center.actions.context import Limits
from command_center.actions.email_rows import AddressedEmail
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Connection, Row
from command_center.email_addresses import distinct_addresses, domain_of, lookup_key, lower_numbered_keys
from models.emails import addresses
from models.enums import FailureCode

PersonAndCampaign = tuple[int, int | None]
"""The keys of an email's recipient and of its campaign."""
Addressed = TypeVar("Addressed", bound=AddressedEmail)


@dataclass(frozen=True, slots=True)
class Suppression:
    """The reason why an email is not sent."""

    code: FailureCode
    message: str


async def find_suppressions(
    connection: Connection, limits: Limits, pairs: Iterable[PersonAndCampaign], locked: bool = False
) -> dict[PersonAndCampaign, Suppression]:
    """Return the suppressions among these pairs of recipient and campaign.

    A pair without one may be sent to.

    `locked` locks the people, so that none of them is unsubscribed before the transaction ends.
    """
    unique = set(pairs)
    people = await _people(connection, {person for person, _ in unique}, locked)
    ended = await _ended_campaigns(connection, {campaign for _, campaign in unique if campaign is not None})
    suppressions = {pair: _suppression_by_recipient(people.get(pair[0]), pair[1] in ended, limits) for pair in unique}
    return {pair: suppression for pair, suppression in suppressions.items() if suppression is not None}


async def _people(connection: Connection, ids: Collection[int], locked: bool = False) -> dict[int, Row]:
    """Return people by id, and lock them if `locked`."""
    if not ids:
        return {}
    rows = await connection.fetch(
        "SELECT id, address, address_folded, unsubscribed_at FROM people"
        f" WHERE {connection.in_any('id')} ORDER BY id" + (connection.for_update("SHARE") if locked else ""),
        connection.array_param(ids),
    )
    return {row["id"]: row for row in rows}


async def lock_recipient_and_campaign(connection: Connection, email_id: int) -> None:
    """Lock the campaign and the recipient of an email.

    This must happen before the email itself is locked.

    Unsubscribing a person or ending a campaign locks in the same order. Thus either that action finds the email
    scheduled, or scheduling the email finds the suppression.
    """
    row = await connection.fetch_one("SELECT person_id, campaign_id FROM emails WHERE id = ?", email_id)
    if row is not None:
        await connection.fetch_one(
            "SELECT id FROM campaigns WHERE id = ?" + connection.for_update("SHARE"), row["campaign_id"]
        )
        await connection.fetch_one(
            "SELECT id FROM people WHERE id = ?" + connection.for_update("SHARE"), row["person_id"]
        )


async def fail_suppressed(uow: UnitOfWork, limits: Limits, rows: Sequence[Addressed]) -> list[Addressed]:
    """Set these locked emails to FAILED if they must not be sent.

    Returns the other emails in their order.
    """
    tx = uow.connection
    people = await _people(tx, {row["person_id"] for row in rows})
    ended = await _ended_campaigns(tx, {row["campaign_id"] for row in rows if row["campaign_id"] is not None})
    unsubscribed = await _unsubscribed_copies(tx, rows)
    suppressed: dict[Suppression, list[Addressed]] = {}
    sendable: list[Addressed] = []
    for row in rows:
        person = people.get(row["person_id"])
        suppression = _suppression_by_recipient(person, row["campaign_id"] in ended, limits)
        suppression = suppression or _suppression_by_copies(row, unsubscribed, limits)
        if suppression is None and person is not None:
            suppression = await _sent_to_duplicate(uow, row, person)
        (sendable if suppression is None else suppressed.setdefault(suppression, [])).append(row)
    for suppression, failed in suppressed.items():
        await transitions.update_emails(
            uow, failed, transitions.failure_columns(suppression.code, suppression.message, uow.now)
        )
    return sendable


def unsubscribed_message(address: str) -> str:
    """Return the failure message of an email to a person who has unsubscribed."""
    return f"{address} has unsubscribed."


async def _sent_to_duplicate(uow: UnitOfWork, row: AddressedEmail, person: Row) -> Suppression | None:
    """Return a suppression if a bulk send also goes to a duplicate of the person.

    A duplicate is another person with the same address.

    New bulk sends leave duplicates out; one that was scheduled before they became duplicates may contain them.
    """
    lower = lower_numbered_keys(person["address_folded"])
    if not lower:
        return None
    tx = uow.connection
    other = await tx.fetch_one(
        "SELECT s.id FROM emails e JOIN emails s ON s.bulk_send_id = e.bulk_send_id JOIN people p ON p.id = s.person_id"
        f" WHERE e.id = ? AND p.team_id = e.team_id AND {tx.in_texts('p.address_folded')} LIMIT 1",
        *(row["id"], tx.text_array_param(lower)),
    )
    if other is None:
        return None
    message = f"This bulk send goes to another person with the address {person['address']}."
    return Suppression(FailureCode.CHANNEL_REFUSED, message)


async def _unsubscribed_copies(connection: Connection, rows: Sequence[AddressedEmail]) -> set[tuple[int, str]]:
    """Return the unsubscribed people in the cc or bcc of these emails.

    Each tuple of the result is a person's team and the comparison key of the address.
    """
    keys = {(row["team_id"], lookup_key(address)) for row in rows for address in copies_of(row)}
    if not keys:
        return set()
    rows_of_people = await connection.fetch(
        f"SELECT team_id, address_folded FROM people WHERE {connection.in_any('team_id')}"
        f" AND {connection.in_texts('address_folded')} AND unsubscribed_at IS NOT NULL",
        connection.array_param({team for team, _ in keys}),
        connection.text_array_param({key for _, key in keys}),
    )
    return {(row["team_id"], row["address_folded"]) for row in rows_of_people} & keys


def _suppression_by_copies(
    row: AddressedEmail, unsubscribed: Collection[tuple[int, str]], limits: Limits
) -> Suppression | None:
    """Return the suppression caused by an email's cc and bcc addresses, or None.

    Copies are sent as messages of their own. `unsubscribed` holds the teams and comparison keys of unsubscribed people.
    """
    copies = copies_of(row)
    for address in copies:
        domain = domain_of(address)
        if _is_blocked(domain, limits.blocked_domains):
            return Suppression(
                FailureCode.BLOCKED_DOMAIN, f"Nothing is sent to {domain}, not even a copy to {address}."
            )
        if (row["team_id"], lookup_key(address)) in unsubscribed:
            return Suppression(FailureCode.UNSUBSCRIBED, f"A copy would go to {address}, who has unsubscribed.")
    # An email may be older than these limits or their present values.
    if len(copies) > limits.copies:
        return Suppression(FailureCode.CHANNEL_REFUSED, too_many_copies(len(copies), limits))
    if 1 + len(copies) > limits.emails_per_day:
        return Suppression(FailureCode.CHANNEL_REFUSED, too_many_recipients(1 + len(copies), limits))
    return None


def copies_of(row: AddressedEmail) -> tuple[str, ...]:
    """Return the cc and bcc addresses of an email.

    Duplicates in another spelling are left out.
    """
    return distinct_addresses((*addresses(row["cc"]), *addresses(row["bcc"])))


def too_many_copies(number: int, limits: Limits) -> str:
    """Return the error message for more cc and bcc addresses than are allowed."""
    return f"An email may have at most {limits.copies} cc and bcc together, not {number}."


def too_many_recipients(number: int, limits: Limits) -> str:
    """Return the error message for more recipients than a user may reach in a day."""
    return f"Each cc and bcc counts, and at most {limits.emails_per_day} emails leave in a day: {number} are too many."


async def _ended_campaigns(connection: Connection, campaigns: set[int]) -> set[int]:
    """Return those of the campaigns that have ended."""
    if not campaigns:
        return set()
    rows = await connection.fetch(
        f"SELECT id FROM campaigns WHERE {connection.in_any('id')} AND ended_at IS NOT NULL",
        connection.array_param(campaigns),
    )
    return {row["id"] for row in rows}


def _suppression_by_recipient(person: Row | None, ended: bool, limits: Limits) -> Suppression | None:
    """Return the suppression caused by an email's recipient or campaign, or None.

    `ended` means that the campaign has ended.
    """
    if person is None or person["unsubscribed_at"] is not None:
        return Suppression(
            FailureCode.UNSUBSCRIBED, unsubscribed_message(person["address"] if person else "The person")
        )
    domain = domain_of(person["address"])
    if _is_blocked(domain, limits.blocked_domains):
        message = f"Nothing is sent to {domain}, so not to {person['address']}."
        return Suppression(FailureCode.BLOCKED_DOMAIN, message)
    return Suppression(FailureCode.CAMPAIGN_ENDED, "The campaign has ended.") if ended else None


def _is_blocked(domain: str, blocked: frozenset[str]) -> bool:
    """Return whether a domain or one of its parent domains is blocked."""
    while domain and domain not in blocked:
        domain = domain.partition(".")[2]
    return bool(domain)
