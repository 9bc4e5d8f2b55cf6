"""The page: its blocks, its HTML, its folder, and that text of the data never becomes markup."""

import base64
import csv
import dataclasses
import hashlib
import html.parser
import io
import json
import os
import re

import numpy as np
import pytest
import soundfile
from PIL import Image

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report import page as mp
from multimodal_tf.report.page import media, render, tables

EVIL = "<script>document.title = 'taken'</script>"
EVIL_FILE = 'photos/"><img src=x onerror="document.title=\'taken\'"><script>.png'
HEBREW, CHINESE = "נעליים אדומות", "红色的鞋子"
NAMES = [
    "boots",
    "sandals",
    "slippers",
    "trainers",
    "wellingtons",
    "a rather long name of a class",
    HEBREW,
    CHINESE,
]
HTML_VOID = {"meta", "img", "br", "link", "input", "hr"}


def metric(value, n=471, unit="accuracy", width=0.04):
    return Metric(value, n, unit, value - width, value + width)


def image(size=(320, 200), mode="RGB", kind="PNG"):
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(file, kind)
    return mp.Image(file.getvalue())


def audio(seconds=1.0, rate=16_000, channels=1, subtype="PCM_16"):
    file = io.BytesIO()
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(file, np.stack([wave] * channels, axis=1), rate, format="WAV", subtype=subtype)
    return mp.AudioClip(file.getvalue())


def curve(name, start, drop):
    return mp.Line(name, range(6), [metric(start - drop * x) for x in range(6)])


def shares():
    known = {
        "all inputs": metric(0.847),
        "without title": metric(0.512),
        "AUROC": Metric(None, 3, "AUROC", reason="one class only"),
    }
    parts = {
        "title": metric(0.71, unit="share"),
        "photo": metric(0.22, unit="share"),
        "voice": metric(-0.03, unit="share"),
    }
    without = {"title": metric(0.51), "photo": metric(0.79, 470), EVIL: metric(0.84, 12)}
    blocks = [
        mp.Metrics("On all rows", known),
        mp.Bars("Share of each input", parts),
        mp.Bars("Accuracy without it", without),
    ]
    return mp.Section(
        "Contributions",
        "The title carries the model.",
        [*blocks, mp.Note(f"Shares add up to 1. {'x' * 300}")],
    )


def robustness():
    x = np.linspace(0.05, 0.95, 10)
    reliability = mp.Line("boots", x, [metric(each**1.2, 47, "share right") for each in x])
    risk = mp.Line(
        "risk",
        np.linspace(0.01, 1, 100),
        [metric(0.3 * each, unit="errors") for each in np.linspace(0.01, 1, 100)],
    )
    photo = [
        curve(name, 0.85, 0.02 * (i + 1))
        for i, name in enumerate(["Gaussian noise", "blur", "JPEG", "rotation", "occlusion"])
    ]
    blocks = [
        mp.Lines("Photo", "severity", photo, span=(0, 1)),
        mp.Lines(
            "Title", "severity", [curve("typos", 0.85, 0.12), curve(EVIL, 0.85, 0.03)], span=(0, 1)
        ),
        mp.Lines(
            "Reliability",
            "probability",
            [reliability],
            mp.Reference("perfectly calibrated", (0, 0), (1, 1)),
            (0, 1),
        ),
        mp.Lines("Risk and coverage", "coverage", [risk]),
    ]
    return mp.Section(
        "Robustness", "Accuracy drops most with typos: by half at severity 3.", blocks
    )


def classes():
    random = np.random.default_rng(0)
    counts = (np.eye(8) * random.integers(20, 60, 8) + random.integers(0, 6, (8, 8))).astype(int)
    rows = [
        [name, metric(recall, n, "recall"), n]
        for name, recall, n in zip(NAMES, random.uniform(0.4, 0.95, 8), range(5, 85, 10))
    ]
    rows.append([EVIL, Metric(None, 0, "recall", reason="no rows"), None])
    columns = [
        mp.Column("class"),
        mp.Column("recall", "number"),
        mp.Column("support", "number", "rows"),
    ]
    heat = mp.HeatMap(
        "Confusions", NAMES, NAMES, counts, "true class", "predicted class", "rows", by_row=True
    )
    return mp.Section(
        "Classes",
        "Sandals are taken for slippers.",
        [mp.Table("Recall by class", columns, rows), heat],
    )


def slices():
    numbers = [
        *(mp.Column(f"metric {i}", "number") for i in range(5)),
        mp.Column("share", "number", "%", 1),
    ]
    columns = [mp.Column("slice"), mp.Column("file"), *numbers]
    rows = [
        [f"{HEBREW} {row}", EVIL_FILE, *(metric(0.5 + 0.05 * row) for _ in range(5)), 3.25 * row]
        for row in range(5)
    ]
    return mp.Section(
        "Slices", f"One slice is named {EVIL}.", [mp.Table(f"Slices {EVIL}", columns, rows)]
    )


def highest_loss():
    cells = {"photo": image(), "title": f"Red shoes. {HEBREW} {EVIL}", "voice": audio()}
    examples = [
        mp.Example(
            EVIL_FILE, cells, "boots", "sandals", {"probability": "0.97", "loss": "4.61 nats"}
        ),
        mp.Example(
            "row 12",
            {"photo": None, "title": CHINESE * 200, "voice": audio(12.0, 44_100, 2)},
            "boots",
            "boots",
        ),
        mp.Example(
            "row 7",
            {"photo": image((8, 8)), "title": "x" * 300, "voice": mp.AudioClip(b"nothing")},
            "boots",
            EVIL,
        ),
        mp.Example(
            "row 4",
            {"photo": mp.Image(b"nothing"), "title": "", "voice": None},
            "slippers",
            "trainers",
        ),
    ]
    return mp.Section(
        "Highest loss", "Most of them have no photo.", [mp.Examples("Greatest loss", examples)]
    )


def full_page():
    """Every kind of block, hostile and foreign texts, and more than fits a narrow screen."""
    summary = [
        "The title carries the model: 71 % of its gain.",
        "Accuracy drops most with typos.",
        f"The class {EVIL} suffers most.",
    ]
    sections = [shares(), robustness(), classes(), slices(), highest_loss()]
    return mp.Page(
        f"Report on shoes {EVIL}",
        summary,
        sections,
        {"date": "2026-11-28", "multimodal_tf": "0.1.0", "table": EVIL_FILE},
    )


def page_of(*blocks):
    return mp.Page("A page", ["A sentence."], [mp.Section("A section", "A reading.", blocks)], {})


class Document(html.parser.HTMLParser):
    """All elements of an HTML text as `(tag, attributes)`, all texts, and a check that elements are
    closed in order.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in HTML_VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report"
    mp.save(full_page(), path)
    return path


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document(text):
    return Document(text)


class TestBlocks:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: Metric(float("nan"), 3, "AUROC"),
                "value of a metric must be finite, received nan",
            ),
            (lambda: Metric(None, 3, "AUROC"), "a metric without a value needs a reason"),
            (lambda: Metric(0.5, -1, "AUROC"), "n of a metric must be 0 or more, received -1"),
            (
                lambda: Metric(0.5, 3, "AUROC", 0.6, 0.4),
                "in order or both None, received 0.6 and 0.4",
            ),
            (
                lambda: Metric(0.5, 3, "AUROC", 0.4),
                "in order or both None, received 0.4 and None",
            ),
            (lambda: mp.Table("T", [], []), "table 'T' must have at least one column"),
            (
                lambda: mp.Table("T", [mp.Column("a")], [["x"], []]),
                "table 'T', row 1: a row must have 1 cells, received 0",
            ),
            (
                lambda: mp.Table("T", [mp.Column("a")], [[1]]),
                "row 0, column 'a': a cell must be a text or None, received 1",
            ),
            (
                lambda: mp.Table("T", [mp.Column("a", "number")], [["x"]]),
                "a cell must be a number or None, received 'x'",
            ),
            (
                lambda: mp.Table("T", [mp.Column("a", "number")], [[np.inf]]),
                "row 0, column 'a' must be finite, received inf",
            ),
            (lambda: mp.Bars("B", {}), "bars 'B' must have at least one bar"),
            (
                lambda: mp.Bars("B", {"a": metric(1, unit="m"), "b": metric(1, unit="s")}),
                r"one unit, received \['m', 's'\]",
            ),
            (
                lambda: mp.Line("l", [0, 1], [metric(1)]),
                "as many metrics as x, at least one, received 1 and 2",
            ),
            (
                lambda: mp.Line("l", [1, 0], [metric(1), metric(1)]),
                r"x of line 'l' must rise, received \[1, 0\]",
            ),
            (
                lambda: mp.Lines("L", "x", [curve("a", 1, 0)], span=(1, 1)),
                r"must be two finite numbers that rise, received \(1, 1\)",
            ),
            (
                lambda: mp.Reference("r", (0, 0), (1, np.nan)),
                "a point of reference 'r' must be finite",
            ),
            (
                lambda: mp.HeatMap("H", ["a"], ["b", "c"], [[1]], "r", "c", "rows"),
                "1 rows of 2 values",
            ),
            (
                lambda: mp.HeatMap("H", ["a"], ["b"], [[-1]], "r", "c", "rows"),
                "must be 0 or more, received -1",
            ),
            (lambda: mp.Examples("E", []), "examples 'E' must have at least one example"),
            (
                lambda: mp.Page("P", "A sentence.", [shares()], {}),
                "at least one sentence, received 'A sentence.'",
            ),
            (
                lambda: mp.Page("P", ["A sentence."], [], {}),
                "page 'P' must have at least one section",
            ),
        ],
    )
    def test_invalid_blocks_are_refused_when_made(self, make, message):
        with pytest.raises(ValueError, match=message) as error:
            make()
        assert "\n" not in str(error.value)

    def test_a_metric_shows_its_interval_its_n_and_its_unit(self):
        assert (
            str(Metric(12.34, 1_797, "ms", 11.0, 13.0))
            == "12.340 (11.000 .. 13.000), n = 1,797, ms"
        )
        assert str(Metric(0.5, 1, "accuracy")) == "0.500 (no interval), n = 1, accuracy"


class TestMarkup:
    def test_a_text_is_never_markup(self, document):
        tags = [tag for tag, _ in document.elements]
        assert (tags.count("script"), tags.count("style"), tags.count("img")) == (1, 1, 2)
        assert not [
            name
            for _, attributes in document.elements
            for name in attributes
            if name.startswith("on") or name == "style"
        ]
        assert sum(EVIL in each for each in document.texts) >= 10
        assert sum(each == EVIL_FILE for each in document.texts) >= 7

    def test_a_text_is_escaped_in_attributes_too(self):
        link = '<a href="{}" class="file" aria-label="Data as CSV, {}">CSV</a>'
        escaped = EVIL_FILE.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")
        escaped = escaped.replace("'", "&#39;")
        written = render.block_html(mp.Table("T", [mp.Column("a")], []), EVIL_FILE, "t")
        assert link.format(escaped, escaped) in written

    def test_characters_that_html_may_not_hold_are_replaced(self, tmp_path):
        mp.save(page_of(mp.Note("a\x00b\ud800c\x1bd")), tmp_path / "p")
        assert "a\ufffdb\ufffdc\ufffdd" in (tmp_path / "p" / "index.html").read_text(
            encoding="utf-8"
        )

    def test_texts_find_their_own_direction(self, document):
        holding = [
            attributes
            for tag, attributes in document.elements
            if tag in ("td", "p", "li", "h2", "h4", "dd") and "dir" in attributes
        ]
        assert len(holding) > 20
        assert {each["dir"] for each in holding} == {"auto"}

    def test_own_style_and_script_are_allowed_by_digest_and_all_else_is_forbidden(
        self, text, document
    ):
        [policy] = [
            attributes["content"]
            for _, attributes in document.elements
            if "http-equiv" in attributes
        ]
        for tag in ("style", "script"):
            [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")

    def test_nothing_comes_from_elsewhere_and_every_link_leads_somewhere(
        self, folder, text, document
    ):
        assert "http:" not in text
        assert "https:" not in text
        assert {address.split(":")[0] for address in document.values("src")} == {"data"}
        ids = document.values("id")
        assert len(ids) == len(set(ids))
        for address in document.values("href"):
            assert address[1:] in ids if address.startswith("#") else (folder / address).is_file()
        assert set(document.values("aria-labelledby")) <= set(ids)

    def test_headings_are_in_order_and_every_table_has_a_caption(self, document):
        levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:]))
        tags = [tag for tag, _ in document.elements]
        # two tables, a heat map, and one under each of four charts of lines
        assert tags.count("table") == tags.count("caption") == 7
        assert dict(document.elements)["html"] == {"lang": "en"}


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
        assert Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).size == shown

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
        samples, found = soundfile.read(
            io.BytesIO(base64.b64decode(source.removeprefix("data:audio/wav;base64,")))
        )
        assert (samples.ndim, found) == (1, rate)
        assert len(samples) / rate == pytest.approx(shown) == pytest.approx(seconds)
        assert np.abs(samples[100:-100]).max() == pytest.approx(0.3, abs=0.01)

    def test_audio_that_cannot_be_read_or_is_empty_is_none(self):
        assert [media.clip(data) for data in (b"", b"nothing", audio(0.0).data)] == [None] * 3


class TestFolder:
    def test_the_folder_holds_the_data_as_csv(self, folder):
        rows = list(
            csv.DictReader(
                (folder / "data" / "03-01-recall-by-class.csv").open(encoding="utf-8", newline="")
            )
        )
        assert list(rows[0]) == [
            "class",
            "recall",
            "recall_low",
            "recall_high",
            "recall_n",
            "recall_unit",
            "support",
        ]
        written = classes().blocks[0].rows
        assert [float(row["recall"]) for row in rows[:-1]] == [
            cells[1].value for cells in written[:-1]
        ]
        assert (rows[-1]["class"], rows[-1]["recall"], rows[-1]["recall_n"]) == (EVIL, "", "0")
        examples = list(
            csv.DictReader(
                (folder / "data" / "05-01-greatest-loss.csv").open(encoding="utf-8", newline="")
            )
        )
        assert (examples[0]["row"], examples[1]["title"]) == (EVIL_FILE, CHINESE * 200)

    def test_the_folder_holds_the_data_as_json(self, folder):
        held = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert held["summary"] == list(full_page().summary)
        blocks = [block for section in held["sections"] for block in section["blocks"]]
        assert [block["type"] for block in blocks[:4]] == ["Metrics", "Bars", "Bars", "Note"]
        assert blocks[1]["bars"]["voice"] == dataclasses.asdict(metric(-0.03, unit="share"))
        assert {block["csv"] for block in blocks if "csv" in block} == {
            f"data/{path.name}" for path in (folder / "data").iterdir()
        }

    def test_names_of_files_are_plain_whatever_the_titles_are(self, folder):
        assert all(
            re.fullmatch(r"\d\d-\d\d(-[a-z0-9]+)*\.csv", path.name)
            for path in (folder / "data").iterdir()
        )
        assert (folder / "data" / "04-01-slices-script-document-title-taken-scrip.csv").is_file()

    def test_an_earlier_page_is_replaced_with_all_its_data(self, tmp_path):
        mp.save(page_of(mp.Table("Old", [mp.Column("a")], [])), tmp_path / "p")
        mp.save(page_of(mp.Table("New", [mp.Column("a")], [])), tmp_path / "p")
        assert [path.name for path in (tmp_path / "p" / "data").iterdir()] == ["01-01-new.csv"]
        assert [path.name for path in tmp_path.iterdir()] == ["p"]

    @pytest.mark.parametrize("earlier", [False, True])
    def test_a_failed_write_leaves_nothing_behind(self, tmp_path, monkeypatch, earlier):
        place = tmp_path / "p"
        if earlier:
            mp.save(page_of(mp.Note("earlier")), place)

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(
            OSError, match=r"the page cannot be written to .*p: No space left on device"
        ):
            mp.save(page_of(mp.Note("later")), place)
        assert [path.name for path in tmp_path.iterdir()] == (["p"] if earlier else [])
        assert not earlier or "earlier" in (place / "index.html").read_text()

    def test_a_directory_with_other_files_is_not_changed(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(FileExistsError, match=r"received .*, which holds thesis\.tex"):
            mp.save(full_page(), tmp_path)
        with pytest.raises(FileExistsError, match=r"received the file .*thesis\.tex"):
            mp.check_out(tmp_path / "thesis.tex")
        with pytest.raises(ValueError, match="received memory://p"):
            mp.check_out("memory://p")
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
        assert mp.check_out(tmp_path / "new" / "report") == tmp_path / "new" / "report"
        assert not (tmp_path / "new").exists()
