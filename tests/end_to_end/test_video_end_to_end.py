"""Videos from a table of files, with gaps and broken ones, to predictions from raw files."""

import base64
import pathlib

import keras
import media
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from one_axis import check_axes

from multimodal_tf.config import (
    ClassificationHead,
    ConcatenationFusion,
    Config,
    Conv3DTower,
    ConvTower,
    FramesTower,
    NumberInput,
    Split,
    VideoInput,
)
from multimodal_tf.data import record_files
from multimodal_tf.data.codecs import frames
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.schema import Schema
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.predict_table import predict_table
from multimodal_tf.serving.skew import skew

ROWS = 24
PART = VideoInput(
    frames=4,
    height=12,
    width=16,
    tower=FramesTower(frame=ConvTower(filters=[4], dim=6)),
    max_pixels=10_000,
)
CONFIG = Config(
    inputs={"clip": PART, "price": NumberInput()},
    heads={"label": ClassificationHead()},
    fusion=ConcatenationFusion(hidden=[8]),
    split=Split(column="split"),
)
# row: (file, reason)
BROKEN = {
    3: ("gone.mp4", "no such file"),
    4: ("sound.mp4", "a file without a video stream"),
    5: ("empty.mp4", "an empty file (0 bytes)"),
    6: ("page.mp4", "not a video"),
    7: ("large.webm", "160 x 120 pixels, more than max_pixels = 10000"),
    8: ("half.gif", "a GIF that is truncated in its first frame"),
}
GAPS = (9, 10)


def write_media(folder):
    for kind in ("mp4", "webm", "avi"):
        (folder / f"good.{kind}").write_bytes(media.video_bytes(20, kind))
    (folder / "good.gif").write_bytes(media.gif_bytes(6))
    (folder / "sound.mp4").write_bytes(media.video_without_frames())
    (folder / "empty.mp4").touch()
    (folder / "page.mp4").write_text("<!DOCTYPE html><html>404</html>")
    (folder / "large.webm").write_bytes(media.video_bytes(2, "webm", size=(160, 120)))
    whole = (folder / "good.gif").read_bytes()
    (folder / "half.gif").write_bytes(whole[: whole.index(b"\x2c\0\0\0\0") + 40])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_media(folder)
    names = [f"good.{kind}" for kind in ("mp4", "webm", "avi", "gif")]
    frame = pd.DataFrame(
        {
            "clip": [
                BROKEN.get(row, (names[row % 4],))[0] if row not in GAPS else ""
                for row in range(ROWS)
            ],
            "price": [str(row) for row in range(ROWS)],
            "label": [["a", "b"][row % 2] for row in range(ROWS)],
            "split": ["train"] * 14 + ["validation"] * 4 + ["test"] * 6,
        }
    )
    frame.loc[21, "clip"] = ""
    frame.to_csv(folder / "table.csv", index=False)
    return read_table(folder / "table.csv")


@pytest.fixture(scope="module")
def made(table, tmp_path_factory):
    """`(records, model, exported)` after one epoch."""
    folder = tmp_path_factory.mktemp("made")
    ingest(table, CONFIG, folder / "records", processes=1)
    schema = Schema.load(folder / "records" / "schema.json")
    model = build_model(CONFIG, schema)
    model.compile(keras.optimizers.AdamW(1e-2), **compile_arguments(CONFIG, schema))
    history = model.fit(
        load_split(CONFIG, schema, folder / "records", "train", training=True, batch_size=4),
        verbose=0,
    )
    assert np.isfinite(history.history["loss"][0])
    return folder / "records", model, export_model(model, CONFIG, schema, folder / "clips" / "1")


@pytest.fixture(scope="module")
def client(made):
    return Client(made[2])


def test_describe_finds_videos_by_opening_them(table):
    description = describe(table, label="label")
    clip = description.columns[0]
    assert clip.type == "video"
    assert clip.rejected >= 4
    assert (clip.width.median, clip.height.median) == (64, 48)
    assert (clip.seconds.median, clip.frame_rate.median) == pytest.approx((2.0, 10.0))
    assert description.config().inputs["clip"].type == "video"


def test_an_animated_gif_is_an_image_unless_the_type_is_given(table):
    gifs = read_table(pd.DataFrame({"clip": [media.gif_bytes(3)] * 2, "label": ["a", "b"]}))
    assert describe(gifs).columns[0].type == "image"
    assert describe(gifs, types={"clip": "video"}).config().inputs["clip"].type == "video"


def test_lists_of_images_and_arrays_of_frames_are_videos():
    cells = [
        [media.numbered_image(0), media.numbered_image(1)],
        np.zeros((2, 6, 8, 3), np.uint8).tolist(),
    ]
    for cell in cells:
        table = read_table(pd.DataFrame({"clip": [cell, cell], "label": ["a", "b"]}))
        assert describe(table).columns[0].type == "video", cell


@pytest.mark.slow
def test_every_broken_video_is_listed_and_no_other(made):
    rejected = pd.read_csv(made[0] / "rejected.csv")
    assert rejected["row"].tolist() == list(BROKEN)
    assert rejected["path"].tolist() == [name for name, _ in BROKEN.values()]
    for found, (_, expected) in zip(rejected["reason"], BROKEN.values()):
        assert found.startswith(expected)


@pytest.mark.slow
def test_records_hold_the_chosen_frames(made):
    serialized = next(record_files.read([made[0] / "train-00000.tfrecord"], 14))
    _, inputs, _ = record_files.parse(CONFIG, serialized)
    clips = inputs["clip"].numpy()
    assert clips.shape == (14, 4)
    assert media.numbers_of(clips[0]) == [2, 7, 12, 17]
    assert clips[11, 0].startswith(b"GIF8")
    assert not clips[11, 1:].any()
    assert not clips[[*BROKEN, *GAPS]].any()


@pytest.mark.slow
def test_training_and_serving_agree(made):
    directory, model, exported = made
    schema = Schema.load(directory / "schema.json")
    assert skew(model, CONFIG, schema, directory, exported, "train")["label"] <= 1e-6


@pytest.mark.slow
def test_the_client_predicts_raw_files_as_in_training(made, client, table):
    directory, model, _ = made
    frame = pd.concat(table.chunks(rows=100)).iloc[-6:]
    served = client.predict(frame, table.root)
    trained = model.predict(
        load_split(CONFIG, Schema.load(directory / "schema.json"), directory, "test"), verbose=0
    )["label"]
    np.testing.assert_allclose(np.stack(served["label_probabilities"]), trained, atol=1e-6)
    assert served["present"].tolist() == [
        "clip,price" if clip else "price" for clip in frame["clip"]
    ]


@pytest.mark.slow
def test_the_client_sends_the_same_frames_for_every_form_of_a_cell(client, table):
    data = pathlib.Path(table.root, "good.mp4").read_bytes()
    uri = "data:video/mp4;base64," + base64.b64encode(data).decode()
    files = read_cell(data, PART)
    cells = [
        "good.mp4",
        data,
        uri,
        base64.b64encode(data).decode(),
        {"bytes": data, "path": None},
        files,
        [*files, None],
    ]
    predictions = client.predict([{"clip": cell, "price": 1.0} for cell in cells], table.root)
    assert predictions["valid"].all()
    probabilities = np.stack(predictions["label_probabilities"])
    np.testing.assert_allclose(probabilities, probabilities[:1].repeat(len(cells), 0), atol=1e-6)


@pytest.mark.slow
def test_an_array_equals_its_images(client):
    frames = np.stack([media.numbered(index) for index in range(8)])
    cells = [
        frames,
        frames / 255,
        list(frames),
        frames.tolist(),
        [media.numbered_image(index) for index in range(8)],
    ]
    predictions = client.predict([{"clip": cell} for cell in cells])
    probabilities = np.stack(predictions["label_probabilities"])
    assert predictions["valid"].all()
    np.testing.assert_allclose(probabilities, probabilities[:1].repeat(len(cells), 0), atol=0.02)


@pytest.mark.slow
def test_a_broken_video_is_an_error_of_its_row_alone(client, table):
    cells = ["gone.mp4", "good.mp4", [media.numbered_image(0), b"<html>"], [], None, ["gone.png"]]
    predictions = client.predict([{"clip": cell, "price": 1.0} for cell in cells], table.root)
    assert predictions["valid"].tolist() == [False, True, False, True, True, False]
    assert predictions["error"][0] == "clip: no such file"
    assert predictions["error"][2].startswith("clip: frame 2: not an image")
    assert predictions["error"][5] == "clip: frame 1: no such file"
    assert predictions["present"].tolist() == [
        "price",
        "clip,price",
        "price",
        "price",
        "price",
        "price",
    ]
    with pytest.raises(
        CellError,
        match=r"a video array must be \(frames, height, width, 1, 3 or 4\), received \(8, 6, 3\)",
    ):
        read_cell(np.zeros((8, 6, 3)), PART)


@pytest.mark.slow
def test_the_served_model_takes_frames_and_gifs_and_names_errors(made):
    signatures = tf.saved_model.load(str(made[2])).signatures
    check_axes(signatures)
    served = signatures["serving_default"]
    rows = [
        frames.pack([media.numbered_image(0), media.numbered_image(1)]),
        media.gif_bytes(4),
        b"",
        frames.pack([media.numbered_image(0), b"junk", b""]),
        b"\njunk",
        media.numbered_image(0),
    ]
    output = served(clip=tf.constant(rows), price=tf.constant([1.0] * 6, tf.float64))
    assert output["valid"].numpy().tolist() == [True, True, True, False, False, True]
    assert output["error"].numpy()[3] == b"clip: frame 2: not a JPEG, PNG, GIF, BMP or WebP image"
    assert output["error"].numpy()[4].decode() == f"clip: {frames.NO_FRAMES}"
    assert output["present"].numpy()[:, 0].tolist() == [True, True, False, False, False, True]
    empty = served(clip=tf.zeros([0], tf.string), price=tf.zeros([0], tf.float64))
    assert empty["label_probabilities"].shape == (0, 2)
    none = served(clip=tf.constant(["", ""]), price=tf.constant([1.0, np.nan], tf.float64))
    assert none["error"].numpy().tolist() == [b"", b"no input is present"]


@pytest.mark.slow
def test_a_whole_table_is_predicted(client, table, tmp_path):
    notes = predict_table(client, table, tmp_path / "out.csv")
    found = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert len(found) == ROWS
    assert [row for row, valid in enumerate(found["valid"]) if not valid] == list(BROKEN)
    assert notes == [f"{len(BROKEN)} of {ROWS} rows are not valid: the column `error` says why"]


@pytest.mark.slow
def test_other_frames_need_another_ingest(made):
    for change in ({"frames": 5}, {"height": 20}):
        config = CONFIG.model_copy(
            update={"inputs": CONFIG.inputs | {"clip": PART.model_copy(update=change)}}
        )
        with pytest.raises(ValueError, match=r"^inputs\.clip: .* ingest the table again"):
            check_records(config, made[0])
    other = PART.model_copy(update={"tower": Conv3DTower(filters=[4])})
    config = CONFIG.model_copy(update={"inputs": CONFIG.inputs | {"clip": other}})
    # Another tower does not.
    check_records(config, made[0])


@pytest.mark.slow
def test_a_list_of_files_is_ingested_again_if_one_of_them_changes(tmp_path):
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(media.numbered_image(index))
    rows = {
        "clip": [["0.png", "1.png"]] * 4,
        "price": range(4),
        "label": ["a", "b"] * 2,
        "split": ["train"] * 3 + ["test"],
    }
    pd.DataFrame(rows).to_json(tmp_path / "table.jsonl", orient="records", lines=True)
    first = ingest(read_table(tmp_path / "table.jsonl"), CONFIG, tmp_path / "records", processes=1)
    (tmp_path / "1.png").write_bytes(media.numbered_image(77))
    second = ingest(read_table(tmp_path / "table.jsonl"), CONFIG, tmp_path / "records", processes=1)
    assert first.hash != second.hash
    serialized = next(record_files.read(second.shards("train"), 3))
    assert media.numbers_of(record_files.parse(CONFIG, serialized)[1]["clip"].numpy()[0]) == [0, 77]
