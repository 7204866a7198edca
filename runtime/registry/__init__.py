"""Which commands there are: the operator's registry file, and the plugins it enables."""

from runtime.registry.errors import PluginFailed, PluginUnusable, Problem, RegistryInvalid
from runtime.registry.live import Edition, Fingerprint, LiveRegistry, RegistryWatch, fingerprint
from runtime.registry.load import BUILT_IN, configured_registry, load_registry
from runtime.registry.plugins import PluginState
from runtime.registry.registry import Access, BackendConfig, LoadedCommand, Override, QueueLimits, Registry, Traces

__all__ = [
    "BUILT_IN",
    "Access",
    "BackendConfig",
    "Edition",
    "Fingerprint",
    "LiveRegistry",
    "LoadedCommand",
    "Override",
    "PluginFailed",
    "PluginState",
    "PluginUnusable",
    "Problem",
    "QueueLimits",
    "Registry",
    "RegistryInvalid",
    "RegistryWatch",
    "Traces",
    "configured_registry",
    "fingerprint",
    "load_registry",
]
