"""The figures as pictures."""

import io
import sys

import pytest
from PIL import Image

from runtime.bench import ChartUnavailable, Record
from runtime.bench.chart import bar_lines, draw_png
from runtime.bench.published import published
from runtime.bench.table import group_of


def test_the_chart_is_a_picture_with_a_panel_for_each_template(record: Record) -> None:
    groups = [group_of(record), published(record.templates)]
    picture = Image.open(io.BytesIO(draw_png(groups, "veilrun bench", "medians")))
    colours = picture.convert("RGB").getcolors(1 << 24) or []
    found = {colour for _, colour in colours}

    assert picture.format == "PNG"
    assert picture.width > 900
    assert {(0x4C, 0x72, 0xB0), (0xDD, 0x84, 0x52), (0xB8, 0xBE, 0xC7), (0x8A, 0x92, 0x9E)} <= found


def test_without_matplotlib_the_way_to_get_it_is_told(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ChartUnavailable, match=r"pip install 'veilrun\[bench\]'"):
        draw_png([group_of(record)], "")


def test_bars_of_one_template_share_a_scale(record: Record) -> None:
    lines = bar_lines([group_of(record)], width=10)

    assert lines == [
        "flux",
        "  RTX 4090  ██████████     5.00 s",
        "  RTX 5090  ████           2.00 s  -60.0 %",
        "sd3",
        "  RTX 4090  ██████████     9.00 s",
        "  RTX 5090  ███████        6.00 s  -33.3 %",
        "wan",
        "  RTX 5090  ██████████    37.00 s",
    ]
