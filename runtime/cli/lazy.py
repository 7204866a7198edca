"""Commands that are imported when they are asked for: a command line answers at once, whatever else it can do."""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

from typer.core import TyperGroup
from typer.main import get_group

from runtime.cli.output import Commands


def lazily(package: str, modules: Mapping[str, str]) -> type[TyperGroup]:
    """The class of a group whose commands are in modules of `package`: name of the command -> name of the module.

    Each module has `add_to(app)`, which registers what is in it. `--help` imports all of them.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = _Imported(package, modules)

    return LazyGroup


class _Imported(MutableMapping[str, Any]):
    def __init__(self, package: str, modules: Mapping[str, str]) -> None:
        self._package = package
        self._modules = modules
        self._commands: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._commands:
            app = Commands()
            import_module(f"{self._package}.{self._modules[name]}").add_to(app)
            self._commands[name] = get_group(app).commands[name]
        return self._commands[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._modules, **self._commands})

    def __len__(self) -> int:
        return len({**self._modules, **self._commands})
