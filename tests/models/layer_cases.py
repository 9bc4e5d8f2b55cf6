"""For each registered layer of the package, its arguments and what it is called with.

`CASES` has by class name `(arguments, inputs)`. `inputs` are by argument of `call` a spec, or a
list of such; a spec is `(shape, dtype)`, batch first. Integers are 0 or 1.
"""

import keras

from multimodal_tf.schema import Images


def f(*shape):
    return ((2, *shape), "float32")


def i(*shape):
    return ((2, *shape), "int32")


def b(*shape):
    return ((2, *shape), "bool")


def small_network():
    """A network of one input and one output."""
    x = keras.Input((3,))
    return keras.Model(x, keras.layers.Dense(2)(x))


def network():
    return {"network": small_network()}


def text_decoder():
    from multimodal_tf.models.decoders.transformer import TransformerTextDecoder

    return TransformerTextDecoder(**_DECODER, mlp_units=8)


def scores():
    return {"decoder": text_decoder(), "label_smoothing": 0.1, "commonest": [2, 3], "share": 0.5}


def image_scores():
    from multimodal_tf.models.decoders.pixels import PixelDecoder, Posterior

    mean = Images.of([[[0], [9]]], rows=1).mean
    decoder, posterior = PixelDecoder([1, 2, 1], [3]), Posterior(2, [3])
    return {"decoder": decoder, "posterior": posterior, "kl_weight": 1.0, "mean": mean, "seed": 1}


_DECODER = {"size": 8, "length": 3, "dim": 4, "depth": 1, "heads": 2, "dropout": 0.1}
_DECODED = {"tokens": i(3), "memory": f(2, 4), "visible": b(2)}
_SHARES = [0.5, 0.3, 0.2]

CASES = {
    # presence
    "ZeroWhereMissing": ({}, {"x": f(3), "present": f()}),
    "TokensPresent": ({}, {"mask": b(3), "present": f()}),
    "LearnedMissingEmbedding": ({}, {"x": f(3), "present": f()}),
    "AnyPresent": ({}, {"present": [f(), f()]}),
    "PresentBatchNormalization": ({}, {"x": f(3), "present": f()}),
    "FreezableNetwork": (network, {"x": f(3)}),
    "MaskedNetwork": (network, {"x": f(3), "present": f()}),
    "ModalityDropout": ({"rate": 0.5}, {"x": f()}),
    # fusion
    "Stack": ({}, {"tensors": [f(3), f(3)]}),
    "WeightedVectorSum": ({}, {"x": f(2, 3), "weights": f(2)}),
    "VectorSum": ({}, {"x": f(2, 3)}),
    "PresentMean": ({}, {"x": f(2, 3), "present": f(2)}),
    "PresentProduct": ({}, {"x": f(2, 3), "present": f(2)}),
    "InputScores": ({}, {"x": f(2, 3)}),
    "PresentSoftmax": ({}, {"scores": f(2), "present": f(2)}),
    "PairwiseBilinear": ({"units": 4}, {"x": f(3, 2)}),
    "LowRankTensor": ({"units": 4, "rank": 2}, {"vectors": [f(3), f(2)]}),
    "LearnedTokens": ({"count": 2}, {"x": f(3)}),
    "MaskWithLearned": ({"count": 2}, {"mask": b(3)}),
    "MaskWithVector": ({}, {"mask": b(3), "present": f()}),
    "LastTokens": ({"count": 2}, {"x": f(3, 2)}),
    "TokenProjection": ({"units": 4}, {"inputs": f(3, 2)}),
    "MeanGate": ({}, {"gates": f(2, 3)}),
    "TokenShares": ({"learned": 1}, {"scores": f(2, 4, 4)}),
    "InputShares": ({"learned": 1}, {"scores": [f(2, 4, 4), f(2, 3, 3)]}),
    "TokenAttention": ({"learned": 1}, {"scores": f(2, 4, 4)}),
    "PairAttention": ({}, {"scores": f(2, 3, 4), "present": b(3), "other_present": b(4)}),
    "AllWhereNonePresent": ({}, {"present": f(3)}),
    "LogitsOfPredictions": ({}, {"p": f(2, 3), "present": f(2)}),
    "ProductOfPredictions": ({}, {"p": f(2, 3), "present": f(2)}),
    "MaximumOfPredictions": ({"independent": True}, {"p": f(2, 3), "present": f(2)}),
    # heads
    "UnitVector": ({}, {"x": f(3), "present": f()}),
    "AlignedVectors": ({"temperature": 0.1, "queue": 2}, {"vectors": [f(3), f(3)]}),
    "PriorFallback": ({"prior": _SHARES}, {"x": f(3), "any_present": f()}),
    "DenseWithPrior": (
        {"units": 3, "prior": _SHARES, "activation": "softmax"},
        {"x": f(2), "any_present": f()},
    ),
    "PoissonRate": ({"mean": 2.0, "std": 1.0}, {"x": f(1), "any_present": f()}),
    "OrderedClasses": ({"shares": _SHARES}, {"score": f(1), "any_present": f()}),
    "RisingQuantiles": (
        {"levels": [0.1, 0.5, 0.9], "mean": 2.0, "std": 1.0},
        {"x": f(3), "any_present": f()},
    ),
    "MatchingVectors": (
        {},
        {"first": f(3), "second": f(3), "first_present": f(), "second_present": f()},
    ),
    "MismatchedRows": (
        {"seed": 1},
        {"cells": [i(3), i(2)], "vectors": [f(3), f(2)], "present": [f(), f()]},
    ),
    "WithMismatched": ({"side": 0}, {"x": f(3), "rows": ((2, 2), "int32")}),
    "PairLogits": ({}, {"logits": ((6, 1), "float32"), "counts": f(3)}),
    "SwappedHalves": ({"seed": 1}, {"tokens": i(4), "present": f()}),
    "BinaryRowLosses": ({}, {"logit": f(1), "target": f()}),
    "After": ({}, {"x": f(3), "before": f(2)}),
    "MomentumEncoder": (lambda: network() | {"momentum": 0.9}, {"inputs": f(3)}),
    # masks and views
    "TokensAtPlaces": (
        {"places": [2], "extents": [1.0]},
        {"tokens": f(4, 3), "index": ((2, 1), "int32")},
    ),
    "HiddenTokenLosses": ({}, {"logits": f(2, 3), "target": i(2), "counted": b(2)}),
    "HiddenValueLosses": ({}, {"values": f(2, 3), "target": f(2, 3), "counted": b(2)}),
    "HiddenTokens": (
        {"ids": [5, 1, [0, 1], None, False], "share": 0.5, "seed": 1},
        {"tokens": i(4), "present": f()},
    ),
    "HiddenPatches": (
        {"grid": [2, 2, 2], "share": 0.5, "seed": 1},
        {"pixels": f(4, 4, 1), "cells": f(4, 4, 1), "present": f()},
    ),
    "HiddenSpans": (
        {"spans": [2, 4, 2], "share": 0.5, "seed": 1},
        {"clip": f(16), "spectrogram": f(4, 3), "cells": f(16), "present": f()},
    ),
    "AudioView": ({"shift": 2, "decibels": 6.0, "noise": -20.0, "seed": 1}, {"x": f(16)}),
    "ImageView": ({"crop": 0.2, "strength": 0.2, "erasing": 0.2, "seed": 1}, {"x": f(8, 8, 3)}),
    "TextView": ({"dropped": 0.3, "seed": 1}, {"tokens": i(4)}),
    # towers
    "ScaledToLength": ({"length": 10.0}, {"x": f(3)}),
    "AllTokens": ({}, {"tokens": f(3, 2)}),
    "MaskedMean": ({}, {"x": f(3, 2), "mask": b(3)}),
    "MaskedMax": ({}, {"x": f(3, 2), "mask": b(3)}),
    "TokenAt": ({"position": "last"}, {"x": f(3, 2), "mask": b(3)}),
    "TFIDF": ({"weights": [0.0, 1.0, 2.0]}, {"tokens": i(4)}),
    "ColourHistogram": ({"levels": 2}, {"x": f(4, 4, 3)}),
    "Thumbnail": ({"side": 2}, {"x": f(4, 4, 3)}),
    "BandLevels": ({}, {"x": f(3, 2, 1), "mask": b(3)}),
    "KnownValue": ({"count": 3}, {"x": i()}),
    "AudioMask": ({"stride": 4, "steps": 4}, {"x": f(16)}),
    "TimeShift": ({"samples": 2, "seed": 1}, {"x": f(16)}),
    "RandomGain": ({"decibels": 6.0, "seed": 1}, {"x": f(16)}),
    "WhiteNoise": ({"decibels": -20.0, "seed": 1}, {"x": f(16)}),
    "SpecAugment": (
        {"time_masks": 1, "time_width": 2, "frequency_masks": 1, "frequency_width": 1, "seed": 1},
        {"x": f(4, 3), "mask": b(4)},
    ),
    "LogMelSpectrogram": (
        {"sample_rate": 8000, "window": 200, "hop": 80, "fft_length": 256, "mel_bins": 4},
        {"x": f(300)},
    ),
    "TrainingOnly": (
        lambda: {"steps": [keras.layers.RandomBrightness(0.5, value_range=(0, 1))]},
        {"x": f(4, 4, 3)},
    ),
    "RandAugment": ({"value_range": (0, 1), "seed": 1}, {"data": f(8, 8, 3)}),
    "DateParts": ({"mean": 2.0, "std": 0.5}, {"x": i(2)}),
    "UnknownDropout": ({"rate": 0.5, "seed": 1}, {"x": i()}),
    "StackColumns": ({}, {"columns": [f(), f()]}),
    "ClassToken": ({}, {"tokens": f(3, 2)}),
    "ColumnMask": ({}, {"present": f(3)}),
    "PaddingMask": ({}, {"tokens": i(4)}),
    "FramesToRows": ({}, {"x": f(3, 2)}),
    "RowsToFrames": ({"frames": 2}, {"x": ((4, 3), "float32")}),
    "RepeatPerFrame": ({"frames": 2}, {"present": f()}),
    "ApplicationPixels": ({"application": "ResNet50V2"}, {"x": f(4, 4, 1)}),
    "BackbonePart": (lambda: {"backbone": small_network()}, {"x": f(3)}),
    "TokenInputs": ({"padding": 0}, {"x": i(4)}),
    # fine-tuning
    "LowRank": (
        {"equation": "...x,xy->...y", "shape": [3, 4], "rank": 2, "alpha": 2.0, "seed": 1},
        {"x": f(3)},
    ),
    "LowRankEmbedding": ({"shape": [3, 4], "rank": 2, "alpha": 2.0, "seed": 1}, {"ids": i(2)}),
    "Adapter": ({"dim": 3, "units": 2, "activation": "gelu", "seed": 1}, {"x": f(3)}),
    # texts
    "Positions": ({}, {"x": f(3, 4)}),
    "RecurrentTextDecoder": ({**_DECODER, "kind": "lstm"}, _DECODED),
    "TransformerTextDecoder": ({**_DECODER, "mlp_units": 8}, _DECODED),
    "TargetScores": (scores, {"target": i(3), "memory": f(2, 4), "visible": b(2)}),
    "TokensOfEncoder": ({}, {"tokens": f(2, 4), "vector": f(4)}),
    "CTCScores": (
        {"size": 7, "length": 3, "commonest": [2, 3], "share": 0.5},
        {"target": i(3), "tokens": f(5, 4), "visible": b(5), "vector": f(3)},
    ),
    # images
    "PixelDecoder": ({"shape": [5, 6, 3], "filters": [4, 2]}, {"x": f(3)}),
    "Posterior": ({"size": 2, "filters": [4, 2]}, {"pixels": f(5, 6, 1), "x": f(3)}),
    "ImageScores": (image_scores, {"target": i(1, 2, 1), "x": f(3), "any_present": f()}),
}

# they need a library's files or its network; tests of their own have these
WITH_FILES = {"SavedModelLayer", "SpeechFeatures", "PresetTextDecoder"}

# Keras' LSTM takes neither a batch of no rows nor weights of 16 bits that are not float16
RECURRENT = {"RecurrentTextDecoder"}
