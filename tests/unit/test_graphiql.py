"""The GraphiQL page without a browser: its operations against the schema, its files, and how they are fetched."""

import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from graphql import build_schema, parse, validate
from starlette.applications import Starlette

from command_center.api.graphiql import assets, npm, page
from tests.support.paths import ROOT


def operations() -> list[str]:
    script = (ROOT / "command_center/api/graphiql/operations.js").read_text()
    return re.findall(r"`([^`]*)`", script.split("OPERATIONS", 1)[1])


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the fetched files, with something under each name."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    for name in assets.ASSETS:
        (folder / name).write_text(f"/* {name} */")
    monkeypatch.setattr(page, "VENDOR", folder)
    return folder


async def get(path: str, **headers: str) -> httpx.Response:
    """A response; header names with underscores for dashes. Its body is what was sent, decoded."""
    app = Starlette(routes=page.routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page.example") as client:
        client.headers.pop("accept-encoding")
        return await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_every_operation_in_the_tabs_is_valid_against_the_schema() -> None:
    schema = build_schema((ROOT / "schema/schema.graphql").read_text())
    found = operations()
    assert len(found) == 5
    assert {text: validate(schema, parse(text)) for text in found} == {text: [] for text in found}


async def test_the_page_allows_no_inline_code_and_no_other_origin(vendor: Path) -> None:
    answer = await get("/graphiql")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == httpx.codes.OK
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in answer.text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", answer.text)


async def test_files_come_with_their_type_and_may_be_kept_for_ever(vendor: Path) -> None:
    addresses = re.findall(r'(?:src|href)="(/[^"]+)"', (await get("/graphiql")).text)
    assert len(addresses) == len(page.SCRIPTS) + len(page.STYLES)
    for address in addresses:
        answer = await get(address)
        assert answer.status_code == httpx.codes.OK
        assert answer.headers["content-type"] == page.TYPES["." + address.rsplit(".", 1)[1]]
        assert "immutable" in answer.headers["cache-control"]


async def test_files_are_compressed_for_browsers_that_take_it(vendor: Path) -> None:
    (vendor / "graphiql.js").write_text("let x = 1;\n" * 10_000)
    address = f"/graphiql/x/{'graphiql.js'}"
    for accept, coded in (("gzip, deflate, br, zstd", True), ("br, *;q=0.1", True), ("gzip;q=0", False), ("br", False)):
        answer = await get(address, accept_encoding=accept)
        assert (answer.headers.get("content-encoding") == "gzip") is coded, accept
        assert (int(answer.headers["content-length"]) < 1_000) is coded
        assert answer.text == "let x = 1;\n" * 10_000
        assert answer.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in (await get(address)).headers
    part = await get(address, accept_encoding="gzip", range="bytes=0-3")
    assert (part.status_code, part.text) == (httpx.codes.PARTIAL_CONTENT, "let ")


async def test_a_file_that_the_browser_has_is_not_sent_again(vendor: Path) -> None:
    address = next(each for each in re.findall(r'"(/[^"]+)"', (await get("/graphiql")).text) if "react.js" in each)
    sent = await get(address)
    tag = sent.headers["etag"]
    for given in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        for accept in ("identity", "gzip"):
            answer = await get(address, if_none_match=given, accept_encoding=accept)
            assert (answer.status_code, answer.content) == (httpx.codes.NOT_MODIFIED, b"")
            for name in ("etag", "cache-control", "vary"):
                assert answer.headers[name] == sent.headers[name]
    assert (await get(address, if_none_match='"other"')).status_code == httpx.codes.OK
    (vendor / "react.js").write_text("changed")
    assert (await get(address, if_none_match=tag)).text == "changed"


async def test_an_old_address_gets_the_present_file_without_being_kept(vendor: Path) -> None:
    answer = await get("/graphiql/0123456789abcdef/react.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (httpx.codes.OK, "no-store")


@pytest.mark.parametrize(
    "path",
    [
        "/graphiql/x/page.py",
        "/graphiql/x/..%2f__init__.py",
        "/graphiql/x/%2e%2e/page.py",
        "/graphiql/x/..%5cpage.py",
        "/graphiql/%2e%2e/%2e%2e/pyproject.toml",
        "/graphiql/x/vendor%2freact.js",
    ],
)
async def test_nothing_but_the_files_of_the_page_is_served(vendor: Path, path: str) -> None:
    assert (await get(path)).status_code == httpx.codes.NOT_FOUND


async def test_without_the_fetched_files_the_page_says_how_to_get_them(vendor: Path) -> None:
    (vendor / "graphiql.js").unlink()
    answer = await get("/graphiql")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "make assets" in answer.text
    assert (await get("/graphiql/x/graphiql.js")).status_code == httpx.codes.NOT_FOUND


def archive_with(folder: Path, member: str, content: bytes) -> None:
    file = folder / "content"
    file.write_bytes(content)
    with tarfile.open(folder / "package.tgz", "w:gz") as tar:
        tar.add(file, member)
    file.unlink()


class Registry:
    """Stands in for npm: `pack` leaves an archive, or fails as it does without a network."""

    def __init__(self, contents: dict[str, bytes] | None) -> None:
        self.contents = contents

    def run(self, words: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        if self.contents is None:
            said = (
                "npm error code ENOTFOUND\nnpm error network request failed\nnpm error A complete log of this run …\n"
            )
            return subprocess.CompletedProcess(words, 1, "", said)
        package, folder = words[2], words[4]
        name = next(name for name, asset in assets.ASSETS.items() if asset.package == package)
        archive_with(Path(folder), assets.ASSETS[name].member, self.contents[package])
        return subprocess.CompletedProcess(words, 0, "", "")


@pytest.fixture
def one_asset(monkeypatch: pytest.MonkeyPatch) -> assets.Asset:
    asset = assets.Asset("thing@1.0.0", "package/thing.js", assets.sha384(b"the thing"))
    monkeypatch.setattr(assets, "ASSETS", {"thing.js": asset})
    monkeypatch.setattr(npm, "command", lambda: ["npm"])
    return asset


def test_a_fetch_fills_the_folder_and_replaces_what_was_damaged(
    tmp_path: Path, one_asset: assets.Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", Registry({one_asset.package: b"the thing"}).run)
    vendor = tmp_path / "vendor"
    assert not assets.complete(vendor)
    assets.fetch(vendor)
    assert assets.complete(vendor)

    (vendor / "thing.js").write_text("damaged")
    assert not assets.complete(vendor)
    assets.fetch(vendor)
    assert assets.complete(vendor)
    assert [path.name for path in tmp_path.iterdir()] == ["vendor"]


def test_a_file_with_another_hash_is_refused_and_changes_nothing(
    tmp_path: Path, one_asset: assets.Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", Registry({one_asset.package: b"another thing"}).run)
    with pytest.raises(assets.FetchFailed, match="its SHA-384 differs"):
        assets.fetch(tmp_path / "vendor")
    assert list(tmp_path.iterdir()) == []


def test_without_the_registry_there_is_one_clear_line(
    tmp_path: Path, one_asset: assets.Asset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", Registry(None).run)
    monkeypatch.setattr(assets, "VENDOR", tmp_path / "vendor")
    assert assets.main() == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "npm could not fetch thing@1.0.0: network request failed" in said
