"""Tiny pretrained networks: SavedModels, Keras files, KerasHub presets.

Each function writes one into a folder. Tests take their paths from the fixture `pretrained`.
"""

import functools
import io
import random
import string
import tempfile

import keras
import tensorflow as tf
from keras import layers
from tensorflow_modules import WORDS, AudioModule, HashedWords, ImageModule, ListedWords


class Pretrained:
    """Paths of the networks as strings: `pretrained.text_family("T5")`, written at first use."""

    def __init__(self, once):
        self._once = once

    def __getattr__(self, name):
        return functools.partial(self._path, globals()[name])

    def _path(self, write, *arguments, **options):
        values = map(str, [*arguments, *options.values()])
        name = "_".join(["pretrained", write.__name__, *values])

        def seeded(folder):
            # the weights are the same whichever test asks first; Keras draws its seeds from here
            state = random.getstate()
            random.seed(name)
            write(folder, *arguments, **options)
            random.setstate(state)

        folder = self._once(name, seeded)
        return str(next(folder.glob("*.keras"), folder))


def image_module(folder):
    module = ImageModule()
    tf.saved_model.save(module, folder, signatures={"image": module.feature_map})


def two_signatures(folder):
    module = ImageModule()
    tf.saved_model.save(
        module, folder, signatures={"image": module.feature_map, "pooled": module.vector}
    )


def audio_module(folder):
    module = AudioModule()
    tf.saved_model.save(module, folder)


def text_module(folder, listed=False):
    if not listed:
        tf.saved_model.save(HashedWords(), folder)
        return
    with tempfile.NamedTemporaryFile("w") as file:
        print(*WORDS, sep="\n", file=file, flush=True)
        tf.saved_model.save(ListedWords(file.name), folder)


def keras_model(folder):
    """Convolution, batch normalization and dropout over `(batch, 8, 8, 1)`, then two classes.

    The layer before the classes is `features`.
    """
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    x = layers.Dropout(0.5)(layers.BatchNormalization(name="norm")(x))
    x = layers.Dense(3, activation="tanh", name="features")(x)
    model = keras.Model(
        image, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    )
    model.save(folder / "model.keras")


def keras_text_model(folder):
    """Strings `(batch,)` to the mean of their words' vectors `(batch, 3)`, by Keras layers."""
    text = keras.Input((), dtype="string")
    x = layers.TextVectorization(output_sequence_length=4, vocabulary=WORDS, name="words")(text)
    x = layers.GlobalAveragePooling1D()(layers.Embedding(len(WORDS) + 2, 3)(x))
    keras.Model(text, x).save(folder / "text.keras")


def text_preset(folder):
    import keras_hub

    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=12,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=8,
        dropout=0,
        max_sequence_length=8,
    )
    backbone.save_to_preset(folder)


def sentence_preset(folder):
    """As `text_preset`, with a tokenizer and dropout."""
    import keras_hub

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "bird", "old", "new"]
    keras_hub.models.BertBackbone(
        vocabulary_size=len(words),
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=8,
        dropout=0.2,
        max_sequence_length=8,
    ).save_to_preset(folder)
    keras_hub.models.BertTokenizer(vocabulary=words, lowercase=True).save_to_preset(folder)


def whisper_preset(folder):
    """A small Whisper: clips at 2000 Hz, up to 1 s, 8 mel bins, one token per 20 ms."""
    import keras_hub

    keras_hub.models.WhisperBackbone(
        vocabulary_size=9,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=8,
        num_mels=8,
        max_encoder_sequence_length=100,
    ).save_to_preset(folder)
    converter = {
        "num_mels": 8,
        "num_fft_bins": 40,
        "stride": 20,
        "sampling_rate": 2000,
        "max_audio_length": 1,
    }
    keras_hub.layers.WhisperAudioConverter(**converter).save_to_preset(folder)


def moonshine_preset(folder, converted=True):
    """Moonshine with few channels; its strides, and so its shortest clip, are fixed."""
    import keras_hub

    keras_hub.models.MoonshineBackbone(
        vocabulary_size=9,
        filter_dim=4,
        encoder_num_layers=1,
        decoder_num_layers=1,
        hidden_dim=4,
        intermediate_dim=4,
        encoder_num_heads=1,
        decoder_num_heads=1,
    ).save_to_preset(folder)
    if converted:
        keras_hub.layers.MoonshineAudioConverter(
            sampling_rate=4000, do_normalize=True
        ).save_to_preset(folder)


def image_preset(folder, scaled=True):
    """A DenseNet with batch normalization, which takes pixels as 0..255 / 127.5 - 1."""
    import keras_hub

    keras_hub.models.DenseNetBackbone(stackwise_num_repeats=[1, 1], growth_rate=4).save_to_preset(
        folder
    )
    if scaled:
        keras_hub.layers.DenseNetImageConverter(
            scale=1 / 127.5, offset=[-1.0, -1.0, -1.0]
        ).save_to_preset(folder)


def patch_preset(folder):
    """A ViT, whose image size is fixed."""
    import keras_hub

    keras_hub.models.ViTBackbone(
        (16, 16, 3), patch_size=8, num_layers=1, num_heads=2, hidden_dim=4, mlp_dim=8
    ).save_to_preset(folder)
    keras_hub.layers.ViTImageConverter(scale=1 / 255).save_to_preset(folder)


def _image_backbones():
    import keras_hub

    models, layers_of = keras_hub.models, keras_hub.layers
    cells = {
        "stackwise_num_filters": [64, 64],
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2],
        "image_shape": (None, None, 3),
    }
    return {
        "ResNet": (
            lambda: models.ResNetBackbone([64], [3], block_type="basic_block", **cells),
            layers_of.ResNetImageConverter,
        ),
        "EfficientNet": (
            lambda: models.EfficientNetBackbone(
                stackwise_width_coefficients=[0.1, 0.1],
                stackwise_depth_coefficients=[1.0, 1.0],
                stackwise_kernel_sizes=[3, 3],
                stackwise_num_repeats=[1, 1],
                stackwise_input_filters=[8, 16],
                stackwise_output_filters=[16, 16],
                stackwise_expansion_ratios=[1, 4],
                stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
                stackwise_strides=[1, 2],
                stackwise_block_types=["v1", "v1"],
            ),
            layers_of.EfficientNetImageConverter,
        ),
        "MobileNet": (
            lambda: models.MobileNetBackbone(
                stackwise_expansion=[[8], [8, 8]],
                stackwise_num_blocks=[1, 2],
                stackwise_num_filters=[[4], [4, 4]],
                stackwise_kernel_size=[[3], [3, 3]],
                stackwise_num_strides=[[2], [1, 1]],
                stackwise_se_ratio=[[None], [0.25, 0.25]],
                stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
                stackwise_padding=[[1], [1, 1]],
                output_num_filters=4,
                depthwise_filters=4,
                depthwise_stride=1,
                depthwise_residual=False,
                last_layer_filter=4,
                input_num_filters=4,
                input_activation="hard_swish",
                output_activation="hard_swish",
                image_shape=(16, 16, 3),
            ),
            layers_of.MobileNetImageConverter,
        ),
        "CSPNet": (
            lambda: models.CSPNetBackbone(
                stem_filters=4,
                stem_kernel_size=3,
                stem_strides=1,
                stackwise_depth=[1, 1],
                stackwise_strides=[1, 2],
                stackwise_num_filters=[4, 8],
                block_type="dark_block",
                stage_type="dark",
            ),
            layers_of.CSPNetImageConverter,
        ),
    }


def image_family(folder, kind):
    """Another small network, which takes pixels scaled and shifted by channel."""
    make, converter = _image_backbones()[kind]
    make().save_to_preset(folder)
    converter(scale=[0.02, 0.03, 0.04], offset=[-1.0, -0.5, 0.0]).save_to_preset(folder)


def text_family(folder, kind):
    """A small text model with its tokenizer, which knows `WORDS`."""
    import keras_hub

    models = keras_hub.models
    size = {
        "num_layers": 1,
        "num_heads": 2,
        "hidden_dim": 4,
        "intermediate_dim": 8,
        "dropout": 0,
        "max_sequence_length": 12,
    }
    if kind == "DistilBert":
        tokenizer = models.DistilBertTokenizer(
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        )
    elif kind in ("Roberta", "Bart"):
        tokenizer = getattr(models, f"{kind}Tokenizer")(
            *_pairs(["<s>", "<pad>", "</s>", "<mask>"], [])
        )
    elif kind == "T5":
        tokenizer = models.T5Tokenizer(
            _letters_model(pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>")
        )
        # T5 has none.
        size.pop("max_sequence_length")
    else:
        tokenizer = models.GPT2Tokenizer(*_pairs([], ["<|endoftext|>"]))
    tokenizer.save_to_preset(folder)
    backbone = getattr(models, f"{kind}Backbone")
    backbone(vocabulary_size=tokenizer.vocabulary_size(), **size).save_to_preset(folder)


# the words that `english_preset` knows
ENGLISH = ["a", "and", "bird", "blue", "cat", "dog", "in", "old", "owl", "red", "the", "tree"]


def english_preset(folder):
    """A small BERT with the tokenizer of an English one."""
    import keras_hub

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ENGLISH]
    vocabulary += [*string.ascii_lowercase[1:], *(f"##{one}" for one in string.ascii_lowercase)]
    keras_hub.models.BertTokenizer(vocabulary, lowercase=True).save_to_preset(folder)
    _small_bert(len(vocabulary)).save_to_preset(folder)


def many_languages_preset(folder):
    """Like multilingual E5: a BERT with the tokenizer of XLM-RoBERTa, which knows letters."""
    import keras_hub

    letters = _letters_model(pad_id=-1, unk_id=0, bos_id=1, eos_id=2)
    tokenizer = keras_hub.models.XLMRobertaTokenizer(letters)
    tokenizer.save_to_preset(folder)
    _small_bert(tokenizer.vocabulary_size()).save_to_preset(folder)


def _small_bert(vocabulary_size):
    import keras_hub

    return keras_hub.models.BertBackbone(
        vocabulary_size=vocabulary_size,
        num_layers=1,
        num_heads=2,
        hidden_dim=4,
        intermediate_dim=8,
        dropout=0,
        max_sequence_length=16,
    )


def one_of_each(folder):
    """A folder of presets: `pictures`, `english`, `sounds` (2000 Hz, up to 1 s)."""
    for name, write in (
        ("pictures", lambda path: image_family(path, "MobileNet")),
        ("english", english_preset),
        ("sounds", whisper_preset),
    ):
        write(folder / name)


def pair_preset(folder, kind):
    """A small CLIP or SigLIP with tokenizer and converter.

    It takes images of 16 x 16 pixels and texts of up to (SigLIP: exactly) 12 ids.
    """
    import keras_hub

    models = keras_hub.models
    if kind == "CLIP":
        tokenizer, more = models.CLIPTokenizer(*_closed_pairs()), {"projection_dim": 6}
    else:
        tokenizer, more = (
            models.SigLIPTokenizer(_letters_model(pad_id=-1, eos_id=1, unk_id=0, bos_id=-1)),
            {},
        )
    size = {"hidden_dim": 4, "num_layers": 1, "num_heads": 2, "intermediate_dim": 8}
    vision = getattr(models, f"{kind}VisionEncoder")(patch_size=8, image_shape=(16, 16, 3), **size)
    words = getattr(models, f"{kind}TextEncoder")(
        vocabulary_size=tokenizer.vocabulary_size(), embedding_dim=4, max_sequence_length=12, **size
    )
    for component in (
        tokenizer,
        getattr(keras_hub.layers, f"{kind}ImageConverter")(
            scale=[0.02, 0.03, 0.04], offset=[-1.0, -0.5, 0.0]
        ),
        getattr(models, f"{kind}Backbone")(vision_encoder=vision, text_encoder=words, **more),
    ):
        component.save_to_preset(folder)


def _letters_model(**special):
    """A SentencePiece model whose pieces are the letters of `WORDS`."""
    import sentencepiece

    written, quiet = io.BytesIO(), {"hard_vocab_limit": False, "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS),
        model_writer=written,
        model_type="char",
        vocab_size=99,
        **quiet,
        **special,
    )
    return written.getvalue()


def _pairs(before, behind):
    """Vocabulary and merges of a byte pair encoding with a token for each of `WORDS`.

    There is one with and one without a space before the word.
    """
    # «!» is the first.
    letters = sorted({letter for word in WORDS for letter in word})
    merges = dict.fromkeys(
        pair for word in WORDS for form in (word, "Ġ" + word) for pair in _steps(form)
    )
    tokens = dict.fromkeys(
        [*before, *letters, "Ġ", *(pair.replace(" ", "") for pair in merges), *behind]
    )
    return {token: number for number, token in enumerate(tokens)}, list(merges)


def _closed_pairs():
    """The same for CLIP, which has other tokens for the last letter of a word."""
    letters = sorted({letter for word in WORDS for letter in word})
    merges = list(
        dict.fromkeys(pair for word in WORDS for pair in _steps([*word[:-1], word[-1] + "</w>"]))
    )
    tokens = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *(pair.replace(" ", "") for pair in merges),
    ]
    return {
        token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])
    }, merges


def _steps(letters):
    return [f"{''.join(letters[:end])} {letters[end]}" for end in range(1, len(letters))]
