"""May the viewer do this, and to what? What cannot be seen is NOT_FOUND, the same as what never was."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from command_center import ids as global_ids
from command_center.actions.inputs import ErrorCollector, Path
from command_center.database.connections import Connection, Row
from models.enums import InvalidationKind, SavedSearchState, UserErrorCode
from models.viewers import Viewer
from models.visibility import visible_keys

EMAIL_COLUMNS = "id, team_id, sender_id, person_id, campaign_id, status, archived, claimed_at, message_id, cc, bcc"


async def seen(viewer: Viewer, noun: str, text: str | None, path: Path, findings: ErrorCollector) -> int | None:
    """The key of a row that the viewer names and can see; None, with a NOT_FOUND, for anything else."""
    if text is None:
        return None
    key = global_ids.decode_key(noun, text)
    if key is not None and key in (await visible_keys(viewer, [(noun, key)])).get(noun, ()):
        return key
    findings.add(UserErrorCode.NOT_FOUND, path, f"There is no such {noun.lower()}.")
    return None


_LIST = (
    f"SELECT s.state, EXISTS (SELECT 1 FROM marks k WHERE k.kind = {int(InvalidationKind.SEARCH)} AND k.subject_id = s.id)"
    " AS filling FROM saved_searches s WHERE s.id = ? AND s.team_id = ? AND s.owner_id = ?"
)


async def complete(connection: Connection, viewer: Viewer, search_id: str, findings: ErrorCollector) -> int:
    """The key of the viewer's own list; WRONG_STATE while it is filled, when it holds only some of its emails. Locked,
    so that it is not refined meanwhile."""
    path = ("savedSearchId",)
    key = global_ids.decode_key("SavedSearch", search_id) or 0
    row = await connection.fetch_one(_LIST + connection.for_update("SHARE OF s"), key, viewer.team_id, viewer.user_id)
    if row is None:
        findings.add(UserErrorCode.NOT_FOUND, path, "There is no such saved search.")
    elif row["state"] != SavedSearchState.LIVE or row["filling"]:
        findings.add(UserErrorCode.WRONG_STATE, path, "The list is being filled: try again shortly.")
    return key


def placed(ids: Sequence[str], path: str = "ids") -> dict[str, Path]:
    """Each different id with the place it was first named at."""
    places: dict[str, Path] = {}
    for place, text in enumerate(ids):
        places.setdefault(text, (path, str(place)))
    return places


async def found_in_order(
    noun: str,
    places: Mapping[str, Path],
    rows_of: Callable[[Sequence[int]], Awaitable[Iterable[Row]]],
    findings: ErrorCollector,
) -> list[Row]:
    """The rows that `rows_of` answers for the ids named, in their order; an id without one is NOT_FOUND by place."""
    keys = {text: global_ids.decode_key(noun, text) for text in places}
    rows = {row["id"]: row for row in await rows_of(sorted({key for key in keys.values() if key is not None}))}
    for text, path in places.items():
        if keys[text] not in rows:
            findings.add(UserErrorCode.NOT_FOUND, path, f"There is no such {noun.lower()}.")
    return [rows[key] for key in keys.values() if key in rows]


async def own_emails(
    connection: Connection, viewer: Viewer, places: dict[str, Path], findings: ErrorCollector
) -> list[tuple[Row, Path]]:
    """The viewer's own emails among those named, locked, each with its place; the others are findings."""
    keys = {text: global_ids.decode_key("Email", text) for text in places}
    rows = await locked_emails(connection, (key for key in keys.values() if key is not None))
    own: list[tuple[Row, Path]] = []
    for text, path in places.items():
        row = rows.get(keys[text] or 0)
        if row is None or row["team_id"] != viewer.team_id:
            findings.add(UserErrorCode.NOT_FOUND, path, "There is no such email.")
        elif row["sender_id"] == viewer.user_id:
            own.append((row, path))
        elif viewer.admin:
            findings.add(UserErrorCode.FORBIDDEN, path, "Only its sender may do that to an email.")
        else:
            findings.add(UserErrorCode.NOT_FOUND, path, "There is no such email.")
    return own


async def locked_emails(connection: Connection, keys: Iterable[int]) -> dict[int, Row]:
    """Emails by key, locked in the order of their keys so that two bulks never wait for each other in a circle."""
    rows = await connection.fetch(
        f"SELECT {EMAIL_COLUMNS} FROM emails WHERE {connection.in_any('id')} ORDER BY id"
        + connection.for_update("NO KEY UPDATE"),
        connection.array_param(sorted(set(keys))),
    )
    return {row["id"]: row for row in rows}
