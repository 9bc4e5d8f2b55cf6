"""Tables, charts and media of a page, block by block."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
import soundfile
from full_page import audio, curve, image, metric, page_of, robustness
from html_document import Document
from PIL import Image

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report import page as mp
from multimodal_tf.report.page import media, render, tables


class TestTables:
    def test_what_all_metrics_of_a_column_share_is_in_its_heading(self):
        table = mp.Table(
            "T",
            [mp.Column("a", "number"), mp.Column("b", "number")],
            [[metric(0.5), metric(0.5, 3)], [metric(0.6), metric(0.6, 4)]],
        )
        written = render.block_html(table, None, "t")
        assert written.count("accuracy, n = 471") == 1
        assert "<small>accuracy</small>" in written
        assert "(0.460 .. 0.540), n = 3" in written

    def test_a_number_sorts_by_its_value_and_not_by_its_text(self):
        columns = [
            mp.Column("a", "number"),
            mp.Column("b", "number", digits=1),
            mp.Column("c", "number"),
        ]
        table = mp.Table("T", columns, [[1_797, np.float32(0.25), None]])
        written = render.block_html(table, None, "t")
        assert 'data-sort="1797">1,797<' in written
        assert 'data-sort="0.25">0.2<' in written
        # an empty cell has no value to sort by
        assert written.count("data-sort") == 2

    def test_a_table_without_rows_can_be_shown(self, tmp_path):
        mp.save(page_of(mp.Table("None", [mp.Column("a")], [])), tmp_path / "p")
        assert (tmp_path / "p" / "data" / "01-01-none.csv").read_text() == "a\n"

    def test_a_long_curve_is_in_its_table_point_by_point(self):
        table = tables.as_table(robustness().blocks[3])
        assert [column.name for column in table.columns] == ["line", "coverage", "value"]
        assert len(table.rows) == 100


def drawn(block, tag):
    """The attributes of all elements of one tag in a block's HTML."""
    return [
        attributes
        for name, attributes in Document(render.block_html(block, None, "b")).elements
        if name == tag
    ]


class TestCharts:
    def test_bars_start_at_zero_and_end_at_their_value(self):
        bars = {
            "half": Metric(0.5, 9, "share", 0.4, 0.6),
            "below": Metric(-0.5, 9, "share"),
            "whole": Metric(1.0, 9, "share"),
        }
        # on an axis from -0.5 to 1
        assert [(bar["x"], bar["width"]) for bar in drawn(mp.Bars("B", bars), "rect")] == [
            ("33.33%", "33.33%"),
            ("0.00%", "33.33%"),
            ("33.33%", "66.67%"),
        ]

    def test_a_line_breaks_where_a_metric_is_not_defined(self):
        metrics = [
            metric(0.1),
            metric(0.2),
            Metric(None, 0, "accuracy", reason="no rows"),
            metric(0.4),
            metric(0.5),
        ]
        block = mp.Lines("L", "x", [mp.Line("a", range(5), metrics)], span=(0, 1))
        assert [len(line["points"].split()) for line in drawn(block, "polyline")] == [2, 2]
        assert [mark["cx"] for mark in drawn(block, "circle")] == [
            "0.00%",
            "25.00%",
            "75.00%",
            "100.00%",
        ]

    def test_marks_show_their_metric_and_the_drawing_is_described_in_words(self):
        block = mp.Lines("Photo", "severity", [curve("blur", 0.85, 0.1)], span=(0, 1))
        titles = re.findall("<title>(.*?)</title>", render.block_html(block, None, "l"))
        assert titles[1] == "blur, severity 1: 0.750 (0.710 .. 0.790), n = 471, accuracy"
        assert (
            drawn(block, "svg")[0]["aria-label"]
            == "Photo: accuracy over severity. blur: 0.850 at 0, 0.350 at 5."
        )

    def test_no_two_of_28_lines_look_the_same(self):
        block = mp.Lines("L", "x", [curve(str(i), 0.9, 0.01) for i in range(28)])
        assert len({line["class"] for line in drawn(block, "polyline")}) == 28

    def test_equal_metrics_have_an_axis_too(self):
        block = mp.Lines("L", "x", [mp.Line("a", [3], [Metric(0.5, 1, "share")])])
        assert [(mark["cx"], mark["cy"]) for mark in drawn(block, "circle")] == [
            ("50.00%", "50.00%")
        ]

    def test_a_heat_map_shades_by_the_row_if_configured(self):
        block = mp.HeatMap(
            "H", ["often", "rarely"], ["a", "b"], [[90, 10], [1, 1]], "true", "predicted", "rows"
        )
        shades = [
            [cell["class"] for cell in drawn(one, "td")][1:]
            for one in (block, dataclasses.replace(block, by_row=True))
        ]
        assert shades == [["h7", "h1", "h1", "h1"], ["h7", "h1", "h4", "h4"]]

    def test_a_heat_map_has_shades_of_its_own_where_they_are_given(self):
        lost = [[0, 0.5], [0, 1]]
        block = mp.HeatMap(
            "H",
            ["blur", "noise"],
            ["0", "1"],
            [[0.9, 0.75], [0.9, 0.6]],
            "a",
            "b",
            "accuracy",
            shades=lost,
            shade_title="what is lost",
        )
        cells = drawn(block, "td")[1:]
        assert [cell["class"] for cell in cells] == ["h0", "h4", "h0", "h7"]
        assert cells[3]["title"] == "a noise, b 1: 0.60 accuracy"
        assert "shade: what is lost" in render.block_html(block, None, "h")
        # errors of a head of numbers may be negative or large
        assert "1,234" in render.block_html(
            dataclasses.replace(block, values=[[-1234.5, 1], [2, 3]]), None, "h"
        )


class TestMedia:
    @pytest.mark.parametrize(
        ("size", "shown"),
        [
            ((1000, 500), (256, 128)),
            ((8, 8), (96, 96)),
            ((3000, 1), (256, 1)),
            ((200, 100), (200, 100)),
        ],
    )
    @pytest.mark.parametrize("mode", ["RGB", "LA", "P", "1"])
    def test_a_thumbnail_is_neither_too_large_nor_too_small(self, size, shown, mode):
        source, *found = media.thumbnail(image(size, mode).data)
        assert tuple(found) == shown
        assert Image.open(io.BytesIO(base64.b64decode(source))).size == shown

    def test_an_image_that_is_broken_or_too_large_is_none(self, monkeypatch):
        whole = image(kind="JPEG").data
        assert [
            media.thumbnail(data)
            for data in (b"", b"<svg onload='x()'/>", whole[: len(whole) // 2])
        ] == [None] * 3
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        assert media.thumbnail(whole) is None

    @pytest.mark.parametrize(
        ("cell", "seconds", "rate"),
        [
            (audio(), 1.0, 16_000),
            (audio(12.0, 44_100, 2), 10.0, 22_050),
            (audio(0.5, 48_000, 1, "FLOAT"), 0.5, 22_050),
            (audio(1, 8_000), 1.0, 8_000),
        ],
    )
    def test_audio_becomes_a_short_mono_wav(self, cell, seconds, rate):
        source, shown, _ = media.clip(cell.data)
        samples, found = soundfile.read(io.BytesIO(base64.b64decode(source)))
        assert (samples.ndim, found) == (1, rate)
        assert len(samples) / rate == pytest.approx(shown) == pytest.approx(seconds)
        assert np.abs(samples[100:-100]).max() == pytest.approx(0.3, abs=0.01)

    def test_audio_that_cannot_be_read_or_is_empty_is_none(self):
        assert [media.clip(data) for data in (b"", b"nothing", audio(0.0).data)] == [None] * 3
