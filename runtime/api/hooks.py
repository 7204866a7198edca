"""The hooks a plugin may implement, and the marker it uses: `from runtime.api import hookimpl`.

A hook may leave out arguments it does not need. Hooks of all plugins see every invocation: check `invocation.command`.
"""

from collections.abc import Iterable, Mapping

import pluggy

from runtime.api.command import Command
from runtime.api.invocation import Invocation, Outcome
from runtime.api.workflow import Graph

API_VERSION = 1
"""Version of this package's contract. A plugin may state the one it was written for: `VEILRUN_API = 1`."""

NAMESPACE = "veilrun"
hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@hookspec
def register_commands(config: Mapping[str, object]) -> Iterable[Command]:  # type: ignore[empty-body]
    """Called once when the plugin is loaded. Return the commands it offers.

    `config` is the plugin's own `config:` from plugin_registry.yaml, empty if there is none.
    """


@hookspec
def before_invoke(invocation: Invocation) -> Invocation | None:
    """Called after arguments are parsed and before the job is queued.

    Return None to let it pass, a changed Invocation to amend it, or raise `Veto("reason shown to the user")`.
    Hooks run in plugin order, each sees what the one before returned; the first veto ends it.
    """


@hookspec
def build_workflow(invocation: Invocation, graph: Graph) -> Graph | None:
    """Called on the worker after the graph is filled with the arguments, before it is checked and posted.

    Return None to leave it, or the graph to run instead (changing `graph` in place and returning it is fine).
    """


@hookspec
def after_invoke(invocation: Invocation, outcome: Outcome) -> None:
    """Called once the job has ended: in success, failure or cancellation. What it returns is ignored.

    On the worker that had it; if it ended before one did, in any process of veilrun, seconds later.
    """
