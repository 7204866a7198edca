"""How fast a fleet of two kinds of cards can be at best."""

from collections.abc import Mapping

from benchmarks.placement.workload import Command

EPSILON = 1e-12


def least_seconds(work: Mapping[Command, float], cards: Mapping[str, int], *, load_seconds: float = 0.0) -> float:
    """The shortest time in which the cards could do all that, if jobs could be cut into pieces.

    work: command -> how many mean runs of it. cards: device -> how many. load_seconds: GPU seconds needed besides,
    on whatever card.

    For two kinds of cards the best division is known: each kind gets what it is comparatively best at. The commands are
    sorted by seconds on the one kind / seconds on the other, the one kind takes them from the front, the other from
    the end, and one command is divided where both are done at the same time. No division is faster: to swap
    work between the kinds would give each what it is comparatively worse at.
    """
    (one, ones), *rest = sorted((device, count) for device, count in cards.items() if count)
    if not rest:
        return (load_seconds + sum(command.seconds[one] * runs for command, runs in work.items())) / ones
    ((other, others),) = rest
    items = [(command.seconds[one] * runs, command.seconds[other] * runs) for command, runs in work.items() if runs]
    items.append((load_seconds, load_seconds))
    items = sorted((item for item in items if item[1] > 0), key=lambda item: item[0] / item[1])
    done, left = 0.0, sum(on_other for _, on_other in items)
    for on_one, on_other in items:
        share = (left / others - done / ones) / (on_one / ones + on_other / others)
        if share <= 1 + EPSILON:
            return (done + share * on_one) / ones
        done, left = done + on_one, left - on_other
    return done / ones
