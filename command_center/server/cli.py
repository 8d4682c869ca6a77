"""The command line.

A command prints its result alone on a line; an error is one line on stderr and exit code 2.
"""

import argparse
import asyncio
import gc
import logging
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import uvloop

from command_center import ids
from command_center.actions import users
from command_center.actions.users import parse_period
from command_center.errors import UserErrors
from command_center.server.settings import (
    PREFIX,
    ConfigurationError,
    Settings,
    as_environment_file,
    as_markdown,
    read_settings,
    unknown_variables,
)
from models.enums import Role

GC_THRESHOLD = 10_000
"""The garbage collector's first threshold: new containers between two searches of the youngest generation.

Such a search takes one or two milliseconds.
"""
GC_FULL_THRESHOLD = 250
"""Searches of the middle generation between two of all objects.

A search of all objects takes up to two seconds if many documents are cached, and nothing else runs meanwhile.
"""

Command = Callable[[Settings, argparse.Namespace], Awaitable[int]]


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    parsed = _parser().parse_args(arguments)
    try:
        settings = read_settings(os.environ)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
        # If a request is cancelled before its coroutines start, nobody awaits them. That is no error.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        for name in unknown_variables(os.environ):
            print(f"command-center: {name} is no setting of ours", file=sys.stderr)
        # Imported modules are never freed, so the collector need not examine them. With a thousand subscriptions and
        # the default thresholds, it would examine all objects for every event.
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, GC_FULL_THRESHOLD)
        # uvicorn would choose uvloop by itself, but the tasks beside it need the same loop.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(parsed.command(settings, parsed))
    except ConfigurationError as exc:
        code = _print_error(str(exc))
    except UserErrors as exc:
        code = _print_error("; ".join(f"{'.'.join(problem.path)}: {problem.message}" for problem in exc.errors))
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _print_error(message: str) -> int:
    print(f"command-center: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="command-center",
        description="A GraphQL backend for sales teams.",
        epilog=f"Settings are {PREFIX}… variables.",
    )
    number = f"%(prog)s {version('command-center')}"
    parser.add_argument("--version", action="version", version=number, help="print the version")
    commands = parser.add_subparsers(metavar="command", required=True)
    _add_process_commands(commands)
    _add_data_commands(commands)
    _add_maintenance_commands(commands)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: Command, about: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(command=run)
    return parser


def _add_process_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = _command(commands, "serve", _serve, "serve the API, and work beside it")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    _command(commands, "worker", _worker, "match and send without serving (PostgreSQL)")
    demo = _command(commands, "demo", _demo, "a seller, a campaign and a hundred lively recipients")
    demo.add_argument("--once", action="store_true", help="exit after the run, with a status for its result")
    demo.add_argument("--port", type=int, default=8000)
    demo.add_argument("--seed", type=int, default=1)
    demo.add_argument("--seconds", type=float, default=120.0, help="how long the recipients take (default 120)")
    demo.add_argument(
        "--patience", type=int, default=30, metavar="SECONDS", help="the no-reply list's wait, 1 to 59 (default 30)"
    )


def _add_data_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    user = commands.add_parser("user", help="users of a team")
    actions = user.add_subparsers(metavar="action", required=True)
    add = _command(actions, "add", _user_add, "make a user, and the team where there is none; or update the user")
    for name in ("--team", "--name", "--address"):
        add.add_argument(name, required=True)
    role = add.add_mutually_exclusive_group()
    role.add_argument(
        "--admin", dest="role", action="store_const", const=Role.ADMIN, help="may view every sender's mail"
    )
    role.add_argument(
        "--member", dest="role", action="store_const", const=Role.MEMBER, help="is no admin (a new user is none)"
    )
    add.add_argument("--time-zone", help="such as Europe/Berlin (a new user has UTC)")
    people = _command(commands, "import", _import, "take over people from a file, as other programs export them")
    people.add_argument("file", type=Path, help="comma-separated values, or with semicolons, tabs or bars between")
    people.add_argument("--team", required=True, help="whose people they will be")
    people.add_argument("--owner", required=True, metavar="ADDRESS", help="the user of the team who enters them")
    people.add_argument("--group", help="put everyone into the owner's group of this name")
    people.add_argument("--private", action="store_true", help="do not share those who are new with the team")
    people.add_argument("--encoding", help="where it is neither UTF-8, UTF-16 nor Windows-1252")
    people.add_argument("--refused", type=Path, metavar="FILE", help="for refused rows (default FILE.refused.csv)")
    people = commands.add_parser("people", help="people of all teams")
    steps = people.add_subparsers(metavar="step", required=True)
    _command(steps, "duplicates", _people_duplicates, "list people and users who share an address with another one")
    token = _command(commands, "token", _token, "make a token for a user")
    token.add_argument("address")
    token.add_argument("--scope", action="append", default=[])
    token.add_argument("--expires", default="P30D", help="how long it is good for, such as P1D (default P30D)")


def _add_maintenance_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _command(commands, "migrate", _migrate, "bring the tables up to date")
    _command(commands, "audit", _audit, "compare every list with a fresh run of its filter, and repair it")
    clock = _command(commands, "clock", _clock, "show whether the database's clock is believed; decide on its jumps")
    decision = clock.add_mutually_exclusive_group()
    decision.add_argument("--accept", action="store_true", help="the clock is right although it is ahead")
    decision.add_argument("--reset", action="store_true", help="the clock is right: correct stored times after it")
    resume = _command(commands, "resume-sending", _resume_sending, "list what is due, and send it after a restore")
    resume.add_argument("--list", action="store_true", help="only list what is due")
    _command(commands, "sdl", _sdl, "print the schema")
    config = _command(commands, "config", _config, "print the settings in force, as a file of environment variables")
    config.add_argument("--markdown", action="store_true", help="print a page about all settings and their defaults")
    health = _command(commands, "healthcheck", _healthcheck, "check each serve and worker of this user on this machine")
    health.add_argument("--port", type=int, action="append", default=[], help="check this port of 127.0.0.1 instead")


async def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    from command_center.server.app import create_app
    from command_center.server.healthcheck import answer_health_checks, local_address
    from command_center.server.runtime import open_current_database
    from command_center.server.serving import bind_socket, create_server

    settings.signing_secret()
    listener = bind_socket(arguments.host, arguments.port)
    # Connect once before the server starts, so that a database error is reported in one line.
    async with open_current_database(settings):
        pass
    host, port = listener.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}/graphql", flush=True)
    async with answer_health_checks(local_address(host, port)):
        await create_server(create_app(settings), settings).serve(sockets=[listener])
    return 0


async def _worker(settings: Settings, _: argparse.Namespace) -> int:
    from command_center.server.healthcheck import answer_health_checks
    from command_center.server.runtime import run_runtime

    if settings.database_url.startswith("sqlite"):
        raise ConfigurationError("on SQLite `serve` does the work itself; a worker of its own needs PostgreSQL")
    async with run_runtime(settings), answer_health_checks():
        await _wait_for_signal()
    return 0


async def _wait_for_signal() -> None:
    import signal

    stop_requested = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop_requested.set)
    await stop_requested.wait()


async def _demo(_: Settings, arguments: argparse.Namespace) -> int:
    try:
        from command_center.demo.run import run
    except ModuleNotFoundError as exc:
        raise ConfigurationError(f"the demo lacks {exc.name}: install command-center[demo]") from exc

    if not 1 <= arguments.patience <= 59:
        raise ConfigurationError(f"--patience {arguments.patience} must be a whole number from 1 to 59")
    if not 1 <= arguments.seconds <= 86400:
        raise ConfigurationError(f"--seconds {arguments.seconds:g} must be from 1 to 86400")
    return await run(arguments.port, arguments.seed, arguments.seconds, arguments.once, arguments.patience)


async def _user_add(settings: Settings, arguments: argparse.Namespace) -> int:
    from command_center.actions.context import ActionContext
    from command_center.changes.hub import Hub
    from command_center.changes.unit_of_work import Writer
    from command_center.database.clock import DatabaseClock
    from command_center.server.runtime import open_current_database

    async with open_current_database(settings):
        clock = DatabaseClock()
        await clock.start()
        ctx = ActionContext(Writer(clock, Hub()), settings.limits())
        user = await users.add(
            ctx,
            arguments.team,
            arguments.name,
            arguments.address,
            arguments.role,
            arguments.time_zone,
        )
        print(user.address)
    return 0


async def _import(settings: Settings, arguments: argparse.Namespace) -> int:
    from command_center.importing.run import ImportOrder, run_import

    order = ImportOrder(
        file=arguments.file,
        team=arguments.team,
        owner=arguments.owner,
        group=arguments.group,
        shared=not arguments.private,
        encoding=arguments.encoding,
        refused_path=arguments.refused,
    )
    return await run_import(settings, order)


async def _people_duplicates(settings: Settings, _: argparse.Namespace) -> int:
    from command_center.actions.duplicates import all_duplicates
    from command_center.database.connections import database
    from command_center.server.runtime import open_current_database

    async with open_current_database(settings):
        groups = await all_duplicates(database())
    for group in groups:
        for row in group:
            print(f"{row.team}: {ids.encode(row.noun, row.id)} {row.noun.lower()} {row.name} <{row.address}>")
        print()
    print(f"{len(groups)} addresses with more than one person or user" if groups else "no duplicates")
    return 0


async def _token(settings: Settings, arguments: argparse.Namespace) -> int:
    from command_center.server.runtime import open_current_database
    from command_center.web.authentication import SCOPES, Tokens

    unknown_scopes = [scope for scope in arguments.scope if scope not in SCOPES]
    if unknown_scopes:
        raise ConfigurationError(f"--scope {unknown_scopes[0]} is none of: {', '.join(SCOPES)}")
    try:
        lifetime = timedelta(seconds=parse_period(arguments.expires))
    except ValueError as exc:
        raise ConfigurationError(f"--expires {arguments.expires}: {exc}") from exc
    tokens = Tokens(settings.signing_secret())
    async with open_current_database(settings):
        user = await users.find_by_address(arguments.address)
        if user is None:
            raise ConfigurationError(f"there is no user with the address {arguments.address}")
        print(tokens.issue(user, tuple(arguments.scope), lifetime))
    return 0


async def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    from command_center.database.connections import migrate, open_database

    try:
        async with open_database(settings.database_url):
            steps = await migrate(settings.database_url)
    except Exception as exc:
        raise ConfigurationError(f"the database of {PREFIX}DATABASE_URL cannot be migrated: {exc}") from exc
    print("\n".join(steps) if steps else "up to date")
    return 0


async def _audit(settings: Settings, _: argparse.Namespace) -> int:
    from command_center.server.audit_command import audit

    return await audit(settings)


async def _clock(settings: Settings, arguments: argparse.Namespace) -> int:
    from command_center.server import clock_command

    if arguments.accept:
        return await clock_command.accept(settings)
    return await (clock_command.return_to_present if arguments.reset else clock_command.show)(settings)


async def _resume_sending(settings: Settings, arguments: argparse.Namespace) -> int:
    from command_center.server.resume_command import resume_sending

    return await resume_sending(settings, arguments.list)


async def _sdl(_: Settings, __: argparse.Namespace) -> int:
    from schema.build import format_sdl

    print(format_sdl(), end="")
    return 0


async def _config(settings: Settings, arguments: argparse.Namespace) -> int:
    print(as_markdown() if arguments.markdown else "\n".join((*as_environment_file(settings), "")), end="")
    return 0


async def _healthcheck(_: Settings, arguments: argparse.Namespace) -> int:
    from command_center.server.healthcheck import find_problems

    problems = await asyncio.to_thread(find_problems, arguments.port)
    print("\n".join(problems) or "ok")
    return 1 if problems else 0
