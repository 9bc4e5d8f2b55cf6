"""A text head with `decoder: ctc`: its probabilities, its texts, and what it refuses."""

import itertools

import contract
import keras
import numpy as np
import pytest
import tensorflow as tf
from random_rows import rows_of, schema_of, texts_of, without

from multimodal_tf.config import (
    AudioInput,
    CategoryInput,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    Conv3DTower,
    CRNNTower,
    GRUTower,
    ImageInput,
    NumberInput,
    SpectrogramTower,
    SpectrogramTransformerTower,
    TextHead,
    TextInput,
    VideoInput,
    WaveformTower,
)
from multimodal_tf.models import build_model
from multimodal_tf.models.decoders.ctc import CTCScores, CTCSearch
from multimodal_tf.models.generating import generating

# ids: padding, unknown, a, b, c, end, beginning
SIZE, END, BLANK, LENGTH = 7, 5, 0, 4
ROWS, FRAMES, WIDTH = 6, 5, 3
LISTENED = ["clip"]


def config_of(presence=True, **settings):
    tower = CRNNTower(filters=[4, 4], mel_bins=8, units=6, time_pools=1, bidirectional=False)
    clip = AudioInput(seconds=0.2, sample_rate=4000, tower=tower)
    head = TextHead(decoder="ctc", inputs=LISTENED, max_tokens=LENGTH - 1, **settings)
    return Config(
        inputs={"clip": clip, "price": NumberInput()},
        heads={"words": head, "label": ClassificationHead(inputs=["price"])},
        fusion=ConcatenationFusion(presence=presence, hidden=[4], dropout=0),
    )


@pytest.fixture(scope="module")
def scores():
    """The layer with logits that differ much."""
    made = CTCScores(SIZE, LENGTH, commonest=[2, 3], share=0.25)
    made.build((None, LENGTH), (None, None, WIDTH), (None, None), (None, 2))
    random = np.random.default_rng(3)
    for weight in made.weights:
        weight.assign(random.normal(0, 2, weight.shape))
    return made


@pytest.fixture(scope="module")
def heard():
    """Tokens, mask and vector of rows whose visible frames also stand between masked ones."""
    random = np.random.default_rng(4)
    mask = random.random((ROWS, FRAMES)) < 0.7
    mask[0], mask[1] = True, [True, False, True, False, False]
    tokens = random.normal(size=(ROWS, FRAMES, WIDTH)).astype("float32")
    return tokens, mask, random.normal(size=(ROWS, 2)).astype("float32")


def tensors(*arrays):
    return [tf.constant(one) for one in arrays]


def frame_logs(scores, tokens, mask, vector):
    """Log probabilities `(visible frames, token ids)` of one row, by hand; the blank is id 0."""
    kernel, bias, of_whole = (weight.numpy().astype(float) for weight in scores.weights)
    logits = tokens[mask] @ kernel + bias + vector @ of_whole
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.roll(logs, 1, axis=-1)


def collapsed(path):
    return tuple(one for one, _ in itertools.groupby(path) if one != BLANK)


def by_all_paths(logs):
    """The probability of every text: the sum over all paths that collapse to it."""
    found = {}
    for path in itertools.product(range(END), repeat=len(logs)):
        probability = np.exp(sum(logs[frame, one] for frame, one in enumerate(path)))
        found[collapsed(path)] = found.get(collapsed(path), 0) + probability
    return found


def test_loss_is_the_sum_over_all_alignments(scores, heard):
    targets = np.array(
        [[2, 2, 3, END], [2, END, 0, 0], [3, END, 0, 0], [1, END, 0, 0], [0] * 4, [4, END, 0, 0]]
    )
    heard[1][2:4, :2] = True
    found = scores(*tensors(targets.astype("int32"), *heard)).numpy()
    for row, target in enumerate(targets):
        text = tuple(target[(target != 0) & (target != END)])
        if not text:
            assert not found[row].any()
            continue
        every = by_all_paths(frame_logs(scores, *(one[row] for one in heard)))
        assert sum(every.values()) == pytest.approx(1)
        expected = np.log(every[text])
        assert found[row, 1] == pytest.approx(expected, rel=1e-4, abs=1e-6)
        assert found[row, 0] == pytest.approx(-expected / len(text), rel=1e-4, abs=1e-6)
        assert found[row, 3] == len(text)


def test_predicted_text_and_its_probability(scores, heard):
    tokens, log_probability = (one.numpy() for one in CTCSearch(scores)(*tensors(*heard)))
    right = scores(*tensors(tokens, *heard)).numpy()
    for row in range(ROWS):
        logs = frame_logs(scores, *(one[row] for one in heard))
        # the unknown token has no characters
        logs[:, 1] = -np.inf
        text = collapsed(logs.argmax(axis=-1))[:LENGTH]
        padded = [*text, END, 0, 0, 0, 0][:LENGTH]
        assert tokens[row].tolist() == padded
        # one that fills all places has no end: as a target it was cut
        if 0 < len(text) < LENGTH:
            assert log_probability[row] == pytest.approx(right[row, 1], rel=1e-5)
            assert right[row, 2] == right[row, 3] == len(text)


def test_right_tokens_are_those_that_need_no_edit(scores):
    # frames that say a, nothing, a, b
    kernel = np.zeros((WIDTH, END))
    kernel[[0, 1, 2], [1, 2, END - 1]] = 20
    scores = CTCScores(SIZE, LENGTH, commonest=[], share=0)
    scores.build((None, LENGTH), (None, None, WIDTH), (None, None), (None, 2))
    scores.of_frame.kernel.assign(kernel)
    said = np.eye(WIDTH, dtype="float32")[[[0, 2, 0, 1]]].repeat(4, axis=0)
    targets = np.array([[2, 2, 3, END], [2, 3, END, 0], [4, 2, 3, END], [4, END, 0, 0]], "int32")
    rest = np.ones((4, 4), bool), np.zeros((4, 2), "float32")
    found = scores(*tensors(targets, said, *rest)).numpy()
    # two, one, one and three edits
    assert found[:, 2].tolist() == [3, 1, 2, 0]
    assert found[0, 1] == pytest.approx(0, abs=1e-3)


def test_targets_without_an_alignment_teach_nothing(scores, heard):
    """Too many tokens for the frames, a repeated one without a frame for its blank, a cut one."""
    tokens, mask, vector = (one.copy() for one in heard)
    mask[:] = [True, True, False, False, False]
    mask[3], mask[5] = True, False
    targets = np.array(
        [
            [2, 3, 4, END],
            [2, 2, END, 0],
            [2, 3, END, 0],
            [2, 3, 4, 2],
            [2, END, 0, 0],
            [2, END, 0, 0],
        ]
    ).astype("int32")
    present = tf.constant([1, 1, 1, 1, 0, 0], tf.float32)
    with tf.GradientTape() as tape:
        given = tensors(targets, tokens, mask, vector)
        tape.watch(given[1])
        found = scores(*given, any_present=present)
        loss = tf.reduce_sum(found[:, 0])
    gradient = tape.gradient(loss, given[1]).numpy()
    counts = np.array([0, 0, 2, 0, 0, 0])
    np.testing.assert_array_equal(found[:, 3], counts)
    assert not found.numpy()[counts == 0].any()
    assert not gradient[counts == 0].any()
    assert np.isfinite(gradient).all()
    assert gradient[2].any()


def test_padding_changes_nothing(scores, heard):
    tokens, mask, vector = heard
    targets = np.array([[2, END, 0, 0]] * ROWS, "int32")
    longer = np.concatenate([tokens, np.full((ROWS, 3, WIDTH), 1e3, "float32")], axis=1)
    padded = longer, np.pad(mask, [(0, 0), (0, 3)]), vector
    results = []
    for given in ((tokens, mask, vector), padded):
        with tf.GradientTape() as tape:
            loss = scores(*tensors(targets, *given))
            total = tf.reduce_sum(loss[:, 0])
        written, logs = CTCSearch(scores)(*tensors(*given))
        results.append([loss, written, logs, *tape.gradient(total, scores.trainable_weights)])
    for first, second in zip(*results):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


def test_no_rows(scores):
    tokens, mask, vector = (
        np.zeros((0, 4, WIDTH), "float32"),
        np.zeros((0, 4), bool),
        np.zeros((0, 2), "float32"),
    )
    assert scores(*tensors(np.zeros((0, LENGTH), "int32"), tokens, mask, vector)).shape == (0, 4)
    written, logs = CTCSearch(scores)(*tensors(tokens, mask, vector))
    assert written.shape == (0, LENGTH)
    assert logs.shape == (0,)


@pytest.mark.parametrize(
    "check", [one for one in contract.CHECKS if one is not contract.tokens_masks_and_vectors]
)
def test_contract(check, tmp_path):
    check(config_of(), tmp_path)


def test_of_a_model(tmp_path):
    """A row depends on no other row; a missing sound; the saved model."""
    config = config_of()
    model = contract.perturbed(build_model(config, schema_of(config)))
    rows = rows_of(config, ROWS)
    del rows["words_target"]
    rows["clip"][:, 500:] = 0
    rows = without(rows, "clip", np.arange(ROWS) == 2)
    made = generating(model)
    found = {name: one.numpy() for name, one in made(rows).items()}
    stats = texts_of(config.heads["words"])
    assert found["words"][2].tolist() == [2, 3, stats.end, 0]
    assert found["words_log_probability"][2] == pytest.approx(np.log(stats.share))
    alone = made({name: one[[1]] for name, one in rows.items()})
    np.testing.assert_array_equal(alone["words"][0], found["words"][1])
    np.testing.assert_allclose(
        alone["words_log_probability"][0], found["words_log_probability"][1], rtol=1e-5
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").generating()(rows)
    np.testing.assert_array_equal(again["words"], found["words"])


@pytest.mark.parametrize("setting", [{"dropout": 0.2}, {"search": "beam"}, {"dim": 64}])
def test_settings_of_other_decoders_are_refused(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} is no setting of the .*{value}"):
        TextHead(decoder="ctc", inputs=LISTENED, **setting)


@pytest.mark.parametrize("inputs", [None, ["clip", "price"]])
def test_it_reads_one_input(inputs):
    with pytest.raises(ValueError, match="must name the one input whose tokens"):
        TextHead(decoder="ctc", inputs=inputs)


SOUND = {"seconds": 1, "sample_rate": 4000}
REFUSED = [
    (ImageInput(height=8, width=8), "be a sound, a text or a video.* received image"),
    (CategoryInput(), "received category"),
    (AudioInput(**SOUND, tower=SpectrogramTower()), "one token a time step.* spectrogram_cnn"),
    (
        AudioInput(**SOUND, tower=SpectrogramTransformerTower(mel_bins=32, patch_bins=16)),
        "patch_bins of 16, less than its mel_bins, 32",
    ),
    (
        VideoInput(height=8, width=8, frames=2, tower=Conv3DTower()),
        "such as frames, received conv3d",
    ),
]
ACCEPTED = [
    AudioInput(**SOUND, tower=WaveformTower()),
    AudioInput(**SOUND, tower=SpectrogramTransformerTower(mel_bins=16, patch_bins=16)),
    TextInput(tower=GRUTower()),
]


@pytest.mark.parametrize(("own", "message"), REFUSED)
def test_an_input_without_time_steps_is_refused(own, message):
    head = TextHead(decoder="ctc", inputs=LISTENED)
    with pytest.raises(ValueError, match=f"heads.words.inputs: 'clip' must.*{message}"):
        Config(inputs={"clip": own}, heads={"words": head})


@pytest.mark.parametrize("own", ACCEPTED)
def test_inputs_with_time_steps(own):
    head = TextHead(decoder="ctc", inputs=LISTENED)
    assert Config(inputs={"clip": own}, heads={"words": head}).heads["words"] == head
