"""`command-center resume-sending` ends the pause of sending after a restore.

It lists the emails that are due first.
"""

from command_center.changes import restores
from command_center.database.clock import DatabaseClock
from command_center.database.connections import database
from command_center.database.fields import from_micros
from command_center.mail.backlog import DueMail, due_mail
from command_center.server.runtime import open_current_database
from command_center.server.settings import Settings


async def resume_sending(settings: Settings, only_list: bool) -> int:
    """Print the number of due emails of each sender, and end the pause of sending.

    If `only_list`, the pause does not end. Returns the exit code.
    """
    async with open_current_database(settings):
        clock = DatabaseClock()
        await clock.start()
        db = database()
        due = await due_mail(db, await clock.now(db))
        for each in due:
            print(_line(each))
        print(f"{sum(each.count for each in due)} emails are due")
        state = await restores.load_state(db)
        if state is None or not state.paused:
            print("sending is not paused")
        elif only_list:
            print(f"sending is paused, because the database was restored: {state.reason}")
        else:
            await restores.resume_sending(db)
            print("sending is resumed")
        return 0


def _line(due: DueMail) -> str:
    oldest, newest = (
        from_micros(moment).isoformat(timespec="seconds").replace("+00:00", "Z") for moment in (due.oldest, due.newest)
    )
    return f"{due.team}: {due.sender}: {due.count}, due from {oldest} to {newest}"
