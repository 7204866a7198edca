"""Pictures and videos as bytes in, values out: checked, measured, freed of metadata, made to fit."""

from runtime.media.errors import BrokenMedium, CannotStrip, MediaError, MediumTooLarge, UnknownMedium
from runtime.media.photo import fit_photo
from runtime.media.pictures import Picture, prepare_picture
from runtime.media.probe import Medium, probe
from runtime.media.sniff import sniff
from runtime.media.strip import strip_metadata
from runtime.media.video import thumbnail

__all__ = [
    "BrokenMedium",
    "CannotStrip",
    "MediaError",
    "Medium",
    "MediumTooLarge",
    "Picture",
    "UnknownMedium",
    "fit_photo",
    "prepare_picture",
    "probe",
    "sniff",
    "strip_metadata",
    "thumbnail",
]
