"""Folders of files by class: splits at the first level, links, and cycles of links."""

import pytest

from multimodal_tf.config import Split
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table
from multimodal_tf.data.table_formats import folder as folder_format


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def rows_of(table, columns=None):
    return [list(row) for chunk in table.chunks(3, columns) for row in chunk.values.tolist()]


def test_folders_of_splits_are_the_split(tmp_path):
    names = ["test/dog/c.txt", "train/cat/a.txt", "train/dog/deep/b.txt", "train/README.md"]
    make(tmp_path, *names, "Valid/cat/d.txt")
    table = read_table(tmp_path)
    assert table.columns == ["file", "label", "split"]
    assert rows_of(table) == [
        ["Valid/cat/d.txt", "cat", "Valid"],
        ["test/dog/c.txt", "dog", "test"],
        # without a class: a row without a label, which ingest lists
        ["train/README.md", None, "train"],
        ["train/cat/a.txt", "cat", "train"],
        ["train/dog/deep/b.txt", "dog", "train"],
    ]
    assert rows_of(table, ["split", "label"])[0] == ["Valid", "cat"]
    assert describe(table, presets=False).config().split == Split(column="split")


def test_unlabelled_test_files(tmp_path):
    make(tmp_path, "train/cat/a.txt", "train/dog/a.txt", "test/1.txt")
    assert rows_of(read_table(tmp_path))[0] == ["test/1.txt", None, "test"]


def test_another_folder_beside_the_splits_is_asked_about(tmp_path):
    make(tmp_path, "train/cat/a.txt", "test/cat/b.txt", "extra/cat/c.txt")
    table = read_table(tmp_path)
    assert [row[2] for row in rows_of(table)] == ["extra", "test", "train"]
    (split,) = (each for each in describe(table, presets=False).columns if each.type == "split")
    assert "ingest needs a split in split.values for extra, too" in split.why


def test_training_files_alone_are_split_at_random(tmp_path):
    make(tmp_path, "train/cat/a.txt", "train/dog/b.txt")
    table = read_table(tmp_path)
    assert table.columns == ["file", "label"]
    assert rows_of(table) == [["train/cat/a.txt", "cat"], ["train/dog/b.txt", "dog"]]


def test_classes_that_are_called_like_a_split(tmp_path):
    make(tmp_path, "train/a.txt", "plane/b.txt", "car/c.txt")
    assert [row[1] for row in rows_of(read_table(tmp_path))] == ["car", "plane", "train"]


def test_splits_without_classes_are_one_sentence(tmp_path):
    make(tmp_path, "train/a.txt", "test/b.txt")
    with pytest.raises(ValueError, match=r"test, train, which are names of splits: each must hold"):
        read_table(tmp_path)


def test_links_are_followed_at_every_level(tmp_path):
    make(tmp_path / "store", "owls/a.txt", "more/deep/b.txt")
    root = tmp_path / "table"
    make(root, "owl/c.txt", "cat/d.txt")
    (root / "bird").symlink_to(tmp_path / "store" / "owls")
    (root / "owl" / "linked").symlink_to(tmp_path / "store" / "more")
    (root / "owl" / "again").symlink_to(tmp_path / "store" / "more" / "deep")
    (root / "owl" / "z.txt").symlink_to(tmp_path / "store" / "owls" / "a.txt")
    (root / "owl" / "gone.txt").symlink_to(tmp_path / "nothing")
    assert rows_of(read_table(root)) == [
        ["bird/a.txt", "bird"],
        ["cat/d.txt", "cat"],
        ["owl/c.txt", "owl"],
        # ingest lists it
        ["owl/gone.txt", "owl"],
        ["owl/z.txt", "owl"],
        ["owl/again/b.txt", "owl"],
        ["owl/linked/deep/b.txt", "owl"],
    ]


@pytest.mark.parametrize("target", [".", "owl", "owl/deep"])
def test_cycles_of_links_are_refused(tmp_path, target):
    make(tmp_path, "cat/a.txt", "owl/deep/b.txt")
    (tmp_path / "owl" / "deep" / "loop").symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match="owl/deep/loop is a link to a folder that holds it"):
        rows_of(read_table(tmp_path))


def test_links_that_multiply_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_format, "_MOST_FOLDERS", 100)
    folders = [tmp_path / "owl", *(tmp_path / ".store" / str(level) for level in range(12))]
    for folder in folders:
        folder.mkdir(parents=True)
    for above, below in zip(folders, folders[1:]):
        (above / "one").symlink_to(below)
        (above / "two").symlink_to(below)
    with pytest.raises(ValueError, match="at most 100 folders, received more: do links lead"):
        rows_of(read_table(tmp_path))
