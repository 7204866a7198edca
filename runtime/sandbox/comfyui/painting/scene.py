"""From a prompt to a scene: which landscape, who stands in it."""

import random
import re
from dataclasses import dataclass

from runtime.sandbox.comfyui.values import Artwork

LANDSCAPE_WORDS = {
    "space": "astronaut cosmonaut space moon mars planet star stars galaxy rocket alien ufo nebula universe",
    "beach": "beach sea ocean sand island coast wave waves swim lake river boat ship sail fish palm tropical summer "
    "lighthouse harbour pier",
    "city": "city street building town skyscraper night cyberpunk neon car robot tower urban tokyo london paris",
    "mountains": "mountain mountains forest tree snow alps hill castle dragon wolf bear fox hike cabin winter bottle",
    "meadow": "flower flowers garden meadow spring dog cow horse sheep rabbit swan duck bird butterfly fairy field",
    "dunes": "desert dune dunes camel egypt pyramid cactus western",
}
SUBJECT_WORDS = {
    "astronaut": "astronaut cosmonaut spaceman",
    "cat": "cat kitten kitty cats",
    "person": "man woman girl boy person portrait lady guy child king queen wizard she he him her hero people face",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What to paint. `key` seeds all randomness in it; `subject` may be "" for a landscape without anybody."""

    landscape: str
    subject: str
    key: str


def scene_of(artwork: Artwork, variation: int) -> Scene:
    """The same artwork and variation give the same scene on every machine."""
    key = f"{artwork.prompt}|{artwork.seed}|{variation}"
    words = set(re.findall(r"\w+", artwork.prompt.lower()))
    places = words.difference(*(listed.split() for listed in SUBJECT_WORDS.values()))
    landscape = (
        _best(places, LANDSCAPE_WORDS)  # an astronaut on a beach is on a beach, though astronauts live in space
        or _best(words, LANDSCAPE_WORDS)
        or random.Random(key).choice(sorted(LANDSCAPE_WORDS))
    )
    return Scene(landscape, _best(words, SUBJECT_WORDS), key)


def _best(words: set[str], vocabulary: dict[str, str]) -> str:
    """The entry that shares most words with the prompt, "" if none does."""
    scores = {name: len(words.intersection(listed.split())) for name, listed in vocabulary.items()}
    name = max(scores, key=lambda one: scores[one])
    return name if scores[name] else ""
