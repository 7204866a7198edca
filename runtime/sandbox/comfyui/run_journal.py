"""What a server did with each prompt, in a file that outlasts kill -9: who renders twice cannot hide it."""

import json
import os
import time
from pathlib import Path
from typing import Any, Literal, TypeAlias

Moment: TypeAlias = Literal["queued", "began", "ended"]


class RunJournal:
    """Appends one line of JSON per moment in a prompt's life: {"at", "moment", "prompt_id", …}, at in Unix seconds.

    queued: with the graph. began: its turn has come. ended: with `executed`, the nodes that were not answered from the
    cache, and `status`, as in the history. A run without an end was cut short with its server.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, moment: Moment, prompt_id: str, **more: Any) -> None:
        line = {"at": time.time(), "moment": moment, "prompt_id": prompt_id, **more}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)
