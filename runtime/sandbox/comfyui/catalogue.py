"""The node classes of a sandbox server, as GET /object_info tells them."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from runtime.sandbox.comfyui.faults import Faults
from runtime.sandbox.comfyui.models import BUILT_IN_OPTIONS, MODEL_FILES, MODEL_INPUTS, OTHER_FOLDERS
from runtime.sandbox.comfyui.storage import Storage


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One declared input. `type` is a name ("INT", "MODEL", ...) or, for an old-style combo, the list of options.

    A new-style (V3) combo has the type "COMBO" and its options in `options`; the server does not check it.
    """

    type: str | list[Any]
    required: bool
    options: Mapping[str, Any]

    @property
    def config(self) -> list[Any]:
        """The pair that error messages show as `input_config`."""
        return [self.type, dict(self.options)]


class Catalogue:
    """Node classes and model files. What `faults` declares missing is left out, at once.

    extra_classes: further entries in the shape of /object_info (a custom node, a MultiGPU loader); they run by passing
    on the first input of each output's type.
    """

    def __init__(
        self,
        storage: Storage,
        faults: Faults,
        *,
        models: Mapping[str, Sequence[str]] | None = None,
        extra_classes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._storage = storage
        self._faults = faults
        self._models = MODEL_FILES if models is None else models
        text = files("runtime.sandbox.comfyui").joinpath("catalogue.json").read_text(encoding="utf-8")
        self._entries: dict[str, dict[str, Any]] = json.loads(text)
        for name, entry in (extra_classes or {}).items():
            self._entries[name] = {"name": name, "output_node": False, **copy.deepcopy(dict(entry))}

    def __contains__(self, class_type: object) -> bool:
        return isinstance(class_type, str) and class_type in self._entries and not self._is_missing(class_type)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._entries if not self._is_missing(name))

    def entry(self, class_type: str) -> dict[str, Any]:
        """The /object_info entry with the options of this moment: model files, pictures in the input folder."""
        entry = copy.deepcopy(self._entries[class_type])
        for group in ("required", "optional"):
            for name, spec in entry["input"].get(group, {}).items():
                options = self._live_options(class_type, name)
                if options is not None and isinstance(spec[0], list):
                    spec[0] = options
                elif options is not None:
                    spec[1]["options"] = options
        return entry

    def inputs(self, class_type: str) -> dict[str, InputSpec]:
        """Declared inputs by name, required ones first, without the hidden ones."""
        declared = self.entry(class_type)["input"]
        return {
            name: InputSpec(spec[0], group == "required", spec[1] if len(spec) > 1 else {})
            for group in ("required", "optional")
            for name, spec in declared.get(group, {}).items()
        }

    def outputs(self, class_type: str) -> tuple[str, ...]:
        return tuple(self._entries[class_type]["output"])

    def is_output(self, class_type: str) -> bool:
        return bool(self._entries[class_type]["output_node"])

    def folders(self) -> list[str]:
        return [*self._models, *OTHER_FOLDERS]

    def model_files(self, folder: str) -> list[str]:
        """The files of one folder, sorted.

        Raises: KeyError if the server has no such folder.
        """
        if folder not in self._models:
            if folder in OTHER_FOLDERS:
                return []
            raise KeyError(folder)
        return sorted(name for name in self._models[folder] if name not in self._faults.missing_models)

    def _is_missing(self, class_type: str) -> bool:
        return class_type in self._faults.missing_classes

    def _live_options(self, class_type: str, name: str) -> list[str] | None:
        if (class_type, name) == ("LoadImage", "image"):
            return self._storage.input_pictures()
        folder = MODEL_INPUTS.get((class_type, name))
        if folder is None:
            return None
        built_in = BUILT_IN_OPTIONS.get((class_type, name), ())
        return [*(self.model_files(folder) if folder in self._models else ()), *built_in]
