"""A text head whose decoder is that of a KerasHub preset, with random weights."""

import types

import keras
import numpy as np
import pretrained_networks
import pytest
import tensorflow as tf
from random_rows import rows_of

from multimodal_tf.config import (
    AudioInput,
    CharacterTokenizer,
    Config,
    NumberInput,
    PresetDecoder,
    PresetTokenizer,
    PresetTower,
    TextHead,
)
from multimodal_tf.config.names import TARGET
from multimodal_tf.data.target_stats import TargetStats
from multimodal_tf.data.tokenizers.target_texts import TargetTokens, texts_of
from multimodal_tf.models import build_model, compile_arguments
from multimodal_tf.models.generating import generating
from multimodal_tf.schema import Moments, Schema

WORDS = pretrained_networks.WORDS
TEXTS = [f"{WORDS[0]} {WORDS[1]}", WORDS[2], f"{WORDS[0]} {WORDS[1]}"]
LENGTH, ROWS = 7, 6
SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
SPECIAL += ["<|translate|>", "<|transcribe|>"]


def whisper(folder, languages=None):
    """A Whisper with an audio converter and a tokenizer that knows `WORDS`."""
    import keras_hub

    pretrained_networks.whisper_preset(folder)
    vocabulary, merges = pretrained_networks._pairs([], [])
    special = {token: len(vocabulary) + number for number, token in enumerate(SPECIAL)}
    tokenizer = keras_hub.models.WhisperTokenizer(vocabulary, merges, special, languages)
    tokenizer.save_to_preset(folder)
    size = len(vocabulary) + len(special) + 3
    sizes = {"max_encoder_sequence_length": 100, "max_decoder_sequence_length": 20}
    backbone = keras_hub.models.WhisperBackbone(size, 2, 2, 4, 8, num_mels=8, **sizes)
    backbone.save_to_preset(folder)


def stats_of(head):
    stats = TargetStats("heads.words", head)
    stats.add(tf.constant(TEXTS))
    return stats.stats("head 'words'")


def config_of(kind, folder, trainable=False, **settings):
    decoder = PresetDecoder(preset=str(folder), trainable=trainable)
    if kind == "whisper":
        tower = PresetTower(preset=str(folder))
        inputs = {"clip": AudioInput(sample_rate=2000, seconds=1, tower=tower)}
    else:
        inputs = {"size": NumberInput(), "price": NumberInput()}
    head = TextHead(decoder=decoder, max_tokens=LENGTH - 1, label_smoothing=0.1, **settings)
    return Config(inputs=inputs, heads={"words": head})


def schema_of(config):
    stats = {name: Moments(mean=0.0, std=1.0) for name in config.inputs if name != "clip"}
    return Schema(rows=3, inputs=stats, heads={"words": stats_of(config.heads["words"])})


@pytest.fixture(scope="module", params=[pytest.param("whisper", marks=pytest.mark.slow), "bart"])
def made(request, tmp_path_factory):
    """A preset, a model of it whose logits differ much, rows and what it writes for them."""
    folder, kind = tmp_path_factory.mktemp(request.param), request.param
    if kind == "whisper":
        whisper(folder)
    else:
        pretrained_networks.text_family(folder, "Bart")
    config = config_of(kind, folder)
    schema = schema_of(config)
    model = build_model(config, schema)
    decoder, random = model.get_layer("words").decoder, np.random.default_rng(1)
    for weight in {id(one): one for one in [*model.weights, *decoder.weights]}.values():
        if len(weight.shape) > 1:
            weight.assign(weight + random.normal(0, 1, weight.shape))
    if kind == "whisper":
        # otherwise the longest one is the most probable token of every row
        tokens = decoder.logits_embedding.embeddings
        tokens.assign(3 * keras.utils.normalize(tokens.numpy(), axis=-1))
    rows = rows_of(config, ROWS)
    del rows["words_target"]
    written = {name: one.numpy() for name, one in generating(model)(rows).items()}
    return types.SimpleNamespace(
        kind=kind, folder=folder, config=config, schema=schema, model=model, decoder=decoder,
        rows=rows, written=written,
    )  # fmt: skip


def memory_of(made):
    """What the decoder reads of the rows."""
    _, memory, visible, *_ = made.model.get_layer("words").input
    target = np.zeros((ROWS, LENGTH), "int32")
    model = keras.Model(made.model.input, [memory, visible])
    return [one.numpy() for one in model(made.rows | {"words" + TARGET: target})]


def test_the_texts_are_those_of_the_backbone_by_its_own_graph(made):
    """Greedy decoding without caches, by KerasHub's backbone, in the preset's own ids."""
    memory, visible = memory_of(made)
    decoder, backbone = made.decoder, made.decoder._whole()
    tokens_input, mask_input = (
        backbone.input[f"decoder_{name}"] for name in ("token_ids", "padding_mask")
    )
    # the decoder of the backbone, cut off behind its encoder
    encoded = backbone.output["encoder_sequence_output"]
    read = [encoded, tokens_input, mask_input]
    if made.kind == "bart":
        read.append(backbone.input["encoder_padding_mask"])
    whole = keras.Model(read, backbone.output["decoder_sequence_output"])
    size = made.schema.heads["words"].tokens.size
    never = [one for one in decoder.special if one != decoder.end_token]
    for row in range(ROWS):
        given, own = [*decoder.prompt], []
        while len(own) < LENGTH and decoder.end_token not in own:
            tokens = np.array([given], "int32")
            inputs = [memory[[row]], tokens, np.ones_like(tokens)]
            inputs += [visible[[row]].astype("int32")] if made.kind == "bart" else []
            states = whole(inputs)[:, -1:]
            logits = np.array(backbone.token_embedding(states, reverse=True))[0, 0]
            logits[never] = -np.inf
            own.append(int(logits[:size].argmax()))
            given.append(own[-1])
        expected = [*(one + 2 for one in own), *[0] * LENGTH][:LENGTH]
        assert made.written["words"][row].tolist() == expected


def test_log_probabilities_are_those_of_teacher_forcing(made):
    scores = made.model(made.rows | {"words_target": made.written["words"]})["words"].numpy()
    np.testing.assert_allclose(
        scores[:, 1], made.written["words_log_probability"], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(scores[:, 2], scores[:, 3])
    assert np.isfinite(scores).all()


def test_tokens_give_the_target_back(made):
    stats = made.schema.heads["words"]
    ids = TargetTokens(stats)(tf.constant([*TEXTS, ""]), LENGTH - 1)
    assert [one.decode() for one in texts_of(ids, stats).numpy()] == [*TEXTS, ""]
    assert stats.commonest == TEXTS[0]
    # the preset's own end
    assert (ids.numpy() == made.decoder.end).any(axis=1).tolist() == [True] * 3 + [False]


def test_saved_and_loaded(made, tmp_path):
    made.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.generating()(made.rows)
    np.testing.assert_array_equal(again["words"], made.written["words"])
    assert not loaded.get_layer("words").decoder.trainable_weights


def test_frozen_and_trained(made):
    """Frozen, only what leads to it is trained; a row depends on no other row."""
    assert not made.decoder.trainable_weights
    config = config_of(made.kind, made.folder, trainable=True)
    model = build_model(config, made.schema)
    decoder = model.get_layer("words").decoder
    before = [weight.numpy() for weight in decoder.trainable_weights]
    assert len(before) == len(made.decoder.weights)
    model.compile("adam", run_eagerly=True, **compile_arguments(config, made.schema))
    stats = made.schema.heads["words"]
    target = TargetTokens(stats)(tf.constant([TEXTS[0]] * ROWS), LENGTH - 1).numpy()
    rows = made.rows | {"words_target": target}
    losses = [model.train_on_batch(rows, {"words": target}) for _ in range(3)]
    assert losses[-1][0] < losses[0][0]
    assert any(not np.array_equal(*pair) for pair in zip(before, decoder.trainable_weights))
    alone = generating(made.model)({name: one[[2]] for name, one in made.rows.items()})
    np.testing.assert_array_equal(alone["words"][0], made.written["words"][2])


def test_what_does_not_fit_is_refused(made):
    preset = str(made.folder)
    decoder = PresetDecoder(preset=preset)
    for other in (CharacterTokenizer(), PresetTokenizer(preset="other"), {"type": "characters"}):
        with pytest.raises(ValueError, match=f"must be that of the decoder's preset, '{preset}'"):
            TextHead(decoder=decoder, tokenizer=other)
    with pytest.raises(ValueError, match="dim is no setting of the decoder of a preset.* 64"):
        TextHead(decoder=decoder, dim=64)
    head = made.config.heads["words"].model_copy(update={"max_tokens": 100})
    long = made.config.model_copy(update={"heads": {"words": head}})
    with pytest.raises(ValueError, match=r"words.max_tokens: must be at most \d+, the positions"):
        build_model(long, made.schema)
    tokens = made.schema.heads["words"].tokens.model_copy(update={"size": 1000})
    stats = made.schema.heads["words"].model_copy(update={"tokens": tokens})
    larger = made.schema.model_copy(update={"heads": {"words": stats}})
    with pytest.raises(ValueError, match=r"at most the \d+ tokens of the decoder, received 1000"):
        build_model(made.config, larger)


def test_presets_without_a_known_decoder_are_refused(tmp_path):
    pretrained_networks.text_family(tmp_path / "gpt2", "GPT2")
    config = config_of("gpt2", tmp_path / "gpt2")
    with pytest.raises(ValueError, match="must be a preset of Whisper or BART, received .*GPT2"):
        build_model(config, schema_of(config))
    pretrained_networks.text_family(tmp_path / "bert", "DistilBert")
    with pytest.raises(ValueError, match="whose tokens give the text back, received that of"):
        schema_of(config_of("bert", tmp_path / "bert"))


@pytest.mark.slow
def test_whisper_reads_its_own_encoder_and_english(tmp_path):
    whisper(tmp_path / "one")
    config = config_of("numbers", tmp_path / "one")
    with pytest.raises(ValueError, match="words.inputs: must be one sound whose tower is of the"):
        build_model(config, schema_of(config))
    whisper(tmp_path / "many", languages={})
    config = config_of("whisper", tmp_path / "many")
    with pytest.raises(ValueError, match="for English alone, received one for several languages"):
        build_model(config, schema_of(config))
