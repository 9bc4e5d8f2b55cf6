"""Subword tokenizers for the schema: trained on a table's own texts, or taken from a preset.

Training is deterministic: the same texts give the same tokenizer, byte for byte. Texts are read as
a stream, and memory holds each distinct word; for SentencePiece, which needs the texts themselves,
at most `_SAMPLE` of them, drawn with a fixed seed.
"""

import base64
import collections
import io
import json
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, Literal, assert_never

import keras

from multimodal_tf.config import (
    BytePairTokenizer,
    PresetTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
)
from multimodal_tf.config.json_files import read_object
from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.schema import Subwords

SubwordTokenizer = WordPieceTokenizer | BytePairTokenizer | SentencePieceTokenizer | PresetTokenizer
# from a graph function to the training texts after it
Texts = Callable[[Callable[[Any], Any]], Iterable[str]]
_Type = Literal["word_piece", "byte_pair", "sentence_piece", "preset"]
# ids 0 and 1
_PADDING, _UNKNOWN = "[PAD]", "[UNK]"
# texts for SentencePiece
_SAMPLE = 1_000_000
# bytes of a text after NFKC, which makes some texts longer
_LONGEST = 2 * normalization.LIMIT
_REQUIRED = re.compile(r"required_chars\. \d+ vs (\d+)")


def fit_subwords(
    field: str, settings: SubwordTokenizer, texts: Texts, as_they_are: bool = False
) -> Subwords:
    """The tokenizer of a text input.

    Args:
        field: its name in the configuration, for errors: `inputs.title.tokenizer`.
        settings: the tokenizer's configuration, of type `word_piece`, `byte_pair`,
            `sentence_piece` or `preset`.
        texts: function of a graph function of string `(batch,)`, which returns an iterable of the
            training texts after it, without empty ones. It is iterated once or twice; for a preset
            not at all.
        as_they_are: whether texts are learned without normalization, in their own case.

    Returns:
        `schema.Subwords`. A trained tokenizer has padding 0 and unknown 1, and may have fewer
        entries than `vocabulary_size`.

    Raises:
        ValueError: there is no text to train on, `vocabulary_size` is too small for the texts'
            characters, or the preset does not exist.
        FileNotFoundError: the preset's folder does not exist.
    """
    match settings:
        case PresetTokenizer():
            return _from_preset(field, settings.preset)
        case WordPieceTokenizer():
            train, normalize = _word_piece, normalization.spaced
        case BytePairTokenizer():
            train, normalize = _byte_pair, normalization.plain
        case SentencePieceTokenizer():
            train, normalize = _sentence_piece, normalization.plain
        case _:
            assert_never(settings)
    normalized = texts(normalization.cut if as_they_are else normalize)
    if next(iter(normalized), None) is None:
        raise ValueError(
            f"{field}: {settings.type} must have texts in the training split to learn from,"
            " received none"
        )
    return _to_schema(train(field, settings.vocabulary_size, normalized), settings.type)


def _word_piece(field: str, size: int, texts: Iterable[str]) -> Any:
    # these imports take a second, and only subwords need them
    import keras_hub
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

    words = pre_tokenizers.BertPreTokenizer()
    letters, inside = _letters(words, texts, size // 4)
    learner = tokenizers.Tokenizer(models.WordPiece(unk_token=_UNKNOWN))
    learner.pre_tokenizer = words
    # the letters inside words are special tokens, because the trainer would number them in the
    # order of its hash map, and ties are broken by number
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
    return keras_hub.tokenizers.WordPieceTokenizer(
        sorted(numbers, key=lambda word: numbers[word]), oov_token=_UNKNOWN
    )


def _letters(words: Any, texts: Iterable[str], most: int) -> tuple[list[str], list[str]]:
    """The `most` most frequent letters, and those that follow another letter in a word; sorted."""
    every: collections.Counter[str] = collections.Counter()
    inside: set[str] = set()
    for one in texts:
        for word, _ in words.pre_tokenize_str(one):
            every.update(word)
            inside.update(word[1:])
    letters = sorted(sorted(every, key=lambda letter: (-every[letter], letter))[:most])
    return letters, [letter for letter in letters if letter in inside]


def _byte_pair(field: str, size: int, texts: Iterable[str]) -> Any:
    import keras_hub
    import tokenizers
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
    return keras_hub.tokenizers.BytePairTokenizer(
        model["vocab"], [" ".join(pair) for pair in model["merges"]], add_prefix_space=True
    )


def _sentence_piece(field: str, size: int, texts: Iterable[str]) -> Any:
    import keras_hub
    import sentencepiece

    sentencepiece.set_random_generator_seed(0)
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=written,
            vocab_size=size,
            hard_vocab_limit=False,
            model_type="unigram",
            # the texts are normalized
            normalization_rule_name="identity",
            input_sentence_size=_SAMPLE,
            max_sentence_length=_LONGEST,
            # the result depends on it
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
            f"{field}.vocabulary_size: must be {required[1]} or more for the characters of the"
            f" training split, received {size}"
        ) from error
    return keras_hub.tokenizers.SentencePieceTokenizer(written.getvalue())


def _from_preset(field: str, preset: str) -> Subwords:
    from keras_hub.tokenizers import Tokenizer

    folder = pathlib.Path(preset)
    if "://" not in preset and preset not in Tokenizer.presets and not folder.is_dir():
        raise FileNotFoundError(
            f"{field}.preset: must be a folder, a preset's name or a handle such as hf://...,"
            f" received {preset!r}"
        )
    try:
        layer = Tokenizer.from_preset(preset)
        _drop_accents(layer, folder / "tokenizer_config.json")
        return _to_schema(layer, "preset", preset, _preprocessor(preset, layer))
    # a damaged or foreign folder raises errors of any type
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"{field}.preset: must be a KerasHub preset with a tokenizer, received {preset!r}:"
            f" {' '.join(str(error).split())[:300]}"
        ) from error


def _preprocessor(preset: str, layer: Any) -> Any:
    """KerasHub's preprocessor of a preset, which knows what the model was trained to read.

    None where there is none, as for XLNet.
    """
    from keras_hub import models

    for kind in (
        models.TextClassifierPreprocessor,
        models.Seq2SeqLMPreprocessor,
        # also of models of texts and images, whose preset may have no image converter
        models.CausalLMPreprocessor,
    ):
        for more in ({}, {"image_converter": None}):
            try:
                made = kind.from_preset(preset, tokenizer=layer, **more)
                made.build(None)
            # the preset has none of this class, or it takes other arguments
            except Exception:  # noqa: BLE001
                continue
            return made
    return None


def _drop_accents(layer: Any, file: pathlib.Path) -> None:
    """Sets what KerasHub does not read from a folder in Hugging Face's layout.

    BERT's lower-case tokenizers drop accents, too.
    """
    if hasattr(layer, "strip_accents") and file.is_file():
        settings = read_object(file, "the settings of a tokenizer")
        accents = settings.get("strip_accents")
        layer.strip_accents = bool(settings.get("do_lower_case") if accents is None else accents)


def _to_schema(
    layer: Any, kind: _Type, preset: str | None = None, preprocessor: Any = None
) -> Subwords:
    """A KerasHub tokenizer as an entry of the schema.

    Without a KerasHub preprocessor, the tokenizer's own start and end frame a text.
    """
    with tempfile.TemporaryDirectory() as folder:
        layer.save_assets(folder)
        assets = {
            path.name: base64.b64encode(path.read_bytes()).decode()
            for path in sorted(pathlib.Path(folder).iterdir())
        }
    # the reader frames, cuts and pads
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


def _frame(layer: Any, preprocessor: Any, side: str) -> int | None:
    """The id at one end of a text, that of the encoder in an encoder-decoder; None: none."""
    packer = getattr(preprocessor, "encoder_packer", None) or getattr(preprocessor, "packer", None)
    if packer is None:
        return getattr(layer, f"{side}_token_id", None)
    ids = (
        getattr(packer, f"{side}_value")
        if getattr(preprocessor, f"add_{side}_token", True)
        else None
    )
    return ids[0] if ids else None


def _reads(preprocessor: Any) -> Literal["lower", "bare"] | None:
    # SigLIP's
    if getattr(preprocessor, "canonicalize_text", False):
        return "bare"
    # CLIP's
    return "lower" if getattr(preprocessor, "to_lower", False) else None


def _without_name(serialized: dict[str, Any]) -> dict[str, Any]:
    """The same without the layer's name, which depends on the layers made before."""
    return serialized | {
        "config": {key: value for key, value in serialized["config"].items() if key != "name"}
    }


def _unknown(layer: Any, padding: int) -> int:
    """The id of the unknown token; of a tokenizer without one, the first that is not padding."""
    number: int | None = getattr(layer, "unk_token_id", None)
    if number is None and hasattr(layer, "oov_token"):
        number = layer.token_to_id(layer.oov_token)
    if number is None or number == padding:
        number = 1 if padding == 0 else 0
    return number
