"""The Python client of an exported model, and predictions of a whole table in a file."""

import base64
import os
import pathlib
import shutil
import signal
import sys

import numpy as np
import pandas as pd
import pytest
from media import random_audio, random_image
from small_model import raw_rows

from multimodal_tf.config import ClassificationHead, Config, TextInput
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.table import read_table
from multimodal_tf.serving import predict_table as predict_table_module
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.predict_table import predict_table
from multimodal_tf.serving.rows import BATCH, keys_of

COLUMNS = [
    "label",
    "label_probability",
    "label_probabilities",
    "tags",
    "tags_probabilities",
    "age",
    "valid",
    "error",
    "present",
]


# of a file, in which each class has a column
IN_FILE = [
    "row",
    *("label", "label_probability", "label=bird", "label=猫", "label=dog"),
    *("tags", "tags=old", "tags=new", "tags=odd", "age", "valid", "error", "present"),
]


def together(written):
    """A file's columns as `Client.predict` gives them."""
    assert list(written.columns) == IN_FILE
    for head in ("label", "tags"):
        classes = [name for name in IN_FILE if name.startswith(f"{head}=")]
        written[f"{head}_probabilities"] = list(written[classes].to_numpy("float32"))
    return written[["row", *COLUMNS]]


@pytest.fixture(scope="module")
def client(exported):
    return Client(exported)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with good and broken files."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.png").write_bytes(random_image(1))
    (folder / "a.tiff").write_bytes(random_image(1, kind="TIFF"))
    (folder / "a.wav").write_bytes(random_audio(1))
    (folder / "a.flac").write_bytes(random_audio(1, kind="FLAC"))
    (folder / "page.jpg").write_bytes(b"<html>404</html>")
    return folder


def rows_of_table(count):
    """Rows by the table's columns: missing cells, missing files, an unread column."""
    raw = raw_rows(count)
    table = pd.DataFrame(
        {
            "Photo (front)": raw["photo"],
            "title": raw["title"],
            "price": raw["price"],
            "colour": raw["colour"],
            "id": range(count),
        }
    )
    table.loc[table.index % 7 == 3, "Photo (front)"] = "gone.png"
    return table


def same(left, right):
    for name in ("label", "tags", "valid", "error", "present"):
        assert list(left[name]) == list(right[name])
    for name in ("label_probability", "age"):
        np.testing.assert_allclose(left[name], right[name], rtol=1e-4, atol=1e-5)
    for name in ("label_probabilities", "tags_probabilities"):
        np.testing.assert_allclose(
            np.stack(left[name]), np.stack(right[name]), rtol=1e-4, atol=1e-5
        )


def test_cells_of_every_kind(client, folder):
    data = (folder / "a.png").read_bytes()
    given = client.predict(
        [
            {
                "Photo (front)": "a.png",
                "sound": "a.wav",
                "title": "Red bird",
                "price": "2.5",
                "colour": " red",
            },
            {
                "photo": str(folder / "a.tiff"),
                "sound": "a.flac",
                "title": b"Red bird",
                "price": 2.5,
                "colour": "red",
            },
            {
                "photo": base64.b64encode(data).decode(),
                "sound": (folder / "a.wav").read_bytes(),
                "title": "red BIRD",
                "price": 2.5,
                "colour": "red",
            },
        ],
        root=folder,
    )
    assert list(given.columns) == COLUMNS
    assert client.guard_keys == ()
    assert given["valid"].all()
    assert list(given["present"]) == ["photo,title,sound,price,colour"] * 3
    # one row in three spellings
    for name in ("label_probabilities", "tags_probabilities"):
        np.testing.assert_allclose(np.stack(given[name]), [given[name][0]] * 3, atol=1e-6)
    assert (
        given["label"][0]
        == client.schema.heads["label"].names[given["label_probabilities"][0].argmax()]
    )
    assert given["label_probability"][0] == given["label_probabilities"][0].max()


def test_a_file_that_only_pillow_reads_is_converted_as_at_ingest(client):
    good = random_image(1, kind="JPEG")
    # the graph finds no size behind bytes between segments
    odd = good[:20] + b"\0" + good[20:]
    given = client.predict([{"photo": odd}, {"photo": good}, {"photo": good[:200]}])
    assert list(given["valid"]) == [True, True, False]
    assert list(given["error"]) == ["", "", "photo: damaged image; no input is present"]
    np.testing.assert_allclose(*given["label_probabilities"][:2], atol=1e-3)


def test_broken_cells_are_reported_by_row(client, folder):
    given = client.predict(
        [
            {"photo": "gone.png", "title": "bird"},
            {"photo": "a.png", "price": "dear", "title": b"\xff"},
            {"photo": "page.jpg"},
            {},
            {"photo": None, "title": float("nan"), "price": "", "colour": "red"},
        ],
        root=folder,
    )
    assert list(given["valid"]) == [False, False, False, False, True]
    assert list(given["present"]) == ["title", "photo", "", "", "colour"]
    errors = list(given["error"])
    assert errors[0] == "photo: no such file"
    assert [error.split(": ")[0] for error in errors[1].split("; ")] == ["title", "price"]
    assert errors[2].startswith("photo: ")
    assert errors[2].endswith("; no input is present")
    assert errors[3:] == ["no input is present", ""]
    assert np.isfinite(np.stack(given["label_probabilities"])).all()


def test_rows_do_not_depend_on_their_batch(client):
    table = rows_of_table(BATCH + 6)
    whole = client.predict(table)
    assert len(whole) == len(table)
    assert set(whole["valid"]) == {True, False}
    tail = client.predict(table.iloc[-9:].to_dict("records"))
    same(whole.iloc[-9:], tail)


def test_a_data_frame_keeps_its_index(client):
    table = rows_of_table(4).set_index(pd.Index([9, 3, 7, 1]))
    assert list(client.predict(table).index) == [9, 3, 7, 1]


def test_a_name_that_is_another_inputs_column(client, monkeypatch):
    crossed = Config(
        inputs={"a": TextInput(column="b"), "b": TextInput(column="c")},
        heads={"label": ClassificationHead()},
    )
    monkeypatch.setattr(client, "_keys", keys_of(crossed))
    assert client.sources(["b", "c"]) == {"a": "b", "b": "c"}
    # and b does not read it too
    assert client.sources(["b"]) == {"a": "b"}


@pytest.mark.parametrize("empty", [[], pd.DataFrame({"title": []})], ids=["list", "frame"])
def test_no_rows(client, empty):
    given = client.predict(empty)
    assert list(given.columns) == COLUMNS
    assert len(given) == 0
    assert given["valid"].dtype == bool
    assert given["label"].dtype == client.predict([{"title": "a"}])["label"].dtype


def test_a_column_may_be_called_by_a_number(client, monkeypatch):
    monkeypatch.setitem(client._keys, "title", ("0",))
    named = client.predict([{"0": "red", "price": 2.0}, {"0": "bird", "price": 3.0}])
    frame = pd.DataFrame({0: ["red", "bird"], "price": [2.0, 3.0]})
    same(client.predict(frame), named)
    same(client.predict([{0: "red", "price": 2.0}, {0: "bird", "price": 3.0}]), named)
    assert list(named["present"]) == ["title,price"] * 2
    with pytest.raises(ValueError, match="^the DataFrame has two columns named '0': rename one$"):
        client.predict(pd.DataFrame([["red", "bird"]], columns=[0, "0"]))


def test_a_fork_is_refused_in_a_sentence_and_does_not_hang(client):
    child = os.fork()
    if not child:
        # a hang ends, too
        signal.alarm(20)
        try:
            client.predict([{"title": "a"}])
        except RuntimeError as error:
            os._exit(0 if "before a fork: load one in each process" in str(error) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_only_unknown_keys_are_an_error(client):
    with pytest.raises(
        ValueError, match=r"reads 'Photo \(front\)', 'title', .* received \['Title'\]"
    ):
        client.predict([{"Title": "red"}])


@pytest.mark.parametrize(
    ("rows", "received"),
    [
        (None, "NoneType"),
        ("abc", "an iterable of str"),
        ([{"title": "x"}, None], "an iterable of NoneType"),
        (np.zeros((2, 2)), "an iterable of ndarray"),
        (pd.Series({"title": "x"}), "an iterable of str"),
    ],
)
def test_rows_are_dicts(client, rows, received):
    with pytest.raises(ValueError, match=rf"rows must be a DataFrame or dicts.*{received}$"):
        client.predict(rows)


def test_two_columns_of_one_name_are_refused(client):
    rows = pd.DataFrame([["x", "y"]], columns=["title", "title"])
    with pytest.raises(ValueError, match="has two columns named 'title': rename one"):
        client.predict(rows)


def test_a_folder_that_is_no_exported_model(guarded, tmp_path):
    with pytest.raises(FileNotFoundError, match="is no SavedModel: give the folder of a version"):
        Client(guarded.parent)
    shutil.copy(guarded / "saved_model.pb", tmp_path)
    with pytest.raises(
        ValueError, match=r"was not written by export_model: .*config.yaml is missing"
    ):
        Client(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [lambda file: file.write_bytes(b""), lambda file: file.write_bytes(b"zz"), pathlib.Path.unlink],
)
@pytest.mark.parametrize(
    "name",
    ["variables/variables.data-00000-of-00001", "variables/variables.index", "saved_model.pb"],
)
def test_a_damaged_model_is_one_sentence(guarded, tmp_path, name, damage):
    shutil.copytree(guarded, tmp_path / "1")
    damage(tmp_path / "1" / name)
    with pytest.raises(
        (ValueError, FileNotFoundError),
        match="^.*/1 is (damaged, export it again|no SavedModel): [^\n]*$",
    ):
        Client(tmp_path / "1")


# Whole tables


def test_a_table_into_parquet(client, tmp_path, monkeypatch):
    # so that several row groups are written
    monkeypatch.setattr(predict_table_module, "_GROUP", 1)
    table = rows_of_table(BATCH + 6)
    notes = predict_table(
        client, read_table(table), tmp_path / "new" / "out.parquet", progress=True
    )
    assert notes == [
        "the DataFrame has no column 'sound': the input 'sound' is missing in every row",
        "10 of 70 rows are not valid: the column `error` says why",
    ]
    written = pd.read_parquet(tmp_path / "new" / "out.parquet")
    assert list(written["row"]) == list(range(70))
    written = together(written)
    # a table has a missing cell for a label that is not known
    written["tags"] = written["tags"].replace("[]", "")
    same(written, client.predict(table))
    assert os.listdir(tmp_path / "new") == ["out.parquet"]


def test_a_table_into_csv(client, folder, tmp_path):
    (folder / "table.csv").write_text(
        "title,Photo (front),note\nred bird,a.png,x\n,page.jpg,y\n的,,z\n", encoding="utf-8"
    )
    (tmp_path / "out.csv").write_text("an older one")
    notes = predict_table(client, read_table(folder / "table.csv"), tmp_path / "out.csv")
    assert len(notes) == 4
    assert notes[-1].startswith("1 of 3 rows are not valid")
    written = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    given = client.predict(
        [{"title": "red bird", "photo": "a.png"}, {"photo": "page.jpg"}, {"title": "的"}],
        root=folder,
    )
    same(together(written), given)
    assert os.listdir(tmp_path) == ["out.csv"]


def test_several_labels_are_written_as_ingest_reads_them(client, tmp_path, monkeypatch):
    table = read_table(rows_of_table(8).drop(columns="Photo (front)"))
    names = client.schema.heads["tags"].names
    tags = client.predict(next(table.chunks()))["tags"]
    assert "" in set(tags)

    def labels(names):
        changed = client.schema.heads["tags"].model_copy(update={"names": names})
        heads = client.schema.heads | {"tags": changed}
        monkeypatch.setattr(client, "schema", client.schema.model_copy(update={"heads": heads}))
        predict_table(client, table, tmp_path / "out.csv")
        cells = next(read_table(tmp_path / "out.csv").chunks())["tags"]
        return [set(read_label(cell, client.config.heads["tags"]).split("\x1f")) for cell in cells]

    assert labels(names) == [set(one.split(" | ")) for one in tags]
    # the first holds the separator
    renamed = ["a | b", *names[1:]]
    right = [
        {dict(zip(names, renamed)).get(each, each) for each in one.split(" | ")} for one in tags
    ]
    assert labels(renamed) == right


def test_memory_holds_one_batch(client, tmp_path, monkeypatch):
    sizes = []
    predict = client.predict
    monkeypatch.setattr(
        client, "predict", lambda rows, root: sizes.append(len(rows)) or predict(rows, root)
    )
    predict_table(client, read_table(rows_of_table(2 * BATCH + 1)), tmp_path / "out.csv")
    assert sizes == [BATCH, BATCH, 1]


def test_a_failed_run_leaves_the_older_file(client, tmp_path, monkeypatch):
    (tmp_path / "out.csv").write_text("an older one")

    def broken(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(client, "predict", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        predict_table(client, read_table(rows_of_table(3)), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "an older one"
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("name", ["out.xlsx", "out", "folder.csv"])
def test_files_of_other_formats_are_refused(client, tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match=f"a .csv or .parquet file, received .*{name}"):
        predict_table(client, read_table(rows_of_table(1)), tmp_path / name)


def test_a_table_of_other_columns(client, tmp_path):
    with pytest.raises(ValueError, match="none of the model's inputs is present"):
        predict_table(client, read_table(pd.DataFrame({"x": [1]})), tmp_path / "out.csv")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_tokenizer_of_tensorflow_text_in_a_new_process(serving_process, monkeypatch):
    predicted = Client(serving_process["words"]).predict([{"title": "red"}, {"title": ""}])
    assert serving_process["probabilities"] == predicted["label_probability"].tolist()
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(
        ValueError,
        match="TensorFlow Text, which is not installed: pip install tensorflow-text",
    ):
        Client(serving_process["words"])
