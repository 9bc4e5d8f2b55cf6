"""Texts to ids by every tokenizer, compared with known tokens and with reference libraries."""

import functools
import json
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import regex
import tensorflow as tf
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from multimodal_tf.config import (
    BytePairTokenizer,
    CharacterTokenizer,
    ClassificationHead,
    Config,
    NgramTokenizer,
    NoTokenizer,
    SavedModelTower,
    SentencePieceTokenizer,
    TextInput,
    WordPieceTokenizer,
    WordTokenizer,
)
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.tokenizers import normalization, train_subwords
from multimodal_tf.data.tokenizers.byte_pair import BytePairs
from multimodal_tf.data.tokenizers.characters import characters
from multimodal_tf.data.tokenizers.graph_tokenizers import graph_tokenizer, restore
from multimodal_tf.data.tokenizers.ngrams import ngrams
from multimodal_tf.schema import Classes, Schema, Subwords, Vocabulary

TEXTS = [
    "The blackbird sings.",
    "A black bird, don't you see?",
    "你好世界",
    "مرحبا بالعالم",
    "ภาษาไทย กี่ไหน",
    "नमस्ते दुनिया",
    "Hi 🙂👍🏽 👨‍👩‍👧🇫🇷",
] * 3
CELLS = [
    *TEXTS[:7],
    "unseen wörds ößé",
    "",
    " \t",
    "\u200b",
    "...",
    "x" * 400,
    "(｡◕‿◕｡) ६ ६१\n\n  end ",
]


def learn(settings):
    """What the schema holds for a tokenizer that is trained on TEXTS."""
    return train_subwords.fit_subwords(
        "inputs.t.tokenizer",
        settings,
        lambda prepare: [one.decode() for one in prepare(tf.constant(TEXTS)).numpy()],
    )


STATS = {
    "words": (WordTokenizer(), Vocabulary(words=["the", "bird", "你", "🙂"])),
    "characters": (
        CharacterTokenizer(),
        Vocabulary(words=["e", " ", "ไ", "👍🏽"], tokenizer="characters"),
    ),
    "ngrams": (NgramTokenizer(buckets=1000), None),
    "word_piece": (
        WordPieceTokenizer(vocabulary_size=300),
        learn(WordPieceTokenizer(vocabulary_size=300)),
    ),
    "byte_pair": (
        BytePairTokenizer(vocabulary_size=400),
        learn(BytePairTokenizer(vocabulary_size=400)),
    ),
    "sentence_piece": (
        SentencePieceTokenizer(vocabulary_size=300),
        learn(SentencePieceTokenizer(vocabulary_size=300)),
    ),
}


@functools.cache
def preprocessor(kind, max_tokens=10):
    tokenizer, stats = STATS[kind]
    config = Config(
        inputs={"t": TextInput(tokenizer=tokenizer, max_tokens=max_tokens)},
        heads={"y": ClassificationHead()},
    )
    schema = Schema(
        rows=1,
        inputs={"t": stats} if stats else {},
        heads={"y": Classes(names=["a", "b"], counts=[1, 1])},
    )
    return Preprocessor(config, schema)


def ids(kind, cells, max_tokens=10):
    return preprocessor(kind, max_tokens).features({"t": tf.constant(cells)})[0]["t"].numpy()


# --- characters


def clusters(one):
    return regex.findall(r"\X", unicodedata.normalize("NFKC", one).lower())


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ("Né  x\t", ["n", "é", " ", "x"]),
        ("e\u0301\u0300x", ["é\u0300", "x"]),
        ("你好，世界", ["你", "好", ",", "世", "界"]),
        ("مَرْحَبًا", ["مَ", "رْ", "حَ", "بً", "ا"]),
        ("กี่ไหน", ["กี่", "ไ", "ห", "น"]),
        ("नमस्ते क्षत्रिय", ["न", "म", "स्ते", " ", "क्ष", "त्रि", "य"]),
        ("ক্ষমা", ["ক্ষ", "মা"]),
        ("ក្រុម", ["ក្រុ", "ម"]),
        ("한국 \u1112\u1161\u11ab", ["한", "국", " ", "한"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("👨‍👩‍👧❤️1️⃣", ["👨‍👩‍👧", "❤️", "1️⃣"]),
        ("🇫🇷🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿", ["🇫🇷", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]),
        ("🙂‍↔️", ["🙂‍↔️"]),
        ("\u200fשלום\u200e", ["ש", "ל", "ו", "ם"]),
        (" \u200b ", []),
    ],
)
def test_characters(one, expected):
    found = [[c.decode() for c in row] for row in characters([one, "", one]).to_list()]
    assert found == [expected, [], expected]
    if not regex.search(r"[\s\u200b\u200e\u200f]", one):
        assert expected == clusters(one)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *"aé ßＦไ한你ﷺ🙂.",
                "e\u0301",
                "กี่",
                "हि",
                "न्",
                "क्ष",
                "مَ",
                "👍🏽",
                "❤️",
                "👨‍👧",
                "🇫🇷",
                "1️⃣",
            ]
        ),
        max_size=8,
    )
)
def test_characters_are_unicodes(parts):
    read = normalization.plain(tf.constant(["".join(parts)]))
    assert [one.decode() for one in characters(read).to_list()[0]] == regex.findall(
        r"\X", read.numpy()[0].decode()
    )


# --- n-grams


def test_ngrams_are_the_words_then_the_runs_in_them():
    def bucket(*parts):
        return [int(n) + 2 for n in tf.strings.to_hash_bucket_fast(list(parts), 1000)]

    found = ngrams(tf.constant(["Cat, 你!", "", "ab"]), 3, 4, 1000, 100).to_list()
    assert found[0] == bucket("<cat>", "<你>", "<ca", "cat", "at>", "<cat", "cat>")
    assert found[1:] == [[], bucket("<ab>", "<ab", "ab>")]
    assert ngrams(tf.constant(["cat dog ape"]), 3, 4, 1000, 2).to_list() == [
        bucket("<cat>", "<dog>")
    ]
    assert ngrams(tf.constant([], tf.string), 3, 5, 1000, 2).shape[0] == 0


def test_the_hash_is_the_same_for_ever():
    assert ngrams(["cat"], 3, 3, 65_536, 9).to_list() == [[35545, 56598, 36570, 44006]]


# --- byte pairs


ODD = [
    "  two  spaces ",
    "it's we'll I'D don't",
    "a\u3000b\u00a0\u2003c",
    "\x00\x1fa",
    "",
    "bird" * 50,
]


@pytest.mark.parametrize("prefix", [True, False])
def test_byte_pairs_against_hugging_face(prefix):
    reference = tokenizers.Tokenizer(models.BPE())
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    reference.train_from_iterator(TEXTS, trainer)
    model = json.loads(reference.to_str())["model"]
    ours = BytePairs(model["vocab"], [" ".join(pair) for pair in model["merges"]], 1, prefix)
    cells = [*TEXTS, *ODD, " lead", "tab\tand\n\n\nlines  \n", "६ १२ 1234 ½"]
    assert ours(tf.constant(cells), 10_000).to_list() == [
        reference.encode(cell).ids for cell in cells
    ]


def test_byte_pairs_by_hand():
    vocabulary = {
        "[PAD]": 0,
        "[UNK]": 1,
        "a": 2,
        "b": 3,
        "c": 4,
        "ab": 5,
        "abc": 6,
        "Ġ": 7,
        "bc": 8,
    }
    ours = BytePairs(vocabulary, ["a b", "b c", "ab c"], 1, prefix_space=False)
    # in "bcabc" the rule "a b" goes before "b c", which then has only the first left
    assert ours(tf.constant(["abc", "bcabc", "a xb", "", "aab"]), 9).to_list() == [
        [6],
        [8, 6],
        [2, 7, 1, 3],
        [],
        [2, 5],
    ]
    assert ours(tf.constant([], tf.string), 9).to_list() == []
    assert ours(tf.constant(["a b c"]), 2).to_list()[0][:2] == [2, 7]
    with pytest.raises(
        ValueError,
        match="a merge must be of two tokens and make one, all of the vocabulary, received 'a c'",
    ):
        BytePairs(vocabulary, ["a c"], 1, False)


def test_clips_byte_pairs_against_hugging_face():
    reference, ours = _clips()
    cells = [*TEXTS, *ODD, "1234 ½ ६", "E\u0301te\u0301 ﬁn… Ｆull", "!!?!? (a,b)"]
    assert ours(tf.constant(cells), 10_000).to_list() == [
        reference.encode(cell).ids for cell in cells
    ]
    assert ours(tf.constant([], tf.string), 9).to_list() == []


def _clips():
    """CLIP's tokenizer trained on TEXTS: KerasHub's for Hugging Face's library, and ours."""
    import keras_hub

    learner = tokenizers.Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    letters = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        [one.lower() for one in TEXTS],
        trainers.BpeTrainer(vocab_size=700, initial_alphabet=letters, end_of_word_suffix="</w>"),
    )
    model = json.loads(learner.to_str())["model"]
    merges = [" ".join(pair) for pair in model["merges"]]
    every = [
        *model["vocab"],
        *(letter + "</w>" for letter in sorted(letters)),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(every))}
    layer = keras_hub.models.CLIPTokenizer(vocabulary, merges)
    return layer._tokenizer, BytePairs(vocabulary, merges, 1, False, "</w>")


def test_a_long_word_is_merged_in_pieces():
    ours = BytePairs({"[PAD]": 0, "[UNK]": 1, "a": 2, "aa": 3}, ["a a"], 1, False)
    assert ours(tf.constant(["a" * 65_536]), 40_000).row_lengths().numpy() == [32_768]


# --- what KerasHub's tokenizers, run in our graph, give


@pytest.mark.parametrize("kind", ["word_piece", "sentence_piece"])
def test_against_the_reference(kind):
    tokenizer, stats = STATS[kind]
    prepared = (normalization.spaced if kind == "word_piece" else normalization.plain)(
        tf.constant(CELLS)
    )
    strings = [one.decode() for one in prepared.numpy()]
    layer = restore(stats)
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
    found = graph_tokenizer(tokenizer, stats)(tf.constant(CELLS), 10_000).to_list()
    assert found == expected
    assert sum(map(len, found)) > 50


def test_scripts_survive():
    """Texts of the training split come back from their ids."""
    for kind in ("byte_pair", "sentence_piece"):
        tokenizer, stats = STATS[kind]
        found = graph_tokenizer(tokenizer, stats)(tf.constant(TEXTS[:7]), 10_000)
        layer = restore(stats)
        back = [one.strip() for one in layer.detokenize(found.to_list())]
        expected = [one.decode() for one in normalization.plain(tf.constant(TEXTS[:7])).numpy()]
        assert back == expected


# --- every tokenizer in the reader


@pytest.mark.parametrize("kind", STATS)
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
    size = {"words": 6, "characters": 6, "ngrams": 1002}.get(kind) or STATS[kind][1].size
    assert found.max() < size
    # whatever the other rows
    np.testing.assert_array_equal(ids(kind, CELLS[3:5]), found[3:5])
    assert ids(kind, np.array([], str)).shape == (0, 10)


@pytest.mark.parametrize("kind", STATS)
def test_the_same_eagerly_in_a_dataset_and_in_a_function(kind):
    prepared = preprocessor(kind)
    cells = tf.constant(CELLS)
    expected = prepared.features({"t": cells})[0]["t"].numpy()
    eager = prepared._readers["t"].read(cells)[0].numpy()
    np.testing.assert_array_equal(eager, expected)
    mapped = tf.data.Dataset.from_tensors({"t": cells}).map(prepared.features)
    np.testing.assert_array_equal(next(iter(mapped))[0]["t"].numpy(), expected)


def test_the_same_in_a_saved_model_in_a_new_process(tmp_path):
    everything = tf.Module()
    everything.parts = {
        kind: preprocessor(kind)
        for kind in ("characters", "word_piece", "byte_pair", "sentence_piece")
    }

    def function(cells):
        return {kind: one.features({"t": cells})[0]["t"] for kind, one in everything.parts.items()}

    everything.ids = tf.function(
        function, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )
    tf.saved_model.save(everything, str(tmp_path / "model"))
    code = f"""
import numpy as np, tensorflow as tf, tensorflow_text
found = tf.saved_model.load({str(tmp_path / "model")!r}).ids(tf.constant({CELLS!r}))
np.savez({str(tmp_path / "found.npz")!r}, **{{kind: ids.numpy() for kind, ids in found.items()}})
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    found = np.load(tmp_path / "found.npz")
    for kind, tensor in function(tf.constant(CELLS)).items():
        np.testing.assert_array_equal(found[kind], tensor.numpy(), err_msg=kind)


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
    head = {"y": ClassificationHead()}
    classes = {"y": Classes(names=["a", "b"], counts=[1, 1])}
    config = Config(inputs={"t": TextInput(tokenizer=CharacterTokenizer())}, heads=head)
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.tokenizer: must be 'words', which the schema was learned with,"
        r" received 'characters'",
    ):
        Preprocessor(config, Schema(rows=1, inputs={"t": Vocabulary(words=["a"])}, heads=classes))
    with pytest.raises(
        ValueError, match="inputs.t: the schema must hold vocabulary for a text, received nothing"
    ):
        Preprocessor(config, Schema(rows=1, inputs={}, heads=classes))


def test_a_schema_runs_no_foreign_code():
    foreign = Subwords(
        tokenizer="preset",
        layer={"module": "os", "class_name": "system", "config": {}},
        assets={},
        size=3,
    )
    with pytest.raises(ValueError, match="must hold a tokenizer of keras_hub, received 'system'"):
        restore(foreign)
    layer = {
        "module": "keras_hub.src.layers.modeling.f_net_encoder",
        "class_name": "FNetEncoder",
        "config": {"intermediate_dim": 2},
    }
    layer["registered_name"] = "keras_hub>FNetEncoder"
    with pytest.raises(
        ValueError, match="must hold a tokenizer of keras_hub, received FNetEncoder"
    ):
        restore(foreign.model_copy(update={"layer": layer}))


def test_strings_for_a_saved_model():
    text = TextInput(tokenizer=NoTokenizer(), tower=SavedModelTower(path="any"))
    config = Config(inputs={"t": text}, heads={"y": ClassificationHead()})
    schema = Schema(rows=1, inputs={}, heads={"y": Classes(names=["a", "b"], counts=[1, 1])})
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
