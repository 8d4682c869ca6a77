"""Whose mail a filter ranges over. Only the top level of a filter widens it, and only for an admin."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from command_center.errors import UserError
from command_center.search.filter_ast import NO_KEY, EverySender, Filter, Ids, Path
from models.enums import UserErrorCode


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose filter it is, with the rights of this moment."""

    user_id: int
    team_id: int
    admin: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """The emails of these senders of the team; None means every sender."""

    team_id: int
    senders: frozenset[int] | None

    def covers(self, team_id: int, sender_id: int) -> bool:
        return team_id == self.team_id and (self.senders is None or sender_id in self.senders)


def scope(filter: Filter, owner: Owner) -> Scope:
    """The range of a filter. What an admin once asked for shrinks to own mail when they are one no more."""
    if not any(map(_is_range, filter.parts)):
        # Nearly always. Of one owner these are one, which is quicker to compare.
        return _own(owner.team_id, owner.user_id)
    named, everyone = _named(filter), _asks_for_everyone(filter)
    if named is None:
        wanted = None if everyone and owner.admin else frozenset({owner.user_id})
    else:
        wanted = named.keys if owner.admin else named.keys & {owner.user_id}
    return Scope(owner.team_id, wanted)


def view_as_problems(
    filter: Filter, owner: Owner, path: Path = (), colleagues: AbstractSet[int] | None = None
) -> list[UserError]:
    """FORBIDDEN for each sender a member names beside themselves, and for asking for everyone.

    With `colleagues`, only those are forbidden: other ids are no one's, and NOT_FOUND is for the caller to say.
    """
    if owner.admin:
        return []
    named = _named(filter)
    ids = named.ids if named else ()
    others = [str(place) for place, key in enumerate(ids) if _is_colleague(key, owner, colleagues)]
    problems = [_forbidden((*path, "sender", place)) for place in others]
    return [*problems, _forbidden((*path, "everySender"))] if _asks_for_everyone(filter) else problems


def without_range(filter: Filter) -> Filter:
    """The filter less what widens its range: a published definition is adopted over one's own mail."""
    if not any(map(_is_range, filter.parts)):
        return filter
    return Filter(tuple(part for part in filter.parts if not _is_range(part)))


@lru_cache(maxsize=1_000)
def _own(team_id: int, user_id: int) -> Scope:
    return Scope(team_id, frozenset({user_id}))


def _named(filter: Filter) -> Ids | None:
    return next((part for part in filter.parts if isinstance(part, Ids) and part.field == "sender"), None)


def _asks_for_everyone(filter: Filter) -> bool:
    return any(isinstance(part, EverySender) and part.value for part in filter.parts)


def _is_range(part: object) -> bool:
    return isinstance(part, EverySender) or (isinstance(part, Ids) and part.field == "sender")


def _is_colleague(key: int, owner: Owner, colleagues: AbstractSet[int] | None) -> bool:
    return key not in (NO_KEY, owner.user_id) and (colleagues is None or key in colleagues)


def _forbidden(path: Path) -> UserError:
    return UserError("Only an admin may view the mail of others.", path, UserErrorCode.FORBIDDEN)
