"""Reads what a server reports about itself: its metrics and its warnings."""

import httpx

from tests.support.server import PATIENCE, Server


async def read_warnings(server: Server) -> list[str]:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}/readyz")
        assert answer.status_code == 200
        found: list[str] = answer.json().get("warnings", [])
        return found


async def read_metric(server: Server, name: str) -> float:
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{server.url}/metrics")).text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


async def read_metrics(server: Server) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("command_center_"): float(value) for name, value in lines}
