"""No CSV that the package writes holds a formula, and each can be read back."""

import pandas as pd
import pytest

from multimodal_tf.config.formulas import escape, unescape
from multimodal_tf.data.csv_frame import escape_frame
from multimodal_tf.data.ingest.rejected import FILE, Rejected, write_rejected
from multimodal_tf.report.page.blocks import Column, Table
from multimodal_tf.report.page.folder import _csv

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''@x"]
PLAIN = ["owl", "'owl'", "", "-1.5", "+3", "1e-3", "-inf", "a=b", " =1", -2, 1.5, None, True]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_has_an_apostrophe(text):
    assert escape(text) == f"'{text}"
    assert unescape(escape(text)) == text


@pytest.mark.parametrize("cell", PLAIN)
def test_other_cells_stay(cell):
    assert escape(cell) is cell
    if isinstance(cell, str):
        assert unescape(cell) == cell


def test_a_table_is_read_back(tmp_path):
    # a carriage return alone ends a line for some readers
    texts = [text for text in FORMULAS if "\r" not in text]
    frame = pd.DataFrame({"label": texts, "=x": range(7), "price": [-1.5] * 7})
    escape_frame(frame).to_csv(tmp_path / "a.csv", index=False)
    found = pd.read_csv(tmp_path / "a.csv")
    assert list(found) == ["label", "'=x", "price"]
    assert found["label"].map(unescape).tolist() == texts
    assert (found["price"] == -1.5).all()


def test_rejected_cells(tmp_path):
    rows = [Rejected(row=3, column="=a", path="=b.png", reason="-c")]
    assert write_rejected(tmp_path, [rows]) == 1
    assert (tmp_path / FILE).read_text().splitlines()[1] == "3,'=a,'=b.png,'-c"


def test_tables_of_a_page():
    table = Table("Sizes", [Column("=name"), Column("size", "number")], [["@boot", -43]])
    assert _csv(table).splitlines() == ["'=name,size", "'@boot,-43"]
