"""Encodings, delimiters and compression of files of text are found where they are sure."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest
import zstandard

from multimodal_tf.data.table import read_table
from multimodal_tf.data.table_formats.encoding import find_encoding

TABLE = "title,price,label\nred shoe,1.5,shoe\nblue hat,2.5,hat\n"
ROWS = [["red shoe", "1.5", "shoe"], ["blue hat", "2.5", "hat"]]
LINES = {
    "German": "Müller,Größe 42 für 5 €|Käse,süß und „frisch“|Straße,schön",
    "French": "Élan,très bon café|déjà vu,naïve façade|L’été,œuvre à 20 °C – créée",
    "Spanish": "¿Qué tal?,mañana|El Niño,corazón|¡Olé!,años",
    "Portuguese": "São Paulo,coração|maçã,avó",
    "Swedish": "Åre,smörgås på ön|blåbär,räksmörgås",
    "signs alone": "price,5 €|size,20 m²|temperature,20°C|words,“so” it’s",
}
DOUBTS = {
    "one letter": ("cp1252", "a,é|b,ü"),
    "Polish": ("cp1250", "Paweł,żółć|Łódź,święto|gęś,ćma"),
    "Czech": ("cp1250", "Příliš žluťoučký,kůň|úpěl ďábelské,ódy"),
    "Hungarian": ("cp1250", "Győr,idő|tűz,hűvös szőlő"),
    "Turkish": ("cp1254", "İstanbul güzel,şehir|çocuk,ağaç"),
    "Russian": ("cp1251", "Привет,мир|Москва,столица"),
    "Russian in KOI8": ("koi8-r", "Привет,мир|Москва,столица"),
    "Greek": ("cp1253", "Καλημέρα κόσμε,Αθήνα|γάτα,σκύλος"),
    "Japanese": ("cp932", "日本語の文,東京|これはテストです,猫"),
    "Chinese": ("gb18030", "今天天气很好,北京|我们去公园,猫"),
    "Korean": ("cp949", "안녕하세요,서울|고양이,개"),
    "Macintosh": ("mac_roman", "Müller,Größe 42|Käse,süß|café,naïve"),
    "DOS": ("cp850", "Müller,Größe 42|Käse,süß|café,naïve"),
}


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(table):
    return [list(row) for chunk in table.chunks() for row in chunk.values.tolist()]


def table_of(lines):
    return "".join(f"{line}\n" for line in ["title,label", *["plain,text"] * 40, *lines.split("|")])


@pytest.mark.parametrize("language", LINES)
def test_windows_1252_below_an_ascii_header(tmp_path, language):
    text = table_of(LINES[language])
    table = read_table(write(tmp_path, "a.csv", text.encode("cp1252")))
    assert rows_of(table)[40:] == [line.split(",") for line in LINES[language].split("|")]
    assert "Windows-1252 (cp1252): line 4" in table.note
    assert rows_of(read_table(write(tmp_path, "b.csv", text))) == rows_of(table)


@pytest.mark.parametrize("language", DOUBTS)
def test_other_encodings_are_asked_for(tmp_path, language):
    encoding, lines = DOUBTS[language]
    path = write(tmp_path, "a.csv", table_of(lines).encode(encoding))
    with pytest.raises(
        ValueError, match=f"^{path}, line 42 is not UTF-8.* in doubt: name it, such"
    ):
        read_table(path)
    table = read_table(path, encoding=encoding)
    assert rows_of(table)[40:] == [line.split(",") for line in lines.split("|")]
    assert (table.note, table.given) == ("", {"encoding": encoding})


def test_bytes_that_are_none_among_utf8_spoil_their_cells_alone(tmp_path):
    path = write(tmp_path, "a.csv", "a,b\né,ü\nß,ä\n".encode() + b"x,\xe9\n")
    table = read_table(path)
    assert rows_of(table)[2] == ["x", "\udce9"]
    assert table.note == (
        "line 4 is not UTF-8, as other lines are: cells with such bytes are rejected"
    )


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-8"]
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.csv.gz"])
def test_unicode_with_and_without_a_mark(tmp_path, encoding, name):
    text = '[{"title": "é 猫", "n": 1}]' if "json" in name else 'title,n\n"é\n猫",1\n'
    if name.endswith("l"):
        text = text[1:-1]
    data = text.encode(encoding)
    table = read_table(write(tmp_path, name, gzip.compress(data) if "gz" in name else data))
    assert table.columns == ["title", "n"]
    assert rows_of(table)[0][0] in ("é 猫", "é\n猫")
    assert bool(table.note) == ("16" in encoding or "32" in encoding)


def test_nul_bytes_alone_are_no_utf16(tmp_path):
    for data in (b"a,b\n\0,1\n2,\0\n", b"a,b\n\0\0\0\0,1\n"):
        assert find_encoding(write(tmp_path, "a.csv", data)) == ("utf-8", "")


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_delimiters_are_found(tmp_path, delimiter, name):
    path = write(tmp_path, name, TABLE.replace(",", delimiter))
    table = read_table(path)
    assert (table.columns, rows_of(table)) == (["title", "price", "label"], ROWS)
    usual = delimiter == ("\t" if name == "a.tsv" else ",")
    assert ("cells are separated by" in table.note) is not usual


def test_semicolons_with_decimal_commas(tmp_path):
    path = write(tmp_path, "a.csv", "title;price;label\nred, green;1,5;x\nblue;2,5;y\nred;3;y\n")
    assert rows_of(read_table(path))[0] == ["red, green", "1,5", "x"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_that_names_the_delimiter(tmp_path, end, mark):
    path = write(tmp_path, "a.csv", f"{mark}sep=;{end}a;b{end}1;2{end}3;4{end}5{end}")
    table = read_table(path)
    assert table.columns == ["a", "b"]
    with pytest.raises(ValueError, match="line 5: every line must have 2 .* 1, divided by ';'$"):
        rows_of(table)
    # a given one goes before, and the line is none of the table's all the same
    assert read_table(path, delimiter="|").columns == ["a;b"]


KEPT = {
    "one column": ("title\nred; blue\ngreen\n", ["title"]),
    "semicolons in a header": ("title; more\nred\ngreen\nblue\n", ["title; more"]),
    "lists in cells": ("id,tags\n1,a;b\n2,c;d\n3,e\n", ["id", "tags"]),
    "quoted lines": ('a,b\n"1;2\n3;4",5\n', ["a", "b"]),
    "a header alone of semicolons": ("id,a;b\n1,2\n3,4\n", ["id", "a;b"]),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_commas_divide_stays_divided_by_commas(tmp_path, name):
    text, columns = KEPT[name]
    assert read_table(write(tmp_path, "a.csv", text)).columns == columns


BAD = {
    "both fit": ("a;b,c\n1;2,3\n", {}, "line 1: ',' and ';' both divide all lines into as many"),
    "ragged": ("a;b\n1;2\n3;4\n5\n6;7\n", {}, "line 4: divided by ';' it has 1 cells and the head"),
    "ragged with commas": ("a;b\n1;2,5\n3;4\n5;6;7\n", {}, "line 4: every .* 3, divided by ';'"),
    "two signs": ("a,b", {"delimiter": ";;"}, "delimiter must be one sign, such as ';' or tab"),
    "a quote": ("a,b", {"delimiter": '"'}, "delimiter must be one sign"),
    "no encoding": ("a,b", {"encoding": "klingon"}, "encoding must be one that Python knows"),
    "bytes": ("a,b", {"encoding": "base64"}, "encoding must be one that Python knows"),
    "wrong encoding": ("a\né\n", {"encoding": "utf-16"}, "not utf-16"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_doubt_is_one_sentence(tmp_path, name):
    text, arguments, message = BAD[name]
    path = write(tmp_path, "a.csv", text)
    with pytest.raises(ValueError, match=f"^[^\n]*{message}[^\n]*$"):
        rows_of(read_table(path, **arguments))


def test_options_of_text_are_for_text(tmp_path):
    for name in ("a.parquet", "folder"):
        path = write(tmp_path, name, b"") if "." in name else tmp_path
        with pytest.raises(ValueError, match="encoding is for files that end in .csv"):
            read_table(path, encoding="utf-8")
    with pytest.raises(ValueError, match="delimiter is for files that end in .csv, .tsv, received"):
        read_table(write(tmp_path, "a.jsonl", "{}"), delimiter=",")


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


PACKED = {
    "gzip": gzip.compress(TABLE.encode()),
    "bzip2": bz2.compress(TABLE.encode()),
    "xz": lzma.compress(TABLE.encode()),
    "zstd": zstandard.ZstdCompressor().compress(TABLE.encode()),
}


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_compression_is_told_by_the_first_bytes(tmp_path, kind):
    suffix = {"gzip": "gz", "bzip2": "bz2", "xz": "xz", "zstd": "zst"}[kind]
    for name in ("a.csv", f"a.csv.{suffix}", "a.csv.gz"):
        table = read_table(write(tmp_path, name, PACKED[kind]))
        assert rows_of(table) == ROWS
    path = write(tmp_path, "cut.csv", PACKED[kind][:-12])
    with pytest.raises(ValueError, match=f"^{path} is not a readable {kind} file: [^\n]*$"):
        rows_of(read_table(path))


def test_a_zip_file_of_one_table(tmp_path):
    data = zipped(**{"table.csv": TABLE, "__MACOSX/._table.csv": "x", "folder/": ""})
    for name in ("a.csv.zip", "a.csv"):
        assert rows_of(read_table(write(tmp_path, name, data))) == ROWS
    for data, message in (
        (zipped(a=TABLE, b=TABLE), "must hold one file, received 2: unpack it"),
        (zipped(**{"[Content_Types].xml": "", "xl": ""}), "is a workbook: name it .xlsx"),
        (zipped(a=TABLE)[:-30], "is not a readable zip file"),
    ):
        with pytest.raises(ValueError, match=message):
            read_table(write(tmp_path, "a.csv", data))
