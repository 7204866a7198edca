"""Why a request becomes no job: one class per thing that whoever asked can do about it.

The texts are for developers; what users read is said by who asked for the job, in their language.
"""

from db.jobs import Job
from runtime.api import VeilrunError


class NotQueued(VeilrunError):
    """The request became no job, and left no row."""


class TooManyOfCommand(NotQueued):
    """Its owner has as many unfinished jobs of the command as one may have: wait for one to end, or cancel it."""

    def __init__(self, command: str, count: int) -> None:
        super().__init__(f"{count} unfinished {command} jobs already: wait for one to end, or cancel one")
        self.command = command
        self.count = count


class TooManyWaiting(NotQueued):
    """Its owner has as many jobs waiting as one may have: wait until one has begun, or cancel one."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} jobs wait already: wait until one has begun, or cancel one")
        self.count = count


class InWorkAlready(NotQueued):
    """The same request of the same owner is not over yet: wait for that one. `twin` is it."""

    def __init__(self, twin: Job) -> None:
        super().__init__("exactly this is in work already: wait for it, or change something")
        self.twin = twin


class QueueFull(NotQueued):
    """Too many jobs wait, of everybody: try again. seconds: until the next one is expected to start, 0 = unknown."""

    def __init__(self, count: int, seconds: float) -> None:
        super().__init__(f"the queue is full ({count} jobs): try again later")
        self.count = count
        self.seconds = seconds


class Vetoed(NotQueued):
    """A plugin refused it. `reason` is for whoever asked, and may be empty."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason or "this was not allowed")
        self.reason = reason


class PluginBroken(NotQueued):
    """A plugin failed with it: the operator has to mend or disable `plugin`."""

    def __init__(self, plugin: str) -> None:
        super().__init__(f"the plugin {plugin} could not handle this: tell the operator")
        self.plugin = plugin


class PluginsSlow(NotQueued):
    """The plugins took too long to look at it: try again, or tell the operator."""

    def __init__(self) -> None:
        super().__init__("checking this took too long: try again, or tell the operator")
