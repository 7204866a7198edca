"""What is asked of the fleet: five commands with the seconds and sizes that were published for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.scheduler.timings import Timings
from runtime.scheduler.view import command_key

RTX_4090, RTX_5090 = "RTX 4090", "RTX 5090"
VRAM_GB = {RTX_4090: 24.0, RTX_5090: 32.0}

GB_PER_SECOND = 35.4 / (108 - 71)
"""How fast weights get onto a GPU: of Wan's 35.4 GB the template's documentation tells that the first run takes 108 s
and the next one 71 s. Taken for every command and both cards."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. seconds: device -> a run with the weights loaded. size_gb: of all its weights. Commands with the
    same model set share them; these five share none."""

    name: str
    variant: str | None
    model_set: str
    size_gb: float
    vram_gb: float
    seconds: Mapping[str, float] = field(hash=False)

    @property
    def key(self) -> str:
        return command_key(self.name, self.variant)

    @property
    def load_seconds(self) -> float:
        """Until its weights are loaded, on any device."""
        return self.size_gb / GB_PER_SECOND


def _command(name: str, model_set: str, size_gb: float, vram_gb: float, on_4090: float, on_5090: float) -> Command:
    command, _, variant = name.partition(" --")
    seconds = {RTX_4090: on_4090, RTX_5090: on_5090}
    return Command(command, variant or None, model_set, size_gb, vram_gb, seconds)


COMMANDS = (
    _command("flux", "flux-schnell", 31.8, 22, 4.92, 1.80),
    _command("sd3", "sd3.5-large", 13.9, 12, 8.96, 5.96),
    _command("qwen", "qwen-image-edit-2509", 29.6, 21, 9.62, 4.44),
    _command("flux --dev", "flux-dev", 31.8, 22, 16.05, 10.11),
    _command("wan", "wan2.2-t2v-14b", 35.4, 24, 61.87, 37.15),
)
BY_KEY = {command.key: command for command in COMMANDS}

MEANS = Timings(
    {(command.key, device, ""): seconds for command in COMMANDS for device, seconds in command.seconds.items()},
    {(command.model_set, device): command.load_seconds for command in COMMANDS for device in VRAM_GB},
)
"""What a scheduler may know: the means, not what the single run will take."""


@dataclass(frozen=True, slots=True)
class Job:
    """One invocation. at: seconds from the start of the trace. factor: how much longer than the mean its run takes."""

    id: int
    at: float
    user_id: int
    command: Command
    factor: float = 1.0

    def run_seconds(self, device: str) -> float:
        """What the run alone really takes there."""
        return self.command.seconds[device] * self.factor
