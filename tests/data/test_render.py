"""A description in terminals of several widths and in a pipe: its table, its lines, its breaks."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from multimodal_tf.data.describe.column_description import ColumnDescription, Rejection, Spread
from multimodal_tf.data.describe.table_description import Description

# as the command line's console where its output is no terminal
PIPE = {"width": 80, "soft_wrap": True}
DENSE = (
    "a Dense layer: an MLP over all such columns pays from 4 columns and 3,000 rows,"
    " here are 2 and 40"
)


def spread(low, high):
    return Spread(min=low, median=low, p95=high, max=high)


def column(title, kind="ignored", why="given", **fields):
    return ColumnDescription(
        **{"name": title, "column": title, "type": kind, "why": why, "missing": 0, "distinct": 2}
        | fields
    )


def lines_of(*columns, **console):
    console = Console(file=io.StringIO(), **console)
    console.print(
        Description(table="shop.csv", rows=40, sampled=40, columns=list(columns)).render()
    )
    return console.file.getvalue().split("\n")


SHOP = [
    column(
        "photo",
        "image",
        "38 of 40 cells open as images",
        tower="plain CNN: a ResNet pays from 10,000 rows, here are 40",
        distinct=40,
        width=spread(44, 99),
        height=spread(200, 200),
        rejected=7,
        rejections=[
            Rejection(row=1, reason="no such file"),
            Rejection(row=3, reason="damaged image"),
        ],
    ),
    column("price", "number", "numbers", tower=DENSE, missing=3),
    column(
        "Größe (cm)", "category", "short texts, 2 distinct values", tower=DENSE, name="Gro_e_cm"
    ),
    column("label", "classification", "2 distinct values", distinct=10_000),
]
TABLE = """\
shop.csv: 40 rows, all looked at

column      type            missing  distinct  values                 rejected
──────────────────────────────────────────────────────────────────────────────
photo       image                 0        40  44 to 99 x 200 pixels         7
price       number                3         2                                0
Größe (cm)  category              0         2                                0
label       classification        0    10000+                                0

"""
LINES = f"""\
photo: 38 of 40 cells open as images; plain CNN: a ResNet pays from 10,000 rows, here are 40
  row 1: no such file
  row 3: damaged image
  and 5 more
price: numbers
Größe (cm) (as Gro_e_cm): short texts, 2 distinct values
label: 2 distinct values
number, category columns: {DENSE}
"""


@pytest.mark.parametrize("console", [{"width": 170}, PIPE], ids=["terminal", "pipe"])
def test_a_table_and_a_line_a_column(console):
    assert lines_of(*SHOP, **console) == (TABLE + LINES).split("\n")


def test_in_80_columns_sentences_wrap_with_an_indent():
    lines = lines_of(*SHOP, width=80)
    assert lines[:9] == TABLE.split("\n")[:-1]
    assert max(map(cell_len, lines)) <= 80
    assert [line.rstrip() for line in lines[9:12]] == [
        "photo: 38 of 40 cells open as images; plain CNN: a ResNet pays from 10,000",
        "  rows, here are 40",
        "  row 1: no such file",
    ]
    again = [line.strip() for line in lines[9:]]
    # broken between words only
    assert " ".join(again).split() == LINES.split()


def test_a_long_rejection_goes_on_under_itself():
    broken = column("x", rejected=1, rejections=[Rejection(row=0, reason="word " * 30)])
    lines = lines_of(broken, width=80)
    first = next(index for index, line in enumerate(lines) if line.startswith("  row 0"))
    assert lines[first + 1].startswith("    word")


@pytest.mark.parametrize(
    ("kind", "measured", "values"),
    [
        (
            "image",
            {"width": spread(28, 28), "height": spread(28, 28), "grey": True},
            "28 x 28 pixels, grey",
        ),
        (
            "video",
            {"width": spread(320, 640), "height": spread(240, 480), "seconds": spread(1, 3)},
            "320 to 640 x 240 to 480 pixels, 1.0 to 3.0 s",
        ),
        (
            "audio",
            {"seconds": spread(0.5, 1.09), "sample_rate": spread(22_050, 22_050)},
            "0.50 to 1.09 s, 22050 Hz",
        ),
        (
            "audio",
            {"seconds": spread(2, 30), "sample_rate": spread(8_000, 44_100)},
            "2.00 to 30.00 or more s, 8000 to 44100 Hz",
        ),
        ("text", {"words": spread(3, 9)}, "3 to 9 words"),
    ],
)
def test_values(kind, measured, values):
    assert f"  {values}  " in lines_of(column("x", kind, **measured), width=170)[4]


def test_a_sample_is_named():
    console = Console(file=io.StringIO(), width=80)
    console.print(Description(table="shop.csv", rows=4000, sampled=500, columns=SHOP).render())
    assert console.file.getvalue().startswith("shop.csv: 4000 rows, 500 of them looked at\n")


def test_without_tabular_columns_no_line_is_on_them():
    assert lines_of(SHOP[0], SHOP[3], width=80)[-2] == "label: 2 distinct values"


def test_markup_surrogates_and_line_breaks_are_plain_text():
    lines = lines_of(column("[red]a[/b]", why="\ud800 x\nand\u2028\x1b[31m y"), width=170)
    assert lines[4].startswith("[red]a[/b]  ignored")
    assert lines[6] == "[red]a[/b]: ? x and [31m y"


def test_in_a_pipe_a_name_stays_in_one_piece():
    name = "/".join(["a folder of files"] * 9)
    lines = lines_of(column(name), **PIPE)
    assert lines[4].startswith(name)
    assert lines[6] == f"{name}: given"


@settings(max_examples=100, deadline=None)
@given(
    name=st.text(max_size=40),
    why=st.text(max_size=200),
    reason=st.text(max_size=200),
    width=st.integers(1, 200),
)
def test_any_text_at_any_width(name, why, reason, width):
    odd = column(name, why=why, rejected=1, rejections=[Rejection(row=0, reason=reason)])
    assert len(lines_of(odd, width=width, soft_wrap=True)) == 9
    lines_of(odd, width=width)
