"""`command-center resume-sending`: lists what is due and ends the pause after a restore."""

from changes import restores
from mail.waiting import DueMail, due_mail
from models.clocks import DatabaseClock
from models.database import database
from models.fields import from_micros
from server.engine import connected
from server.settings import Settings


async def resume_sending(settings: Settings, only_list: bool) -> int:
    """Prints what is due by sender. Sending continues unless it is only to be listed."""
    async with connected(settings):
        clock = DatabaseClock()
        await clock.start()
        db = database()
        due = await due_mail(db, await clock.now(db))
        for each in due:
            print(_line(each))
        print(f"{sum(each.count for each in due)} emails are due")
        state = await restores.load(db)
        if state is None or not state.paused:
            print("sending is not paused")
        elif only_list:
            print(f"sending is paused, because the database was restored: {state.reason}")
        else:
            await restores.resume(db)
            print("sending is resumed")
        return 0


def _line(due: DueMail) -> str:
    oldest, newest = (
        from_micros(moment).isoformat(timespec="seconds").replace("+00:00", "Z") for moment in (due.oldest, due.newest)
    )
    return f"{due.team}: {due.sender}: {due.count}, due from {oldest} to {newest}"
