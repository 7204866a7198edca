"""When what is struck: drawn from a seed, so that a run can be had again."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal[
    "worker killed",
    "receiver killed",
    "scheduler killed",
    "all killed",
    "ComfyUI killed",
    "PostgreSQL killed",
    "PostgreSQL stopped",
    "broker wiped",
    "socket cut",
    "line cut",
    "events lost",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

SHARES: Mapping[Kind, int] = {
    "worker killed": 5,
    "receiver killed": 2,
    "scheduler killed": 2,
    "all killed": 1,
    "ComfyUI killed": 5,
    "PostgreSQL killed": 1,
    "PostgreSQL stopped": 1,
    "broker wiped": 3,
    "socket cut": 4,
    "line cut": 2,
    "events lost": 2,
}
"""Strikes of each kind in `SHARE_SECONDS`."""

SHARE_SECONDS = 32.0

BREATH = 4
"""Strikes between two of the database: it has to be up for a while, or nothing is tried but its absence."""


@dataclass(frozen=True, slots=True)
class Strike:
    """at: seconds from the beginning. pick: which one is struck, from 0 up to 1."""

    at: float
    kind: Kind
    pick: float


def schedule(seed: int, seconds: float) -> list[Strike]:
    """Strikes of all kinds, about evenly spread over so long."""
    dice = random.Random(seed)
    rounds = max(1, round(seconds / SHARE_SECONDS))
    kinds = [kind for _ in range(rounds) for kind in _one_round(dice)]
    pause = seconds / len(kinds)
    return [Strike((place + dice.random()) * pause, kind, dice.random()) for place, kind in enumerate(kinds)]


def _one_round(dice: random.Random) -> list[Kind]:
    kinds = [kind for kind in KINDS for _ in range(SHARES[kind])]
    while True:
        dice.shuffle(kinds)
        blows = [place for place, kind in enumerate(kinds) if kind.startswith("PostgreSQL")]
        far_enough = all(later - sooner > BREATH for sooner, later in itertools.pairwise(blows))
        if far_enough and len(kinds) - blows[-1] > BREATH:
            return kinds
