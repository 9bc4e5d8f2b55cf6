"""Pictures of Pillow, tensors and clips of Datasets are cells; paths and DataFrames are tables."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import tensorflow as tf
from media import audio_bytes, random_image
from PIL import Image

from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    Config,
    ImageInput,
    NumberInput,
    TextInput,
    VectorInput,
    VideoInput,
)
from multimodal_tf.data.codecs.cell import BrokenCell, CellError
from multimodal_tf.data.describe.preview import preview
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.kinds.cell import clean

IMAGE, VECTOR = ImageInput(height=8, width=8), VectorInput(dim=8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F"])
def test_pictures_of_pillow_are_images(mode):
    picture = Image.fromarray(np.full((4, 6), 255, np.uint8)).convert(mode)
    decoded = tf.io.decode_png(read_cell(picture, IMAGE), channels=3)
    assert decoded.shape == (4, 6, 3)
    assert (decoded.numpy() == 255).all()


def test_a_picture_is_turned_as_its_file_is():
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(data, "JPEG", exif=exif)
    assert tf.io.decode_png(read_cell(Image.open(data), IMAGE)).shape == (6, 4, 3)


def test_a_damaged_picture_is_a_broken_cell():
    broken = Image.open(io.BytesIO(random_image(kind="PNG")[:60]))
    assert isinstance(clean(broken), BrokenCell)
    with pytest.raises(CellError, match="a picture that Pillow cannot read"):
        read_cell(broken, IMAGE)


def test_tensors_are_their_values():
    assert read_cell(tf.range(8.0), VECTOR) == list(range(8))
    assert read_cell(tf.constant(2.5), NumberInput()) == 2.5
    assert read_cell(tf.constant("a bird"), TextInput()) == b"a bird"
    pixels = tf.zeros([4, 6, 3], tf.uint8)
    assert tf.io.decode_png(read_cell(pixels, IMAGE)).shape == (4, 6, 3)
    with pytest.raises(CellError, match="without values"):
        read_cell(tf.keras.Input([8]), VECTOR)


def test_clips_of_datasets_keep_their_rate():
    config = AudioInput(sample_rate=4000, seconds=0.5)
    samples = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    for array in (samples, samples.tolist(), tf.constant(samples)):
        found = read_cell({"array": array, "sampling_rate": 8000, "path": None}, config)
        assert soundfile.info(io.BytesIO(found)).samplerate == 8000
    data = audio_bytes(samples)
    assert read_cell({"array": None, "sampling_rate": 8000, "bytes": data}, config)
    for wrong in (0, -1, 1.5, "fast", None):
        with pytest.raises(CellError, match="array and sampling_rate must hold"):
            read_cell({"array": samples, "sampling_rate": wrong}, config)


def test_frames_may_be_pictures_or_tensors():
    video = VideoInput(frames=2, height=8, width=8)
    picture = Image.fromarray(np.zeros((4, 6, 3), np.uint8))
    arrays = [np.zeros((4, 6, 3), np.uint8)] * 2
    expected = read_cell([np.asarray(picture).tolist() for _ in arrays], video)
    assert read_cell([picture, picture], video) == expected
    assert read_cell(tf.stack(arrays), video) == expected


FRAME = pd.DataFrame(
    {
        "photo": [Image.new("RGB", (6, 4), (level, 0, 0)) for level in range(12)],
        "label": ["x", "y"] * 6,
    }
)


def test_describe_preview_and_ingest_take_them(tmp_path):
    assert {one.column: one.type for one in describe(FRAME).columns}["photo"] == "image"
    assert preview(FRAME).rows[0].cells[0].shown is not None
    config = Config(inputs={"photo": IMAGE}, heads={"label": ClassificationHead()})
    assert ingest(FRAME, config, tmp_path / "records", processes=1).rejected == 0


def test_a_path_is_a_table(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"price": range(12), "label": ["x", "y"] * 6}).to_csv(path, index=False)
    assert preview(path).rows[1].cells[0].text == "1"
    config = describe(str(path), presets=False).config()
    assert ingest(path, config, tmp_path / "records", processes=1).kept == 12
    config.save(tmp_path / "c.yaml")
    for given in (tmp_path / "c.yaml", str(tmp_path / "c.yaml"), config.to_yaml()):
        assert Config.from_yaml(given) == config
    with pytest.raises(FileNotFoundError):
        Config.from_yaml("gone.yaml")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"training": {"epoch": 3}}, r"training.epoch: .*: did you mean 'epochs'\?"),
        ({"trainings": {}}, r"trainings: .*: did you mean 'training'\?"),
        ({"inputs": {"a": {"type": "text", "max_token": 3}}}, r"did you mean 'max_tokens'\?"),
        (
            {"inputs": {"a": {"type": "text", "tower": {"type": "bag", "embeding_dim": 3}}}},
            r"tower.embeding_dim: .*: did you mean 'embedding_dim'\?",
        ),
        ({"heads": {"b": {"type": "classification", "class_weigth": 3}}}, "mean 'class_weight'"),
        ({"fusion": {"type": "gated", "modality_drop_out": 0.1}}, "mean 'modality_dropout'"),
        ({"training": {"zzz": 3}}, r"training.zzz: [^:]*$"),
    ],
)
def test_an_unknown_field_is_told_which_one_may_be_meant(fields, message):
    base = {"inputs": {"a": {"type": "text"}}, "heads": {"b": {"type": "classification"}}}
    with pytest.raises(ValueError, match=message):
        Config.from_yaml(json.dumps(base | fields))
