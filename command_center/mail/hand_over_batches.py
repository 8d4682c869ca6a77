"""The progress of one batch of hand-overs.

It shows which have started, and how each has ended.
"""

import asyncio
from collections.abc import Iterable

from command_center.mail.claims import ClaimedEmail
from command_center.mail.outcomes import HandOverResult
from command_center.mail.transport import Deferred, Outcome, Unknown


class HandOverBatch:
    """Holds the claims of one batch and their progress.

    `started` holds the ids of emails whose hand-over has started, so that they may have been sent.
    """

    def __init__(self, claimed: Iterable[ClaimedEmail], max_concurrent: int, started_at: float) -> None:
        self.claims = list(claimed)
        self.started_at = started_at
        self.started: set[int] = set()
        self.gate = asyncio.Semaphore(max_concurrent)
        self.stop = asyncio.Event()

    def result_of(self, task: asyncio.Task[Outcome | None], claim: ClaimedEmail) -> HandOverResult:
        """Return the result of a hand-over task, however it ended.

        If the task ended before the hand-over began, nothing has left.
        """
        if not task.cancelled() and task.exception() is None:
            return claim, task.result()
        if claim.email_id in self.started:
            return claim, Unknown("The sending was interrupted, so it is unknown whether the message was sent.")
        # If the outbox stops, release the claim so that the email is due at once. Otherwise the error may occur again,
        # so the email is deferred.
        return claim, None if self.stop.is_set() else Deferred("The sending was interrupted.")
