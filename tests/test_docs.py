"""Every example in the README and on the pages of docs/ runs, in their order, and answers what is written there."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import COMMAND, command_environment
from tests.support.documentation import DocumentationError, Page, fill_placeholders, find_differences
from tests.support.documentation_runner import ExampleRunner, serve_with_mail
from tests.support.paths import ROOT
from tests.support.server import SECRET

_LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages() -> list[Page]:
    """The README, and the pages in the order in which it names them."""
    readme = Page.read("README.md")
    named = dict.fromkeys(target.partition("#")[0] for target in _LINK.findall(readme.text))
    return [readme, *(Page.read(target) for target in named if re.fullmatch(r"docs/.*\.md", target))]


PAGES = pages()
GUIDES = [Page.read("CONTRIBUTING.md"), Page.read("SECURITY.md")]
DECISIONS = [Page.read(f"decisions/{path.name}") for path in sorted((ROOT / "decisions").glob("*.md"))]


async def test_every_example_returns_the_documented_response(database_url: str) -> None:
    async with serve_with_mail(database_url) as server:
        reader = ExampleRunner(server)
        for page in PAGES:
            await reader.read(page)
        assert reader.tried == sum(len(list(page.examples())) for page in PAGES) > 50


def test_the_readme_leads_to_every_page() -> None:
    assert {page.path for page in PAGES[1:]} == {f"docs/{each.name}" for each in (ROOT / "docs").glob("*.md")}


@pytest.mark.parametrize("page", [*PAGES, *GUIDES, *DECISIONS], ids=lambda page: page.path)
def test_what_a_page_points_at_is_there(page: Page) -> None:
    for target in _LINK.findall(page.text):
        path, _, heading = target.partition("#")
        place = (ROOT / page.path).parent / path if path else ROOT / page.path
        assert place.exists(), target
        assert not heading or heading in anchors(place.read_text()), target


def anchors(text: str) -> set[str]:
    """The headings of a page as the ends of links."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.path)
def test_each_example_of_a_page_has_its_response(page: Page) -> None:
    assert [example.place for example in page.examples() if not example.answers] == []


@pytest.mark.parametrize("page", [*PAGES, *GUIDES], ids=lambda page: page.path)
def test_the_lines_of_a_page_are_no_longer_than_in_the_code(page: Page) -> None:
    assert [
        line for line in page.text.splitlines() if len(line) > 120 and not line.lstrip().startswith(("|", '"message"'))
    ] == []


def test_the_applications_shown_are_the_ones_that_run() -> None:
    """Each block of TypeScript is the file that the link before it names; `make test-clients` runs these."""
    page = Page.read("docs/from-an-app.md")
    shown = re.findall(
        r"\]\(\.\./(tests/clients/[^)]+\.ts)\):\n\n```ts\n(.*?)^```$", page.text, re.DOTALL | re.MULTILINE
    )
    assert {path for path, _ in shown} >= {f"tests/clients/{name}/list.ts" for name in ("apollo", "urql", "relay")}
    assert {path for path, _ in shown} >= {"tests/clients/apollo/tasks.ts", "tests/clients/relay/feed.ts"}
    assert [text for _, text in shown] == page.blocks("ts")
    assert [path for path, text in shown if (ROOT / path).read_text() != text] == []


def test_the_commands_for_an_operator_do_what_they_say(tmp_path: Path) -> None:
    commands = "\n".join(Page.read("docs/operating.md").blocks("sh"))
    assert commands.count("command-center ") >= 6
    ours = f'command-center() {{ {shlex.join(COMMAND)} "$@"; }}\n'
    environment = command_environment(DATABASE_URL=f"sqlite:///{tmp_path}/x.db", SECRET=SECRET)
    said = asyncio.run(_shell("set -e\n" + ours + commands, environment | {"PYTHONPATH": str(ROOT)}, tmp_path))
    lines = said.splitlines()
    assert {"sam@example.com", "ada@example.com"} < set(lines)
    assert any(re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", line) for line in lines)
    assert (tmp_path / "people.csv").exists()
    assert lines[-1] == "0 lists compared, 0 differ"


async def _shell(script: str, environment: dict[str, str], folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 180)
    assert process.returncode == 0, out.decode()
    return out.decode()


# ---- the harness itself: what is wrong on a page is found ------------------------------------------------------------

RIGHT = """
```graphql
mutation M($name: String!) { groupCreate(name: $name) { group { id name personCount } userErrors { code } } }
```

```json
{ "name": "Fair" }
```

```json
{ "data": { "groupCreate": { "group": { "id": "‹Fair›", "name": "Fair", "personCount": 0 }, "userErrors": [] } } }
```

```graphql
query Q($id: ID!) { node(id: $id) { id ... on Group { name people { nodes { id } } } } groups { nodes { name } } }
```

```json
{ "id": "‹Fair›" }
```

```json
{
  "data": {
    "node": { "id": "‹Fair›", "name": "Fair", "people": { "nodes": [] } },
    "groups": { "nodes": [{ "name": "Fair" }] }
  }
}
```

```graphql
mutation P { personCreate(input: { name: "P", address: "p@x.example" }) { person { id } userErrors { code } } }
```

```graphql
subscription S { allSavedSearchChanges { __typename } }
```

```json
{ "data": { "allSavedSearchChanges": { "__typename": "CaughtUp" } } }
```
"""

WRONG = {
    "a value": ('"personCount": 0', '"personCount": 1', "personCount: documented 1, in truth 0"),
    "a type": ('"personCount": 0', '"personCount": "0"', "documented '0', in truth 0"),
    "a truth for a number": ('"personCount": 0', '"personCount": false', "documented False, in truth 0"),
    "a field that does not come": ('"personCount": 0', '"personCount": 0, "more": 1', "more is only documented"),
    "a field left out": (', "personCount": 0 }', " }", "personCount is only in the real answer"),
    "a list too short": ('"nodes": [{ "name": "Fair" }]', '"nodes": []', "documented 'nothing'"),
    "a list too long": ('[{ "name": "Fair" }]', '[{ "name": "Fair" }, { "name": "B" }]', "in truth 'nothing'"),
    "an id for another": ('[{ "name": "Fair" }]', '[{ "name": "‹Fair›" }]', "documented '‹Fair›'"),
    "a second name for a thing": ('"node": { "id": "‹Fair›"', '"node": { "id": "‹Fare›"', "documented '‹Fare›'"),
    "a name nobody gave": ('{ "id": "‹Fair›" }', '{ "id": "‹Foul›" }', "no earlier answer says what ‹Foul› is"),
    "a field of the schema": ("name personCount }", "name personCounts }", "personCounts"),
    "a variable": ('{ "name": "Fair" }', '{ "named": "Fair" }', "named is neither"),
    "a mistake that is not documented": ('"p@x.example"', '"nobody"', "it is refused"),
    "another frame": ('"CaughtUp"', '"MemberJoined"', "in truth 'CaughtUp'"),
    "JSON": ('"personCount": 0', '"personCount": zero', "its JSON is none"),
    "an answer without its operation": ("```graphql\nsubscription", "```text\nsubscription", "belongs to no operation"),
    "variables after an answer": ('{ "id": "‹Fair›" }', '{ "data": {} }\n```\n\n```json\n{ "id": "" }', "come answers"),
    "a variable not given": ('{ "id": "‹Fair›" }', "{}", "'$id'"),
    "an answer that is none": ('{ "data": { "allSaved', '{ "dada": { "allSaved', "dada is neither"),
}


async def test_a_wrong_example_fails_with_its_location(sqlite_url: str) -> None:
    async with serve_with_mail(sqlite_url) as server:
        await ExampleRunner(server, team="Right").read(Page("right.md", RIGHT))
        for number, (what, (before, after, complaint)) in enumerate(WRONG.items()):
            assert before in RIGHT, what
            reader = ExampleRunner(server, patience=1.0, team=f"Wrong{number}")
            with pytest.raises(DocumentationError) as failed:
                await reader.read(Page("wrong.md", RIGHT.replace(before, after, 1)))
            assert re.match(r"wrong\.md:\d+: ", str(failed.value)), what
            assert complaint in str(failed.value), what


def test_moments_compare_by_their_form_alone() -> None:
    names: dict[str, str] = {}
    moment = "2026-01-31T09:30:00.000000Z"
    assert list(find_differences({"at": moment}, {"at": "2031-12-01T00:00:00.123456Z"}, names)) == []
    for other in ("2026-01-31", None, "soon", 5):
        assert list(find_differences({"at": moment}, {"at": other}, names)) != []
    assert list(find_differences({"dueOn": "2026-01-31"}, {"dueOn": "2031-12-01"}, names)) == []
    for other in (moment, None, "soon", 5):
        assert list(find_differences({"dueOn": "2026-01-31"}, {"dueOn": other}, names)) != []


def test_a_list_may_continue_after_an_ellipsis() -> None:
    assert list(find_differences([1, "…"], [1, 2, 3], {})) == []
    assert list(find_differences([1, "…"], [1], {})) == []
    assert list(find_differences([1, 2, "…"], [1], {})) != []
    assert list(find_differences([2, "…"], [1, 2], {})) != []


def test_a_placeholder_is_defined_by_the_first_response() -> None:
    names: dict[str, str] = {}
    assert list(find_differences({"asOf": "‹here›", "cursor": "‹there›"}, {"asOf": "9", "cursor": "9"}, {})) == []
    assert list(find_differences({"id": "‹this›", "emailId": "‹that›"}, {"id": "9", "emailId": "9"}, {})) != []
    assert list(find_differences(["‹a›", "‹b›"], ["1", "2"], names)) == []
    assert names == {"a": "1", "b": "2"}
    assert list(find_differences(["‹a›"], ["2"], names)) != []
    assert list(find_differences(["‹c›"], [3], names)) != []
    assert fill_placeholders({"ids": ["‹a›", "a"]}, names) == {"ids": ["1", "a"]}
    with pytest.raises(DocumentationError, match="‹c›"):
        fill_placeholders("‹c›", names)


def test_moments_are_written_in_words() -> None:
    past, now, ahead = (str(fill_placeholders(text, {})) for text in ("‹2 hours ago›", "‹now›", "‹in 3 days›"))
    assert past < now < ahead
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", each) for each in (past, now, ahead))
    days = [
        fill_placeholders(text, {})
        for text in ("‹yesterday›", "‹today›", "‹1 days from today›", "‹20 days from today›")
    ]
    assert days == sorted(set(days))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", each) for each in days)
