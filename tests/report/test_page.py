"""The page: its blocks, its HTML, its folder, and that text of the data never becomes markup."""

import base64
import csv
import dataclasses
import hashlib
import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
from full_page import (
    CHINESE,
    EVIL,
    EVIL_FILE,
    classes,
    curve,
    full_page,
    metric,
    page_of,
    shares,
)
from html_document import Document

from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report import page as mp
from multimodal_tf.report.page import render


@pytest.fixture(scope="module")
def text(page_folder):
    return (page_folder / "index.html").read_text(encoding="utf-8")


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
                lambda: mp.HeatMap("H", ["a"], ["b"], [[-1]], "r", "c", "rows"),
                "a value of heat map 'H' must be 0 or more, received -1",
            ),
            (
                lambda: mp.HeatMap("H", ["a"], ["b"], [[1]], "r", "c", "rows", shades=[[1.5]]),
                "a shade of heat map 'H' must be from 0 to 1.0, received 1.5",
            ),
            (
                lambda: mp.HeatMap("H", ["a"], ["b"], [[1]], "r", "c", "rows", shades=[[1, 1]]),
                "must have 1 rows of 1 shades",
            ),
            (
                lambda: dataclasses.replace(page_of(), tiles=[mp.Tile("x", "y", "nowhere")]),
                "tile 'x' of page 'A page' must lead to one of .* received 'nowhere'",
            ),
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
        self, page_folder, text, document
    ):
        assert "http:" not in text
        assert "https:" not in text
        assert {address.split(":")[0] for address in document.values("src")} == {"data"}
        ids = document.values("id")
        assert len(ids) == len(set(ids))
        for address in document.values("href"):
            if address.startswith("#"):
                assert address[1:] in ids
            else:
                assert (page_folder / address).is_file()
        assert set(document.values("aria-labelledby")) <= set(ids)

    def test_headings_are_in_order_and_every_table_has_a_caption(self, document):
        levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:]))
        tags = [tag for tag, _ in document.elements]
        # two tables, a heat map, and one under each of four charts of lines
        assert tags.count("table") == tags.count("caption") == 7
        assert dict(document.elements)["html"] == {"lang": "en"}


def csv_rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestFolder:
    def test_the_folder_holds_the_data_as_csv(self, page_folder):
        rows = csv_rows(page_folder / "data" / "03-01-recall-by-class.csv")
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
        examples = csv_rows(page_folder / "data" / "05-01-greatest-loss.csv")
        assert (examples[0]["row"], examples[1]["title"]) == (EVIL_FILE, CHINESE * 200)

    def test_the_folder_holds_the_data_as_json(self, page_folder):
        held = json.loads((page_folder / "report.json").read_text(encoding="utf-8"))
        assert held["summary"] == list(full_page().summary)
        blocks = [block for section in held["sections"] for block in section["blocks"]]
        assert [block["type"] for block in blocks[:4]] == ["Metrics", "Bars", "Bars", "Note"]
        assert blocks[1]["bars"]["voice"] == dataclasses.asdict(metric(-0.03, unit="share"))
        assert {block["csv"] for block in blocks if "csv" in block} == {
            f"data/{path.name}" for path in (page_folder / "data").iterdir()
        }

    def test_names_of_files_are_plain_whatever_the_titles_are(self, page_folder):
        names = [path.name for path in (page_folder / "data").iterdir()]
        assert all(re.fullmatch(r"\d\d-\d\d(-[a-z0-9]+)*\.csv", name) for name in names)
        assert "04-01-slices-script-document-title-taken-scrip.csv" in names

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

    def test_what_a_killed_process_left_is_removed(self, tmp_path):
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            process.wait()
        for name in ("p", "p.old"):
            left = tmp_path / f"{name}.{socket.gethostname()}-{process.pid}.tmp"
            mp.save(page_of(mp.Note("left")), left)
        mp.save(page_of(mp.Note("later")), tmp_path / "p")
        assert [path.name for path in tmp_path.iterdir()] == ["p"]

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
