"""Whose mail a filter ranges over, for members and for admins."""

from typing import Any

import pytest

from command_center.ids import encode
from command_center.search.parser import parse_filter
from command_center.search.scope import Owner, Scope, resolve_scope, view_as_errors, without_scope
from models.enums import UserErrorCode

MEMBER = Owner(user_id=1, team_id=9, admin=False)
ADMIN = Owner(user_id=1, team_id=9, admin=True)


def users(*keys: int) -> list[str]:
    return [encode("User", key) for key in keys]


@pytest.mark.parametrize(
    "raw, admins, members",
    [
        ({}, {1}, {1}),
        ({"everySender": True}, None, {1}),
        ({"everySender": False}, {1}, {1}),
        ({"sender": users(2, 3)}, {2, 3}, set()),
        ({"sender": users(1, 2)}, {1, 2}, {1}),
        ({"sender": users(2), "everySender": True}, {2}, set()),
        ({"sender": []}, set(), set()),
        ({"sender": ["no id"]}, set(), set()),
        ({"all": [{"sender": users(2)}], "any": [{"everySender": True}]}, {1}, {1}),
        ({"not": {"everySender": True}}, {1}, {1}),
    ],
)
def test_only_the_top_level_widens_and_only_for_admins(
    raw: dict[str, Any], admins: set[int] | None, members: set[int]
) -> None:
    filter = parse_filter(raw)
    assert resolve_scope(filter, ADMIN) == Scope(9, None if admins is None else frozenset(admins))
    assert resolve_scope(filter, MEMBER) == Scope(9, frozenset(members))


def test_a_member_who_names_colleagues_gets_each_path() -> None:
    raw = {"sender": [*users(1, 2, 3), "no id"], "everySender": True, "any": [{"sender": users(2)}]}
    found = view_as_errors(parse_filter(raw), MEMBER, ("filter",))
    assert [problem.path for problem in found] == [
        ("filter", "sender", "1"),
        ("filter", "sender", "2"),
        ("filter", "everySender"),
    ]
    assert {problem.code for problem in found} == {UserErrorCode.FORBIDDEN}
    assert view_as_errors(parse_filter(raw), ADMIN) == []
    assert view_as_errors(parse_filter({"sender": users(1), "everySender": False}), MEMBER) == []


def test_someone_of_no_team_of_ours_is_not_a_colleague() -> None:
    found = view_as_errors(parse_filter({"sender": users(2, 77)}), MEMBER, colleagues={1, 2, 3})
    assert [problem.path for problem in found] == [("sender", "0")]


def test_an_adopted_definition_loses_its_range_and_nothing_else() -> None:
    raw = {"success": True, "any": [{"sender": users(2)}]}
    assert without_scope(parse_filter({**raw, "sender": users(2), "everySender": True})) == parse_filter(raw)


def test_a_scope_covers_its_senders_in_its_team() -> None:
    assert Scope(9, None).covers(9, 5)
    assert Scope(9, frozenset({5})).covers(9, 5)
    assert not Scope(9, frozenset({5})).covers(9, 6)
    assert not Scope(9, None).covers(8, 5)
