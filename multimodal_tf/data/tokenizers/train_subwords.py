"""Tokenizers of subwords: trained on a table's own texts, or taken from a preset, whole, into the
schema.

Training is deterministic: the same texts give the same tokenizer, byte for byte. Texts are read as
a stream, and memory holds each distinct word; for SentencePiece, which needs the texts themselves,
`_SAMPLE` of them at most, drawn with a fixed seed.
"""

import base64
import collections
import io
import json
import pathlib
import re
import tempfile

import keras

from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.schema import Subwords

# ids 0 and 1
_PADDING, _UNKNOWN = "[PAD]", "[UNK]"
# texts
_SAMPLE = 1_000_000
# bytes; NFKC makes some texts longer than they were
_LONGEST = 2 * normalization.LIMIT
_REQUIRED = re.compile(r"required_chars\. \d+ vs (\d+)")


def fit_subwords(field, settings, texts):
    """The tokenizer of a text input.

    Args:
        field: str. Its name in the configuration, for errors: `inputs.title.tokenizer`.
        settings: a tokenizer's configuration, of type `word_piece`, `byte_pair`, `sentence_piece`
        or `preset`.
        texts: function of a graph function, string `(batch,)` to the same; gives an iterable of the
            training split's texts after it, str, without those that are empty. It is iterated once
            or twice; for a preset not at all.

    Returns:
        `schema.Subwords`. One that is trained has padding 0 and unknown 1, and fewer entries than
        `vocabulary_size` where the texts have no more to offer.

    Raises:
        ValueError: there is no text to train on, `vocabulary_size` is too small for the texts'
        characters, or there is no such preset. FileNotFoundError: the preset's folder is not there.
    """
    if settings.type == "preset":
        return _from_preset(field, settings.preset)
    texts = texts(normalization.spaced if settings.type == "word_piece" else normalization.plain)
    if next(iter(texts), None) is None:
        raise ValueError(
            f"{field}: {settings.type} must have texts in the training split to learn from, received none"
        )
    train = {"word_piece": _word_piece, "byte_pair": _byte_pair, "sentence_piece": _sentence_piece}[
        settings.type
    ]
    return _whole(train(field, settings.vocabulary_size, texts), settings.type)


def _word_piece(field, size, texts):
    # this and KerasHub take a second, and only subwords need them
    import tokenizers
    from keras_hub.tokenizers import WordPieceTokenizer
    from tokenizers import models, pre_tokenizers, trainers

    words = pre_tokenizers.BertPreTokenizer()
    letters, inside = _letters(words, texts, size // 4)
    learner = tokenizers.Tokenizer(models.WordPiece(unk_token=_UNKNOWN))
    learner.pre_tokenizer = words
    # the letters inside words are given as special tokens, because the trainer numbers them as its
    # hash map has them, and ties go by number
    special = [_PADDING, _UNKNOWN, *("##" + letter for letter in inside)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    learner.train_from_iterator(iter(texts), trainer)
    numbers = learner.get_vocab()
    return WordPieceTokenizer(sorted(numbers, key=lambda word: numbers[word]), oov_token=_UNKNOWN)


def _letters(words, texts, most):
    """The `most` most frequent letters of words, and those of them that stand behind the first of a
    word; both sorted.
    """
    every: collections.Counter = collections.Counter()
    inside: set = set()
    for one in texts:
        for word, _ in words.pre_tokenize_str(one):
            every.update(word)
            inside.update(word[1:])
    letters = sorted(sorted(every, key=lambda letter: (-every[letter], letter))[:most])
    return letters, [letter for letter in letters if letter in inside]


def _byte_pair(field, size, texts):
    import tokenizers
    from keras_hub.tokenizers import BytePairTokenizer
    from tokenizers import models, pre_tokenizers, trainers

    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[_PADDING, _UNKNOWN],
        initial_alphabet=letters,
        show_progress=False,
    )
    learner.train_from_iterator(iter(texts), trainer)
    model = json.loads(learner.to_str())["model"]
    return BytePairTokenizer(
        model["vocab"], [" ".join(pair) for pair in model["merges"]], add_prefix_space=True
    )


def _sentence_piece(field, size, texts):
    import sentencepiece
    from keras_hub.tokenizers import SentencePieceTokenizer

    sentencepiece.set_random_generator_seed(0)
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=written,
            vocab_size=size,
            hard_vocab_limit=False,
            model_type="unigram",
            # the texts are normalised
            normalization_rule_name="identity",
            input_sentence_size=_SAMPLE,
            max_sentence_length=_LONGEST,
            # the outcome depends on their number
            num_threads=1,
            minloglevel=2,
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
        )
    except RuntimeError as error:
        required = _REQUIRED.search(str(error))
        if required is None:
            raise ValueError(
                f"{field}: sentence_piece could not learn from the training split's texts: {error}"
            ) from error
        raise ValueError(
            f"{field}.vocabulary_size: must be {required[1]} or more for the characters of the training split, received {size}"
        ) from error
    return SentencePieceTokenizer(written.getvalue())


def _from_preset(field, preset):
    from keras_hub.tokenizers import Tokenizer

    folder = pathlib.Path(preset)
    if "://" not in preset and preset not in Tokenizer.presets and not folder.is_dir():
        raise FileNotFoundError(
            f"{field}.preset: must be a folder, a preset's name or a handle such as hf://..., received {preset!r}"
        )
    try:
        layer = Tokenizer.from_preset(preset)
    except Exception as error:  # noqa: BLE001  what a damaged or a foreign folder raises is of every kind
        raise ValueError(
            f"{field}.preset: must be a KerasHub preset with a tokenizer, received {preset!r}: {' '.join(str(error).split())[:300]}"
        ) from error
    _drop_accents(layer, folder / "tokenizer_config.json")
    return _whole(layer, "preset", preset, _preprocessor(preset, layer))


def _preprocessor(preset, layer):
    """KerasHub's own of a preset's texts, which knows what a model was trained to read; None where
    there is none, as for XLNet.
    """
    from keras_hub import models

    for kind in (
        models.TextClassifierPreprocessor,
        models.Seq2SeqLMPreprocessor,
        # also that of texts and images, where the preset may have no converter of images
        models.CausalLMPreprocessor,
    ):
        for more in ({}, {"image_converter": None}):
            try:
                made = kind.from_preset(preset, tokenizer=layer, **more)
                made.build(None)
            except Exception:  # noqa: BLE001  there is none of this kind, or it takes other things
                continue
            return made
    return None


def _drop_accents(layer, file):
    """Says what KerasHub leaves out when it reads a folder in Hugging Face's layout: BERT's
    tokenizers of lower case drop accents, too.
    """
    if hasattr(layer, "strip_accents") and file.is_file():
        said = json.loads(file.read_text(encoding="utf-8"))
        accents = said.get("strip_accents")
        layer.strip_accents = bool(said.get("do_lower_case") if accents is None else accents)


def _whole(layer, kind, preset=None, preprocessor=None):
    """A KerasHub tokenizer as the schema holds it; without a preprocessor of KerasHub's, its own
    start and end frame a text.
    """
    with tempfile.TemporaryDirectory() as folder:
        layer.save_assets(folder)
        assets = {
            path.name: base64.b64encode(path.read_bytes()).decode()
            for path in sorted(pathlib.Path(folder).iterdir())
        }
    # framing, cutting and padding are the reader's
    layer.sequence_length = None
    padding = getattr(layer, "pad_token_id", None) or 0
    start, end = (_frame(layer, preprocessor, side) for side in ("start", "end"))
    return Subwords(
        tokenizer=kind,
        preset=preset,
        layer=_without_name(keras.saving.serialize_keras_object(layer)),
        assets=assets,
        size=layer.vocabulary_size(),
        padding=padding,
        unknown=_unknown(layer, padding),
        start=start,
        end=end,
        reads=_reads(preprocessor),
    )


def _frame(layer, preprocessor, side):
    """The id at one side of a text, of an encoder's where there is one; None: none."""
    packer = getattr(preprocessor, "encoder_packer", None) or getattr(preprocessor, "packer", None)
    if packer is None:
        return getattr(layer, f"{side}_token_id", None)
    ids = (
        getattr(packer, f"{side}_value")
        if getattr(preprocessor, f"add_{side}_token", True)
        else None
    )
    return ids[0] if ids else None


def _reads(preprocessor):
    # SigLIP's
    if getattr(preprocessor, "canonicalize_text", False):
        return "bare"
    # CLIP's
    return "lower" if getattr(preprocessor, "to_lower", False) else None


def _without_name(serialized):
    """Without the layer's name, which Keras numbers by how many there were before."""
    return serialized | {
        "config": {key: value for key, value in serialized["config"].items() if key != "name"}
    }


def _unknown(layer, padding):
    """The id of the unknown token; where a tokenizer has none, the first that is not padding."""
    number = getattr(layer, "unk_token_id", None)
    if number is None and hasattr(layer, "oov_token"):
        number = layer.token_to_id(layer.oov_token)
    if number is None or number == padding:
        number = 1 if padding == 0 else 0
    return number
