"""A table with media, of odd columns and bad cells, through the command line to predictions."""

import contextlib
import csv
import io
import json
import struct

import numpy as np
import pandas as pd
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from multimodal_tf.config import Config

pytestmark = pytest.mark.slow

PHOTO, SOUND, WORDS, PRICE, LABEL = "图片", "sound clip", "present", "a/b", "答 案"
# a class of the test split that training never sees
UNSEEN = "owl"
TRAIN, VALIDATION, TEST = 28, 6, 10


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
def made(once, command):
    """What all the commands make of a table with a bad or strange cell in each of its first rows;
    and the list of these cells.
    """
    folder = once("whole path", lambda folder: run_commands(folder, command))
    return folder, json.loads((folder / "odd.json").read_text())


def run_commands(folder, command):
    odd = write_media(folder)
    (folder / "odd.json").write_text(json.dumps(odd))
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
    types = ["--label", LABEL, "--type", f"{WORDS}=text"]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert command("describe", table, "--out", config, *types) == 0
    (folder / "described.txt").write_text(shown.getvalue())
    settings = Config.load(config)
    for part in settings.inputs.values():
        if part.type in ("image", "audio"):
            part.tower.filters = [4]
    settings.save(config)
    assert command("ingest", table, "--config", config, "--out", records, "--processes", "1") == 0
    assert command("train", records, "--out", trained, "--epochs", "1") == 0
    assert command("evaluate", trained, records, "--out", folder / "metrics.json") == 0
    assert command("export", trained, saved) == 0
    assert command("predict", saved, table, "--out", folder / "predictions.csv") == 0


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


def test_describe_gives_the_reason_for_a_tower_and_the_bad_files(made):
    lines = (made[0] / "described.txt").read_text().split("\n")
    photo = lines.index(
        f"{PHOTO} (as column_1): 37 of 43 cells open as images;"
        " plain CNN: a ResNet pays from 10,000 rows, here are 43"
    )
    assert lines[photo + 1] == "  row 0: a directory, not a file"
    assert lines[photo + 4].startswith("  row 3: not an image")


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
