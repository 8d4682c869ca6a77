"""Teams and users, as the command line makes them."""

import re
from zoneinfo import available_timezones

from command_center.actions.context import Desk
from command_center.actions.inputs import Findings
from command_center.changes import log
from command_center.changes.unit_of_work import Deed
from command_center.database.connections import Row
from command_center.email_addresses import comparison_key, lookup_key
from command_center.errors import refused
from models.enums import ChangeCauseKind, MarkKind, Role, UserErrorCode
from models.users import User


async def add(
    desk: Desk, team: str, name: str, address: str, role: Role | None = None, time_zone: str | None = None
) -> User:
    """Creates a user, and the team if there is none of that name; for a known address, revises the user.

    An absent role or time zone stays as it is; a new user is a MEMBER in UTC. Raises Refused.
    """
    findings = Findings()
    team, name = findings.line(team, ("team",), "A team"), findings.line(name, ("name",), "A name")
    address = findings.address(address, ("address",))
    if time_zone is not None and time_zone not in available_timezones():
        findings.add(UserErrorCode.INVALID, ("time-zone",), "A time zone is named as in Europe/Berlin or UTC.")
    findings.raise_any()
    async with desk.writer.deed() as deed:
        tx = deed.connection
        known = await tx.row("SELECT * FROM users WHERE address_folded = ?" + tx.locked(), comparison_key(address))
        team_id = await _team(deed, team)
        if known is None:
            role, time_zone = role or Role.MEMBER, time_zone or "UTC"
            row = await tx.row(
                "INSERT INTO users (team_id, name, address, address_folded, role, time_zone, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                *(team_id, name, address, comparison_key(address), int(role), time_zone, deed.now),
            )
        else:
            role = Role(known["role"]) if role is None else role
            row = await _update(deed, known, team_id, name, address, role, time_zone or known["time_zone"])
    return await User.get(id=row["id"] if row else 0)


async def _team(deed: Deed, name: str) -> int:
    tx = deed.connection
    row = await tx.row(
        "INSERT INTO teams (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING RETURNING id", name, deed.now
    )
    if row is not None:
        await log.create(tx, row["id"])
        return int(row["id"])
    found = await tx.row("SELECT id FROM teams WHERE name = ?", name)
    return int(found["id"]) if found else 0


async def _update(deed: Deed, known: Row, team_id: int, name: str, address: str, role: Role, time_zone: str) -> Row:
    if known["team_id"] != team_id:
        raise refused(UserErrorCode.TAKEN, ("address",), "The address belongs to a user of another team.")
    await deed.connection.run(
        "UPDATE users SET name = ?, address = ?, role = ?, time_zone = ? WHERE id = ?",
        *(name, address, int(role), time_zone, known["id"]),
    )
    if known["role"] != role:
        deed.mark(MarkKind.USER, team_id, known["id"], ChangeCauseKind.ACCESS_CHANGED)
    return known


async def by_address(address: str) -> User | None:
    """The user with an address, in any of its spellings."""
    return await User.get_or_none(address_folded=lookup_key(address))


_PERIOD = re.compile(r"P(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?")


def seconds(period: str) -> int:
    """The seconds of an ISO 8601 period of days and times, such as P1D or PT12H. Raises ValueError."""
    match = _PERIOD.fullmatch(period)
    parts = [int(part) if part else 0 for part in match.groups()] if match else []
    total = sum(part * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=False))
    if total <= 0:
        raise ValueError("a period looks like P1D or PT12H")
    return total


def period(total: int) -> str:
    """Returns a whole number of seconds as an ISO 8601 period: the inverse of `seconds`."""
    days, rest = divmod(total, 86400)
    units = zip("HMS", (rest // 3600, rest % 3600 // 60, rest % 60), strict=True)
    time = "".join(f"{number}{unit}" for unit, number in units if number)
    return f"P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"
