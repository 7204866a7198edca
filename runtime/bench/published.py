"""Published figures of the shipped templates: seconds on an RTX 4090 and on an RTX 5090.

How they were taken (runs, warm-up, versions) is not published with them: beside your own they are for orientation.
"""

from collections.abc import Collection

from runtime.bench.table import Column, Group

FIGURES = {
    "sd3": ("sd3.5", 8.96, 5.96),
    "flux": ("flux schnell", 4.92, 1.80),
    "flux --dev": ("flux dev", 16.05, 10.11),
    "wan": ("wan 2.2", 61.87, 37.15),
    "qwen": ("qwen", 9.62, 4.44),
}
"""Template -> (how it is called there, seconds on the RTX 4090, on the RTX 5090)."""


def published(templates: Collection[str]) -> Group:
    """The two columns, for those of `templates` that they have."""
    known = {key: figures for key, figures in FIGURES.items() if key in templates}
    return Group(
        (
            Column("RTX 4090, published", {key: seconds for key, (_, seconds, _) in known.items()}),
            Column("RTX 5090, published", {key: seconds for key, (_, _, seconds) in known.items()}),
        )
    )
