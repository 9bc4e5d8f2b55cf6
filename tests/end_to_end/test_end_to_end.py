"""Whole paths through the command line: a table of odd columns and bad cells to predictions, and
tables that cannot be used.
"""

import csv
import json
import struct
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from multimodal_tf import cli
from multimodal_tf.config import Config

PHOTO, SOUND, WORDS, PRICE, LABEL = "图片", "sound clip", "present", "a/b", "答 案"
# a class of the test split that training never sees
UNSEEN = "owl"
TRAIN, VALIDATION, TEST = 28, 6, 10


def run(*words):
    """Exit code of a command line, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code
    return 0


def write_media(folder):
    """A good picture and a good sound, and bad or strange ones; returns (kind, file, whether a part
    of its reason, "" if it is read).
    """
    Image.effect_noise((20, 10), 90).convert("RGB").save(folder / "good one.jpg")
    tone = (0.4 * np.sin(np.arange(4000) * 0.05)).astype(np.float32)
    soundfile.write(folder / "good.wav", tone, 8000)
    jpeg, wav = (folder / "good one.jpg").read_bytes(), (folder / "good.wav").read_bytes()
    (folder / "folder").mkdir()
    (folder / "empty.jpg").touch()
    (folder / "page.jpg").write_text("<!DOCTYPE html><html>404</html>")
    (folder / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    frames = [Image.new("P", (6, 4), colour) for colour in (1, 2, 3)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    Image.effect_noise((20, 10), 90).convert("CMYK").save(folder / "cmyk.jpg")
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    (folder / "lying.wav").write_bytes(wav[:40] + b"\xff\xff\xff\x7f" + wav[44:])
    soundfile.write(folder / "silence.wav", 0 * tone, 8000)
    soundfile.write(folder / "one.wav", tone[:1], 8000)
    soundfile.write(folder / "long.wav", np.zeros(30 * 60 * 1000), 1000, subtype="PCM_U8")
    for name, rate in (("slow.wav", 1), ("fast.wav", 768_000)):
        (folder / name).write_bytes(wav[:24] + struct.pack("<I", rate) + wav[28:])
    return [
        (PHOTO, "folder", "a directory"),
        (PHOTO, "gone.jpg", "no such file"),
        (PHOTO, "empty.jpg", "0 bytes"),
        (PHOTO, "page.jpg", "not an image"),
        (PHOTO, "cut.jpg", "damaged|truncated"),
        (PHOTO, "huge.png", "20000 x 20000 pixels"),
        (PHOTO, "moving.gif", ""),
        (PHOTO, "cmyk.jpg", ""),
        (PHOTO, "pixel.png", ""),
        (SOUND, "page.jpg", "not an audio file"),
        (SOUND, "slow.wav", "sample rate"),
        (SOUND, "fast.wav", ""),
        (SOUND, "lying.wav", ""),
        (SOUND, "silence.wav", ""),
        (SOUND, "one.wav", ""),
        (SOUND, "long.wav", ""),
        (PRICE, "cheap", "not a number"),
        (WORDS, "a\0b", ""),
        (WORDS, "long " * 2_000_000, ""),
        # the byte E9, which is é in Latin-1
        (WORDS, "caf\udce9", "not UTF-8"),
        (WORDS, "שלום", ""),
        (WORDS, "🦉🦉", ""),
        (WORDS, "今天天氣很好", ""),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What all the commands make of a table with a bad or strange cell in each of its first rows;
    and the list of these cells.
    """
    folder = tmp_path_factory.mktemp("whole path")
    odd = write_media(folder)
    rows = []
    for row in range(TRAIN + VALIDATION + TEST):
        split = "train" if row < TRAIN else "val" if row < TRAIN + VALIDATION else "test"
        cat = row % 2
        rows.append(
            {
                PHOTO: "good one.jpg",
                SOUND: "good.wav",
                WORDS: f"{['a bird', 'a cat'][cat]} number {row}",
                PRICE: str(row + 0.5),
                LABEL: ["bird", "cat"][cat],
                "split": split,
            }
        )
    for row, (column, cell, _) in zip(rows, odd):
        row[column] = cell
    rows[-1][LABEL] = rows[-2][LABEL] = UNSEEN
    rows[-3] |= {PHOTO: "", SOUND: "", WORDS: "", PRICE: ""}
    table = folder / "the table.csv"
    with open(table, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    config, records, trained, saved = (
        folder / "config.yaml",
        folder / "records",
        folder / "run",
        folder / "saved" / "1",
    )
    assert run("describe", table, "--label", LABEL, "--out", config, "--type", f"{WORDS}=text") == 0
    settings = Config.load(config)
    for part in settings.inputs.values():
        if part.type in ("image", "audio"):
            part.tower.filters = [4]
    settings.save(config)
    assert run("ingest", table, "--config", config, "--out", records, "--processes", "1") == 0
    assert run("train", records, "--out", trained, "--epochs", "1") == 0
    assert run("evaluate", trained, records, "--out", folder / "metrics.json") == 0
    assert run("export", trained, saved) == 0
    assert run("predict", saved, table, "--out", folder / "predictions.csv") == 0
    return folder, odd


def test_odd_columns_get_names_and_keep_their_types(made):
    config = Config.load(made[0] / "config.yaml")
    parts = config.inputs | config.heads
    assert {config.column(name): part.type for name, part in parts.items()} == {
        PHOTO: "image",
        SOUND: "audio",
        WORDS: "text",
        PRICE: "number",
        LABEL: "classification",
    }
    assert config.split.column == "split"


def test_every_bad_cell_is_listed_and_no_other(made):
    folder, odd = made
    found = pd.read_csv(folder / "records" / "rejected.csv", keep_default_na=False)
    bad = [(row, column, reason) for row, (column, _, reason) in enumerate(odd) if reason]
    assert found[["row", "column"]].values.tolist() == [[row, column] for row, column, _ in bad] + [
        [TRAIN + VALIDATION + TEST - 3, ""]
    ]
    for reason, (_, _, words) in zip(found["reason"], bad):
        assert any(word in reason for word in words.split("|")), reason
    assert (
        json.loads((folder / "records" / "manifest.json").read_text())["kept"]
        == TRAIN + VALIDATION + TEST - 1
    )


def test_a_class_that_training_never_saw_is_said_and_does_not_count(made):
    [figures] = json.loads((made[0] / "metrics.json").read_text())["heads"].values()
    assert figures["n"] == TEST - 3
    assert figures["unseen"] == {UNSEEN: 2}


def test_predictions_say_which_rows_have_a_bad_cell(made):
    folder, odd = made
    found = pd.read_csv(folder / "predictions.csv", keep_default_na=False)
    config = Config.load(folder / "config.yaml")
    [head] = config.heads
    names = {config.column(name): name for name in config.inputs}
    assert found["row"].tolist() == list(range(TRAIN + VALIDATION + TEST))
    assert set(found[head]) <= {"bird", "cat"}
    for row, (column, _, reason) in enumerate(odd):
        assert found["valid"][row] == (not reason), found["error"][row]
        assert (
            found["error"][row].startswith(f"{names[column]}: ")
            if reason
            else not found["error"][row]
        )
        assert (names[column] in found["present"][row].split(",")) == (not reason)
    assert found["error"].iloc[-3] == "no input is present"


def test_the_served_signature_takes_the_names(made):
    config = Config.load(made[0] / "config.yaml")
    served = tf.saved_model.load(str(made[0] / "saved" / "1")).signatures["serving_default"]
    assert set(served.structured_input_signature[1]) == set(config.inputs)


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
        NONE + "3e38,a\n-3e38,b\n" * 9,
        "ingest",
        "the input 'x' (column 'x') must have a variance below 3.4e38",
    ),
    "no label in any row": (NONE + "1,\n" * 9, "ingest", "is left to train on: see"),
    "no input in any row": (NONE + ",a\n,b\n" * 5, "describe", "has no column to predict from"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_cannot_be_used_is_one_sentence(name, tmp_path, capsys):
    content, last, sentence = BAD_TABLES[name]
    table, config = tmp_path / "table.csv", tmp_path / "config.yaml"
    table.write_text(content)
    code = run("describe", table, "--out", config)
    if last == "ingest":
        assert code == 0
        code = run(
            "ingest", table, "--config", config, "--out", tmp_path / "records", "--processes", "1"
        )
    assert code == 1
    # after the progress bar, and in one line
    said = " ".join(capsys.readouterr().err.split()).partition("error: ")[2]
    assert sentence in said
    assert "Traceback" not in said


def test_a_regression_on_one_row_goes_the_whole_path(tmp_path, capsys):
    table, config = tmp_path / "table.csv", tmp_path / "config.yaml"
    table.write_text("x,label\n3,1.5\n")
    records, trained, saved = tmp_path / "records", tmp_path / "run", tmp_path / "saved" / "1"
    assert (
        run("describe", table, "--out", config, "--type", "label=regression", "--type", "x=number")
        == 0
    )
    assert run("ingest", table, "--config", config, "--out", records, "--processes", "1") == 0
    with pytest.warns(UserWarning, match="without validation rows"):
        assert run("train", records, "--out", trained, "--epochs", "1") == 0
    assert run("evaluate", trained, records) == 1
    assert "the split 'test'" in capsys.readouterr().err
    assert run("evaluate", trained, records, "--split", "train") == 0
    assert run("export", trained, saved) == 0
    assert run("predict", saved, table, "--out", tmp_path / "out.parquet") == 0
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 1
