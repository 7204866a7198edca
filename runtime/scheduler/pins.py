"""Which weights a backend keeps its place for. A command is pinned; what counts is the weights that it loads."""

from collections.abc import Mapping

from runtime.registry import Registry
from runtime.scheduler.view import command_key


def pinned(registry: Registry) -> Mapping[str, frozenset[str]]:
    """Backend -> the model sets of the commands that are pinned there, if any are.

    A command of a plugin that could not be loaded has none; its own name keeps its place.
    """
    model_sets = {
        command_key(name, variant): loaded.command.affinity_of(variant).model_set
        for name, loaded in registry.commands.items()
        for variant in (None, *(variant.name for variant in loaded.command.variants))
    }
    return {
        config.name: frozenset(model_sets.get(key, key) for key in config.pin)
        for config in registry.backends
        if config.pin
    }
