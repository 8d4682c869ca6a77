"""Finds rows by the global ids in a request, and checks the viewer's access.

A row that the viewer cannot see results in NOT_FOUND, exactly as one that does not exist.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypedDict, TypeVar, cast

from command_center import ids as global_ids
from command_center.actions.email_rows import LockedEmail
from command_center.database.connections import Connection
from command_center.errors import ErrorCollector, InputPath
from models.enums import InvalidationKind, SavedSearchState, UserErrorCode
from models.viewers import Viewer
from models.visibility import visible_keys


class RowWithId(TypedDict):
    """A row with its primary key."""

    id: int


KeyedRow = TypeVar("KeyedRow", bound=RowWithId)
EMAIL_COLUMNS = "id, team_id, sender_id, person_id, campaign_id, status, archived, claimed_at, message_id, cc, bcc"


async def visible_key(
    viewer: Viewer, noun: str, text: str | None, path: InputPath, errors: ErrorCollector
) -> int | None:
    """Return the primary key that a global id names if the viewer can see the row.

    `text` is the global id, and `noun` the GraphQL type that it must have. If the viewer cannot see such a row, returns
    None and adds a NOT_FOUND error at `path`. If `text` is None, returns None without an error.
    """
    if text is None:
        return None
    key = global_ids.decode_key(noun, text)
    if key is not None and key in (await visible_keys(viewer, [(noun, key)])).get(noun, ()):
        return key
    errors.add(UserErrorCode.NOT_FOUND, path, f"There is no such {noun.lower()}.")
    return None


_LIST = (
    "SELECT s.state, EXISTS"
    f" (SELECT 1 FROM invalidations k WHERE k.kind = {int(InvalidationKind.SEARCH)} AND k.subject_id = s.id)"
    " AS is_backfilling FROM saved_searches s WHERE s.id = ? AND s.team_id = ? AND s.owner_id = ?"
)


async def lock_complete_list(connection: Connection, viewer: Viewer, search_id: str, errors: ErrorCollector) -> int:
    """Lock one of the viewer's own lists against refinement, and return its key.

    Adds a NOT_FOUND error if the viewer has no such list. Adds WRONG_STATE during the backfill, when the list contains
    only some of its emails.
    """
    path = ("savedSearchId",)
    key = global_ids.decode_key("SavedSearch", search_id) or 0
    row = await connection.fetch_one(_LIST + connection.for_update("SHARE OF s"), key, viewer.team_id, viewer.user_id)
    if row is None:
        errors.add(UserErrorCode.NOT_FOUND, path, "There is no such saved search.")
    elif row["state"] != SavedSearchState.LIVE or row["is_backfilling"]:
        errors.add(UserErrorCode.WRONG_STATE, path, "The list is being filled: try again shortly.")
    return key


def paths_by_id(ids: Sequence[str], path: str = "ids") -> dict[str, InputPath]:
    """Return each distinct id with the path of its first occurrence in the input.

    `path` is the name of the argument that holds the ids.
    """
    paths: dict[str, InputPath] = {}
    for index, text in enumerate(ids):
        paths.setdefault(text, (path, str(index)))
    return paths


async def rows_in_request_order(
    noun: str,
    paths: Mapping[str, InputPath],
    rows_of: Callable[[Sequence[int]], Awaitable[Iterable[KeyedRow]]],
    errors: ErrorCollector,
) -> list[KeyedRow]:
    """Return the rows with these global ids, in request order.

    `paths` maps each global id of the type `noun` to its path in the input. `rows_of` queries the rows with a list of
    keys. An id that has no row adds a NOT_FOUND error at its path.
    """
    keys = {text: global_ids.decode_key(noun, text) for text in paths}
    rows = {row["id"]: row for row in await rows_of(sorted({key for key in keys.values() if key is not None}))}
    for text, path in paths.items():
        if keys[text] not in rows:
            errors.add(UserErrorCode.NOT_FOUND, path, f"There is no such {noun.lower()}.")
    return [rows[key] for key in keys.values() if key in rows]


async def lock_own_emails(
    connection: Connection, viewer: Viewer, paths: dict[str, InputPath], errors: ErrorCollector
) -> list[tuple[LockedEmail, InputPath]]:
    """Lock the viewer's own emails among those with these global ids.

    `paths` maps each global id to its path in the input. Returns each locked row with its path.

    Each other id adds an error: FORBIDDEN for a colleague's email that an admin can see, otherwise NOT_FOUND.
    """
    keys = {text: global_ids.decode_key("Email", text) for text in paths}
    rows = await lock_emails(connection, (key for key in keys.values() if key is not None))
    own: list[tuple[LockedEmail, InputPath]] = []
    for text, path in paths.items():
        row = rows.get(keys[text] or 0)
        if row is None or row["team_id"] != viewer.team_id:
            errors.add(UserErrorCode.NOT_FOUND, path, "There is no such email.")
        elif row["sender_id"] == viewer.user_id:
            own.append((row, path))
        elif viewer.admin:
            errors.add(UserErrorCode.FORBIDDEN, path, "Only its sender may do that to an email.")
        else:
            errors.add(UserErrorCode.NOT_FOUND, path, "There is no such email.")
    return own


async def lock_emails(connection: Connection, keys: Iterable[int]) -> dict[int, LockedEmail]:
    """Lock emails, and return them by key.

    The order of their keys prevents a deadlock between two bulk actions.
    """
    rows = await connection.fetch(
        f"SELECT {EMAIL_COLUMNS} FROM emails WHERE {connection.in_any('id')} ORDER BY id"
        + connection.for_update("NO KEY UPDATE"),
        connection.array_param(sorted(set(keys))),
    )
    return {row["id"]: row for row in cast(list[LockedEmail], rows)}
