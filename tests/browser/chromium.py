"""A headless Chromium with an empty profile, driven through its DevTools protocol. It reaches 127.0.0.1, no other host.

It records what the tests judge by: requests, sockets, console errors, violations of the page's policy.
"""

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import websockets

BINARY = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--window-size=1440,900",
    "--remote-debugging-port=0",
)
START = 30.0
KEYS = {"Escape": 27, "Enter": 13}

# Where the middle of an element is; nothing while it is absent, moves, or lies below another.
PLACE = """
(async () => {
  const element = document.querySelector(%s);
  if (!element) return null;
  const middle = () => {
    const box = element.getBoundingClientRect();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  };
  const before = middle();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const after = middle();
  const still = before.x === after.x && before.y === after.y;
  return still && element.contains(document.elementFromPoint(after.x, after.y)) ? after : null;
})()
"""


@dataclass
class Seen:
    """What a page did since it was opened."""

    requests: list[str] = field(default_factory=list)
    sent_frames: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Page:
    """One tab. Every method raises where the browser reports an error."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.seen = Seen()
        self._socket = socket
        self._session: str | None = None
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def attach(self) -> None:
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            await self.call(f"{domain}.enable")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(START):
            return await answer

    async def listen(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                answer = self._answers.pop(message["id"])
                if "error" in message:
                    answer.set_exception(RuntimeError(message["error"]["message"]))
                else:
                    answer.set_result(message["result"])
            else:
                self._note(message["method"], message["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.seen.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.seen.requests.append(params["url"])
            case "Network.webSocketFrameSent":
                self.seen.sent_frames.append(json.loads(params["response"]["payloadData"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                words = [str(one.get("value", one.get("description"))) for one in params["args"]]
                self.seen.complaints.append(f"console.{params['type']}: {' '.join(words)}")
            case "Runtime.exceptionThrown":
                self.seen.complaints.append(f"exception: {params['exceptionDetails']}")
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                entry = params["entry"]
                self.seen.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")
            case "Audits.issueAdded" if params["issue"]["code"] == "ContentSecurityPolicyIssue":
                self.seen.complaints.append(f"policy: {params['issue']['details']}")

    async def open(self, address: str) -> None:
        answer = await self.call("Page.navigate", url=address)
        if "errorText" in answer:
            raise RuntimeError(f"{address}: {answer['errorText']}")

    async def evaluate(self, script: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, script: str, what: str, seconds: float = 20.0) -> Any:
        """Wait for a script to answer something true; an element is no answer, and a page being replaced gives none."""
        value: Any = None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not value:
                    with suppress(RuntimeError):
                        value = await self.evaluate(script)
                    await asyncio.sleep(0.05)
        assert value, f"{what}: not within {seconds:g} s. The page shows: {await self.text()}"
        return value

    async def text(self) -> str:
        return str(await self.evaluate("document.body.innerText"))[:2000]

    async def click(self, selector: str) -> None:
        """Click in the middle of an element with the mouse, once it stands still and nothing covers it."""
        place = await self.until(PLACE % json.dumps(selector), f"something to click at {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    async def screenshot(self, path: Path) -> None:
        answer = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def _profile() -> Iterator[Path]:
    # The browser's last children may still be writing when the folder goes.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@asynccontextmanager
async def open_page() -> AsyncIterator[Page]:
    """Start a browser of one's own, and end it."""
    assert BINARY.exists(), f"{BINARY} is missing: install Debian's package chromium"
    with _profile() as profile:
        process = await asyncio.create_subprocess_exec(
            str(BINARY),
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            address = await _address(profile, process)
            async with websockets.connect(address, max_size=None, ping_interval=None) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                try:
                    await page.attach()
                    yield page
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _address(profile: Path, process: asyncio.subprocess.Process) -> str:
    """Where the browser listens: it writes the port it chose, and a path, into its profile."""
    note = profile / "DevToolsActivePort"
    async with asyncio.timeout(START):
        while True:
            assert process.returncode is None, f"chromium ended with {process.returncode}"
            with suppress(OSError, ValueError):
                port, path = note.read_text().split()
                return f"ws://127.0.0.1:{port}{path}"
            await asyncio.sleep(0.05)
