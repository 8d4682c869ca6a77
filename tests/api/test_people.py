"""People, groups, campaigns and templates."""

from typing import Any

from tests.support.emails import PERSON, create_draft, create_person, moment, send_email
from tests.support.people import FAILURES, SHOW
from tests.support.server import Client, ManualClock, Server

PEOPLE = "query($s:String){people(search:$s,first:200){nodes{id}}}"
UNSUBSCRIBE = "mutation($id:ID!){personUnsubscribe(id:$id){person{unsubscribed} userErrors{code path}}}"
GROUP = """mutation($n:String!,$s:Boolean){groupCreate(name:$n,shared:$s){
    group{id name shared owner{name} personCount people{nodes{id}}} userErrors{code path}}}"""
ADD = """mutation($id:ID!,$p:[ID!]!){groupAddPeople(id:$id,personIds:$p){
    group{personCount people{nodes{id}}} userErrors{code path}}}"""
REMOVE = """mutation($id:ID!,$p:[ID!]!){groupRemovePeople(id:$id,personIds:$p){
    group{personCount people{nodes{id}}} userErrors{code path}}}"""
CAMPAIGN = """mutation($n:String!){campaignCreate(name:$n){
    campaign{id name owner{name} endedAt} userErrors{code path}}}"""
END = "mutation($id:ID!){campaignEnd(id:$id){campaign{endedAt} userErrors{code path}}}"
TEMPLATE = """mutation($i:TemplateInput!){templateCreate(input:$i){
    template{id name subject body} userErrors{code path}}}"""
NOBODY = "UGVyc29uOjk4NzY1NA"


async def refusals(client: Client, document: str, **variables: Any) -> list[tuple[str, list[str]]]:
    return [(error["code"], error["path"]) for error in (await client.one(document, **variables))["userErrors"]]


async def test_an_address_is_unique_in_the_team_regardless_of_case(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    await create_person(ann, "Straße@Example.org", shared=False)
    for client, address in ((ann, "straße@example.ORG"), (bob, "STRASSE@EXAMPLE.ORG"), (bob, " Straße@example.org ")):
        assert await refusals(client, PERSON, i={"name": "X", "address": address}) == [("TAKEN", ["input", "address"])]
    max_ = await quiet_server.client("Max", "Bananas")
    assert await create_person(max_, "straße@example.org")


async def test_a_person_has_the_given_fields_or_all_errors_return(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    wrong = {
        "name": " ",
        "address": "nowhere",
        "title": "x" * 201,
        "company": "a\nb",
        "phone": "1" * 65,
        "firstName": "a\nb",
    }
    assert await refusals(ann, PERSON, i=wrong) == [
        ("BLANK", ["input", "name"]),
        ("INVALID", ["input", "address"]),
        ("TOO_LONG", ["input", "title"]),
        ("INVALID", ["input", "company"]),
        ("TOO_LONG", ["input", "phone"]),
        ("INVALID", ["input", "firstName"]),
    ]
    given = {"firstName": "Dora", "title": "CTO", "company": "ACME", "phone": "+49 30 1", "shared": False}
    assert await ann.one(SHOW, id=await create_person(ann, "dora@example.org", **given)) == {
        "name": "Dora",
        "address": "dora@example.org",
        "owner": {"name": "Ann"},
        "unsubscribed": False,
        "groups": [],
        **given,
    }
    bare = await ann.one(SHOW, id=await create_person(ann, "emil@example.org", title=" ", company=None))
    assert (bare["title"], bare["company"], bare["phone"], bare["firstName"]) == (None, None, None, None)
    assert bare["shared"] is True


async def test_people_are_found_by_words_of_name_address_and_company(quiet_server: Server) -> None:
    ann = await quiet_server.client("Ann")
    dora = await create_person(ann, "dora@one.example", company="Müller & Söhne")
    emil = await create_person(ann, "emil@two.example", company="100%_Real")
    fritz = await create_person(ann, "fritz@two.example")

    async def search(text: str | None) -> list[str]:
        return [node["id"] for node in (await ann.one(PEOPLE, s=text))["nodes"]]

    assert await search(None) == await search("") == await search("  ") == [fritz, emil, dora]
    assert await search("DORA") == await search("mÜLLER") == await search("söhne one.example") == [dora]
    assert await search("two.example") == [fritz, emil]
    assert await search("emil two") == await search("100%_r") == await search("%_") == [emil]
    assert await search("dora two") == await search("a%one") == await search("d_ra") == await search("\\") == []
    assert await search("'; --") == []
    assert await search("x" * 5000) == await search("%" * 100_000) == await search("ﬃ" * 150_000) == []
    assert await search("emil " * 5000) == [emil]
    assert await search(" ".join(str(number) for number in range(50))) == []
    refused = (await ann.raw(PEOPLE, s=" ".join(map(str, range(51)))))["errors"][0]
    assert (refused["message"], refused["extensions"]["code"]) == ("`search` may have 50 words.", "BAD_USER_INPUT")


async def test_unsubscribing_fails_scheduled_emails_of_all_senders(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora, emil = await create_person(ann, "dora@example.org"), await create_person(ann, "emil@example.org")
    for client in (ann, bob):
        await send_email(client, await create_draft(client, dora, "to Dora"), moment(clock, 60))
        await send_email(client, await create_draft(client, emil, "to Emil"), moment(clock, 60))
        await create_draft(client, dora, "a draft")
    for _ in range(2):
        answer = await bob.one(UNSUBSCRIBE, id=dora)
        assert answer == {"person": {"unsubscribed": True}, "userErrors": []}
    for client in (ann, bob):
        found = (await client.one(FAILURES))["nodes"]
        assert {node["subject"]: (node["folder"], node["failure"]) for node in found} == {
            "to Dora": ("FAILED", {"code": "UNSUBSCRIBED"}),
            "to Emil": ("SCHEDULED", None),
            "a draft": ("DRAFT", None),
        }
        folders = await client.one("{folders{name emailCount}}")
        assert [folder["emailCount"] for folder in folders] == [0, 2, 1]
    assert await refusals(ann, UNSUBSCRIBE, id=NOBODY) == [("NOT_FOUND", ["id"])]


async def test_a_group_takes_people_in_and_out_any_number_of_times(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    people = [await create_person(ann, f"p{n}@example.org") for n in range(3)]
    hidden = await create_person(bob, "hidden@example.org", shared=False)
    made = (await ann.one(GROUP, n="Group"))["group"]
    assert made == {
        "id": made["id"],
        "name": "Group",
        "shared": False,
        "owner": {"name": "Ann"},
        "personCount": 0,
        "people": {"nodes": []},
    }
    group = made["id"]

    async def change(document: str, ids: list[str]) -> tuple[set[str], list[tuple[str, list[str]]]]:
        answer = await ann.one(document, id=group, p=ids)
        inside = [node["id"] for node in answer["group"]["people"]["nodes"]]
        assert answer["group"]["personCount"] == len(inside)
        return set(inside), [(error["code"], error["path"]) for error in answer["userErrors"]]

    assert await change(ADD, [people[0], people[0], people[1]]) == ({*people[:2]}, [])
    assert await change(ADD, people) == ({*people}, [])
    places = [("NOT_FOUND", ["personIds", "0"]), ("NOT_FOUND", ["personIds", "2"]), ("NOT_FOUND", ["personIds", "3"])]
    assert await change(REMOVE, [hidden, people[0], NOBODY, "x"]) == ({*people[1:]}, places)
    assert await change(REMOVE, [people[0]]) == ({*people[1:]}, [])
    assert await change(ADD, [hidden, people[0], NOBODY, "x"]) == ({*people}, places)
    assert await change(ADD, []) == ({*people}, [])
    assert (await ann.one(SHOW, id=people[0]))["groups"] == [{"id": group, "name": "Group"}]
    assert (await bob.one(SHOW, id=people[0]))["groups"] == []
    assert await refusals(bob, ADD, id=group, p=people) == [("NOT_FOUND", ["id"])]


async def test_only_its_owner_changes_a_shared_group(quiet_server: Server) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    dora = await create_person(ann, "dora@example.org")
    group = (await ann.one(GROUP, n="Shared", s=True))["group"]["id"]
    for document in (ADD, REMOVE):
        assert await refusals(bob, document, id=group, p=[dora]) == [("FORBIDDEN", ["id"])]
    await ann.one(ADD, id=group, p=[dora])
    assert (await bob.one(SHOW, id=dora))["groups"] == [{"id": group, "name": "Shared"}]
    assert await refusals(ann, GROUP, n=" ") == [("BLANK", ["name"])]


async def test_campaigns_and_templates_belong_to_the_whole_team(quiet_server: Server, clock: ManualClock) -> None:
    ann, bob = await quiet_server.client("Ann"), await quiet_server.client("Bob")
    made = (await ann.one(CAMPAIGN, n=" Spring "))["campaign"]
    assert (made["name"], made["owner"], made["endedAt"]) == ("Spring", {"name": "Ann"}, None)
    text = {"name": "T", "subject": "Hi {{first_name}}", "body": "<p>B</p>"}
    template = (await ann.one(TEMPLATE, i=text))["template"]
    assert template == {"id": template["id"], **text}
    found = await bob("{campaigns{nodes{name}} templates{nodes{id name subject body}}}")
    assert found == {"campaigns": {"nodes": [{"name": "Spring"}]}, "templates": {"nodes": [template]}}
    assert (await bob.one(END, id=made["id"]))["campaign"] == {"endedAt": moment(clock)}
    assert await refusals(ann, CAMPAIGN, n="\n") == [("BLANK", ["name"])]
    assert await refusals(ann, CAMPAIGN, n="x" * 201) == [("TOO_LONG", ["name"])]
    assert await refusals(ann, END, id=template["id"]) == [("NOT_FOUND", ["id"])]
    assert await refusals(ann, TEMPLATE, i={"name": "", "subject": "a\tb", "body": "\0"}) == [
        ("BLANK", ["input", "name"]),
        ("INVALID", ["input", "subject"]),
        ("INVALID", ["input", "body"]),
    ]
