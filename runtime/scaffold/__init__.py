"""A plugin package from a ComfyUI workflow: what `veilrun plugins new` makes."""

from runtime.scaffold.analysis import Analysis, Binding, NothingToBind, analyse
from runtime.scaffold.package import NewPlugin, ScaffoldFailed, write_package

__all__ = ["Analysis", "Binding", "NewPlugin", "NothingToBind", "ScaffoldFailed", "analyse", "write_package"]
