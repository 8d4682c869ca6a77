"""`python -m benchmarks`: every ratio in one table, also written to benchmarks/RESULTS.md."""

import asyncio
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import folder_counts, matching, pages, recording
from benchmarks.measure import Ratio
from tests.databases import databases

RESULTS = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("strawberry-graphql", "tortoise-orm", "aiosqlite", "uvicorn")


async def run(database_url: str) -> list[Ratio]:
    return [
        await matching.run(),
        await recording.run(database_url),
        *await pages.run(database_url),
        await folder_counts.run(database_url),
    ]


def table(ratios: list[Ratio]) -> str:
    machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    rows = [
        f"| {each.name} | {each.ours * 1e6:,.1f} | {each.theirs * 1e6:,.1f} | {each.ratio:,.1f} |"
        f" {each.spread[0]:,.1f} – {each.spread[1]:,.1f} |"
        for each in ratios
    ]
    return "\n".join(
        [
            "# Measured ratios",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}; {machine}; {versions}. Medians of interleaved pairs.",
            "",
            "| what | ours, µs | theirs, µs | times faster | spread |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    with databases() as made:
        text = table(asyncio.run(run(made.make("sqlite"))))
    RESULTS.write_text(text)
    print(text)
