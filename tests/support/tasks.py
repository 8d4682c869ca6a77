"""Tasks through the front door: the documents, and short ways to make and read them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.support.server import Client, ManualClock

ERRORS = "userErrors{message path code}"
SHOW = """id name kind status priority dueOn bucket details creator{id} assignee{id} person{id} email{id} campaign{id}
    createdAt updatedAt completedAt"""
CREATE = f"mutation($i:TaskCreateInput!){{taskCreate(input:$i){{task{{{SHOW}}} {ERRORS}}}}}"
REVISE = f"mutation($id:ID!,$i:TaskReviseInput!){{taskRevise(id:$id,input:$i){{task{{{SHOW}}} {ERRORS}}}}}"
COMPLETE = f"mutation($ids:[ID!]!){{taskComplete(ids:$ids){{tasks{{{SHOW}}} {ERRORS}}}}}"
REOPEN = f"mutation($ids:[ID!]!){{taskReopen(ids:$ids){{tasks{{{SHOW}}} {ERRORS}}}}}"
DELETE = f"mutation($ids:[ID!]!){{taskDelete(ids:$ids){{deletedIds {ERRORS}}}}}"
FOR_MEMBERS = f"""mutation($id:ID!,$i:MemberTaskInput!){{taskCreateForMembers(savedSearchId:$id,input:$i){{
    tasks{{id name email{{id}} person{{id}} assignee{{id}} creator{{id}} dueOn priority}} {ERRORS}}}}}"""
TASK = f"query($id:ID!){{task(id:$id){{{SHOW}}}}}"
TASKS = f"query($f:TaskFilter,$o:TaskOrder){{tasks(filter:$f,orderBy:$o,first:200){{asOf nodes{{{SHOW}}}}}}}"
FOLLOW = f"""subscription($after:ChangeCursor){{taskChanges(after:$after){{__typename ... on Change{{cursor}}
    ... on TaskUpserted{{taskId task{{{SHOW}}}}} ... on TaskDeleted{{taskId}}}}}}"""
UNKNOWN_TASK_ID = "VGFzazo5ODc2NTQ"
"""The id of a task that never was."""


def day(clock: ManualClock, days: int = 0) -> str:
    """A day by the test's clock in UTC, so many days from today."""
    return (today(clock) + timedelta(days=days)).isoformat()


def today(clock: ManualClock) -> date:
    return datetime.fromtimestamp(clock.moment / 1e6, UTC).date()


async def create_task(client: Client, person_id: str, name: str = "Call back", **more: Any) -> dict[str, Any]:
    """A task as it was made."""
    given = {"name": name, "kind": "CALL", "personId": person_id, "dueOn": "2023-11-20", **more}
    made = await client.one(CREATE, i=given)
    assert made["userErrors"] == []
    task: dict[str, Any] = made["task"]
    return task


async def find_task_names(client: Client, order: dict[str, Any] | None = None, **filter: Any) -> list[str]:
    """The names of the tasks that a filter holds for."""
    return [task["name"] for task in (await client.one(TASKS, f=filter, o=order))["nodes"]]


def errors_of(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The code and the place of each mistake."""
    return [(error["code"], error["path"]) for error in answer["userErrors"]]
