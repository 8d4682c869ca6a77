"""The engagement feed, and verdicts that are revised through the API."""

from typing import Any

from tests.support.server import Client

FEED = """subscription($after:ChangeCursor){engagementFeed(after:$after){__typename ... on Change{cursor}
    ... on EngagementRecorded{engagementId engagement{id kind verdict url occurredAt email{id} person{name}}}}}"""

RECLASSIFY = """mutation($ids:[ID!]!,$v:EngagementVerdict!){engagementReclassify(ids:$ids,verdict:$v){
    engagements{id verdict verdictReason email{id engagementSummary{views clicks replies}}}
    userErrors{message path code}}}"""


async def reclassify(client: Client, verdict: str, *ids: str) -> dict[str, Any]:
    answer = await client.one(RECLASSIFY, ids=list(ids), v=verdict)
    assert isinstance(answer, dict)
    return answer


async def reclassified(client: Client, verdict: str, *ids: str) -> list[dict[str, Any]]:
    answer = await reclassify(client, verdict, *ids)
    assert answer["userErrors"] == []
    assert [each["id"] for each in answer["engagements"]] == list(dict.fromkeys(ids))
    assert {each["verdict"] for each in answer["engagements"]} <= {verdict}
    return list(answer["engagements"])
