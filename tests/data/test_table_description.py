"""`describe` on a table with every kind of column, and the configuration that it gives."""

import io

import pandas as pd
import pytest
from described_tables import clip_bytes, column_of, described, png, types_of
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from multimodal_tf.config import Config, MLPTower
from multimodal_tf.data.describe.table_description import Description, describe
from multimodal_tf.data.table import read_table


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A CSV of 60 products with every kind of column, gaps and broken files."""
    tmp_path = tmp_path_factory.mktemp("shop")
    rows = []
    for n in range(60):
        (tmp_path / f"{n}.png").write_bytes(png(40 + n, 200))
        (tmp_path / f"{n}.flac").write_bytes(clip_bytes(0.5 + n / 100, kind="FLAC"))
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
    assert found.config().tabular == MLPTower(wide=True)
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


def test_columns_may_be_called_by_numbers():
    frame = pd.DataFrame({0: ["a small owl", "an old oak"], 1: ["bird", "tree"]})
    found = describe(read_table(frame), types={0: "text"}, label=1)
    assert [(one.column, one.type) for one in found.columns] == [
        ("0", "text"),
        ("1", "classification"),
    ]
    # YAML writes such names as it likes
    config = Config.from_yaml(found.config().to_yaml().replace("'0'", "0").replace("'1'", "1"))
    assert [config.column(name) for name in (*config.inputs, *config.heads)] == ["0", "1"]
    first = describe(read_table(frame), types={1: "text"}, label=0)
    assert [one.type for one in first.columns] == ["classification", "text"]
