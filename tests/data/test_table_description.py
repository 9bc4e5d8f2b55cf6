"""`describe` on tables with known content, and the configuration that it gives."""

import base64
import datetime
import io
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from multimodal_tf.config import SERVED, Config, MLPTower
from multimodal_tf.data.describe.heads import HEADS
from multimodal_tf.data.describe.names import safe_names
from multimodal_tf.data.describe.table_description import Description, describe
from multimodal_tf.data.table import read_table


def png(width=40, height=30, mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, "PNG")
    return file.getvalue()


def clip_bytes(seconds=1.0, rate=22_050, form="WAV"):
    file = io.BytesIO()
    soundfile.write(
        file, np.random.default_rng(0).uniform(-0.5, 0.5, int(seconds * rate)), rate, format=form
    )
    return file.getvalue()


def described(columns, root=None, **arguments):
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})
    return describe(read_table(frame, root=root), **arguments)


def types_of(description):
    return {column.column: column.type for column in description.columns}


def column_of(description, name):
    return next(column for column in description.columns if column.column == name)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A CSV of 60 products with every kind of column, gaps and broken files."""
    tmp_path = tmp_path_factory.mktemp("shop")
    rows = []
    for n in range(60):
        (tmp_path / f"{n}.png").write_bytes(png(40 + n, 200))
        (tmp_path / f"{n}.flac").write_bytes(clip_bytes(0.5 + n / 100, form="FLAC"))
        rows.append(
            {
                "id": n + 1,
                "photo": f"{n}.png" if n % 10 else "",
                "clip": f"{n}.flac",
                "title": f"the {n}th product, " + "blue " * (n % 7),
                "price": 2.5 * n,
                "colour": ["red", "green", "deep blue"][n % 3],
                "zip": f"0{n:04}",
                "family_id": n // 3,
                "empty": "",
                "label": ["shoe", "hat"][n % 2],
            }
        )
    (tmp_path / "1.png").write_text("<html>Not found</html>")
    (tmp_path / "2.png").unlink()
    (tmp_path / "3.png").write_bytes(png()[:60])
    (tmp_path / "4.flac").write_bytes(b"")
    pd.DataFrame(rows).to_csv(tmp_path / "shop.csv", index=False)
    return read_table(tmp_path / "shop.csv")


@pytest.fixture(scope="module")
def found(shop):
    return describe(shop)


def test_every_kind_of_column(found):
    assert types_of(found) == {
        "id": "ignored",
        "photo": "image",
        "clip": "audio",
        "title": "text",
        "price": "number",
        "colour": "category",
        # codes that never repeat, not numbers
        "zip": "ignored",
        "family_id": "group",
        "empty": "ignored",
        "label": "classification",
    }
    assert (found.rows, found.sampled) == (60, 60)
    assert [column.missing for column in found.columns] == [0, 6, 0, 0, 0, 0, 0, 0, 60, 0]
    assert [column.distinct for column in found.columns] == [60, 54, 60, 60, 60, 3, 60, 20, 0, 2]


def test_sizes_and_durations(found):
    photo, clip, title = (column_of(found, name) for name in ("photo", "clip", "title"))
    # rows 0 to 3 are missing or broken
    assert (photo.width.min, photo.width.max) == (44, 99)
    assert photo.height.median == 200
    assert not photo.grey
    assert (clip.seconds.min, clip.seconds.max) == pytest.approx((0.5, 1.09), abs=1e-3)
    assert clip.sample_rate.median == 22_050
    assert (title.words.min, title.words.median, title.words.max) == (3, 6, 9)


def test_rejected_cells_have_row_and_reason(found):
    photo, clip = column_of(found, "photo"), column_of(found, "clip")
    assert photo.rejected == 3
    assert [rejection.row for rejection in photo.rejections] == [1, 2, 3]
    assert "no such file" in photo.rejections[1].reason
    assert (clip.rejected, clip.rejections[0].row) == (1, 4)
    assert "empty" in clip.rejections[0].reason


def test_the_configuration_that_follows(found):
    config = found.config()
    assert list(config.inputs) == ["photo", "clip", "title", "price", "colour"]
    assert list(config.heads) == ["label"]
    assert (config.inputs["photo"].height, config.inputs["photo"].channels) == (96, 3)
    assert (config.inputs["clip"].seconds, config.inputs["clip"].sample_rate) == (1.5, 16_000)
    assert config.inputs["title"].max_tokens == 9
    assert (config.split.column, config.split.group, config.split.stratify) == (
        None,
        "family_id",
        "label",
    )
    assert Config.from_yaml(config.to_yaml()) == config


def test_a_small_table_gets_small_towers_with_the_reason(found):
    assert {name: part.tower.type for name, part in found.config().inputs.items()} == {
        "photo": "cnn",
        "clip": "spectrogram_cnn",
        "title": "bag",
        "price": "dense",
        "colour": "dense",
    }
    # six of 60 are missing
    assert (
        column_of(found, "photo").tower == "plain CNN: a ResNet pays from 10,000 rows, here are 54"
    )
    assert column_of(found, "price").tower.endswith(
        "pays from 4 columns and 3,000 rows, here are 2 and 60"
    )
    assert column_of(found, "label").tower == ""
    assert found.config().tabular is None


def test_a_larger_table_of_numbers_gets_one_tower_over_all():
    numbers = {f"x{n}": list(range(3000)) for n in range(4)}
    found = described({**numbers, "label": ["a", "b"] * 1500}, sample=20)
    assert found.config().tabular == MLPTower()
    assert {column.tower[:3] for column in found.columns} == {"MLP", ""}
    assert Description.model_validate_json(found.model_dump_json()).config() == found.config()


@pytest.mark.parametrize(
    ("texts", "unspaced"),
    [
        (["你好，今天的天气很好", "我们去公园吧"], True),
        (["สวัสดีครับ วันนี้อากาศดี"], True),
        (["a small owl", "it's an old oak, isn't it?"], False),
        (["owl"], False),
        ([], False),
    ],
)
def test_scripts_without_spaces(texts, unspaced):
    assert (
        described(
            {"t": [*texts, None], "label": list("ab" * 2)[: len(texts) + 1]}, types={"t": "text"}
        )
        .columns[0]
        .unspaced
        == unspaced
    )


def test_a_sample_is_of_the_whole_table_and_seeded(shop, found):
    one, two, other = (describe(shop, sample=20, seed=seed) for seed in (0, 0, 1))
    assert one == two
    assert one.sampled == 20
    # counted over all rows
    assert column_of(one, "photo").missing == 6
    assert column_of(one, "photo").width != column_of(other, "photo").width
    assert types_of(one) == types_of(found)


def test_a_description_is_json(found):
    assert Description.model_validate_json(found.model_dump_json()) == found


# Bytes in files, cells and arrays


def test_bytes_data_uris_base64_and_arrays(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "a.wav").write_bytes(clip_bytes())
    array = np.zeros((30, 40), np.uint8)
    images = [
        "a.png",
        png(),
        "data:image/png;base64," + base64.b64encode(png()).decode(),
        base64.b64encode(png()).decode(),
        array,
    ]
    clips = [
        "a.wav",
        clip_bytes(),
        "data:audio/wav;base64," + base64.b64encode(clip_bytes()).decode(),
        base64.b64encode(clip_bytes()).decode(),
    ]
    found = described(
        {"x": images, "y": [*clips, np.zeros(22_050, np.int16)], "label": list("ababa")},
        root=tmp_path,
    )
    assert types_of(found) == {"x": "image", "y": "audio", "label": "classification"}
    assert [column.rejected for column in found.columns] == [0, 0, 0]
    assert column_of(found, "x").width.model_dump() == {
        "min": 40,
        "median": 40,
        "p95": 40,
        "max": 40,
    }


def test_a_folder_of_files_by_class(tmp_path):
    for label in ("cat", "owl"):
        (tmp_path / label).mkdir()
        for n in range(3):
            (tmp_path / label / f"{n}.jpg").write_bytes(png(8, 8, "L"))
    config = describe(read_table(tmp_path)).config()
    assert config.inputs["file"].type == "image"
    assert (
        config.inputs["file"].height,
        config.inputs["file"].width,
        config.inputs["file"].channels,
    ) == (32, 32, 1)
    assert list(config.heads) == ["label"]


def test_broken_files_are_of_the_kind_of_their_suffix():
    found = described(
        {"photo": ["x.jpg", "y.PNG"], "clip": ["x.mp3", "y.opus"], "label": ["a", "b"]}
    )
    assert types_of(found) == {"photo": "image", "clip": "audio", "label": "classification"}
    assert [column.rejected for column in found.columns] == [2, 2, 0]


def test_an_image_of_too_many_pixels_is_an_image(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "huge.png").write_bytes(png()[:8] + chunk + png()[33:])
    (tmp_path / "fine.png").write_bytes(png())
    photo = described(
        {"photo": ["fine.png", "huge.png"], "label": ["a", "b"]}, root=tmp_path
    ).columns[0]
    assert (photo.type, photo.rejected, photo.rejections[0].row) == ("image", 1, 1)
    assert "pixels" in photo.rejections[0].reason


def test_the_majority_decides_and_the_rest_is_rejected(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    found = described(
        {
            "x": ["a.png"] * 8 + ["nothing here", 5],
            "n": ["1.5"] * 9 + ["cheap"],
            "label": list("ab") * 5,
        },
        root=tmp_path,
    )
    assert types_of(found) == {"x": "image", "n": "number", "label": "classification"}
    assert [rejection.row for rejection in column_of(found, "x").rejections] == [8, 9]
    assert column_of(found, "n").rejections[0].model_dump() == {
        "row": 9,
        "reason": "not a number: 'cheap'",
    }


# Types by value


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([1, 2.5, None, 4] * 5, "number"),
        (["1", " 2.5", "-3e2", "nan"] * 5, "number"),
        ([True, False] * 10, "boolean"),
        (["Yes", "no "] * 10, "boolean"),
        ([0, 1] * 10, "boolean"),
        (["1.0", "0.0"] * 10, "boolean"),
        (["yes", "no", "maybe", "no"] * 5, "category"),
        ([0, 1, 2, 1] * 5, "number"),
        (["2024-05-17", "2024-05-18 09:30", None, "2023-02-30"] * 5, "date"),
        (["2024-05-17"] * 9 + ["soon"] + ["2024-06"] * 10, "date"),
        (["2024", "2025"] * 10, "number"),
        (["007", "010"] * 10, "category"),
        (["red", "green"] * 10, "category"),
        (["a long sentence that comes twice", "another sentence of some words"] * 10, "text"),
        ([f"word{chr(97 + n)} text" for n in range(20)], "text"),
        (["你好", "谢谢你", "再见"] + [chr(0x4E00 + n) * 3 for n in range(17)], "text"),
        ([f"photos/{n}" for n in range(20)], "ignored"),
        ([pd.Timestamp(2020, 1, 1 + n) for n in range(20)], "date"),
        ([datetime.date(2020, 1, 1 + n) for n in range(20)], "date"),
        ([[0.5, 0.25, 1.0]] * 20, "ignored"),
        ([{"a": 1}] * 20, "ignored"),
        ([None] * 20, "ignored"),
    ],
)
def test_types_by_value(cells, kind):
    assert types_of(described({"x": cells, "label": list("ab") * 10}))["x"] == kind


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a", "b"] * 20, "classification"),
        ([0, 1, 2, 3] * 10, "classification"),
        (["007", "010", "3", "4"] * 10, "classification"),
        ([n / 7 for n in range(40)], "regression"),
        ([f"{n * 3}" for n in range(40)], "regression"),
        ([["x", "y"], ["x"], [], None] * 10, "multi_label"),
        (["x;y", "x", "y; z", ""] * 10, "multi_label"),
        (["x|y", "x", "y|z", "z"] * 10, "multi_label"),
        (["rock, hard", "paper"] * 20, "classification"),
    ],
)
def test_heads_by_value(cells, kind):
    label = column_of(
        described({"title": [f"some title {n}" for n in range(40)], "label": cells}), "label"
    )
    assert label.type == kind
    assert label.rejected == 0


def test_the_separator_goes_into_the_configuration():
    config = described(
        {"title": ["an owl", "a tree", "both of"], "tags": ["x|y", "x", "y"]}
    ).config()
    assert config.heads["tags"].separator == "|"


def test_cells_that_a_regression_cannot_read():
    label = column_of(
        described({"title": ["a b"] * 41, "label": [str(n * 3) for n in range(40)] + ["dear"]}),
        "label",
    )
    assert (label.type, label.rejected, label.rejections[0].row) == ("regression", 1, 40)


# Given types and labels


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_with_labels_can_be_given(kind):
    columns = {"title": [f"some title {n}" for n in range(40)], "grade": [1, 2] * 20}
    found = described(columns, types={"grade": kind})
    assert found.config().heads["grade"].type == kind
    assert column_of(found, "grade").rejected == 0


def test_given_types_and_labels():
    columns = {
        "a": ["1", "2"],
        "b": ["x y", "z"],
        "c": ["u", "v"],
        "d": ["1", "2"],
        "e": ["p", "q"],
        "f": ["f.png", "g.png"],
    }
    found = described(
        columns,
        types={"a": "category", "c": "group", "e": "ignored", "f": "text"},
        label=["b", "d"],
    )
    assert types_of(found) == {
        "a": "category",
        "b": "classification",
        "c": "group",
        "d": "classification",
        "e": "ignored",
        "f": "text",
    }
    # as a text it is not opened
    assert found.columns[5].rejected == 0
    config = found.config()
    assert (list(config.inputs), list(config.heads)) == (["a", "f"], ["b", "d"])
    assert (config.split.group, config.split.stratify) == ("c", "b")


def test_a_type_can_make_a_label():
    found = described(
        {"title": ["a b", "c d"], "price": [1, 2], "label": ["u", "v"]},
        types={"price": "regression"},
    )
    assert types_of(found) == {"title": "text", "price": "regression", "label": "text"}
    assert (
        described({"title": ["a"], "tags": ["x;y"]}, types={"tags": "multi_label"})
        .config()
        .heads["tags"]
        .type
        == "multi_label"
    )


def test_a_given_group_leaves_no_other():
    columns = {"family": [1, 1, 2], "speaker": [1, 2, 2], "x": [1, 1, 1], "label": list("aba")}
    found = types_of(described(columns, types={"x": "group"}))
    assert found == {
        "family": "ignored",
        "speaker": "ignored",
        "x": "group",
        "label": "classification",
    }
    assert types_of(described(columns))["speaker"] == "ignored"


def test_a_column_of_splits_is_the_split():
    columns = {
        "title": ["a b", "c d", "e f"],
        "split": ["train", "val", "TEST"],
        "family": [1, 1, 2],
        "label": list("aba"),
    }
    found = described(columns)
    assert types_of(found)["split"] == "split"
    assert found.config().split.model_dump(exclude={"validation", "test"}) == {
        "column": "split",
        "group": None,
        "stratify": None,
    }
    assert types_of(described({**columns, "split": ["train", "banana", "test"]}))["split"] == "text"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"types": {"titel": "text"}}, "no column 'titel': did you mean 'title'"),
        (
            {"types": {"title": "picture"}},
            "the type of column 'title' must be one of image, .* received 'picture'",
        ),
        ({"types": {"title": "imgae"}}, "received 'imgae': did you mean 'image'"),
        ({"label": "prize"}, "no column 'prize': did you mean 'price'"),
        (
            {"label": "price", "types": {"price": "number"}},
            "column 'price' is the label, so its type must be one of classification",
        ),
        (
            {"types": {"title": "group", "price": "group"}},
            "only one column can be the group, received .'title', 'price'",
        ),
        ({"sample": 0}, "sample=0"),
    ],
)
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        described({"title": ["a b", "c d"], "price": [1, 2]}, **arguments)


def test_no_label_and_no_input():
    found = described({"title": ["a b", "c d"], "price": [1, 2]})
    # it is described all the same
    assert types_of(found) == {"title": "text", "price": "number"}
    with pytest.raises(
        ValueError,
        match="no column called label, class, .*: name the one to predict with label=; .* 'title'",
    ):
        found.config()
    with pytest.raises(ValueError, match="no column to predict from"):
        described({"id": [1, 2], "label": ["a", "b"]}).config()


def test_the_label_is_the_first_name_that_labels_have():
    columns = {"Category": ["a", "b"], "Label": ["a", "b"], "title": ["a b", "c d"]}
    assert types_of(described(columns)) == {
        "Category": "text",
        "Label": "classification",
        "title": "text",
    }


def test_one_row():
    found = described({"title": ["a b"], "label": ["x"]})
    assert types_of(found) == {"title": "text", "label": "classification"}
    assert list(found.config().inputs) == ["title"]


# Sizes in the configuration


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [
        (0.2, 16_000, (0.5, 16_000)),
        (1.01, 8_000, (1.5, 8_000)),
        (2.0, 44_100, (2.0, 16_000)),
        (40.0, 4_000, (10.0, 4_000)),
    ],
)
def test_audio_sizes(seconds, rate, expected):
    found = described({"clip": [clip_bytes(seconds, rate)] * 2, "label": ["a", "b"]})
    clip = found.config().inputs["clip"]
    assert (clip.seconds, clip.sample_rate) == expected
    assert found.columns[0].seconds.max == pytest.approx(min(seconds, 30), abs=1e-3)


def test_text_sizes():
    for length, count in {8: 1, 20: 20, 256: 1000}.items():
        columns = {"t": ["w " * count] * 2, "label": ["a", "b"]}
        config = described(columns, types={"t": "text"}).config()
        assert config.inputs["t"].max_tokens == length


def test_a_grey_column_with_one_colour_image_has_colours():
    assert described({"x": [png(mode="L"), png(mode="LA")], "label": ["a", "b"]}).columns[0].grey
    assert not described({"x": [png(mode="L"), png()], "label": ["a", "b"]}).columns[0].grey


# Names


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("photo", "photo"),
        ("Größe (cm)", "Gro_e_cm"),
        ("prix réel", "prix_reel"),
        ("a/b", "a_b"),
        ("图片", "column_1"),
        ("", "column_1"),
        ("1st", "column_1st"),
        ("_x", "x"),
        ("x_", "x_"),
        ("class", "class_"),
        ("self", "self_"),
        ("present", "present"),
        ("fused", "fused_2"),
    ],
)
def testsafe_names(column, name):
    assert safe_names([(column, False)]) == [name]


def test_names_of_heads_do_not_clash_with_served_keys():
    assert safe_names([("present", True), ("valid", True), ("error", True)]) == [
        "present_2",
        "valid_2",
        "error_2",
    ]
    assert safe_names(
        [("photo", False), ("photo_present", False), ("a b", False), ("a_b", False)]
    ) == [
        "photo",
        "photo_present_2",
        "a_b",
        "a_b_2",
    ]


NAMES = st.text(max_size=8) | st.sampled_from(
    [
        "a",
        "a_present",
        "a_probability",
        "a_embedding",
        "a b",
        "class",
        "self",
        "row",
        "fused",
        *SERVED,
        "column_1",
        "a_2",
    ]
)


@settings(max_examples=300, deadline=None)
@given(columns=st.lists(NAMES, min_size=2, max_size=8, unique=True), heads=st.integers(1, 3))
def testsafe_names_make_a_configuration(columns, heads):
    heads = min(heads, len(columns) - 1)
    names = safe_names([(column, index < heads) for index, column in enumerate(columns)])
    assert len(set(names)) == len(columns)
    parts = {
        "heads": {
            name: {"type": "classification", "column": column}
            for name, column in list(zip(names, columns))[:heads]
        },
        "inputs": {
            name: {"type": "number", "column": column}
            for name, column in list(zip(names, columns))[heads:]
        },
    }
    config = Config.model_validate(parts)
    assert [config.column(name) for name in names] == columns


def test_odd_columns_end_to_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "图片,present,two words,a/b,class\nu v,1,x y,p q,c\nw x,2,z a,r s,d\n", encoding="utf-8"
    )
    config = describe(read_table(path)).config()
    assert {name: config.column(name) for name in [*config.inputs, *config.heads]} == {
        "column_1": "图片",
        "present": "present",
        "two_words": "two words",
        "a_b": "a/b",
        "class_": "class",
    }


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(
        st.one_of(
            st.none(),
            st.text(max_size=20),
            st.binary(max_size=20),
            st.floats(),
            st.integers(),
            st.lists(st.integers(0, 9), max_size=3),
        ),
        min_size=1,
        max_size=6,
    ),
    kind=st.sampled_from(
        [
            None,
            "image",
            "audio",
            "text",
            "number",
            "category",
            "classification",
            "multi_label",
            "regression",
        ]
    ),
)
def test_any_cells_are_described(cells, kind):
    found = described({"x": cells}, types={"x": kind} if kind else {})
    assert found.columns[0].missing + found.columns[0].distinct <= len(cells)
    assert found.columns[0].rejected <= len(cells)
    Console(file=io.StringIO()).print(found.render())
