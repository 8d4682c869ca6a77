"""Runs the command line, in a process of its own or in the process of the test."""

import asyncio
import os
import sys
from dataclasses import dataclass

import pytest

from command_center.server.cli import main
from command_center.server.settings import PREFIX
from tests.support.paths import ROOT

COMMAND = (sys.executable, "-m", "command_center")


@dataclass(frozen=True)
class CommandResult:
    """What a command said, and its code."""

    code: int
    out: str
    err: str


def command_environment(**settings: str) -> dict[str, str]:
    """The environment of a command, with these of our settings and no others."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return plain | {PREFIX + name: value for name, value in settings.items()}


async def run_command(*words: str, **settings: str) -> CommandResult:
    """A command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *words),
        cwd=ROOT,
        env=command_environment(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return CommandResult(process.returncode or 0, out.decode(), err.decode())


class InlineCommand:
    """Runs commands in this process, which is quicker; each in an event loop of its own, so tests are not async."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str, **settings: str) -> CommandResult:
        with self._monkeypatch.context() as patch:
            patch.setattr(os, "environ", command_environment(**settings))
            with pytest.raises(SystemExit) as ended:
                main(list(words))
        said = self._capsys.readouterr()
        return CommandResult(int(str(ended.value.code)), said.out, said.err)


def assert_usage_error(said: CommandResult, *words: str) -> None:
    """One line, no trace, nothing made, a code."""
    assert said.code == 2, said
    assert said.out == "", said
    assert said.err.startswith("command-center: "), said
    assert said.err.count("\n") == 1, said
    assert all(word in said.err for word in words), said
