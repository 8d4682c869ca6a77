"""People out of files, as an operator imports them: what other programs export is understood, and twice is once."""

import asyncio
import codecs
import csv
import io
import os
import re
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_center.actions import imports
from command_center.actions.people import NewPerson
from command_center.database.connections import database, open_database
from command_center.importing.cells import UnreadableCell, read_address, read_opt_out, read_phone, read_text
from command_center.importing.columns import recognise_columns
from command_center.importing.records import MAX_RECORD_CHARACTERS
from command_center.importing.tables import read_table
from command_center.search.text import fold
from tests.support.commands import COMMAND, InlineCommand, assert_usage_error, command_environment
from tests.support.emails import create_draft, create_person, send_email
from tests.support.paths import ROOT
from tests.support.server import SECRET, Client, Server, serving

pytestmark = pytest.mark.slow

SAVE = "mutation($i:SavedSearchCreateInput!){savedSearchCreate(input:$i){savedSearch{id}}}"
MEMBERS = "query($id:ID!){savedSearch(id:$id){memberCount members{nodes{email{id}}}}}"


Person = tuple[str, str, str | None, str | None, str | None]
"""Name, address, title, company and phone."""
PEOPLE = "SELECT name, address, title, company, phone FROM people ORDER BY address_folded"
TO = ("--team", "Team", "--owner", "ann@team.example")
HEADER = "Name,Email,Job Title,Company,Phone"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "cp1252")
ENDS = ("\r\n", "\n", "\r")
QUOTING = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


def written(
    rows: Iterable[Sequence[str]], encoding: str = "utf-8", delimiter: str = ",", end: str = "\r\n", quoting: int = 0
) -> bytes:
    """Rows as Python's own writer puts them."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    return mark + out.getvalue().encode(encoding)


def kept(url: str, sql: str = PEOPLE) -> list[Any]:
    async def read() -> list[Any]:
        async with open_database(url):
            return [tuple(row.values()) for row in await database().fetch(sql)]

    return asyncio.run(read())


class Team:
    """A team with Ann and Bob, and the command run for Ann."""

    def __init__(self, url: str, run_inline: InlineCommand, folder: Path) -> None:
        self.known = {"DATABASE_URL": url, "SECRET": SECRET}
        self.url = url
        self.run_inline = run_inline
        self.folder = folder
        for name in ("Ann", "Bob"):
            address = f"{name.lower()}@team.example"
            assert (
                run_inline("user", "add", "--team", "Team", "--name", name, "--address", address, **self.known).code
                == 0
            )

    def file(self, content: str | bytes, name: str = "people.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def imports(self, content: str | bytes | Path, *words: str, owner: str = "ann@team.example") -> Any:
        path = content if isinstance(content, Path) else self.file(content)
        return self.run_inline("import", str(path), "--team", "Team", "--owner", owner, *words, **self.known)

    def people(self) -> list[Person]:
        return kept(self.url)

    def invalidations(self) -> list[tuple[int, int]]:
        return kept(self.url, "SELECT kind, subject_id FROM invalidations ORDER BY id")


@pytest.fixture
def team(database_url: str, run_inline: InlineCommand, tmp_path: Path) -> Team:
    return Team(database_url, run_inline, tmp_path)


@pytest.fixture
def small_team(sqlite_url: str, run_inline: InlineCommand, tmp_path: Path) -> Team:
    return Team(sqlite_url, run_inline, tmp_path)


EXPORTS: Mapping[str, tuple[bytes, list[Person]]] = {
    "Salesforce": (
        (
            b'"Salutation","First Name","Last Name","Title","Account Name","Mailing Street","Phone","Mobile","Email"\n'
            b'"Ms.","Dora","Diaz","VP, Sales","ACME ""Rockets"" Inc.","1 Main\nS","(030) 1","","dora@acme.example"\n'
            b'"","Emil","Ender","","","","","0170 2","emil@example.org"\n'
        ),
        [
            ("Dora Diaz", "dora@acme.example", "VP, Sales", 'ACME "Rockets" Inc.', "(030) 1"),
            ("Emil Ender", "emil@example.org", None, None, "0170 2"),
        ],
    ),
    "HubSpot": (
        codecs.BOM_UTF8
        + "Record ID,First Name,Last Name,Email,Phone Number,Lead Status,Job Title,Associated Company\n"
        "101,Zoë,Ångström,zoe@nord.example,+46 8 1,New,CTO,Nord AB\n".encode(),
        [("Zoë Ångström", "zoe@nord.example", "CTO", "Nord AB", "+46 8 1")],
    ),
    "Outlook": (
        "Title,First Name,Middle Name,Last Name,Suffix,Company,Department,Job Title,Home Phone,Business Phone,"
        "Mobile Phone,E-mail Address,E-mail Type,E-mail Display Name\r\n"
        "Mr.,Jürgen,K.,Groß,,Müller & Söhne,,Leiter,1,2,3,juergen@mueller.example,SMTP,x\r\n"
        "Mrs.,Ina,,Noll,,,,,1,,,ina@example.org,SMTP,x\r\n".encode("cp1252"),
        [
            ("Ina Noll", "ina@example.org", None, None, "1"),
            ("Jürgen Groß", "juergen@mueller.example", "Leiter", "Müller & Söhne", "2"),
        ],
    ),
    "Outlook in German": (
        "Anrede;Vorname;Weitere Vornamen;Nachname;Firma;Abteilung;Position;Telefon geschäftlich;Mobiltelefon;"
        "E-Mail-Adresse\r\nFrau;Änne;;Öz;Straßenbau GmbH;;Geschäftsführerin;;0171 5;aenne@strassen.example\r\n".encode(
            "cp1252"
        ),
        [("Änne Öz", "aenne@strassen.example", "Geschäftsführerin", "Straßenbau GmbH", "0171 5")],
    ),
    "Google Contacts": (
        (
            b"First Name,Middle Name,Last Name,Organization Name,Organization Title,Labels,E-mail 1 - Label,"
            b"E-mail 1 - Value,E-mail 2 - Label,E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value\n"
            b"Dora,,Diaz,ACME,CTO,* myContacts,* Work,dora@acme.example ::: d@home.example,,,Mobile,1 ::: 2\n"
            b"Emil,,,,,* myContacts,,,Home,emil@home.example,,\n"
        ),
        [
            ("Dora Diaz", "dora@acme.example", "CTO", "ACME", "1"),
            ("Emil", "emil@home.example", None, None, None),
        ],
    ),
    "Google Contacts of old, in UTF-16": (
        codecs.BOM_UTF16_LE
        + "Name,Given Name,Additional Name,Family Name,Yomi Name,E-mail 1 - Type,E-mail 1 - Value,"
        "Organization 1 - Name,Organization 1 - Title\nAda 李 Lu,Ada,李,Lu,,* ,ada@x.example,X,Eng\n"
        "Only Whole,,,,,* ,only@x.example,,\n".encode("utf-16-le"),
        [
            ("Ada Lu", "ada@x.example", "Eng", "X", None),
            ("Only Whole", "only@x.example", None, None, None),
        ],
    ),
    "Marketo": (
        (
            b"Id\tFull Name\tEmail Address\tCompany Name\tJob Title\tPhone Number\tMobile Phone Number\n"
            b"1\tDora Diaz\tdora@acme.example\tACME\tCTO\t\t0170\n"
        ),
        [("Dora Diaz", "dora@acme.example", "CTO", "ACME", "0170")],
    ),
    "LinkedIn": (
        (
            b'Notes:\n"When exporting your connections, some of the addresses are missing.\nSee ""help""."\n\n'
            b"First Name,Last Name,URL,Email Address,Company,Position,Connected On\n"
            b'Dora,"Diaz, PhD",https://www.linkedin.com/in/d,dora@acme.example,ACME,CTO,24 Nov 2025\n'
        ),
        [("Dora Diaz, PhD", "dora@acme.example", "CTO", "ACME", None)],
    ),
    "a list by hand": (
        (
            b"sep=|\r\nTELEFON| e_mail |NAME|VORNAME|FIRMA|||\r\n030|  dora@acme.example |Diaz|Dora|ACME|||\r\n"
            b"|||||||\r\n\r\n|emil@acme.example|Emil Ender|Emil||\r\n"
        ),
        [
            ("Dora Diaz", "dora@acme.example", None, "ACME", "030"),
            ("Emil Ender", "emil@acme.example", None, None, None),
        ],
    ),
    "names as an API has them": (
        b"firstName,lastName,email,company,title,phone\nDora,Diaz,dora@acme.example,ACME,CTO,1\n",
        [("Dora Diaz", "dora@acme.example", "CTO", "ACME", "1")],
    ),
}


@pytest.mark.parametrize("program", EXPORTS)
def test_exports_of_common_programs_are_understood(small_team: Team, program: str) -> None:
    content, expected = EXPORTS[program]
    said = small_team.imports(content)
    number = len(expected)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{number} rows: {number} added, 0 changed, 0 unchanged, 0 refused\n"
    assert small_team.people() == expected
    assert [path.name for path in small_team.folder.iterdir()] == ["people.csv"]


def test_a_column_of_first_names_is_kept(team: Team) -> None:
    names = "SELECT name, first_name FROM people ORDER BY address_folded"
    team.imports("First Name,Last Name,Email\nAnna Maria,Schmidt,anna@x.example\n,Ender,emil@x.example\n")
    assert kept(team.url, names) == [("Anna Maria Schmidt", "Anna Maria"), ("Ender", None)]
    # Blank clears nothing, and what was unknown is taken over.
    said = team.imports("Name,First Name,Email\nAnna Maria Schmidt,,anna@x.example\nEnder,Emil,emil@x.example\n")
    assert said.out == "2 rows: 0 added, 1 changed, 1 unchanged, 0 refused\n"
    assert kept(team.url, names) == [("Anna Maria Schmidt", "Anna Maria"), ("Emil Ender", "Emil")]


def test_every_encoding_delimiter_and_line_end_is_read(small_team: Team) -> None:
    notes = 'He said: "Grüße;\tviel | Glück"\r\nund "ade",\n\n'
    expected: list[Person] = []
    number = 0
    for encoding in ENCODINGS:
        for delimiter in ",;\t|":
            end, quoting = ENDS[number % 3], QUOTING[number % 3]
            address = f"p{number:02}@example.org"
            rows = [["Notes", *HEADER.split(",")], [notes, f"Jürgen, {number}", address, 'A;B|"C"', "Straße", "1,2"]]
            said = small_team.imports(written(rows, encoding, delimiter, end, quoting))
            assert said.out == "1 rows: 1 added, 0 changed, 0 unchanged, 0 refused\n", (encoding, delimiter, said)
            expected.append((f"Jürgen, {number}", address, 'A;B|"C"', "Straße", "1,2"))
            number += 1
    assert small_team.people() == expected


WINDOWS = "".join(bytes([code]).decode("cp1252", "ignore") for code in range(32, 256) if code != 127)
LINE = st.text(
    st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]) | st.sampled_from('";,|\t='), max_size=30
)
NAME = LINE.map(lambda text: text.replace("\t", " ").replace(" ::: ", "")).filter(
    # Neither blank nor something that spreadsheets write otherwise than it is meant.
    lambda text: bool(text.strip()) and read_text(text) == text.strip()
)
FREE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(st.tuples(NAME, NAME, NAME, FREE), max_size=8),
    encoding=st.sampled_from(ENCODINGS),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(ENDS),
    quoting=st.sampled_from(QUOTING),
)
def test_written_files_are_read(
    rows: list[tuple[str, str, str, str]], encoding: str, delimiter: str, end: str, quoting: int
) -> None:
    if encoding == "cp1252":
        rows = [tuple("".join(char for char in text if char in WINDOWS) or "x" for text in row) for row in rows]  # type: ignore[misc]
    if quoting == csv.QUOTE_MINIMAL and end != "\r\n":
        # Python's writer leaves bare what ends no line of its own: nobody could tell that from a line's end.
        quoting = csv.QUOTE_ALL
    lines = [["Full Name", "Company", "Notes", "Email"]]
    lines += [[name, company, notes, f"p{place}@x.example"] for place, (name, company, _, notes) in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "people.csv")
        path.write_bytes(written(lines, encoding, delimiter, end, quoting))
        found = read_table(path, encoding if encoding == "cp1252" else None)
        with found.open() as file:
            people = [found.columns.row(record.line, record.fields, True).new for record in found.rows(file)]
    assert [(each.name, each.company, each.address) for each in people] == [
        (read_text(name), read_text(company), f"p{place}@x.example") for place, (name, company, *_) in enumerate(rows)
    ]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300).map(lambda raw: b"Email,Name\n" + raw) | st.text(max_size=300).map(str.encode))
def test_no_file_breaks_the_reader(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "people.csv")
        path.write_bytes(content)
        try:
            found = read_table(path, None)
        except ValueError as exc:
            assert str(exc)  # noqa: PT017
            return
        with found.open() as file:
            lines = [record.line for record in found.rows(file)]
        assert lines == sorted(set(lines))


def test_the_same_file_again_changes_nothing(team: Team) -> None:
    rows = [HEADER.split(","), *([f"P {n}", f"P{n}@Example.org", "T", "Straße", ""] for n in range(2500))]
    content = written(rows)
    assert team.imports(content, "--group", "Fair").out.startswith("2500 rows: 2500 added, 0 changed, 0 unchanged")
    before = (team.people(), team.invalidations(), kept(team.url, "SELECT count(*) FROM group_people"))
    assert before[2] == [(2500,)]
    again = team.imports(content, "--group", "Fair")
    assert (again.code, again.out) == (0, "2500 rows: 0 added, 0 changed, 2500 unchanged, 0 refused\n")
    assert (team.people(), team.invalidations(), kept(team.url, "SELECT count(*) FROM group_people")) == before
    assert kept(team.url, "SELECT name, shared FROM person_groups") == [("Fair", False)]
    folded = kept(
        team.url, "SELECT address_folded, company_folded, name_folded FROM people WHERE address='P7@Example.org'"
    )
    assert folded == [("p7@example.org", fold("Straße"), "p 7")]


def test_own_people_are_updated_and_those_of_colleagues_are_not(team: Team) -> None:
    first = "Name,Email,Title,Company,Phone\nDora,dora@x.example,CTO,ACME,1\nEmil,emil@x.example,,,\n"
    assert team.imports(first).code == 0
    bobs = "Name,Email\nBob's,bobs@x.example\n"
    hidden = "Name,Email\nBob's own,hidden@x.example\n"
    assert team.imports(bobs, owner="bob@team.example").code == 0
    assert team.imports(hidden, "--private", owner="BOB@team.example").code == 0
    second = (
        "Name,Email,Title,Company,Phone\nDora Diaz,DORA@X.example,,Beta,\nEmil,emil@x.example,,,\n"
        "Mine,bobs@x.example,,Theft,\nMine,hidden@x.example,,Theft,\nNew,new@x.example,,,\n"
    )
    said = team.imports(second, "--group", " Fair ", "--private")
    assert said.code == 0
    assert said.out == (
        "2 of the unchanged are people of colleagues, 1 of them private\n"
        "5 rows: 1 added, 1 changed, 3 unchanged, 0 refused\n"
    )
    assert team.people() == [
        ("Bob's", "bobs@x.example", None, None, None),
        ("Dora Diaz", "dora@x.example", "CTO", "Beta", "1"),
        ("Emil", "emil@x.example", None, None, None),
        ("Bob's own", "hidden@x.example", None, None, None),
        ("New", "new@x.example", None, None, None),
    ]
    shared = dict(kept(team.url, "SELECT address, shared FROM people"))
    assert {address for address, flag in shared.items() if not flag} == {"hidden@x.example", "new@x.example"}
    inside = kept(
        team.url,
        "SELECT p.address FROM group_people m JOIN people p ON p.id = m.person_id JOIN person_groups g"
        " ON g.id = m.group_id JOIN users u ON u.id = g.owner_id WHERE g.name = 'Fair' AND u.name = 'Ann' ORDER BY 1",
    )
    assert [address for (address,) in inside] == ["bobs@x.example", "dora@x.example", "emil@x.example", "new@x.example"]
    (dora,) = kept(team.url, "SELECT id FROM people WHERE address = 'dora@x.example'")[0]
    (group,) = kept(team.url, "SELECT id FROM person_groups")[0]
    assert team.invalidations() == [(2, dora), (3, group)]


def test_unsubscribed_people_stay_unsubscribed(small_team: Team) -> None:
    content = "Name,Email\nDora,dora@x.example\n"
    assert small_team.imports(content).code == 0

    async def unsubscribe() -> None:
        async with open_database(small_team.url):
            assert await database().execute("UPDATE people SET unsubscribed_at = 1") == 1

    asyncio.run(unsubscribe())
    assert small_team.imports("Name,Email\nDora Diaz,dora@x.example\n").out.startswith("1 rows: 0 added, 1 changed")
    assert kept(small_team.url, "SELECT name, unsubscribed_at FROM people") == [("Dora Diaz", 1)]


def test_lists_follow_what_a_file_changes(database_url: str, run_inline: InlineCommand, tmp_path: Path) -> None:
    async def prepare() -> tuple[str, str]:
        async with serving(database_url, works=False, looks=False) as server:
            ann = await server.client("Ann")
            await create_draft(ann, await create_person(ann, "dora@x.example", company="Alpha"))
            email = await create_draft(ann, await create_person(ann, "emil@x.example"))
            by_company = await saved(server, ann, {"company": {"equals": "ACME"}})
            return by_company, email

    async def saved(server: Server, client: Client, filter: dict[str, Any]) -> str:
        made = await client.one(SAVE, i={"name": "L", "filter": filter})
        await server.settle()
        return str(made["savedSearch"]["id"])

    async def members(search: str) -> list[str]:
        async with serving(database_url, works=False, looks=False) as server:
            ann = await server.client("Ann")
            await server.settle()
            found = await ann.one(MEMBERS, id=search)
            return [node["email"]["id"] for node in found["members"]["nodes"]]

    search, email = asyncio.run(prepare())
    path = tmp_path / "people.csv"
    path.write_text("Name,Email,Company\nEmil,emil@x.example,Acme\nDora,dora@x.example,Alpha\n")
    said = run_inline("import", str(path), *TO, DATABASE_URL=database_url)
    assert said.out == "2 rows: 0 added, 1 changed, 1 unchanged, 0 refused\n"
    assert asyncio.run(members(search)) == [email]


def test_refused_rows_are_reported_by_line_and_can_be_corrected(small_team: Team) -> None:
    huge = '"' + "x" * 10_000_000 + '"'
    content = (
        "Name,Email,Company,Notes\r\n"
        'Dora,dora@x.example,ACME,"two\r\nlines"\r\n'
        "\r\n"
        "Emil,not an address,,\r\n"
        f"{'N' * 201},long@x.example,,\r\n"
        "Nul,nul\0@x.example,,\r\n"
        "Nul,nul@x.example,A\0B,\r\n"
        f"Huge,huge@x.example,,{huge}\r\n"
        f"Huge,huge@x.example,{'y' * 3000},\r\n"
        ',blank@x.example,"a\nb",\r\n'
        "Dora again, DORA@x.example ,,\r\n"
        "Shifted,shifted@x.example,ACME, Inc,note\r\n"
        'Quote,quote@x.example,"ACME "Inc" Ltd",\r\n'
        'Open,open@x.example,"never closed,\r\n'
        "Last,last@x.example,,\r\n"
    )
    said = small_team.imports(content)
    assert said.code == 1
    assert said.out == "13 rows: 2 added, 0 changed, 0 unchanged, 11 refused\n"
    assert [row[0] for row in small_team.people()] == ["Dora", "Last"]
    reasons = {
        5: "An address looks like name@example.com.",
        6: "A name may have at most 200 characters, not 201.",
        7: "The address contains the character U+0000, which must be removed.",
        8: "A company must be one line without control characters.",
        9: f"The row has more than {MAX_RECORD_CHARACTERS:,} characters, or a quotation mark in it is not closed.",
        10: "A company may have at most 200 characters, not 3000.",
        11: "A name must not be blank.",
        13: "The same address as in line 2.",
        14: "The row has 5 values, and the header 4 names.",
        15: "The quotation marks of the row do not fit together.",
        16: "The quotation marks of the row do not fit together.",
    }
    kept_in = small_team.folder / "people.csv.refused.csv"
    lines = [f"line {line}: {reason}\n" for line, reason in reasons.items()]
    assert said.err == "".join(lines) + f"refused rows are in {kept_in}\n"
    with kept_in.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Line", "Reason", "Name", "Email", "Company", "Notes"]
    assert {int(row[0]): row[1] for row in rows[1:]} == reasons
    assert rows[1][2:] == ["Emil", "not an address", "", ""]
    assert max(len(value) for row in rows for value in row) <= 3000
    kept_in.write_text(kept_in.read_text("utf-8-sig").replace("not an address", "emil@x.example"), "utf-8-sig")
    mended = small_team.imports(kept_in, "--refused", str(small_team.folder / "still.csv"))
    assert "1 added" in mended.out
    assert ("Emil", "emil@x.example", None, None, None) in small_team.people()
    assert (small_team.folder / "still.csv").exists()


def test_of_many_refused_rows_few_are_printed_and_all_are_saved(small_team: Team) -> None:
    content = "Name;Email\n" + "".join(f"P{n};nowhere\n" for n in range(2100)) + "Dora;dora@x.example\n"
    said = small_team.imports(content, "--refused", str(small_team.folder / "no.csv"))
    assert (said.code, said.out) == (1, "2101 rows: 1 added, 0 changed, 0 unchanged, 2100 refused\n")
    lines = said.err.splitlines()
    assert lines[0] == "line 2: An address looks like name@example.com."
    assert lines[20:] == [f"and 2080 more; refused rows are in {small_team.folder / 'no.csv'}"]
    rows = (small_team.folder / "no.csv").read_text("utf-8-sig").splitlines()
    assert (len(rows), rows[-1]) == (2101, "2101;An address looks like name@example.com.;P2099;nowhere")


def test_if_refused_rows_cannot_be_saved_each_is_printed(small_team: Team) -> None:
    content = "Name,Email\n" + "x,y\n" * 30
    said = small_team.imports(content, "--refused", str(small_team.folder / "no/such/folder.csv"))
    assert (said.code, said.out) == (1, "30 rows: 0 added, 0 changed, 0 unchanged, 30 refused\n")
    assert len(re.findall(r"^line \d+: ", said.err, re.MULTILINE)) == 30
    assert said.err.count("cannot be kept") == 1


def test_an_open_quotation_mark_costs_its_own_row(small_team: Team) -> None:
    people = [f"P{n},p{n}@x.example,\n" for n in range(3000)]
    people[10] = 'P10,p10@x.example,"open\n'
    said = small_team.imports("Name,Email,Notes\n" + "".join(people))
    assert said.out == "3000 rows: 2999 added, 0 changed, 0 unchanged, 1 refused\n"
    assert said.err.startswith("line 12: ")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", ("no column", "nothing")),
        (b"Name,Company\nDora,ACME\n", ("no column", "Email")),
        (b"\x1b[31mName\n", ("no column", r"\x1b[31m")),
        (codecs.BOM_UTF8 + "Email,Name\na@x.example,Zo\xeb\n".encode("cp1252"), ("line 2", "UTF-8", "--encoding")),
        ("Email,Name\na@x.example,Zoë Ångström\n".encode() + b"b@x.example,Zo\xeb\n", ("line 3", "UTF-8")),
        (b"Email,Name\r\na@x.example,\x81\r\n", ("line 2", "neither UTF-8 nor Windows-1252")),
        (codecs.BOM_UTF16_LE + "Email\nx".encode("utf-16-le") + b"\x00", ("line 2", "UTF-16")),
        (codecs.BOM_UTF16_BE + "Email\n".encode("utf-16-be") + b"\xd8\x00\x00a", ("line 2", "UTF-16")),
    ],
)
def test_an_unreadable_file_is_reported_in_one_line(small_team: Team, content: bytes, words: tuple[str, ...]) -> None:
    assert_usage_error(small_team.imports(content), "people.csv", *words)
    assert small_team.people() == []


def test_missing_requirements_are_reported_in_one_line(small_team: Team) -> None:
    good = small_team.file("Name,Email\nDora,dora@x.example\n")
    folder = small_team.folder
    run, known = small_team.run_inline, small_team.known
    assert_usage_error(run("import", str(folder / "no.csv"), *TO, **known), "no.csv", "No such file")
    assert_usage_error(run("import", str(folder), *TO, **known), str(folder))
    assert_usage_error(
        run("import", str(good), "--team", "Süd", "--owner", "ann@team.example", **known), "team", "'Süd'"
    )
    assert_usage_error(
        run("import", str(good), "--team", "Team", "--owner", "no@team.example", **known), "owner", "no@team"
    )
    assert run("user", "add", "--team", "Other", "--name", "Max", "--address", "max@o.example", **known).code == 0
    assert_usage_error(
        run("import", str(good), "--team", "Team", "--owner", "max@o.example", **known), "owner", "max@o.example"
    )
    assert_usage_error(small_team.imports(good, "--group", " "), "group", "blank")
    assert_usage_error(small_team.imports(good, "--group", "x" * 201), "group", "200")
    assert_usage_error(small_team.imports(good, "--encoding", "klingon"), "klingon")
    assert_usage_error(small_team.imports(good, "--encoding", "base64"), "base64")
    assert_usage_error(small_team.imports(good, "--refused", str(good)), "--refused")
    assert_usage_error(run("import", str(good), *TO, DATABASE_URL=f"sqlite:///{folder}"), "DATABASE_URL")
    fifo = folder / "pipe"
    os.mkfifo(fifo)
    assert_usage_error(run("import", str(fifo), *TO, **known), "pipe")
    assert small_team.people() == []


def test_an_encoding_can_be_named(small_team: Team) -> None:
    content = "Name,Email\nŁukasz Żółć,l@x.example\n".encode("cp1250")
    assert small_team.imports(content, "--encoding", "windows-1250").code == 0
    assert small_team.imports("\ufeffEmail,Name\nz@x.example,Zoë\n", "--encoding", "UTF8").code == 0
    assert [row[0] for row in small_team.people()] == ["Łukasz Żółć", "Zoë"]


def begun(url: str, path: Path, *words: str, **streams: Any) -> "subprocess.Popen[bytes]":
    """The import of a file in a process of its own."""
    environment = command_environment(DATABASE_URL=url) | {"TERM": "xterm-256color", "COLUMNS": "80"}
    return subprocess.Popen((*COMMAND, "import", str(path), *TO, *words), cwd=ROOT, env=environment, **streams)


def test_two_imports_at_once_share_the_work(team: Team) -> None:
    people = [f"P{n},p{n}@x.example\n" for n in range(3000)]
    forth = team.file("Name,Email\n" + "".join(people), "forth.csv")
    back = team.file("Name,Email\n" + "".join(reversed(people)), "back.csv")
    both = [begun(team.url, path, "--group", "Fair", stdout=subprocess.PIPE) for path in (forth, back)]
    said = [process.communicate(timeout=60)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    counts = [re.fullmatch(r"3000 rows: (\d+) added, 0 changed, (\d+) unchanged, 0 refused\n", out) for out in said]
    assert sum(int(found[1]) for found in counts if found) == 3000
    for what, number in (("people", 3000), ("person_groups", 1), ("group_people", 3000)):
        assert kept(team.url, f"SELECT count(*) FROM {what}") == [(number,)]


def test_killed_in_the_middle_and_run_again_it_is_complete(small_team: Team) -> None:
    total = 12_000
    path = small_team.file("Name,Email\n" + "".join(f"P{n},p{n}@x.example\n" for n in range(total)))
    with begun(small_team.url, path, "--group", "Fair", stdout=subprocess.DEVNULL) as process:
        while count(small_team.url) == 0:
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    before = count(small_team.url)
    assert 0 < before < total
    # A batch is in with all that belongs to it, or not at all.
    assert before % 1000 == 0
    assert count(small_team.url, "group_people") == before
    said = small_team.imports(path, "--group", "Fair")
    added = total - before
    assert (said.code, said.err) == (0, "10000 rows\n")
    assert said.out == f"{total} rows: {added} added, 0 changed, {before} unchanged, 0 refused\n"
    assert (count(small_team.url), count(small_team.url, "group_people")) == (total, total)


def count(url: str, what: str = "people") -> int:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])


def test_on_a_terminal_a_progress_bar_keeps_refused_rows_visible(small_team: Team) -> None:
    path = small_team.file("Name,Email\nx,[bold]y\n" + "".join(f"P{n},p{n}@x.example\n" for n in range(2500)))
    terminal, other = os.openpty()
    with begun(small_team.url, path, stdout=subprocess.PIPE, stderr=other) as process:
        os.close(other)
        shown = drained(terminal).decode()
        out, _ = process.communicate(timeout=60)
    assert out.decode() == "2501 rows: 2500 added, 0 changed, 0 unchanged, 1 refused\n"
    assert "\x1b[" in shown
    assert re.search(r"\d rows", shown)
    assert "line 2: An address looks like name@example.com." in shown


def drained(terminal: int) -> bytes:
    """All that is written to a terminal until nobody holds its other end."""
    found = b""
    try:
        while part := os.read(terminal, 65536):
            found += part
    except OSError:
        pass
    os.close(terminal)
    return found


# ---- what cells mean -------------------------------------------------------------------------------------------------
TEXTS = {
    "\ufeff\u200b Pat\u00a0Doe \u200e": "Pat Doe",
    '="0123"': "0123",
    '="say ""hi"""': 'say "hi"',
    '=HYPERLINK("https://a.example";"Pat")': "Pat",
    "'+49 30": "+49 30",
    "'=1+1": "=1+1",
    "'t Hooft": "'t Hooft",
    "'Pat O'Brien'": "Pat O'Brien",
    "'a' and 'b'": "'a' and 'b'",
    "Doe \r\n & Sons": "Doe & Sons",
    "#N/A": "",
    "#NAME?": "",
}
ADDRESSES = (
    *("pat@ex.example", "\u200bpat@ex.example\ufeff", "Pat Doe (pat@ex.example)", "SMTP:pat@ex.example"),
    *("mailto:pat@ex.example?subject=Hi", "mailto:pat%40ex.example", "Pat <pat@ex.example>", "<pat@ex.example>;"),
    *("'pat@ex.example'", "pat@ex.example (Pat, at work)", "Doe, Pat <mailto:pat@ex.example>", "pat@ex.example,"),
    *("[pat@ex.example](mailto:pat@ex.example)", "smtp:p@ex.example;SMTP:pat@ex.example;X500:/o=ExchangeLabs"),
    '=HYPERLINK("mailto:pat@ex.example")',
)
PHONES = {
    "'0301 2": "0301 2",
    '="0301"': "0301",
    "4.91512345678E+11": "491512345678",
    "4,91512345678e11": "491512345678",
    "491512345678.0": "491512345678",
    "tel:+49-30": "+49-30",
    "(030) 1.0": "(030) 1.0",
}
OPTED_OUT = (
    *("1", "true", "TRUE", "Yes", "y", "x", "wahr", "Ja", "oui", "sì", "Opted Out", "opt-out", "Unsubscribed", "1.0"),
    *("2021-01-01", "2021-01-01 10:00:00", "2021-01-01T10:00:00.123Z", "1/2/2021 3:04 PM", "01.02.2021"),
    *("Jan 5, 2021", "5-Jan-2021", "1612137600000", "Do Not Allow"),
)
NOT_OPTED_OUT = ("", " ", "0", "false", "No", "n", "Nein", "falsch", "non", "0.0", "Allow", "NULL", "-", "0000-00-00")


def test_cells_are_read_as_in_spreadsheets_and_outlook() -> None:
    assert {cell: read_text(cell) for cell in TEXTS} == TEXTS
    assert {read_address(cell) for cell in ADDRESSES} == {"pat@ex.example"}
    assert {cell: read_phone(cell) for cell in PHONES} == PHONES
    for rounded in ("4.91512E+11", "4,9E+12", "4.915123456789E+11"):
        with pytest.raises(UnreadableCell, match="rounded"):
            read_phone(rounded)
    for internal in ("/O=EXCHANGELABS/OU=X/CN=pat", "EX:/o=x/cn=pat", "IMCEAEX-_o=x"):
        with pytest.raises(UnreadableCell, match="inside Exchange"):
            read_address(internal)
    assert [read_opt_out(cell, "X") for cell in OPTED_OUT] == [True] * len(OPTED_OUT)
    assert [read_opt_out(cell, "X") for cell in NOT_OPTED_OUT] == [False] * len(NOT_OPTED_OUT)
    for unknown in ("maybe", "2", "some list", "10"):
        with pytest.raises(UnreadableCell, match="neither"):
            read_opt_out(unknown, "X")


def test_outlooks_file_of_people_inside_exchange(small_team: Team) -> None:
    content = (
        "First Name,Last Name,E-mail Address,E-mail Type,E-mail Display Name,E-mail 2 Address\n"
        "Pat,Doe,/o=ExchangeLabs/ou=x/cn=pat,EX,Pat Doe (pat@ex.example),\n"
        "Kim,Lee,/o=ExchangeLabs/ou=x/cn=kim,EX,Kim Lee,kim@ex.example\n"
        "Lou,Poe,/o=ExchangeLabs/ou=x/cn=lou,EX,Lou Poe,\n"
    )
    said = small_team.imports(content)
    assert said.err.startswith("line 4: /o=ExchangeLabs/ou=x/cn=lou is an address inside Exchange")
    assert [row[:2] for row in small_team.people()] == [("Kim Lee", "kim@ex.example"), ("Pat Doe", "pat@ex.example")]


def test_a_declared_delimiter_and_unlimited_columns_are_read(small_team: Team) -> None:
    empty = "^" * 16_000
    content = f'sep=^\r\nName^Email^Phone{empty}\r\n"Doe, Pat"^\u200bpat@ex.example^="0301"{empty}\r\n'
    assert small_team.imports(content).code == 0
    assert small_team.people() == [("Doe, Pat", "pat@ex.example", None, None, "0301")]
    assert small_team.imports("sep=;\nName,Email\nKim,kim@ex.example\n").code == 0
    assert small_team.imports("Name,Email\nZoë,zoe@ex.example\n".encode("utf-16-le")).code == 0
    assert [row[0] for row in small_team.people()] == ["Kim", "Doe, Pat", "Zoë"]


# ---- who must not be written to --------------------------------------------------------------------------------------
OPT_OUTS = (
    *("Email Opt Out", "HasOptedOutOfEmail", "Unsubscribed from all email", "Opted out of email: One to One"),
    *("UNSUB_TIME", "Unsubscribed", "Contact: Email Opt Out", "Email_Opt_Out__c", "hs_email_optout", "Do Not Email"),
    *("Opt-Out für E-Mail", "Von allen E-Mails abgemeldet", "Désinscrit de tous les e-mails", "Unsubscribe Date"),
    *("Kein E-Mail-Empfang", "Keine Werbung", "Nicht kontaktieren", "Refus e-mail", "Ne pas envoyer d'e-mail"),
    *("Desuscrito", "Fecha de baja", "Baja", "No Email", "Suppressed", "Marketing Suspended"),
)
STATES = {
    "Person - Marketing status": ("Unsubscribed", "Subscribed"),
    "Email Permission": ("Do Not Allow", "Allow"),
    "Accepts Email Marketing": ("no", "yes"),
    "Status": ("cleaned", "Active"),
    "Lead Status": ("Unsubscribed", "New"),
}
SAYING_MORE = (
    *("UNSUB_REASON", "UNSUB_CAMPAIGN_TITLE", "Unsubscribed Reason", "Fax Opt Out", "SMS Opt-Out", "Abmeldegrund"),
    *("Unsubscribe Link", "Do Not Call", "Unsubscribed By", "Milano Email", "Bajada"),
)


@pytest.mark.parametrize("name", [*OPT_OUTS, *SAYING_MORE])
def test_columns_of_opt_outs_are_known_by_their_names(name: str) -> None:
    known = recognise_columns(["Email", name])
    assert known is not None
    row = known.row(2, ["pat@ex.example", "2021-01-01 10:00:00"], True)
    assert (row.opted_out, row.fault) == (name in OPT_OUTS, None)


@pytest.mark.parametrize("name", STATES)
def test_columns_of_states_contain_opt_outs(name: str) -> None:
    known = recognise_columns(["Email", name])
    assert known is not None
    rows = [known.row(2, ["pat@ex.example", state], True) for state in STATES[name]]
    assert [(row.opted_out, row.fault) for row in rows] == [(True, None), (False, None)]


NEITHER = "means neither that the person has opted out nor the opposite: write yes, no or a date."
UNSUBSCRIBED = "SELECT address FROM people WHERE unsubscribed_at IS NOT NULL ORDER BY address_folded"


def test_opt_outs_hold_for_new_and_known_people(team: Team) -> None:
    assert team.imports("Name,Email\nBob's,b@ex.example\n", owner="bob@team.example").code == 0
    assert team.imports("Name,Email\nAnn,a@bücher.example\nOld,old@ex.example\nDouble,d@ex.example\n").code == 0
    content = (
        "Name,Email,Email Opt Out\n"
        "Ann,A@xn--bcher-kva.example,TRUE\n"
        "New,new@ex.example,1\n"
        "Bob's,b@ex.example,yes\n"
        "Fine,fine@ex.example,0\n"
        "Odd,odd@ex.example,perhaps\n"
        # Refused for another reason, or a repetition: whoever is known is unsubscribed all the same.
        ",old@ex.example,1\n"
        "Double,d@ex.example,\n"
        "Double,d@ex.example,2021-01-01\n"
    )
    said = team.imports(content)
    assert said.code == 1
    assert said.err.splitlines()[:3] == [
        f"line 6: perhaps in the column Email Opt Out {NEITHER}",
        "line 7: A name must not be blank.",
        "line 9: The same address as in line 8.",
    ]
    assert "5 people are unsubscribed now, as the file says\n" in said.out
    gone = [("a@bücher.example",), ("b@ex.example",), ("d@ex.example",), ("new@ex.example",), ("old@ex.example",)]
    assert sorted(kept(team.url, UNSUBSCRIBED)) == sorted(gone)
    # Never the other way.
    said = team.imports("Name,Email,Unsubscribed,Subscription Status\nNew,new@ex.example,false,Subscribed\n")
    assert (said.code, said.out) == (0, "1 rows: 0 added, 0 changed, 1 unchanged, 0 refused\n")
    assert len(kept(team.url, UNSUBSCRIBED)) == 5


async def test_scheduled_emails_to_people_who_opted_out_fail(server: Server) -> None:
    ann = await server.client("Ann")
    mail = await create_draft(ann, await create_person(ann, "pat@ex.example"))
    await send_email(ann, mail, "2099-01-01T00:00:00Z")
    viewer = await imports.find_owner("Team", "ann@team.example")
    new = NewPerson(name="Pat", address="PAT@ex.example")
    tally = await imports.Import(server.engine.ctx, viewer).import_batch([imports.ImportRow(2, new, opted_out=True)])
    assert tally.unsubscribed == 1
    found = await ann.one("query($id:ID!){email(id:$id){failure{code message}}}", id=mail)
    assert found == {"failure": {"code": "UNSUBSCRIBED", "message": "pat@ex.example has unsubscribed."}}


# ---- files with two encodings ----------------------------------------------------------------------------------------
def mixed(*lines: tuple[str, str], end: str = "\n") -> bytes:
    return b"".join((text + end).encode(encoding) for text, encoding in (("Email,Name", "ascii"), *lines))


@pytest.mark.parametrize("end", ENDS)
def test_a_file_with_two_encodings_is_reported_by_line(small_team: Team, end: str) -> None:
    right, wrong = ("a@x.example,Zoë Ångström", "utf-8"), ("b@x.example,Jürgen", "cp1252")
    some = small_team.imports(mixed(right, wrong, right, wrong, right, end=end))
    assert_usage_error(some, "lines 3, 5 are not UTF-8", "save all")
    most = small_team.imports(mixed(wrong, wrong, right, end=end))
    assert_usage_error(most, "line 4 is UTF-8", "lines 2, 3, is not", "--encoding")
    many = mixed(*[right, wrong] * 20, right, end=end)
    assert_usage_error(small_team.imports(many), "lines 3, 5, 7, 9, 11, 13, 15, 17 and others are not UTF-8")
    assert_usage_error(small_team.imports(codecs.BOM_UTF8 + mixed(right, wrong, end=end)), "line 3 is not UTF-8")
    assert small_team.people() == []
    assert small_team.imports(mixed(wrong, end=end)).code == 0
    assert [row[0] for row in small_team.people()] == ["Jürgen"]
