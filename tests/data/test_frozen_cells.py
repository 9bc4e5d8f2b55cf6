"""The cache of frozen towers' outputs: what is computed, kept, shared and made anew."""

import errno
import shutil
import threading
import warnings

import frozen_table
import numpy as np
import pytest
import tensorflow as tf
from frozen_table import text

from multimodal_tf.data import cache as cache_room
from multimodal_tf.data.cache import fill, frozen_cells
from multimodal_tf.data.cache.parts import Parts
from multimodal_tf.data.filesystem import to_path
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split, open_split
from multimodal_tf.models import build_model
from multimodal_tf.training.folds import make_folds

SPLITS = ("train", "validation")


@pytest.fixture(scope="module")
def trained(once, pretrained):
    """`(model, config, schema, records)`; what the model and its readers trace is traced once."""
    config = frozen_table.config({"title": text(pretrained)})
    folder = once("frozen_records", lambda folder: frozen_table.ingested(config, folder))
    schema = frozen_table.schema_for(config, folder)
    model = build_model(config, schema)
    beginning = model.frozen_beginning()
    preprocessor = fill.Preprocessor(fill.only(config, ["title"]), schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "frozen_beginning", lambda: beginning)
        patch.setattr(fill, "Preprocessor", lambda config, schema: preprocessor)
        yield model, config, schema, folder


@pytest.fixture
def computed(monkeypatch):
    """The numbers of cells that were computed, call by call."""
    counts = []
    real = fill.Filler._entries

    def entries(self, raw, digests):
        counts.append(len(digests))
        return real(self, raw, digests)

    monkeypatch.setattr(fill.Filler, "_entries", entries)
    return counts


def distinct():
    """The texts of the rows of `SPLITS`."""
    rows = frozen_table.frame().query(f"split in {SPLITS}")
    return set(rows["title"].fillna(""))


def outputs(cells, split="train"):
    rows = tf.range(frozen_table.ROWS[split], dtype="int64")
    return {key: one.numpy() for key, one in cells.reader(split, in_memory=True)(rows).items()}


def same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])


def test_each_distinct_cell_is_computed_once_and_kept(trained, computed, tmp_path):
    model, config, schema, records = trained
    first = outputs(frozen_cells(*trained, SPLITS, tmp_path))
    assert sum(computed) == len(distinct())
    computed.clear()
    # other heads, fusion and seed
    other = config.model_copy(update={"seed": 9})
    same(
        first,
        outputs(frozen_cells(build_model(other, schema), other, schema, records, SPLITS, tmp_path)),
    )
    assert not computed
    (batch,) = load_split(config, schema, records, "train", batch_size=99).take(1)
    (frozen,) = model.frozen_beginning().inputs.values()
    for key, value in frozen(batch[0]).items():
        present = batch[0]["title_present"].numpy() > 0
        np.testing.assert_allclose(first[key][present], value[present], atol=1e-6)
    np.testing.assert_array_equal(first["title_present"], batch[0]["title_present"])


def test_batches_hold_the_outputs_and_no_texts(trained, tmp_path, monkeypatch):
    _, config, schema, records = trained
    cells = frozen_cells(*trained, SPLITS, tmp_path)
    args = (config, schema, records, "train", True, 8)
    batches = [*open_split(*args, frozen=cells)().as_numpy_iterator()]
    plain = [*open_split(*args)().as_numpy_iterator()]
    monkeypatch.setattr("multimodal_tf.data.pipeline.available_memory", lambda: 0)
    mapped = [*open_split(*args, frozen=cells)(start=1).as_numpy_iterator()]
    assert set(batches[0][0]) == {"title/0", "title_present", "price", "price_present"}
    for whole, ours in zip(plain, batches, strict=True):
        for key in ("price", "title_present", "price_present"):
            np.testing.assert_array_equal(whole[0][key], ours[0][key])
        same(whole[1], ours[1])
        same(whole[2], ours[2])
    for one, other in zip(batches[1:], mapped, strict=True):
        same(one[0], other[0])


@pytest.mark.parametrize("fault", ["torn", "empty", "changed", "other"])
def test_a_damaged_part_is_made_anew(fault, trained, computed, tmp_path):
    before = outputs(frozen_cells(*trained, SPLITS, tmp_path))
    parts = sorted(tmp_path.glob("title-*/*.npy"), key=lambda one: one.stat().st_size)
    content = bytearray(parts[-1].read_bytes())
    content[-60] ^= 1
    damaged = {"torn": content[:-40], "empty": b"", "changed": content, "other": b"PK" * 99}
    parts[-1].write_bytes(damaged[fault])
    computed.clear()
    with pytest.warns(UserWarning, match=r"\.npy is damaged, .*: its cells are computed anew$"):
        cells = frozen_cells(*trained, SPLITS, tmp_path)
    same(before, outputs(cells))
    assert sum(computed) > 0


def test_damaged_digests_are_made_anew(trained, computed, tmp_path):
    before = outputs(frozen_cells(*trained, SPLITS, tmp_path))
    for number, path in enumerate(sorted(tmp_path.glob("cells/*.digests"))):
        content = bytearray(path.read_bytes())
        content[3] ^= 1
        path.write_bytes(content if number % 2 else content[:20])
    computed.clear()
    same(before, outputs(frozen_cells(*trained, SPLITS, tmp_path)))
    assert not computed


def test_an_interrupted_filling_goes_on(trained, computed, tmp_path, monkeypatch):
    real, written = Parts.write, []

    def dies(self, entries):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(len(entries))
        real(self, entries)

    monkeypatch.setattr(Parts, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        frozen_cells(*trained, SPLITS, tmp_path)
    monkeypatch.setattr(Parts, "write", real)
    computed.clear()
    frozen_cells(*trained, SPLITS, tmp_path)
    # the first part is that of a missing input
    assert sum(computed) == len(distinct()) - written[1]


def test_several_processes_share_the_work(trained, computed, tmp_path):
    found = []

    def work():
        found.append(outputs(frozen_cells(*trained, SPLITS, tmp_path)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 3
    same(found[0], found[1])
    same(found[0], found[2])
    # none did a shard that another one had
    by_shard = frozen_table.frame().query(f"split in {SPLITS}").reset_index()
    by_shard["shard"] = by_shard["split"] + (by_shard["index"] // 10).astype(str)
    assert sum(computed) <= by_shard.fillna("").groupby("shard")["title"].nunique().sum()


def test_folds_share_what_was_computed(trained, computed, tmp_path):
    model, config, schema, records = trained
    first, second = make_folds(records, tmp_path / "folds", 2)
    frozen_cells(model, config, schema, first, SPLITS)
    assert sum(computed) == len(distinct())
    frozen_cells(model, config, schema, second, SPLITS)
    # or in another folder, that of the records
    frozen_cells(model, config, schema, records, SPLITS, tmp_path / "folds" / "rows" / "cache")
    assert sum(computed) == len(distinct())


def test_other_weights_have_another_key(trained, computed, tmp_path):
    model, config, schema, records = trained
    before = outputs(frozen_cells(*trained, SPLITS, tmp_path))
    other = build_model(config, schema)
    for weight in other.get_layer("title_network").weights:
        weight.assign(weight * 1.5)
    after = outputs(frozen_cells(other, config, schema, records, SPLITS, tmp_path))
    assert np.abs(after["title/0"] - before["title/0"]).max() > 1e-3
    same(before, outputs(frozen_cells(*trained, SPLITS, tmp_path)))


def raises(code):
    def write(self, entries):
        raise OSError(code, "no")

    return write


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (errno.ENOSPC, r"cannot keep the outputs of frozen towers \(no space is left\): they are"),
        (errno.EROFS, r"cannot keep the outputs of frozen towers \(no\): they are computed in"),
        (None, r"title: \d+ distinct cells x \d+ bytes, 10 bytes are free: they are computed in"),
    ],
)
def test_without_room_there_is_no_cache_and_one_sentence(
    fault, message, trained, tmp_path, monkeypatch
):
    if fault is None:
        usage = shutil.disk_usage(tmp_path)._replace(free=10)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    else:
        monkeypatch.setattr(Parts, "write", raises(fault))
    with pytest.warns(UserWarning, match=message):
        assert frozen_cells(*trained, SPLITS, tmp_path) is None


def test_the_cache_may_be_on_another_file_system(trained, computed):
    folder = to_path("memory://frozen-cells")
    before = outputs(frozen_cells(*trained, SPLITS, folder))
    count = sum(computed)
    same(before, outputs(frozen_cells(*trained, SPLITS, folder)))
    assert sum(computed) == count


def test_the_size_is_announced_before_the_work(trained, tmp_path, capsys):
    frozen_cells(*trained, SPLITS, tmp_path, progress=True)
    message = " ".join(capsys.readouterr().err.split())
    assert "frozen tower of title: " in message
    assert " distinct cells x 36 bytes = 0.0 MB, computed once, into " in message


def test_what_is_asked_not_to_be_kept_is_not(trained, tmp_path):
    model, config, schema, records = trained
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert frozen_cells(*trained, SPLITS, cache=False) is None
        assert frozen_cells(model, config, schema, records, ["none"], tmp_path) is None
        with cache_room.started_after(None, config, schema, records, SPLITS) as cells:
            assert cells is None
    assert Manifest.load(records).rows("train")
