"""`Client.embed`, `index` and `search`, index files, and the command `retrieve`."""

import numpy as np
import pandas as pd
import pytest
import small_model as small
from fuzz import pieces
from typer.testing import CliRunner

from multimodal_tf.cli.app import app
from multimodal_tf.cli.serving import _zero_shot as zero_shot_of
from multimodal_tf.config import (
    AlignmentHead,
    BagTower,
    CategoryInput,
    Config,
    DenseTower,
    MatchingHead,
    NumberInput,
    TextInput,
    zip_size,
)
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema
from multimodal_tf.scoring import nearest as scoring
from multimodal_tf.serving.client import Client
from multimodal_tf.serving.export import export_model
from multimodal_tf.serving.predict_table import predict_table
from multimodal_tf.serving.search_index import SearchIndex
from multimodal_tf.serving.zero_shot import ZeroShot, classes_of

TITLES = ["a red bird", "a bird", "red red", "的", "a red 的"] * 30
TABLE = pd.DataFrame({"title": TITLES, "price": np.arange(150) / 10, "colour": "red"})
TABLE = TABLE.astype(object)
CONFIG = Config(
    inputs={
        "title": TextInput(max_tokens=6, tower=BagTower(embedding_dim=6)),
        "price": NumberInput(tower=DenseTower(dim=3)),
        "colour": CategoryInput(tower=DenseTower(dim=3)),
    },
    heads={
        "space": AlignmentHead(inputs=["title", "price", "colour"], dim=4),
        "pair": MatchingHead(inputs=["title", "price"]),
    },
)
SCHEMA = Schema(
    rows=9, inputs={name: small.SCHEMA.inputs[name] for name in CONFIG.inputs}, heads={}
)
CLASSES = ZeroShot(["bird", "的", "red"], prompt="a {}")
TABLE.loc[[3, 70], "price"] = None
TABLE.loc[[5], "title"] = None


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of an exported model."""
    path = tmp_path_factory.mktemp("space") / "1"
    return export_model(small.build(CONFIG, SCHEMA), CONFIG, SCHEMA, path, zero_shot=CLASSES)


@pytest.fixture(scope="module")
def client(model):
    return Client(model)


@pytest.fixture(scope="module")
def prices(client):
    return client.index(TABLE, "price")


def test_embed_gives_what_the_endpoint_serves(client):
    found = client.embed(TABLE)
    assert {name: vectors.shape for name, vectors in found.items()} == {
        "title": (150, 6),
        "price": (150, 3),
        "colour": (150, 3),
        **{f"space_aligned_{name}": (150, 4) for name in ("title", "price", "colour")},
    }
    lengths = np.linalg.norm(found["space_aligned_price"], axis=1)
    np.testing.assert_allclose(lengths, TABLE["price"].notna(), atol=1e-5)
    alone = client.embed(TABLE, inputs=["price"])
    np.testing.assert_allclose(
        alone["space_aligned_price"], found["space_aligned_price"], atol=1e-6
    )
    assert not alone["title"].any()
    assert client.embed([])["title"].shape == (0, 6)


def test_predict_serves_the_mean_cosine(client):
    vectors = client.embed(TABLE)
    of_inputs = np.stack([vectors[f"space_aligned_{name}"] for name in CONFIG.inputs], 1)
    cosines = np.einsum("nid,njd->nij", of_inputs, of_inputs)
    total = np.triu(cosines, 1).sum(axis=(1, 2))
    present = of_inputs.any(axis=2).sum(axis=1)
    expected = total / (present * (present - 1) / 2)
    np.testing.assert_allclose(client.predict(TABLE)["space"], expected, atol=1e-5)


def test_search_is_that_of_a_whole_matrix(client, prices):
    assert (prices.head, prices.input, len(prices.rows)) == ("space", "price", 148)
    vectors = client.embed(TABLE)
    scores = vectors["space_aligned_title"] @ prices.vectors.T
    found = client.search(TABLE, prices, by="title", first=4)
    assert list(found.columns) == ["query", "rank", "row", "cosine"]
    assert set(found["query"]) == set(range(150)) - {5}
    assert found["rank"].tolist() == [1, 2, 3, 4] * 149
    for query in (0, 4, 149):
        expected = np.sort(scores[query])[::-1][:4]
        np.testing.assert_allclose(found[found["query"] == query]["cosine"], expected, atol=1e-6)
    best = found[found["rank"] == 1].set_index("query")["row"]
    np.testing.assert_allclose(
        [scores[query, np.flatnonzero(prices.rows == row)[0]] for query, row in best.items()],
        scores[best.index].max(axis=1),
        atol=1e-6,
    )


def test_blocks_find_what_a_whole_sort_finds(monkeypatch):
    monkeypatch.setattr(scoring, "_QUERIES", 3)
    monkeypatch.setattr(scoring, "_ITEMS", 4)
    random = np.random.default_rng(0)
    queries = random.integers(-2, 3, (8, 3)).astype("float32")
    items = random.integers(-2, 3, (23, 3)).astype("float32")
    index, scores = scoring.nearest(queries, items, first=7)
    whole = queries @ items.T
    # equal scores in the order of the items
    expected = np.argsort(-whole, axis=1, kind="stable")[:, :7]
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(whole, expected, axis=1))
    assert scoring.nearest(queries, items, first=99)[0].shape == (8, 23)
    assert scoring.nearest(queries[:0], items, first=2)[0].shape == (0, 2)


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_an_index_file_is_read_again_and_by_others(ending, prices, tmp_path):
    path = tmp_path / f"prices.{ending}"
    prices.save(path)
    again = SearchIndex.load(path)
    for field in ("head", "input", "model"):
        assert getattr(again, field) == getattr(prices, field)
    np.testing.assert_array_equal(again.vectors, prices.vectors)
    np.testing.assert_array_equal(again.rows, prices.rows)
    if ending == "npz":
        vectors, rows = np.load(path)["vector"], np.load(path)["row"]
    else:
        frame = pd.read_parquet(path)
        vectors, rows = np.stack(frame["vector"]), frame["row"]
    np.testing.assert_array_equal(vectors, prices.vectors)
    np.testing.assert_array_equal(rows, prices.rows)
    assert vectors.dtype == "float32"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"must be an index that SearchIndex\.save wrote"):
        SearchIndex.load(path)


@pytest.mark.parametrize(
    ("mark", "offset", "new"),
    [
        (b"{'descr'", 0, b"("),
        (b"{'descr': ", 8, b"("),
        (b"'<f4'", 0, b"'|O8'"),
        (b"(2, 2)", 0, b"(2,9**99)"),
        # of Zip: the version, and how a member is packed
        (b"PK\1\2", 6, b"\xff"),
        (b"PK\1\2", 10, b"\x63"),
    ],
)
def test_whatever_numpy_raises_is_one_sentence(tmp_path, mark, offset, new):
    path = tmp_path / "x.npz"
    SearchIndex("space", "price", "", [4, 7], np.eye(2)).save(path)
    content = path.read_bytes()
    place = content.index(mark) + offset
    path.write_bytes(pieces.mend(content[:place] + new + content[place + len(new) :]))
    with pytest.raises(ValueError, match=r"must be an index that SearchIndex\.save wrote, .*: \S"):
        SearchIndex.load(path)


def test_an_index_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_size, "MAX_UNPACKED", 10**6)
    np.savez_compressed(tmp_path / "x.npz", vector=np.zeros((10**6, 4), np.float32))
    with pytest.raises(ValueError, match="it unpacks to 16000128 bytes, far more than its size"):
        SearchIndex.load(tmp_path / "x.npz")


def test_a_foreign_parquet_file_is_refused(tmp_path):
    TABLE[["title"]].to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"must be an index that SearchIndex\.save wrote"):
        SearchIndex.load(tmp_path / "x.parquet")


def test_refused_searches(client, prices):
    other = SearchIndex("space", "price", "another", prices.rows, prices.vectors)
    refused = [
        (lambda: client.search(TABLE, other, "title"), "made by the model that searches it"),
        (
            lambda: client.search(TABLE, prices, "photo"),
            r"by must be an input of 'space', one of \[.*'photo'",
        ),
        (lambda: client.search(TABLE, prices, "title", first=0), "first must be 1 or more"),
        (lambda: client.index(TABLE, "photo"), "photo must be aligned by one head"),
        (lambda: client.index(TABLE, "price", head="pair"), r"one of \['space'\], .*'pair'"),
        (lambda: SearchIndex("s", "p", "", [0], [[2e38, 0]]), "numbers from -1 to 1, received 2e"),
        (lambda: prices.nearest(np.ones((1, 3))), r"shape \(n, 4\), received \(1, 3\)"),
        (lambda: prices.save("prices.csv"), r"\.npz or \.parquet file, received 'prices\.csv'"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()


def test_the_command_finds_the_same(model, client, prices, tmp_path):
    table, out, saved = (tmp_path / name for name in ("t.csv", "found.csv", "prices.npz"))
    TABLE.to_csv(table, index=False)
    arguments = [str(model), str(table), "--by", "title", "--for", "price", "--out", str(out)]
    arguments += ["--first", "3"]
    run = CliRunner().invoke(app, ["retrieve", *arguments, "--save-index", str(saved)])
    assert run.exit_code == 0, run.output
    assert "149 queries among 148 cells of price" in " ".join(run.output.split())
    found, expected = pd.read_csv(out), client.search(TABLE, prices, "title", first=3)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)
    run = CliRunner().invoke(app, ["retrieve", *arguments, "--index", str(saved)])
    assert run.exit_code == 0, run.output
    pd.testing.assert_frame_equal(pd.read_csv(out), found)
    for options, message in (
        (["--index", saved, "--queries", table], "TABLE the queries: received --index with --quer"),
        (["--save-index", "x.txt"], "an index is a .npz or .parquet file"),
        (["--by", "price"], "two inputs, received 'price' for both"),
        (["--by", "nothing"], "nothing and price must be aligned by one head"),
    ):
        run = CliRunner().invoke(app, ["retrieve", *arguments, *map(str, options)])
        assert isinstance(run.exception, ValueError), run.output
        assert message in str(run.exception)


def test_classes_by_their_prompts_are_served(client):
    """The softmax of the scaled mean cosine between the other inputs and each prompt."""
    assert client.zero_shot == ("space", ["bird", "的", "red"])
    prompts = client.embed([{"title": f"a {name}"} for name in CLASSES.classes])
    vectors = client.embed(TABLE)
    others = vectors["space_aligned_price"] + vectors["space_aligned_colour"]
    present = 1 + vectors["space_aligned_price"].any(axis=1)
    logits = (others / present[:, None]) @ prompts["space_aligned_title"].T
    layer = small.build(CONFIG, SCHEMA).get_layer("space")
    expected = np.exp(logits * np.exp(float(layer.log_scale)))
    expected /= expected.sum(axis=1, keepdims=True)
    found = client.predict(TABLE)
    np.testing.assert_allclose(
        found["space_class_probability"], expected.max(axis=1), rtol=1e-4, atol=1e-5
    )
    names = np.array(CLASSES.classes)[expected.argmax(axis=1)]
    assert found["space_class"].tolist() == names.tolist()
    text_only = client.predict([{"title": "a bird"}]).iloc[0]
    assert text_only["space_class"] == ""
    np.testing.assert_allclose(text_only["space_class_probability"], 1 / 3)


def test_predictions_of_a_table_hold_the_class(client, tmp_path):
    for ending in ("csv", "parquet"):
        predict_table(client, read_table(TABLE), tmp_path / f"p.{ending}")
    one, other = pd.read_csv(tmp_path / "p.csv"), pd.read_parquet(tmp_path / "p.parquet")
    assert one["space_class"].tolist() == other["space_class"].tolist()
    assert other["space_class_probability"].dtype == "float32"


def test_classes_of_a_column():
    table = read_table(pd.DataFrame({"kind": ["cat", None, " dog", "cat "], "one": ["x"] * 4}))
    assert classes_of(table, "kind") == ["cat", "dog"]
    with pytest.raises(ValueError, match=r"column 'one' must have two classes or more.*\['x'\]"):
        classes_of(table, "one")
    with pytest.raises(ValueError, match="'colour'"):
        classes_of(table, "colour")


def test_the_options_of_export_name_classes(tmp_path):
    pd.DataFrame({"kind": ["cat", "dog"]}).to_csv(tmp_path / "t.csv", index=False)
    chosen = zero_shot_of(["cat", "dog"], None, None, "a {}")
    assert chosen == zero_shot_of(None, "kind", read_table(tmp_path / "t.csv"), "a {}")
    assert chosen.prompts == ["a cat", "a dog"]
    assert zero_shot_of(None, None, None, "{}") is None
    for arguments, message in (
        ((None, "kind", None, "{}"), "go together, received --classes-of alone"),
        ((["a"], "kind", tmp_path / "t.csv", "{}"), "--classes or --classes-of, received both"),
        ((None, None, None, "a {}"), "--prompt needs --classes or --classes-of"),
    ):
        with pytest.raises(ValueError, match=message):
            zero_shot_of(*arguments)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ["one"]}, r"classes must be 2 or more, received \['one'\]"),
        ({"classes": ["a", "a"]}, "classes must differ, received 'a' twice"),
        ({"classes": ["a", " "]}, "a class must have a name, received ' '"),
        ({"prompt": "a photo"}, r"prompt must hold \{\} once, .*received 'a photo'"),
        ({"head": "pair"}, r"zero_shot\.head must be an alignment head with a text, one of"),
        ({"input": "price"}, r"zero_shot\.input must be a text of 'space', one of \['title'\]"),
    ],
)
def test_refused_classes(fields, message):
    with pytest.raises(ValueError, match=message):
        ZeroShot(**{"classes": ["a", "b"]} | fields).resolved(CONFIG)
