"""The embedded digits and the stamps: their shape, cells and groups, and errors without them."""

import doctest
import io
import pathlib

import pandas
import pytest
import soundfile
from PIL import Image

from multimodal_tf.data.datasets import (
    digits,
    digits_config,
    digits_table,
    stamps,
    stamps_config,
    stamps_table,
)
from multimodal_tf.data.split import SPLITS, assign_splits

INSTALLED = pathlib.Path(stamps.ROOT).is_dir()
needs_stamps = pytest.mark.skipif(
    not INSTALLED, reason="Debian's tuxpaint-stamps-default is not installed"
)


@pytest.fixture(scope="module")
def digit_rows():
    return pandas.concat(digits_table().chunks())


@pytest.fixture
def folder(tmp_path):
    """Stamps: two frogs, an apple without a translation, an SVG drawing and a mirror image."""
    for name, text, spoken in (
        (
            "animals/frog",
            "A green frog.\nfr.utf8=Une grenouille.\nde.utf8=\n",
            ["frog_desc_fr.ogg", "frog.ogg", "frog_desc.ogg"],
        ),
        ("animals/frog-1", "Frogs jump.\nfr.utf8=Des grenouilles.\n", ["frog-1_desc_pt_BR.wav"]),
        ("food/fruit/apple", "An apple.\n", []),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
        path.with_suffix(".png").write_bytes(b"")
        for file in spoken:
            (path.parent / file).write_bytes(b"")
    (tmp_path / "food/fruit/pear.svg").write_text("<svg/>")
    (tmp_path / "food/fruit/pear.txt").write_text("A pear.\n")
    (tmp_path / "food/fruit/apple_mirror.png").write_bytes(b"")
    return tmp_path


def rows_of(table):
    return pandas.concat(table.chunks())


@pytest.mark.parametrize("module", [digits, stamps])
def test_examples(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_digits_have_every_class_in_every_split_and_no_empty_row(digit_rows):
    assert len(digit_rows) == 1797
    counts = digit_rows.groupby(["split", "label"]).size().unstack()
    assert sorted(counts.index) == sorted(SPLITS)
    assert sorted(counts.columns) == [str(digit) for digit in range(10)]
    assert counts.loc["test"].min() >= 30
    inputs = digit_rows[["image", "sound", "text"]]
    assert inputs.notna().any(axis=1).all()
    assert inputs.isna().mean().between(0.08, 0.12).all()


def test_digit_cells_have_the_documented_formats(digit_rows):
    for cell in digit_rows["image"].dropna()[::50]:
        image = Image.open(io.BytesIO(cell))
        assert (image.format, image.mode, image.size) == ("PNG", "L", (20, 20))
    for cell in digit_rows["sound"].dropna()[::50]:
        info = soundfile.info(io.BytesIO(cell))
        assert (info.format, info.subtype, info.samplerate, info.channels) == (
            "WAV",
            "PCM_U8",
            8000,
            1,
        )
        assert 0 < info.duration <= digits_config().inputs["sound"].seconds


def test_digits_file_is_small():
    assert pathlib.Path(digits.__file__).with_name("digits.parquet").stat().st_size < 4_000_000


def test_digit_splits_are_those_of_the_column(digit_rows):
    found = assign_splits(digits_table(), digits_config())
    assert [SPLITS[index] for index in found] == digit_rows["split"].tolist()


def test_stamps_of_a_folder(folder):
    rows = rows_of(stamps_table(folder, description="fr", speech="fr"))
    assert rows["image"].tolist() == [
        "animals/frog-1.png",
        "animals/frog.png",
        "food/fruit/apple.png",
    ]
    assert rows["description"].tolist() == ["Des grenouilles.", "Une grenouille.", None]
    assert rows["sound"].tolist() == [None, "animals/frog_desc_fr.ogg", None]
    assert rows["label"].tolist() == ["animals", "animals", "food"]
    assert rows["group"].tolist() == ["animals/frog-1", "animals/frog-1", "food/fruit/apple"]


def test_stamps_speak_english_where_the_file_names_no_language(folder):
    assert rows_of(stamps_table(folder, speech="en"))["sound"].tolist() == [
        None,
        "animals/frog_desc.ogg",
        None,
    ]
    assert rows_of(stamps_table(folder, speech="pt_BR"))["sound"].tolist() == [
        "animals/frog-1_desc_pt_BR.wav",
        None,
        None,
    ]


def test_stamps_in_a_language_that_nobody_speaks(folder):
    with pytest.raises(
        ValueError,
        match=r"description must be a language that some stamp has \(en, fr\), received 'de'",
    ):
        # an empty translation is none
        stamps_table(folder, description="de")
    with pytest.raises(
        ValueError,
        match=r"speech must be a language that some stamp has \(en, fr, pt_BR\), received 'xx'",
    ):
        stamps_table(folder, speech="xx")


def test_stamps_that_do_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt install tuxpaint-stamps-default"):
        stamps_table(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no Tux Paint stamps"):
        stamps_table(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (("note_025_a", "Quarter note."), ("note_025_b", "Upside down."), True),
        (("a_filled", "The letter a."), ("A_outline", "The letter A."), True),
        (("apple_red", "A red apple."), ("granny", "Green apple!"), True),
        (("redflag", "A flag."), ("start", "The white flag"), True),
        (("747", "A plane."), ("001", "A coin."), False),
        (("frog", "A frog."), ("toad", "A toad."), False),
        (("fireman", "A man."), ("firewoman", "A woman."), False),
    ],
)
def test_groups_of_near_duplicates(first, second, together):
    (one, text), (other, text2) = first, second
    found = stamps._groups([f"x/{one}", f"x/y/{other}"], ["x", "x"], [text, text2])
    assert (found[0] == found[1]) is together


def test_groups_join_in_chains_but_never_across_classes():
    stems = ["x/a_left", "x/b", "x/a_right", "z/b"]
    found = stamps._groups(
        stems, ["x", "x", "x", "z"], ["One thing.", "Other thing.", "Other thing.", "Other thing."]
    )
    assert found == ["x/a_left", "x/a_left", "x/a_left", "z/b"]


@needs_stamps
def test_installed_stamps():
    rows = rows_of(stamps_table())
    assert len(rows) > 700
    assert rows["label"].nunique() == 16
    assert rows["description"].notna().all()
    # natural gaps
    assert 0 < rows["sound"].isna().sum() < 50
    assert all(
        (pathlib.Path(stamps.ROOT) / path).is_file()
        for column in ("image", "sound")
        for path in rows[column].dropna()
    )
    assert not rows["image"].str.contains("_mirror").any()
    groups = rows.set_index("stem")["group"]
    assert groups["symbols/music/note_025_a"] == groups["symbols/music/note_025_b"]
    assert len(rows) / 2 < groups.nunique() < len(rows)


@needs_stamps
def test_installed_stamps_have_gaps_in_other_languages():
    rows = rows_of(stamps_table(description="mk", speech="lt"))
    assert rows["description"].isna().mean() > 0.5
    assert rows["sound"].isna().mean() > 0.5


@needs_stamps
def test_installed_stamps_split_by_group():
    table, config = stamps_table(), stamps_config()
    rows = rows_of(table).assign(split=assign_splits(table, config))
    assert rows.groupby("group")["split"].nunique().max() == 1
    assert rows.loc[rows["split"] == 0, "label"].nunique() == 16
    assert set(rows["split"]) == {0, 1, 2}
