"""Tokenizers of subwords: trained, or taken from a preset."""

import json
import shutil

import numpy as np
import pytest
import same_everywhere
import tensorflow as tf
from pretrained_networks import sentence_preset
from small_tokenizers import learn, text_preprocessor

from multimodal_tf.config import (
    BytePairTokenizer,
    PresetTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
)
from multimodal_tf.schema.tokenizer import restore_tokenizer

TRAINED = [WordPieceTokenizer, BytePairTokenizer, SentencePieceTokenizer]


def framed(stats, tokenizer, cells, max_tokens):
    """The ids that the graph makes of texts."""
    prepared = text_preprocessor(tokenizer, stats, max_tokens)
    return prepared._readers["t"].read(tf.constant(cells))[0].numpy().tolist()


@pytest.mark.parametrize("kind", TRAINED)
def test_a_small_text_gives_a_smaller_vocabulary(kind):
    stats = learn(kind())
    layer = restore_tokenizer(stats)
    assert stats.size == layer.vocabulary_size() < 400
    assert (stats.padding, stats.unknown, stats.start, stats.end) == (0, 1, None, None)
    assert learn(kind(), ["a"]).size >= 3
    stats.model_validate_json(stats.model_dump_json())


@pytest.mark.parametrize("kind", TRAINED)
def test_the_vocabulary_has_the_wanted_size(kind):
    words = [
        "".join(np.random.default_rng(n).choice([*"abcdefghijklmnopqrst"], 6)) for n in range(400)
    ]
    assert learn(kind(vocabulary_size=330), words).size == 330


@pytest.mark.parametrize("kind", TRAINED)
def test_nothing_to_learn_from(kind):
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.tokenizer: \w+ must have texts in the training split to learn"
        r" from, received none",
    ):
        learn(kind(), ["", " "])


def test_more_characters_than_the_vocabulary():
    texts = ["".join(chr(0x4E00 + n) for n in range(500))]
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.tokenizer\.vocabulary_size: must be 503 or more for the characters"
        r" .* received 300",
    ):
        learn(SentencePieceTokenizer(vocabulary_size=300), texts)
    assert learn(WordPieceTokenizer(vocabulary_size=300), texts).size <= 300


@pytest.mark.slow
def test_the_same_bytes_in_every_process(other_process):
    """Also with one thread and other hashes of Python's."""
    assert other_process[1]["subwords"] == same_everywhere.subwords()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """The folder of a tiny BERT preset."""
    import keras_hub

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "猫", ",", "cafe"]
    folder = tmp_path_factory.mktemp("bert")
    keras_hub.models.BertBackbone(len(words), 1, 1, 4, 4, max_sequence_length=16).save_to_preset(
        str(folder)
    )
    keras_hub.models.BertTokenizer(words, lowercase=True).save_to_preset(str(folder))
    return folder


def test_a_preset_of_bert(bert):
    tokenizer = PresetTokenizer(preset=str(bert))
    stats = learn(tokenizer)
    assert (stats.size, stats.padding, stats.unknown, stats.start, stats.end, stats.preset) == (
        11,
        0,
        1,
        2,
        3,
        str(bert),
    )
    cells = ["The cats, 猫猫!", "", "\u200b", "the the the the the the", "dog [SEP]"]
    found = framed(stats, tokenizer, cells, 6)
    assert found == [
        [2, 5, 6, 7, 9, 3],
        [0] * 6,
        [2, 3, 0, 0, 0, 0],
        [2, 5, 5, 5, 5, 3],
        [2, 1, 1, 1, 1, 3],
    ]
    assert framed(stats, tokenizer, cells[:1], 10) == [[2, 5, 6, 7, 9, 8, 8, 1, 3, 0]]
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.max_tokens: must be more than the 2 ids that frame .* received 2",
    ):
        framed(stats, tokenizer, cells, 2)
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.tokenizer\.preset: must be '.*', which the schema was taken from,"
        r" received 'other'",
    ):
        framed(stats, PresetTokenizer(preset="other"), cells, 6)


def test_hugging_faces_uncased_folder_drops_accents(bert):
    (bert / "tokenizer_config.json").write_text('{"do_lower_case": true, "strip_accents": null}')
    tokenizer = PresetTokenizer(preset=str(bert))
    assert framed(learn(tokenizer), tokenizer, ["Café"], 4) == [[2, 10, 3, 0]]
    (bert / "tokenizer_config.json").unlink()
    assert framed(learn(tokenizer), tokenizer, ["Café"], 4) == [[2, 1, 3, 0]]


def test_a_preset_of_roberta(tmp_path):
    import keras_hub

    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "Ġ": 5, "Ġa": 6, "<mask>": 7}
    layer = keras_hub.models.RobertaTokenizer(vocabulary, ["Ġ a"])
    layer.save_to_preset(str(tmp_path))
    keras_hub.models.RobertaBackbone(
        len(vocabulary), 1, 1, 4, 4, max_sequence_length=16
    ).save_to_preset(str(tmp_path))
    tokenizer = PresetTokenizer(preset=str(tmp_path))
    stats = learn(tokenizer)
    assert (stats.padding, stats.start, stats.end) == (1, 0, 2)
    assert framed(stats, tokenizer, ["a a", "", "aaaaaaaa"], 5) == [
        [0, 4, 6, 2, 1],
        [1] * 5,
        [0, 4, 4, 4, 2],
    ]


def test_what_stands_around_a_text_is_what_kerashubs_preprocessor_says(pretrained, tmp_path):
    import keras_hub

    found = {
        kind: learn(PresetTokenizer(preset=getattr(pretrained, network)(kind)))
        for kind, network in FAMILIES.items()
    }
    assert [(one.start, one.end, one.reads) for one in found.values()] == [
        (None, 1, None),
        (0, 2, None),
        (29, 30, "lower"),
        (None, 1, "bare"),
    ]
    folder = shutil.copytree(pretrained.pair_preset("SigLIP"), tmp_path / "own")
    preprocessor = keras_hub.models.SigLIPPreprocessor.from_preset(
        str(folder), add_end_token=False, canonicalize_text=False
    )
    preprocessor.save_to_preset(str(folder))
    own = learn(PresetTokenizer(preset=str(folder)))
    assert (own.start, own.end, own.reads) == (None, None, None)


FAMILIES = {
    # whose start token is its end token and stands before no text
    "T5": "text_family",
    "Bart": "text_family",
    "CLIP": "pair_preset",
    "SigLIP": "pair_preset",
}


def test_what_is_no_preset(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"inputs\.t\.tokenizer\.preset: must be a folder, .* received '/not/there'",
    ):
        learn(PresetTokenizer(preset="/not/there"))
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.tokenizer\.preset: must be a KerasHub preset with a tokenizer, received",
    ):
        learn(PresetTokenizer(preset=str(tmp_path)))


def test_a_preset_that_holds_something_else(tmp_path):
    sentence_preset(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    del content["class_name"]
    file.write_text(json.dumps(content))
    with pytest.raises(
        ValueError,
        match=r"inputs\.t\.tokenizer\.preset: must be a KerasHub preset with a tokenizer, received",
    ):
        learn(PresetTokenizer(preset=str(tmp_path)))
