"""No column is cut on a screen of 1280 pixels or of 400: tables become lists where they must."""

import pytest
from full_page import EVIL_FILE, HEBREW, metric, page_of

from multimodal_tf.report import page as mp

# boxes whose content is wider than they are, and cells out of the page
CUT = """[
  ...[...document.querySelectorAll(".scroll")]
    .filter(box => box.clientWidth && box.scrollWidth > box.clientWidth + 1)
    .map(box => box.textContent.trim().slice(0, 40)),
  ...[...document.querySelectorAll("td, th")]
    .filter(cell => cell.getBoundingClientRect().right > document.documentElement.clientWidth)
    .map(cell => cell.textContent.trim().slice(0, 40)),
]"""
NAMES = [f"class {number}" for number in range(30)]


def table(texts, numbers):
    columns = [*(mp.Column(f"text {i}") for i in range(texts))]
    columns += [mp.Column(f"mean corruption error {i}", "number") for i in range(numbers)]
    cells = [EVIL_FILE, HEBREW, "x" * 60][:texts]
    row = [*cells, *(metric(0.5, 100 + i) for i in range(numbers))]
    return mp.Table(f"{texts} and {numbers}", columns, [row, row])


def heat_map(columns, unit="rows"):
    counts = [[100 if i == j else 0 for j in range(columns)] for i in range(columns)]
    return mp.HeatMap(
        f"{columns}", NAMES[:columns], NAMES[:columns], counts, "true class", "predicted", unit
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    blocks = [
        *(table(*each) for each in [(1, 2), (1, 5), (3, 5), (2, 7), (1, 14)]),
        *map(heat_map, (3, 8, 12, 30)),
    ]
    path = tmp_path_factory.mktemp("widths") / "report"
    mp.save(page_of(*blocks), path)
    return (path / "index.html").as_uri()


@pytest.mark.parametrize("width", [1280, 400])
def test_no_column_is_cut(browser, address, report_folder, page_folder, width):
    pages = [address, *((folder / "index.html").as_uri() for folder in (page_folder,))]
    for each in (*pages, (report_folder / "page" / "index.html").as_uri()):
        browser.open(each, width, "light")
        browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert browser.run(CUT) == []


def test_cells_of_a_list_are_named_and_sort_as_in_a_table(browser, address):
    browser.open(address, 400, "light")
    named = browser.run(
        "getComputedStyle(document.querySelectorAll('#section-0 td')[1], '::before').content"
    )
    assert "mean corruption error 0" in named
    assert browser.run("""(() => {
        const heading = document.querySelector("th button");
        heading.click();
        return [heading.clientHeight > 0, heading.parentElement.ariaSort];
    })()""") == [True, "ascending"]


def test_a_table_stays_one_where_it_fits(browser, address):
    browser.open(address, 1280, "light")
    displays = browser.run(
        "[...document.querySelectorAll('.sortable tbody tr')]"
        ".map(row => getComputedStyle(row).display)"
    )
    assert displays[:4] == ["table-row"] * 4
    assert displays[-1] == "grid"
