"""Texts to ids by every tokenizer, in the reader, in graphs and as in reference libraries."""

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from same_everywhere import SAVED
from small_tokenizers import CELLS, CLASSES, HEADS, TEXTS, TOKENIZERS, ids, preprocessor, stats_of
from tokenizers import models, pre_tokenizers

from multimodal_tf.config import CharacterTokenizer, Config, NoTokenizer, SavedModelTower, TextInput
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.graph_tokenizers import graph_tokenizer
from multimodal_tf.schema import Schema, Subwords, Vocabulary
from multimodal_tf.schema.tokenizer import restore_tokenizer


@pytest.mark.parametrize("kind", ["word_piece", "sentence_piece"])
def test_against_the_reference(kind):
    stats = stats_of(kind)
    prepared = (normalization.spaced if kind == "word_piece" else normalization.plain)(
        tf.constant(CELLS)
    )
    strings = [one.decode() for one in prepared.numpy()]
    layer = restore_tokenizer(stats)
    if kind == "word_piece":
        reference = tokenizers.Tokenizer(
            models.WordPiece(
                {word: n for n, word in enumerate(layer.get_vocabulary())}, unk_token="[UNK]"
            )
        )
        reference.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        expected = [reference.encode(one).ids for one in strings]
    else:
        import sentencepiece

        expected = sentencepiece.SentencePieceProcessor(model_proto=layer.proto).encode(strings)
    found = graph_tokenizer(TOKENIZERS[kind], stats)(tf.constant(CELLS), 10_000).to_list()
    assert found == expected
    assert sum(map(len, found)) > 50


def test_scripts_survive():
    """Texts of the training split come back from their ids."""
    for kind in ("byte_pair", "sentence_piece"):
        stats = stats_of(kind)
        found = graph_tokenizer(TOKENIZERS[kind], stats)(tf.constant(TEXTS[:7]), 10_000)
        layer = restore_tokenizer(stats)
        back = [one.strip() for one in layer.detokenize(found.to_list())]
        expected = [one.decode() for one in normalization.plain(tf.constant(TEXTS[:7])).numpy()]
        assert back == expected


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_reader(kind):
    found = ids(kind, CELLS)
    assert found.shape == (len(CELLS), 10)
    assert found.dtype == np.int32
    missing = [not cell.strip() for cell in CELLS]
    # a present text has a token, a missing one has none
    assert (found.any(axis=1) != missing).all()
    assert found[CELLS.index("\u200b"), 0] != 0
    padded = found == 0
    # padding stands at the end
    assert (padded[:, :-1] <= padded[:, 1:]).all()
    size = {"words": 6, "characters": 6, "ngrams": 1002}.get(kind) or stats_of(kind).size
    assert found.max() < size
    # whatever the other rows
    np.testing.assert_array_equal(ids(kind, CELLS[3:5]), found[3:5])
    assert ids(kind, np.array([], str)).shape == (0, 10)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_same_eagerly_in_a_dataset_and_in_a_function(kind):
    prepared = preprocessor(kind)
    cells = tf.constant(CELLS)
    expected = prepared.features({"t": cells})[0]["t"].numpy()
    eager = prepared._readers["t"].read(cells)[0].numpy()
    np.testing.assert_array_equal(eager, expected)
    mapped = tf.data.Dataset.from_tensors({"t": cells}).map(prepared.features)
    np.testing.assert_array_equal(next(iter(mapped))[0]["t"].numpy(), expected)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_same_after_a_seed(kind):
    """`fit` sets one, and TensorFlow then deletes what eager operations hold."""
    prepared = preprocessor(kind)
    cells = {"t": tf.constant(CELLS)}
    expected = prepared.features(cells)[0]["t"].numpy()
    tf.random.set_seed(1)
    np.testing.assert_array_equal(prepared.features(cells)[0]["t"].numpy(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAVED)
def test_the_same_in_a_saved_model_in_a_new_process(other_process, kind):
    np.testing.assert_array_equal(other_process[1][kind], ids(kind, CELLS))


@pytest.mark.parametrize("kind", ["words", "characters", "ngrams", "byte_pair"])
def test_core_operations_alone(kind):
    """What TensorFlow's plain C++ loader runs."""
    graph = preprocessor(kind)._graph.get_concrete_function().graph.as_graph_def()
    used = {
        node.op
        for where in (graph, *graph.library.function)
        for node in (where.node if where is graph else where.node_def)
    }
    functions = {function.signature.name for function in graph.library.function}
    assert {
        name
        for name in used - functions
        if name not in tf.raw_ops.__dict__ and not name.startswith("_")
    } == set()


def test_a_schema_of_another_tokenizer():
    config = Config(inputs={"t": TextInput(tokenizer=CharacterTokenizer())}, heads=HEADS)
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.tokenizer: must be 'words', which the schema was learned with,"
        r" received 'characters'",
    ):
        Preprocessor(config, Schema(rows=1, inputs={"t": Vocabulary(words=["a"])}, heads=CLASSES))
    with pytest.raises(
        ValueError, match="inputs.t: the schema must hold vocabulary for a text, received nothing"
    ):
        Preprocessor(config, Schema(rows=1, inputs={}, heads=CLASSES))


def test_a_schema_runs_no_foreign_code():
    foreign = Subwords(
        tokenizer="preset",
        layer={"module": "os", "class_name": "system", "config": {}},
        assets={},
        size=3,
    )
    with pytest.raises(ValueError, match="must hold a tokenizer of keras_hub, received 'system'"):
        restore_tokenizer(foreign)
    layer = {
        "module": "keras_hub.src.layers.modeling.f_net_encoder",
        "class_name": "FNetEncoder",
        "config": {"intermediate_dim": 2},
    }
    layer["registered_name"] = "keras_hub>FNetEncoder"
    with pytest.raises(
        ValueError, match="must hold a tokenizer of keras_hub, received FNetEncoder"
    ):
        restore_tokenizer(foreign.model_copy(update={"layer": layer}))


@pytest.mark.parametrize("change", [{"assets": {"vocabulary.spm": "AAAA"}}, {"assets": {}}])
def test_a_damaged_schema(change):
    stats = stats_of("sentence_piece").model_copy(update=change)
    with pytest.raises(ValueError, match="^the schema's tokenizer is damaged: "):
        restore_tokenizer(stats)


def test_strings_for_a_saved_model():
    text = TextInput(tokenizer=NoTokenizer(), tower=SavedModelTower(path="any"))
    config = Config(inputs={"t": text}, heads=HEADS)
    schema = Schema(rows=1, inputs={}, heads=CLASSES)
    features, errors = Preprocessor(config, schema).features(
        {"t": tf.constant([b"N\xc3\xa9 B", b" ", b"\xff"])}
    )
    assert features["t"].numpy().tolist() == ["Né B".encode(), b"", b""]
    assert features["t_present"].numpy().tolist() == [1, 0, 0]
    assert errors.numpy().tolist() == [b"", b"", b"t: invalid UTF-8"]
    with pytest.raises(
        ValueError,
        match="the tokenizer none needs a tower that takes strings, saved_model or keras,"
        " received bag",
    ):
        TextInput(tokenizer=NoTokenizer())
