"""Creates and updates teams and users for the command line."""

import re
from zoneinfo import available_timezones

from command_center.actions.context import ActionContext
from command_center.actions.inputs import check_address, check_line
from command_center.changes import log
from command_center.changes.unit_of_work import UnitOfWork
from command_center.database.connections import Row
from command_center.email_addresses import comparison_key, lookup_key
from command_center.errors import ErrorCollector, user_error
from models.enums import ChangeCauseKind, InvalidationKind, Role, UserErrorCode
from models.users import User


async def add(
    ctx: ActionContext, team: str, name: str, address: str, role: Role | None = None, time_zone: str | None = None
) -> User:
    """Create a user and, if necessary, the team.

    If a user with this address exists, it is updated.

    An absent role or time zone stays unchanged; a new user is a MEMBER in UTC. Raises: UserErrors if the input is
    invalid, or if the address belongs to a user of another team.
    """
    errors = ErrorCollector()
    team, name = check_line(errors, team, ("team",), "A team"), check_line(errors, name, ("name",), "A name")
    address = check_address(errors, address, ("address",))
    if time_zone is not None and time_zone not in available_timezones():
        errors.add(UserErrorCode.INVALID, ("time-zone",), "A time zone is named as in Europe/Berlin or UTC.")
    errors.raise_any()
    async with ctx.writer.unit_of_work() as uow:
        tx = uow.connection
        existing = await tx.fetch_one(
            "SELECT * FROM users WHERE address_folded = ?" + tx.for_update(), comparison_key(address)
        )
        team_id = await _team(uow, team)
        if existing is None:
            role, time_zone = role or Role.MEMBER, time_zone or "UTC"
            row = await tx.fetch_one(
                "INSERT INTO users (team_id, name, address, address_folded, role, time_zone, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                *(team_id, name, address, comparison_key(address), int(role), time_zone, uow.now),
            )
        else:
            role = Role(existing["role"]) if role is None else role
            row = await _update(uow, existing, team_id, name, address, role, time_zone or existing["time_zone"])
    return await User.get(id=row["id"] if row else 0)


async def _team(uow: UnitOfWork, name: str) -> int:
    """Return the key of the team with this name.

    If there is none, it is created with an empty change log.
    """
    tx = uow.connection
    row = await tx.fetch_one(
        "INSERT INTO teams (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING RETURNING id", name, uow.now
    )
    if row is not None:
        await log.create(tx, row["id"])
        return int(row["id"])
    team = await tx.fetch_one("SELECT id FROM teams WHERE name = ?", name)
    return int(team["id"]) if team else 0


async def _update(
    uow: UnitOfWork, existing: Row, team_id: int, name: str, address: str, role: Role, time_zone: str
) -> Row:
    """Update an existing user, and queue an invalidation if the role changes.

    Raises: UserErrors (TAKEN).
    """
    if existing["team_id"] != team_id:
        raise user_error(UserErrorCode.TAKEN, ("address",), "The address belongs to a user of another team.")
    await uow.connection.execute(
        "UPDATE users SET name = ?, address = ?, role = ?, time_zone = ? WHERE id = ?",
        *(name, address, int(role), time_zone, existing["id"]),
    )
    if existing["role"] != role:
        uow.invalidate(InvalidationKind.USER, team_id, existing["id"], ChangeCauseKind.ACCESS_CHANGED)
    return existing


async def find_by_address(address: str) -> User | None:
    """Return the user with an address in any spelling, or None."""
    return await User.get_or_none(address_folded=lookup_key(address))


_PERIOD = re.compile(r"P(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?")


def parse_period(period: str) -> int:
    """Return the seconds of an ISO 8601 period of days and times.

    Examples are P1D and PT12H.

    Raises: ValueError if it is not such a period, or zero.
    """
    match = _PERIOD.fullmatch(period)
    parts = [int(part) if part else 0 for part in match.groups()] if match else []
    total = sum(part * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=False))
    if total <= 0:
        raise ValueError("a period looks like P1D or PT12H")
    return total


def format_period(total: int) -> str:
    """Return a whole number of seconds as an ISO 8601 period."""
    days, remainder = divmod(total, 86400)
    units = zip("HMS", (remainder // 3600, remainder % 3600 // 60, remainder % 60), strict=True)
    time = "".join(f"{number}{unit}" for unit, number in units if number)
    return f"P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"
