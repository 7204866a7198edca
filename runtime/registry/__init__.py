"""Which commands there are: the operator's registry file, and the plugins it enables."""

from runtime.registry.errors import PluginFailed, PluginUnusable, Problem, RegistryInvalid
from runtime.registry.load import BUILT_IN, load_registry
from runtime.registry.plugins import PluginState
from runtime.registry.registry import Access, BackendConfig, LoadedCommand, Override, QueueLimits, Registry, Traces

__all__ = [
    "BUILT_IN",
    "Access",
    "BackendConfig",
    "LoadedCommand",
    "Override",
    "PluginFailed",
    "PluginState",
    "PluginUnusable",
    "Problem",
    "QueueLimits",
    "Registry",
    "RegistryInvalid",
    "Traces",
    "load_registry",
]
