"""Values that look alike: those that are one, those that stay apart, and names of files."""

import unicodedata

import pandas as pd
import pytest
from media import random_image

from multimodal_tf.config import CategoryInput, ClassificationHead, Config, ImageInput
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.class_shares import ClassShares
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.kinds.files import may_be_file
from multimodal_tf.data.table import read_table

FORMS = [unicodedata.normalize(form, "caf\u00e9.png") for form in ("NFC", "NFD")]


def test_describe_says_which_values_are_one_and_which_stay_apart():
    frame = pd.DataFrame(
        {
            "grade": ["1", "1.0", "2.50", "2.5", "3"] * 8,
            "colour": ["red", "Red", "dark blue", "darkblue", "green"] * 8,
            "label": ["OK", "ok", "o k", "bad", "bad"] * 8,
        }
    )
    found = describe(read_table(frame), types={"grade": "category"})
    assert [one.why for one in found.columns] == [
        "given; one value: '1' = '1.0', '2.5' = '2.50'",
        "short texts, 5 distinct values; differ in case or spaces alone, and stay apart:"
        " 'Red' and 'red', 'dark blue' and 'darkblue'",
        "4 distinct values; differ in case or spaces alone, and stay apart: 'OK' and 'o k' and"
        " 'ok'",
    ]
    assert [one.distinct for one in found.columns] == [3, 5, 4]


def test_labels_of_a_list_that_look_alike():
    shares = ClassShares.of({"Red": 3, "red": 2, "round": 4}, 9)
    assert shares.alike == [["Red", "red"]]


def test_a_csv_with_gaps_and_its_frame_give_one_schema(tmp_path):
    frame = pd.DataFrame({"grade": [1, 2, None] * 10, "label": [1, 2, 10] * 10})
    frame.astype({"label": float}).to_csv(tmp_path / "t.csv", index=False)
    config = Config(
        inputs={"grade": CategoryInput()},
        heads={"label": ClassificationHead()},
        split={"validation": 0, "test": 0},
    )
    schemas = []
    for name, source in (("csv", tmp_path / "t.csv"), ("frame", frame)):
        ingest(read_table(source), config, tmp_path / name, processes=1)
        schemas.append(fit_schema(config, tmp_path / name))
    assert schemas[0].inputs["grade"].words == ["1", "2"]
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("named", FORMS)
def test_a_path_is_found_in_either_normal_form(tmp_path, written, named):
    (tmp_path / written).write_bytes(random_image(1))
    assert read_cell(named, ImageInput(height=8, width=8), tmp_path)
    assert may_be_file(named, tmp_path, [])
    frame = pd.DataFrame({"photo": [named] * 6, "label": ["a", "b"] * 3})
    found = describe(read_table(frame, root=tmp_path)).columns[0]
    assert (found.type, found.rejected) == ("image", 0)


def test_of_two_files_the_one_as_written_is_read(tmp_path):
    for number, name in enumerate(FORMS):
        (tmp_path / name).write_bytes(random_image(number))
    config = ImageInput(height=8, width=8)
    cells = [read_cell(name, config, tmp_path) for name in FORMS]
    assert cells == [(tmp_path / name).read_bytes() for name in FORMS]
    with pytest.raises(CellError, match="no such file"):
        read_cell("th\u00e9.png", config, tmp_path)
