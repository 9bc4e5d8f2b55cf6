"""Tables that cannot be used, each with one sentence; and the smallest that can."""

import pandas as pd
import pytest

NONE = "x,label\n"
# content of table.csv; the command at which it ends; the sentence
BAD_TABLES = {
    "no rows": (NONE, "describe", "has no rows"),
    "nothing at all": ("", "describe", "has no header"),
    "duplicate columns": ("x,x,label\n1,2,a\n", "describe", "two columns named 'x'"),
    "no label": ("x,z\n1,2\n", "describe", "has no column called label"),
    "only a label": ("label\na\nb\n", "describe", "has no column to predict from"),
    "one row": (
        "x,label\n1,a\n",
        "ingest",
        "must have two classes or more in the training split, received only 'a'",
    ),
    "one class": (
        NONE + "1,a\n" * 9,
        "ingest",
        "must have two classes or more in the training split, received only 'a'",
    ),
    "enormous numbers": (
        NONE + "18446744073709551615,a\n-18446744073709551615,b\n" * 9,
        "ingest",
        "the input 'x' (column 'x') must have a variance below 3.4e38",
    ),
    "no label in any row": (NONE + "1,\n" * 9, "ingest", "is left to train on: see"),
    "no input in any row": (NONE + ",a\n,b\n" * 5, "describe", "has no column to predict from"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_cannot_be_used_is_one_sentence(name, command, tmp_path, capsys):
    content, last, sentence = BAD_TABLES[name]
    table, config = tmp_path / "table.csv", tmp_path / "config.yaml"
    table.write_text(content)
    code = command("describe", table, "--out", config)
    if last == "ingest":
        assert code == 0
        code = command(
            "ingest", table, "--config", config, "--out", tmp_path / "records", "--processes", "1"
        )
    assert code == 1
    # after the progress bar, and in one line
    said = " ".join(capsys.readouterr().err.split()).partition("error: ")[2]
    assert sentence in said
    assert "Traceback" not in said


def test_a_regression_on_one_row_goes_the_whole_path(command, tmp_path, capsys):
    table, config = tmp_path / "table.csv", tmp_path / "config.yaml"
    table.write_text("x,label\n3,1.5\n")
    records, trained, saved = tmp_path / "records", tmp_path / "run", tmp_path / "saved" / "1"
    assert (
        command(
            "describe", table, "--out", config, "--type", "label=regression", "--type", "x=number"
        )
        == 0
    )
    assert command("ingest", table, "--config", config, "--out", records, "--processes", "1") == 0
    with pytest.warns(UserWarning, match="without validation rows"):
        assert command("train", records, "--out", trained, "--epochs", "1") == 0
    assert command("evaluate", trained, records) == 1
    assert "the split 'test'" in capsys.readouterr().err
    assert command("evaluate", trained, records, "--split", "train") == 0
    assert command("export", trained, saved) == 0
    assert command("predict", saved, table, "--out", tmp_path / "out.parquet") == 0
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 1
