"""Filters through the front door: mistakes with their places, the canonical form, ranges, limits.

What a filter means is held by the laws.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from command_center import ids as global_ids
from models.enums import Role
from tests.support.emails import create_draft, create_person
from tests.support.server import Client, Failed, ManualClock, Server, serving

CREATE = """mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){
    savedSearch{id name filter summary} userErrors{message path code}}}"""
REFINE = """mutation($id:ID!,$f:EmailFilter!){savedSearchRefine(id:$id,filter:$f){
    savedSearch{id filter summary updatedAt} userErrors{message path code}}}"""
ADOPT = """mutation($id:ID!){savedSearchAdopt(sharedSearchId:$id){savedSearch{id} userErrors{message path code}}}"""
DELETE = "mutation($id:ID!){savedSearchDelete(id:$id){deletedIds}}"
EMAILS = "query($f:EmailFilter){emails(filter:$f,first:200){nodes{id}}}"
FOLDER = (
    """query($name:FolderName!,$as:ID,$f:EmailFilter){folder(name:$name,viewAs:$as){emails(filter:$f){nodes{id}}}}"""
)
CAMPAIGN = 'mutation{campaignCreate(name:"Spring"){campaign{id emails(filter:{subject:{equals:""}}){nodes{id}}}}}'
LISTS = "{savedSearches{nodes{id filter summary}}}"

NOBODY = "UGVyc29uOjk4NzY1NA"
VIEW: dict[str, Any] = {"kind": "VIEW"}
# A filter with one mistake, and where in it the mistake is.
MISTAKES: Sequence[tuple[dict[str, Any], str, str]] = [
    ({"createdAt": {"within": "PT60S"}}, "createdAt within", "INVALID"),
    ({"sentAt": {"within": "PT48H"}}, "sentAt within", "INVALID"),
    ({"scheduledAt": {"olderThan": "P731D"}}, "scheduledAt olderThan", "INVALID"),
    ({"failedAt": {"olderThan": "P1M"}}, "failedAt olderThan", "INVALID"),
    ({"failedAt": {"olderThan": "P1Y"}}, "failedAt olderThan", "INVALID"),
    ({"failedAt": {"olderThan": "P1W"}}, "failedAt olderThan", "INVALID"),
    ({"failedAt": {"olderThan": "PT0S"}}, "failedAt olderThan", "INVALID"),
    ({"failedAt": {"olderThan": "PT1.5H"}}, "failedAt olderThan", "INVALID"),
    ({"failedAt": {"olderThan": "P1DT1H"}}, "failedAt olderThan", "INVALID"),
    ({"engagement": [VIEW, {"kind": "VIEW", "within": "PT60M"}]}, "engagement 1 within", "INVALID"),
    ({"engagement": [{"kind": "VIEW", "afterSend": "P9Y"}]}, "engagement 0 afterSend", "INVALID"),
    ({"engagement": [{"kind": "VIEW", "atLeast": -1}]}, "engagement 0 atLeast", "INVALID"),
    ({"engagement": [{"kind": "VIEW", "atMost": -1}]}, "engagement 0 atMost", "INVALID"),
    ({"engagement": [{"kind": "VIEW", "atLeast": 2, "atMost": 1}]}, "engagement 0 atLeast", "INVALID"),
    ({"engagement": [{"kind": "VIEW", "url": {"contains": "x"}}]}, "engagement 0 url", "INVALID"),
    ({"engagement": [{"kind": "CLICK", "url": {"contains": ""}}]}, "engagement 0 url contains", "INVALID"),
    ({"engagement": [{"kind": "VIEW", "verdict": []}]}, "engagement 0 verdict", "INVALID"),
    ({"subject": {"equals": ""}}, "subject equals", "INVALID"),
    ({"address": {"startsWith": "x" * 1001}}, "address startsWith", "TOO_LONG"),
    ({"company": {"endsWith": "a\0b"}}, "company endsWith", "INVALID"),
    ({"person": [NOBODY] * 1001}, "person", "INVALID"),
    ({"not": {"any": [{}, {"subject": {"contains": ""}}]}}, "not any 1 subject contains", "INVALID"),
]
EVERYTHING: dict[str, Any] = {
    "all": [{}, {"any": []}],
    "any": [{"success": False}, {"not": {"folder": []}}],
    "not": {"sendKind": ["GROUP"]},
    "folder": ["SPAM", "DELIVERED"],
    "folderGroup": ["UNDELIVERED"],
    "success": True,
    "subject": {"contains": "Übung", "startsWith": "A"},
    "address": {"endsWith": "@example.org"},
    "company": {"equals": "ACME"},
    "createdAt": {"from": "2026-01-01T01:00:00+01:00", "until": "2026-02-01T00:00:00.5Z"},
    "sentAt": {"olderThan": "P3D"},
    "scheduledAt": {"within": "PT12H"},
    "engagement": [
        {"kind": "VIEW"},
        {"kind": "REPLY", "atMost": 0, "afterSend": "P3D"},
        {"kind": "CLICK", "atLeast": 2, "url": {"contains": "pricing"}, "verdict": ["MACHINE", "HUMAN"]},
    ],
}


async def create(client: Client, filter: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = await client.one(CREATE, i={"name": "List", "filter": filter, **more})
    assert made["userErrors"] == []
    search: dict[str, Any] = made["savedSearch"]
    return search


async def errors_of(client: Client, filter: dict[str, Any]) -> list[tuple[str, list[str]]]:
    made = await client.one(CREATE, i={"name": "List", "filter": filter})
    assert made["savedSearch"] is None
    return [(error["code"], error["path"]) for error in made["userErrors"]]


async def found(client: Client, filter: dict[str, Any] | None) -> list[str]:
    return [node["id"] for node in (await client.one(EMAILS, f=filter))["nodes"]]


async def problems_of(client: Client, filter: dict[str, Any]) -> tuple[str, list[tuple[str, list[str]]]]:
    with pytest.raises(Failed) as failed:
        await client(EMAILS, f=filter)
    (error,) = failed.value.errors
    problems = [(each["code"], each["path"]) for each in error["extensions"]["problems"]]
    return error["extensions"]["code"], problems


async def test_all_errors_are_returned_with_their_paths(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    wrong = {"all": [mistake for mistake, _, _ in MISTAKES]}
    places = [(code, ["all", str(n), *path.split()]) for n, (_, path, code) in enumerate(MISTAKES)]
    assert await errors_of(ann, wrong) == [(code, ["input", "filter", *path]) for code, path in places]
    kept = await create(ann, {"folder": ["SPAM"]})
    refined = await ann.one(REFINE, id=kept["id"], f=wrong)
    assert [(error["code"], error["path"]) for error in refined["userErrors"]] == [
        (code, ["filter", *path]) for code, path in places
    ]
    expected = [(code, ["filter", *path]) for code, path in places]
    assert await problems_of(ann, wrong) == ("BAD_USER_INPUT", expected)
    assert [node["filter"] for node in (await ann.one(LISTS))["nodes"]] == [{"folder": ["SPAM"]}]
    blank = await ann.one(CREATE, i={"name": " ", "filter": {"subject": {"equals": ""}, "person": [NOBODY]}})
    assert [(error["code"], error["path"]) for error in blank["userErrors"]] == [
        ("BLANK", ["input", "name"]),
        ("INVALID", ["input", "filter", "subject", "equals"]),
    ]


async def test_errors_in_a_nested_connection_are_returned_as_well(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    answer = await ann.raw(CAMPAIGN)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["path"] == ["campaignCreate", "campaign", "emails"]
    assert [each["path"] for each in error["extensions"]["problems"]] == [["filter", "subject", "equals"]]


async def test_a_malformed_date_or_duration_is_a_validation_error(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    wrong: list[tuple[str, Any]] = [
        ("within", text) for text in ("3 days", "P", "PT", "P-3D", "", "p3d", "P3", 3, True)
    ]
    wrong += [("from", text) for text in ("2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "soon", "", 5)]
    for bound, text in wrong:
        filter = {"createdAt": {bound: text}}
        for document, variables in ((EMAILS, {"f": filter}), (CREATE, {"i": {"name": "x", "filter": filter}})):
            answer = await ann.raw(document, **variables)
            assert answer.get("data") is None, text
            (error,) = answer["errors"]
            assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED", text
            assert "problems" not in error["extensions"]
    literal = await ann.raw('{emails(filter:{createdAt:{within:"3 days"}}){nodes{id}}}')
    assert literal["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_returned_filter_can_be_saved_again_without_a_change(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    search = await create(ann, EVERYTHING)
    saved = search["filter"]
    assert list(saved) == list(EVERYTHING)
    assert {key: saved[key] for key in EVERYTHING if key not in ("createdAt", "engagement")} == {
        key: value for key, value in EVERYTHING.items() if key not in ("createdAt", "engagement")
    }
    assert saved["createdAt"] == {"from": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00.500000Z"}
    assert saved["engagement"] == [
        {"kind": "VIEW", "atLeast": 1, "verdict": ["HUMAN"]},
        {"kind": "REPLY", "atMost": 0, "afterSend": "P3D", "verdict": ["HUMAN"]},
        {"kind": "CLICK", "atLeast": 2, "url": {"contains": "pricing"}, "verdict": ["MACHINE", "HUMAN"]},
    ]
    again = (await ann.one(REFINE, id=search["id"], f=saved))["savedSearch"]
    assert (again["filter"], again["summary"]) == (saved, search["summary"])
    assert list(again["filter"]) == list(saved)
    nothing = {"folder": None, "not": None, "any": None, "subject": None, "engagement": None, "everySender": None}
    assert (await create(ann, nothing))["filter"] == {}
    halves = {"subject": {"equals": None}, "engagement": [{"kind": "VIEW", "within": None, "atLeast": None}]}
    assert (await create(ann, halves))["filter"] == {
        "subject": {},
        "engagement": [{"kind": "VIEW", "atLeast": 1, "verdict": ["HUMAN"]}],
    }


async def test_a_summary_names_only_what_its_viewer_may_see(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    campaign = await ann.one('mutation{campaignCreate(name:"Spring"){campaign{id}}}')
    group = await ann.one('mutation{groupCreate(name:"Secret"){group{id}}}')
    engaged = [{"kind": "VIEW"}, {"kind": "CLICK"}, {"kind": "REPLY", "atMost": 0, "afterSend": "P3D"}]
    filter = {"campaign": [campaign["campaign"]["id"]], "personGroup": [group["group"]["id"]], "engagement": engaged}
    made = await create(ann, filter, shared=True)
    rest = "with at least 1 view, with at least 1 click, with no reply up to 3 days after it was sent."
    assert made["summary"] == (f"The owner's emails, to people in group “Secret”, in campaign “Spring”, {rest}")
    (shared,) = (await bob.one("{sharedSearches{nodes{summary}}}"))["nodes"]
    assert shared["summary"] == (
        f"The owner's emails, to people in group something not visible, in campaign “Spring”, {rest}"
    )


async def test_empty_lists_match_nothing_and_absent_ones_everything(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    mail = [await create_draft(ann, await create_person(ann, f"p{n}@example.org"), f"Subject {n}") for n in range(2)]
    mail.reverse()
    ids = ("person", "personGroup", "campaign", "template", "bulkSend", "sender", "folder", "folderGroup", "sendKind")
    nothing: list[dict[str, Any]] = [{"any": []}, {"not": {}}, {"person": [NOBODY]}, *({name: []} for name in ids)]
    for filter in nothing:
        assert await found(ann, filter) == [], filter
    absent: list[dict[str, Any]] = [{"all": []}, {}, {"engagement": []}, {"subject": {}}, {"createdAt": {}}]
    negated: list[dict[str, Any]] = [{"not": {"any": []}}, {"not": {"company": {"contains": "x"}}}]
    for everything in [None, *absent, *negated, {"everySender": False}]:
        assert await found(ann, everything) == mail, everything
    assert await found(ann, {"all": [{"subject": {"contains": "SUBJECT"}}, {"subject": {"endsWith": "1"}}]}) == mail[:1]


async def test_invisible_ids_cannot_be_saved_and_match_nothing(
    quiet_server: Server,
) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    hidden = await create_person(bob, "hidden@example.org", shared=False)
    own = await create_person(ann, "own@example.org")
    await create_draft(ann, own)
    filter = {"any": [{"person": [own, hidden]}, {"campaign": ["nonsense"]}], "not": {"template": [NOBODY]}}
    assert await errors_of(ann, filter) == [
        ("NOT_FOUND", ["input", "filter", "any", "0", "person", "1"]),
        ("NOT_FOUND", ["input", "filter", "any", "1", "campaign", "0"]),
        ("NOT_FOUND", ["input", "filter", "not", "template", "0"]),
    ]
    kept = await create(ann, {"person": [own]})
    refined = await ann.one(REFINE, id=kept["id"], f={"person": [own, hidden]})
    assert [(error["code"], error["path"]) for error in refined["userErrors"]] == [
        ("NOT_FOUND", ["filter", "person", "1"])
    ]
    assert len(await found(ann, filter)) == 1


async def test_senders_widen_the_scope_only_at_the_top_level(quiet_server: Server) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    to = await create_person(ann, "p@example.org")
    anns, adas = await create_draft(ann, to), await create_draft(ada, to)
    assert await found(ada, {}) == [adas]
    assert await found(ada, {"sender": [ann.user_id]}) == [anns]
    assert await found(ada, {"sender": [ann.user_id, ada.user_id]}) == [adas, anns]
    assert await found(ada, {"everySender": True}) == [adas, anns]
    assert await found(ada, {"everySender": True, "sender": [ann.user_id]}) == [anns]
    assert await found(ada, {"all": [{"sender": [ann.user_id]}]}) == []
    assert await found(ada, {"all": [{"everySender": True}]}) == [adas]
    assert await found(ada, {"everySender": True, "any": [{"sender": [ann.user_id]}]}) == [anns]
    assert await found(ann, {"any": [{"sender": [ada.user_id]}]}) == []
    assert await found(ann, {"not": {"sender": [ada.user_id]}}) == [anns]
    assert await found(ann, {"sender": [ann.user_id]}) == [anns]
    assert await problems_of(ann, {"sender": [ann.user_id, ada.user_id]}) == (
        "FORBIDDEN",
        [("FORBIDDEN", ["filter", "sender", "1"])],
    )
    mixed = {"sender": [ada.user_id], "subject": {"equals": ""}}
    code, problems = await problems_of(ann, mixed)
    assert (code, problems[-1]) == ("BAD_USER_INPUT", ("INVALID", ["filter", "subject", "equals"]))


async def test_view_as_that_contradicts_the_sender_filter_is_invalid(quiet_server: Server) -> None:
    ann, ada = await quiet_server.client("Ann"), await quiet_server.client("Ada", role=Role.ADMIN)
    anns = await create_draft(ann, await create_person(ann, "p@example.org"))

    async def drafts(view_as: str | None, filter: dict[str, Any] | None) -> list[str]:
        folder = await ada.one(FOLDER, name="DRAFT", **{"as": view_as, "f": filter})
        return [node["id"] for node in folder["emails"]["nodes"]]

    for fine in (None, {}, {"sender": [ann.user_id]}, {"sender": [ada.user_id, ann.user_id]}, {"everySender": True}):
        assert await drafts(ann.user_id, fine) == [anns], fine
    assert await drafts(ann.user_id, {"all": [{"sender": [ada.user_id]}]}) == []
    assert await drafts(ann.user_id, {"sender": []}) == []
    for view_as, sender in ((ann.user_id, ada.user_id), (ada.user_id, ann.user_id), (None, ann.user_id)):
        with pytest.raises(Failed) as failed:
            await drafts(view_as, {"sender": [sender]})
        (error,) = failed.value.errors
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert [(each["code"], each["path"]) for each in error["extensions"]["problems"]] == [
            ("INVALID", ["filter", "sender"])
        ]


def nested(depth: int, kind: str) -> dict[str, Any]:
    """A filter of a depth; the root is 1."""
    filter: dict[str, Any] = {"success": False}
    for _ in range(depth - 1):
        filter = {kind: filter if kind == "not" else [filter]}
    return filter


async def test_depth_and_leaves_are_limited(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    for kind in ("not", "all", "any"):
        await create(ann, nested(8, kind))
        place = (["not"] if kind == "not" else [kind, "0"]) * 8
        assert await errors_of(ann, nested(9, kind)) == [("LIMIT_REACHED", ["input", "filter", *place])]
        assert await problems_of(ann, nested(9, kind)) == ("BAD_USER_INPUT", [("LIMIT_REACHED", ["filter", *place])])
    conditions = [{"success": False, "engagement": [VIEW, VIEW, VIEW]}] * 16
    await create(ann, {"any": conditions})
    assert await errors_of(ann, {"any": [*conditions, {"success": True}]}) == [("LIMIT_REACHED", ["input", "filter"])]
    over = await ann.one(CREATE, i={"name": "x", "filter": {"any": [*conditions, {"success": True}]}})
    assert "64" in over["userErrors"][0]["message"]
    assert await errors_of(ann, {"engagement": [VIEW] * 65}) == [("LIMIT_REACHED", ["input", "filter"])]


async def test_a_user_has_so_many_saved_searches_and_no_more(database_url: str, clock: ManualClock) -> None:
    async with serving(database_url, clock, works=False, looks=False, SEARCHES_PER_USER="3") as server:
        ann, bob = await server.client("Ann"), await server.client("Bob")
        made = [await create(ann, {}, shared=True) for _ in range(3)]
        shared = (await bob.one("{sharedSearches{nodes{id}}}"))["nodes"]
        assert await errors_of(ann, {}) == [("LIMIT_REACHED", ["input"])]
        over = await ann.one(CREATE, i={"name": "x", "filter": {}})
        assert "3" in over["userErrors"][0]["message"]
        adopted = await ann.one(ADOPT, id=shared[0]["id"])
        assert [error["code"] for error in adopted["userErrors"]] == ["LIMIT_REACHED"]
        assert (await bob.one(ADOPT, id=shared[0]["id"]))["userErrors"] == []
        await ann.one(DELETE, id=made[0]["id"])
        await create(ann, {})
        assert await errors_of(ann, {}) == [("LIMIT_REACHED", ["input"])]


async def test_a_filter_may_name_as_many_rows_as_its_limits_allow(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    to = await create_person(ann, "p@example.org")
    mail = await create_draft(ann, to)
    absent = [[global_ids.encode("Person", 1000 * leaf + row) for row in range(1, 1001)] for leaf in range(1, 34)]
    absent[-1][-1] = to
    found = await ann.one(EMAILS, f={"any": [{"person": ids} for ids in absent]})
    assert [node["id"] for node in found["nodes"]] == [mail]
