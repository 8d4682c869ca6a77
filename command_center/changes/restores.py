"""Recognises a database that was restored from a backup.

Sending is then paused until an operator resumes it.

Emails that are due in a backup may have been sent after the backup was made. A new database, and a failover to a
standby that lost nothing, are not restores.
"""

import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from command_center.changes import stamps
from command_center.changes.cursors import LogIdentity, ReceivedCursor
from command_center.changes.entries import LogEntry
from command_center.changes.log import has_entry
from command_center.changes.stamps import Stamp, StampFile
from command_center.database.connections import Connection, database
from command_center.database.errors import Unavailable

REPORT_INTERVAL_SECONDS = 60.0
_logger = logging.getLogger("command_center.restores")
_IDENTITY = (
    "SELECT (SELECT oid FROM pg_database WHERE datname = current_database())::text || '/'"
    " || 'restore_state'::regclass::oid::text AS identity"
)
_UNKNOWN = "unknown"
_SYSTEM = "SELECT system_identifier::text AS system FROM pg_control_system()"


@dataclass(frozen=True, slots=True)
class StoredRestoreState:
    """What the database stores about restores from backups, and the pause of sending.

    `restores` is the number of recognised restores. `reason` explains a pause.
    """

    cursor_key: str
    restores: int
    identity: str | None
    stamped: bool
    claims: int
    paused: bool
    reason: str | None

    @property
    def name(self) -> str:
        """A name of the database for its stamp. It does not reveal the key."""
        return hashlib.blake2b(self.cursor_key.encode(), digest_size=8).hexdigest()


async def load_state(connection: Connection) -> StoredRestoreState | None:
    """Return the stored state, or None if the database was never used by a server.

    The commands `serve` and `worker` create it.
    """
    row = await connection.fetch_one(
        "SELECT cursor_key, restores, identity, stamped, claims, paused, reason FROM restore_state WHERE id = 1"
    )
    if row is None:
        return None
    return StoredRestoreState(**{**row, "stamped": bool(row["stamped"]), "paused": bool(row["paused"])})


async def pause_sending(connection: Connection, reason: str, known_restores: int) -> bool:
    """Pause sending because a restore was recognised.

    Return whether this call recognised the restore first.

    `known_restores` is the number of restores that the evidence already takes into account. Cursors that are issued
    from now on have a higher number. A client that later sends a cursor of the same lost history therefore pauses
    nothing.
    """
    paused = await connection.execute(
        "UPDATE restore_state SET paused = ?, reason = ?, restores = ? WHERE id = 1 AND restores <= ?",
        *(True, reason, known_restores + 1, known_restores),
    )
    if paused:
        _logger.error(
            "the database was restored from a backup: %s. Nothing is sent until `command-center resume-sending`", reason
        )
    return bool(paused)


async def pause_for_cursor(cursor: ReceivedCursor, log: LogIdentity) -> None:
    """Pause sending if a client's cursor proves that the database lost changes.

    This requires a cursor that was signed for this log, and issued after the last recognised restore.
    """
    if cursor.log_id == log.log_id and cursor.restores >= log.restores and cursor.is_signed_by(log.key):
        await pause_sending(database(), "a client knows changes that the database does not have", cursor.restores)


async def resume_sending(connection: Connection) -> None:
    """End the pause of sending that followed a restore."""
    await connection.execute("UPDATE restore_state SET paused = ?, reason = NULL WHERE id = 1", False)


class RestoreGuard:
    """Recognises restores of the database, for one process.

    It also records the last changes of the process in a stamp outside the database.
    """

    def __init__(self, stamp_path: Path | None = None) -> None:
        self._path = stamp_path
        self._file = StampFile(None, Stamp(""))
        self._reported = float("-inf")
        self._started = False

    async def start(self) -> None:
        """Compare the database with its stamp and its stored identity.

        If they differ, sending is paused. Call it before anything is written or sent.
        """
        db = database()
        await db.execute(
            "INSERT INTO restore_state (id, cursor_key, restores, stamped, claims, paused)"
            " VALUES (1, ?, 0, ?, 0, ?) ON CONFLICT (id) DO NOTHING",
            *(secrets.token_hex(16), False, False),
        )
        state = await load_state(db)
        if state is None:
            raise LookupError("the database has no restore state")
        identity = await _read_identity(db) if db.postgres else None
        reason = await self._find_restore_reason(db, state, identity)
        if reason is not None:
            await pause_sending(db, reason, state.restores)
        elif identity is not None and identity.startswith(_UNKNOWN):
            # This role may not read the system identifier, so a stored one is not overwritten.
            identity = state.identity or identity
        self._file = StampFile(self._path, await _build_stamp(db, state))
        try:
            self._file.create()
            has_file = True
        except OSError as exc:
            _logger.warning("the stamp beside the database cannot be written: %s", exc)
            has_file = state.stamped
        # Create the file before recording that it exists: after a crash in between it must not count as missing.
        await db.execute("UPDATE restore_state SET stamped = ?, identity = ? WHERE id = 1", has_file, identity)
        self._started = True

    async def _find_restore_reason(self, db: Connection, state: StoredRestoreState, identity: str | None) -> str | None:
        """Return why the database counts as restored, or None."""
        if state.identity is not None and (identity is None or not _is_same(state.identity, identity)):
            return "it is on another PostgreSQL server, or was created anew, since the product last used it"
        if self._path is None:
            return None
        stamp = stamps.read_stamp(self._path)
        if stamp is None:
            return f"{self._path.name} beside it is missing or damaged" if state.stamped else None
        if stamp.database != state.name:
            # The file may belong to an earlier database at this path, which is no evidence if this one has no emails.
            is_in_use = state.stamped or await db.fetch_one("SELECT id FROM emails LIMIT 1") is not None
            return f"{self._path.name} beside it belongs to another database" if is_in_use else None
        if stamp.claims > state.claims or not await _has_stamped_entry(db, stamp):
            return f"{self._path.name} beside it is ahead of it"
        return None

    def record_commit(self, entries: Sequence[LogEntry]) -> None:
        """Record the last log entry of a committed transaction in the stamp."""
        if entries:
            self._file.record_commit(entries[-1])

    async def count_claim(self, tx: Connection) -> int | None:
        """Count a batch of emails that this transaction claims for sending.

        Return the number of batches claimed so far, or None if sending is paused. Another transaction can pause sending
        only after this one has ended.
        """
        if tx.postgres:
            # A shared lock, because several processes may claim at once; PostgreSQL's stamp needs no count.
            row = await tx.fetch_one("SELECT paused, claims FROM restore_state WHERE id = 1 FOR SHARE")
        else:
            row = await tx.fetch_one(
                "UPDATE restore_state SET claims = claims + 1 WHERE id = 1 RETURNING paused, claims"
            )
        if row is None:
            return 0
        return None if row["paused"] else int(row["claims"])

    def record_claim(self, claims: int) -> None:
        """Record the number of claimed batches of emails in the stamp.

        Call it before the emails of the last batch are sent.
        """
        self._file.record_claim(claims)

    async def may_send(self) -> bool:
        """Return whether due emails may be sent.

        It also recognises a database that was replaced while this process runs, and then pauses sending.
        """
        db = database()
        if not self._started:
            await self.start()
        state = await load_state(db)
        if state is None:
            return False
        if not state.paused and not await _has_stamped_entry(db, self._file.stamp):
            await pause_sending(db, "it lacks changes that this process made", state.restores)
            self._file.stamp = await _build_stamp(db, state)
            return False
        if state.paused and time.monotonic() - self._reported >= REPORT_INTERVAL_SECONDS:
            self._reported = time.monotonic()
            _logger.warning("mail is due, and sending is paused: see `command-center resume-sending --list`")
        return not state.paused

    def stop(self) -> None:
        """Close the stamp's file."""
        self._file.close()


async def _has_stamped_entry(db: Connection, stamp: Stamp) -> bool:
    """Return whether the database has the stamp's log entry."""
    if stamp.position == 0:
        return True
    return await has_entry(db, stamp.team_id, stamp.position, stamp.check_value)


async def _build_stamp(db: Connection, state: StoredRestoreState) -> Stamp:
    """Return a stamp of the current database."""
    row = await db.fetch_one("SELECT team_id, position, check_value FROM change_logs ORDER BY position DESC LIMIT 1")
    stamp = Stamp(state.name, claims=state.claims)
    if row is None:
        return stamp
    return replace(stamp, team_id=row["team_id"], position=row["position"], check_value=row["check_value"])


async def _read_identity(db: Connection) -> str:
    """Return a text that identifies a PostgreSQL database.

    It contains the system identifier of the server and the object ids of the database.
    """
    row = await db.fetch_one(_IDENTITY)
    system = _UNKNOWN
    try:
        system_row = await db.fetch_one(_SYSTEM)
        system = system_row["system"] if system_row else system
    except Unavailable:
        raise
    except Exception as exc:
        _logger.info("PostgreSQL does not show its system identifier: %s", exc)
    return f"{system}/{row['identity'] if row else ''}"


def _is_same(stored: str, current: str) -> bool:
    """Return whether two identities may be of one database.

    An unknown system identifier matches any, because the role may gain or lose the right to read it.
    """
    (stored_system, stored_oids), (system, oids) = (each.split("/", 1) for each in (stored, current))
    return stored_oids == oids and (stored_system == system or _UNKNOWN in (stored_system, system))
