"""The scope of a filter: whose emails it covers.

Only the top level of an admin's filter can widen it.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from command_center.errors import InputPath, UserError
from command_center.search.filter_ast import NO_KEY, EverySender, Filter, Ids
from models.enums import UserErrorCode


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a filter, with their current rights."""

    user_id: int
    team_id: int
    admin: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """The emails that a filter ranges over: those of some senders of a team.

    If `senders` is None, these are all senders.
    """

    team_id: int
    senders: frozenset[int] | None

    def covers(self, team_id: int, sender_id: int) -> bool:
        """Return True if the scope includes the emails of a sender."""
        return team_id == self.team_id and (self.senders is None or sender_id in self.senders)


def resolve_scope(filter: Filter, owner: Owner) -> Scope:
    """Return the scope of a filter.

    If the owner is no longer an admin, a wider scope shrinks to their own emails.
    """
    if not any(map(_is_scope_part, filter.parts)):
        # The usual case. All such scopes of an owner are one object, which is faster to compare.
        return _own_scope(owner.team_id, owner.user_id)
    sender_ids, covers_everyone = _sender_ids(filter), _covers_everyone(filter)
    if sender_ids is None:
        senders = None if covers_everyone and owner.admin else frozenset({owner.user_id})
    else:
        senders = sender_ids.keys if owner.admin else sender_ids.keys & {owner.user_id}
    return Scope(owner.team_id, senders)


def view_as_errors(
    filter: Filter, owner: Owner, path: InputPath = (), colleagues: AbstractSet[int] | None = None
) -> list[UserError]:
    """Return FORBIDDEN errors if a member asks for the emails of others.

    The filter may name other senders, or include every sender.

    With `colleagues`, only those senders are forbidden. The caller then has to report all other ids as
    NOT_FOUND.
    """
    if owner.admin:
        return []
    sender_ids = _sender_ids(filter)
    ids = sender_ids.ids if sender_ids else ()
    colleague_positions = [str(position) for position, key in enumerate(ids) if _is_colleague(key, owner, colleagues)]
    errors = [_forbidden((*path, "sender", position)) for position in colleague_positions]
    return [*errors, _forbidden((*path, "everySender"))] if _covers_everyone(filter) else errors


def without_scope(filter: Filter) -> Filter:
    """Return the filter without the parts that set its scope.

    A published definition is adopted for the emails of the user who adopts it.
    """
    if not any(map(_is_scope_part, filter.parts)):
        return filter
    return Filter(tuple(part for part in filter.parts if not _is_scope_part(part)))


@lru_cache(maxsize=1_000)
def _own_scope(team_id: int, user_id: int) -> Scope:
    return Scope(team_id, frozenset({user_id}))


def _sender_ids(filter: Filter) -> Ids | None:
    return next((part for part in filter.parts if isinstance(part, Ids) and part.field == "sender"), None)


def _covers_everyone(filter: Filter) -> bool:
    return any(isinstance(part, EverySender) and part.value for part in filter.parts)


def _is_scope_part(part: object) -> bool:
    return isinstance(part, EverySender) or (isinstance(part, Ids) and part.field == "sender")


def _is_colleague(key: int, owner: Owner, colleagues: AbstractSet[int] | None) -> bool:
    return key not in (NO_KEY, owner.user_id) and (colleagues is None or key in colleagues)


def _forbidden(path: InputPath) -> UserError:
    return UserError("Only an admin may view the mail of others.", path, UserErrorCode.FORBIDDEN)
