"""What can be wrong with the registry file or a plugin."""

from dataclasses import dataclass

from runtime.api import VeilrunError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in the registry file, or doubtful.

    line and column count from 1; path is like `backends[0].url`.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " + (f"{self.path}: " if self.path else "")
        return f"{where}{self.message}" + (f"; {self.hint}" if self.hint else "")


class RegistryInvalid(VeilrunError):
    """The registry file cannot be used as it is. Every problem is named, one line each."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class PluginUnusable(VeilrunError):
    """A plugin cannot be loaded. The text says why; the others are loaded all the same."""


class PluginFailed(VeilrunError):
    """A plugin's hook raised something else than Veto, or returned what it may not. The invocation is refused.

    The text names plugin, hook and reason, never what the user wrote; the cause is what the hook raised.
    """

    def __init__(self, plugin: str, hook: str, reason: str) -> None:
        super().__init__(f"plugin {plugin} failed in {hook}: {reason}")
        self.plugin = plugin
        self.hook = hook
