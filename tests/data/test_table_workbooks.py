"""Tables of SQLite and of Excel: which one is read, what its cells are, and what is refused."""

import datetime
import functools
import io
import sqlite3
import zipfile

import openpyxl
import pytest
from described_tables import png

from multimodal_tf.data.codecs.cell import BrokenCell
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.data.table_formats import excel
from multimodal_tf.evaluation.eval_records import source_table


def rows_of(table, columns=None):
    return [list(row) for chunk in table.chunks(2, columns) for row in chunk.values.tolist()]


def database(path, *statements, rows=()):
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
        for statement, values in rows:
            connection.execute(statement, values)
    connection.close()
    return path


@pytest.mark.parametrize("suffix", ["db", "sqlite", "sqlite3"])
def test_the_only_table_of_a_database(tmp_path, suffix):
    photo = png()
    path = database(
        tmp_path / f"sh?op #1.{suffix}",
        "CREATE TABLE shop (id INTEGER PRIMARY KEY AUTOINCREMENT, photo BLOB, title TEXT, price)",
        "CREATE INDEX by_title ON shop (title)",
        rows=[
            ("INSERT INTO shop VALUES (1, ?, 'red', 1.5)", [photo]),
            ("INSERT INTO shop VALUES (2, NULL, 'blue', 7)", []),
            ("INSERT INTO shop VALUES (3, x'', CAST(x'e9' AS TEXT), 'seven')", []),
        ],
    )
    table = read_table(path)
    assert table.columns == ["id", "photo", "title", "price"]
    rows = [[1, photo, "red", 1.5], [2, None, "blue", 7], [3, None, "\udce9", "seven"]]
    assert rows_of(table) == rows
    # in the same order, though an index would give another
    assert rows_of(table, ["title"]) == [["red"], ["blue"], ["\udce9"]]
    types = {column.column: column.type for column in describe(table, presets=False).columns}
    assert types["photo"] == "image"


def test_a_database_that_is_written_to_is_read_or_locked(tmp_path, monkeypatch):
    path = database(
        tmp_path / "a.db", "CREATE TABLE t (a)", rows=[("INSERT INTO t VALUES (1)", [])]
    )
    # five seconds by default
    short = functools.partial(sqlite3.connect, timeout=0.01)
    monkeypatch.setattr(sqlite3, "connect", short)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ValueError, match=r"a\.db is locked by a program that writes to it: try"):
        read_table(path)
    writer.execute("COMMIT")
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO t VALUES (2)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t VALUES (3)")
    # what is committed, from the log
    assert rows_of(read_table(path)) == [[1], [2]]
    writer.close()


def test_one_of_several_tables_and_views(tmp_path):
    path = database(
        tmp_path / "a.db",
        """CREATE TABLE "odd ""name""::x" (a)""",
        """INSERT INTO "odd ""name""::x" VALUES (1)""",
        "CREATE TABLE prices (label TEXT, b REAL)",
        "INSERT INTO prices VALUES ('x', 2.5), ('y', 3)",
        *["INSERT INTO prices SELECT * FROM prices"] * 4,
        "CREATE VIEW twice AS SELECT 2 * b AS c FROM prices ORDER BY b DESC",
    )
    with pytest.raises(
        ValueError, match=r"a.db has several tables and views, .*: name one, as in .*a.db::odd"
    ):
        read_table(path)
    assert rows_of(read_table(f'{path}::odd "name"::x')) == [[1]]
    assert rows_of(read_table(f"{path}::twice")) == [[6.0]] * 16 + [[5.0]] * 16
    with pytest.raises(ValueError, match="no 'price' among its .*: did you mean 'prices'"):
        read_table(f"{path}::price")
    table = read_table(f"{path}::prices")
    assert (table.name, table.root) == (f"{path}::prices", tmp_path)
    # and found again by its name
    config = describe(table, presets=False).config()
    manifest = ingest(table, config, tmp_path / "records", processes=1)
    assert source_table(manifest, None).columns == ["label", "b"]


BAD_DATABASES = {
    "text": (b"title,label\n", "is not a readable SQLite file: file is not a database"),
    "empty": (b"", "has no tables and views"),
    "cut": (None, "is not a readable SQLite file"),
}


@pytest.mark.parametrize("name", BAD_DATABASES)
def test_bad_databases(tmp_path, name):
    data, message = BAD_DATABASES[name]
    if data is None:
        rows = [("INSERT INTO a VALUES (?)", ["x" * 5_000])] * 20
        path = database(tmp_path / "whole.db", "CREATE TABLE a (b)", rows=rows)
        data = path.read_bytes()[:30_000]
    path = tmp_path / "a.db"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"^{path}[^\n]*{message}[^\n]*$"):
        rows_of(read_table(path))


def test_other_databases_that_are_refused(tmp_path):
    path = database(tmp_path / "odd.db", "CREATE TABLE abcde (b)")
    for old, new in ((b"TABLE", b"TA\xb9LE"), (b"abcde", b"abc\xb9e"), (b"(b)", b"(\xb9)")):
        broken = tmp_path / "broken.db"
        broken.write_bytes(path.read_bytes().replace(old, new))
        with pytest.raises(ValueError, match=f"^{broken}[^\n]*$"):
            read_table(broken)
    path = database(tmp_path / "none.db", "CREATE TABLE a (b)")
    with pytest.raises(ValueError, match="none.db has no rows"):
        read_table(path)
    with pytest.raises(FileNotFoundError, match="there is no table .*gone.db$"):
        read_table(tmp_path / "gone.db::a")
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(ValueError, match="::name is for files that end in .db, .sqlite"):
        read_table(tmp_path / "a.csv::b")


def workbook(path, rows, title="shop", **sheets):
    book = openpyxl.Workbook()
    book.active.title = title
    for name, cells in ({title: rows} | sheets).items():
        sheet = book[name] if name in book.sheetnames else book.create_sheet(name)
        for row in cells:
            sheet.append(row)
    book.save(path)
    return path


def edited(path, member, *changes):
    """The workbook with texts of one of its files replaced."""
    source = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    with zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename == member:
                # openpyxl writes through one of two libraries
                data = data.replace(b"<v />", b"<v/>").replace(b"<v></v>", b"<v/>")
                for old, new in changes:
                    assert old in data
                    data = data.replace(old, new)
            target.writestr(info, data)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_the_cells_of_a_sheet_keep_their_types(tmp_path):
    day = datetime.datetime(2024, 5, 17, 12, 30)
    rows = [
        ["title", "n", "x", "day", "sold", None, 7],
        ["red, green", 1, 1.5, day, True, "u", "007"],
        [None] * 7,
        ["blue", None, 2.0, day, False],
    ]
    path = workbook(tmp_path / "A.XLSX", rows, Sheet2=[])
    table = read_table(path)
    assert table.columns == ["title", "n", "x", "day", "sold", "Unnamed: 5", "7"]
    expected = [rows[1], ["blue", None, 2, day, False, None, None]]
    assert rows_of(table) == expected
    assert type(rows_of(table)[0][1]) is int
    assert rows_of(table, ["n"]) == [[1], [None]]


def test_one_of_several_sheets(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["a"], [1]], **{"My prices": [["b"], [2]]})
    with pytest.raises(
        ValueError, match="a.xlsx has several sheets, 'shop', 'My prices': name one, as in .*::shop"
    ):
        read_table(path)
    assert rows_of(read_table(f"{path}::My prices")) == [[2]]
    with pytest.raises(ValueError, match="no 'Prices' among its sheets: did you mean"):
        read_table(f"{path}::Prices")


def test_formulas_are_their_values_or_have_a_reason(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["n", "sum"], [1, "=A2*2"], [2, "=A3*2"], [3, "=A4"]])
    edited(
        path,
        SHEET,
        (b'<c r="B3"><f>A3*2</f><v/></c>', b'<c r="B3"><f>A3*2</f><v>4</v></c>'),
        (b'<c r="B4"><f>A4</f><v/></c>', b'<c r="B4" t="e"><f>A4</f><v>#N/A</v></c>'),
    )
    reason = "a formula without its value: open the file in Excel and save it"
    assert rows_of(read_table(path)) == [
        [1, BrokenCell(reason)],
        [2, 4],
        [3, BrokenCell("Excel's error #N/A")],
    ]


def merged(path):
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("A2:A3")
    book.save(path)


def test_what_a_sheet_may_not_be(tmp_path, monkeypatch):
    path = workbook(tmp_path / "merged.xlsx", [["a", "b"], [1, 2], [3, 4]])
    merged(path)
    with pytest.raises(ValueError, match=r"'shop' has merged cells \(A2:A3\), of which all but"):
        read_table(path)
    path = workbook(tmp_path / "title.xlsx", [["My shop"], ["a", "b"], [1, 2]])
    with pytest.raises(ValueError, match="row 2 of 'shop': a cell stands to the right of the head"):
        rows_of(read_table(path))
    path = workbook(tmp_path / "empty.xlsx", [])
    with pytest.raises(ValueError, match="empty.xlsx has no sheets"):
        read_table(path)
    path = workbook(tmp_path / "header.xlsx", [["a", "b"]])
    with pytest.raises(ValueError, match="header.xlsx has no rows"):
        read_table(path)
    path = workbook(tmp_path / "late.xlsx", [[None], ["a"], [1]])
    with pytest.raises(ValueError, match="has no header: the first row of 'shop' must name"):
        read_table(path)
    path = workbook(tmp_path / "twice.xlsx", [["a", "a"], [1, 2]])
    with pytest.raises(ValueError, match="two columns named 'a'"):
        read_table(path)
    path = workbook(tmp_path / "large.xlsx", [["a"], [1]])
    monkeypatch.setattr(excel, "_MOST_SHEET", 100)
    with pytest.raises(ValueError, match="sheet1.xml must have at most 100 bytes unpacked"):
        read_table(path)


def test_damaged_workbooks_are_one_sentence(tmp_path):
    whole = workbook(tmp_path / "a.xlsx", [["a"], [1]]).read_bytes()
    cases = {
        "password": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "has a password, or is in"),
        "cut": (whole[:-100], "is not a readable Excel file"),
        "csv": (b"a,b\n1,2\n", "is not a readable Excel file: File is not a zip file"),
        "nothing": (b"", "is not a readable Excel file"),
    }
    for name, (data, message) in cases.items():
        path = tmp_path / f"{name}.xlsx"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"^{path}[^\n]*{message}[^\n]*$"):
            rows_of(read_table(path))
    for member in (SHEET, "xl/workbook.xml", "[Content_Types].xml"):
        path = tmp_path / "broken.xlsx"
        path.write_bytes(whole)
        edited(path, member, (b">", b"<"))
        with pytest.raises(ValueError, match=f"^{path}[^\n]*$"):
            rows_of(read_table(path))


def test_json_files(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1, "b": "é"},\n {"b": null, "c": [1, 2]}]', encoding="utf-8")
    table = read_table(path)
    assert table.columns == ["a", "b", "c"]
    assert rows_of(table) == [[1, "é", None], [None, None, [1, 2]]]
    # JSON Lines by another name
    path.write_text('{"a": 1}\n\n{"a": {"b": "}"}}\n')
    assert rows_of(read_table(path)) == [[1], [{"b": "}"}]]
    path.write_text("[" * 200 + "]" * 200)
    with pytest.raises(ValueError, match="row 0: must be an object, received a list"):
        read_table(path)


BAD_JSON = {
    "one object": ('{"a": [1, 2]}', "must hold a list of objects, one a row, received one object"),
    "object by lines": ('{\n"a": 1\n}', "received one object: of a DataFrame, write it with to_js"),
    "list of lists": ("[[1, 2], [3, 4]]", "row 0: must be an object, received a list"),
    "a number": ("[{}, 5]", "row 1: must be an object, received a number"),
    "null": ("null", "received null"),
    "cut": ('[{"a": 1},\n{"a": ', "not JSON: Expecting value: line 2"),
    "twice": ('[{"a": 1, "a": 2}]', "not JSON: the key 'a' is repeated"),
    "no rows": ("[]", "has no columns"),
    "nothing": ("", "not JSON"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_files(tmp_path, name):
    text, message = BAD_JSON[name]
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}[^\n]*{message}[^\n]*$"):
        rows_of(read_table(path))


def test_a_json_file_is_bounded(tmp_path, monkeypatch):
    from multimodal_tf.data.table_formats import json_objects

    monkeypatch.setattr(json_objects, "MAX_JSON", 100)
    path = tmp_path / "a.json"
    path.write_text('[{"a": "' + "x" * 200 + '"}]')
    with pytest.raises(ValueError, match="at most 100 bytes.* write JSON Lines"):
        read_table(path)
