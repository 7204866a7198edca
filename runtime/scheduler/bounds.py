"""How much of the fleet one command and one user may have at a time."""

import math
from collections import Counter
from collections.abc import Iterable

from runtime.scheduler.view import Held, QueuedJob

LEAST_PLACES = 2
"""So many places a user may always have: one job that runs and one behind it."""

RESERVE = 0.25
"""The share of the GPUs that is kept free of one user's many jobs for others who have jobs too."""


class Bounds:
    """Counts the jobs that hold a slot, and says which waiting job has to wait for another of its kind to end.

    While others have jobs as well, a user has at most an equal share of the GPUs, or more as far as the others leave
    them with a quarter to spare; alone, a user has them all.
    """

    def __init__(
        self, queued: Iterable[QueuedJob], held: Iterable[Held], gpus: int, running_per_user: int | None
    ) -> None:
        self._gpus = gpus
        self._running_per_user = running_per_user
        self._of_command: Counter[str] = Counter()
        self._of_user: Counter[int] = Counter()
        self._open_of_user: Counter[int | None] = Counter(job.user_id for job in queued)
        for job in held:
            self.count(job)
            self._open_of_user[job.user_id] += 1
        self._open = self._open_of_user.total()

    def count(self, job: Held | QueuedJob) -> None:
        """The job holds a slot."""
        self._of_command[job.command] += 1
        if job.user_id is not None:
            self._of_user[job.user_id] += 1

    def of(self, job: QueuedJob) -> str | None:
        """The bound that keeps the job waiting, in words; None if there is none."""
        if job.concurrency is not None and self._of_command[job.command] >= job.concurrency:
            return f"waiting for another {job.command} job to end ({job.concurrency} at a time)"
        if job.user_id is None:
            return None
        has = self._of_user[job.user_id]
        if self._running_per_user is not None and has >= self._running_per_user:
            return f"waiting for another job of the same user to end ({self._running_per_user} at a time)"
        if has >= LEAST_PLACES and has >= self._share(job.user_id):
            return f"waiting for another job of the same user to end ({has} are placed, and others have jobs too)"
        return None

    def _share(self, user_id: int) -> float:
        others = self._open - self._open_of_user[user_id]
        if not others:
            return math.inf
        return max(
            LEAST_PLACES,
            math.ceil(self._gpus / len(self._open_of_user)),
            self._gpus - others - math.ceil(self._gpus * RESERVE),
        )
