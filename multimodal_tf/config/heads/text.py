"""The head that predicts a text, token by token."""

from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.heads.bases import ClassName, LabelColumn
from multimodal_tf.config.heads.ctc import SETTINGS, sequence_problem
from multimodal_tf.config.heads.preset_decoder import (
    GIVEN,
    PresetDecoder,
    with_its_tokenizer,
)
from multimodal_tf.config.inputs import Input
from multimodal_tf.config.names import (
    LOG_PROBABILITY,
    PROBABILITIES,
    PROBABILITY,
    AttentionHeads,
    Depth,
    Fraction,
    MLPWidth,
    Temperature,
    Width,
)
from multimodal_tf.config.spelling import canonical
from multimodal_tf.config.text import (
    BytePairTokenizer,
    CharacterTokenizer,
    PresetTokenizer,
    SentencePieceTokenizer,
)

# tokenizers whose tokens give the text back
_REVERSIBLE = ("characters", "byte_pair", "sentence_piece", "preset")

Choices = Annotated[list[ClassName], Field(max_length=10_000)]
TargetTokenizer = Annotated[
    CharacterTokenizer | BytePairTokenizer | SentencePieceTokenizer | PresetTokenizer,
    Field(discriminator="type"),
]


class TextHead(LabelColumn):
    """A text, such as a caption, an answer or what a sound says, predicted token by token.

    A decoder attends to the tokens of all inputs that the head reads, and to its own tokens so far.
    In training it gets the target's tokens (teacher forcing); a missing input has no influence. A
    row without any input gets the training split's most frequent text.

    A prediction goes on until the text ends or has `max_tokens` tokens. With `search: greedy` it
    takes the most probable token at each step. With `search: beam` it keeps the `beam` best texts
    so far, and takes the one whose log probability, divided by `((5 + n) / 6) ** length_penalty`
    for its `n` tokens with its end, is the highest: 0 compares plain probabilities, which prefers
    short texts.

    The endpoint `sample` draws each token at random, by a seed for each row: the logits are divided
    by `temperature`, and only the `top_k` most probable tokens count, and of these only the fewest
    that together have the probability `top_p`.

    With `choices`, the prediction is the one of these texts that is the most probable, with the
    probability of each among them: a list, or `training`, all texts of the training split. Nothing
    else is written, and a row without any input gets their shares of the training rows. Training is
    the same, and its texts need not be choices.

    The target is read in NFC with single spaces, in its own case. Its tokenizer is learned from the
    training targets and must be reversible: `characters`, `byte_pair` or `sentence_piece`. Of a
    target with more than `max_tokens` tokens the first ones are learned.

    The loss of a row is the mean cross-entropy of its tokens, its end among them: a long text does
    not count more than a short one.

    With `decoder: ctc` (connectionist temporal classification), each token of its one input, such
    as a time step of a sound, predicts a token of the text or nothing, and no decoder attends to
    anything; equal tokens of successive steps are one. Sizes, dropout, smoothing and search are no
    settings of it: the text is that of the most probable token of each step. The loss of a row is
    `-log p` of its target over all alignments, divided by the number of its tokens. A target with
    more than `max_tokens` tokens, or that needs more steps than the row has, teaches nothing.

    With a `PresetDecoder` the decoder, its sizes and its tokenizer are those of a preset.

    Source: Vaswani et al. 2017, arXiv:1706.03762; recurrent, with attention: Luong et al. 2015,
    arXiv:1508.04025; length penalty: Wu et al. 2016, arXiv:1609.08144; top-p: Holtzman
    et al. 2020, arXiv:1904.09751; CTC: Graves et al. 2006.
    """

    target_type = "text"
    generates = True
    reads_tokens = True
    type: Literal["text"] = "text"
    decoder: Literal["transformer", "lstm", "gru", "ctc"] | PresetDecoder = "transformer"
    tokenizer: TargetTokenizer = CharacterTokenizer()
    max_tokens: Annotated[int, Field(gt=0, le=4096)] = 64
    # width of the decoder, its layers, and the heads of its attention to the inputs
    dim: Width = 128
    depth: Depth = 2
    heads: AttentionHeads = 4
    # of a transformer's blocks
    mlp_units: MLPWidth = 256
    dropout: Fraction = 0.1
    # share of the target that is spread evenly over all tokens
    label_smoothing: Fraction = 0.1
    search: Literal["greedy", "beam"] = "greedy"
    # of `search: beam`
    beam: Annotated[int, Field(gt=0, le=64)] = 4
    length_penalty: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.6
    # texts that it chooses from; null: it writes
    choices: Choices | Literal["training"] | None = None
    # of texts that are drawn at random; top_k null: all tokens
    temperature: Temperature = 1.0
    top_k: Annotated[int, Field(gt=0, le=10_000_000)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0

    @pydantic.model_validator(mode="before")
    @classmethod
    def _tokenizer_of_its_decoder(cls, settings: Any) -> Any:
        return with_its_tokenizer(settings)

    @pydantic.field_validator("search", mode="before")
    @classmethod
    def _same_each_time(cls, search: Any) -> Any:
        if search == "sample":
            raise ValueError(
                "must be greedy or beam, whose prediction of a row is the same each time, received "
                "sample, which needs a seed for each row: use the endpoint sample"
            )
        return search

    @pydantic.field_validator("tokenizer", mode="before")
    @classmethod
    def _reversible(cls, tokenizer: Any) -> Any:
        kind = tokenizer.get("type") if isinstance(tokenizer, dict) else tokenizer
        kind = getattr(kind, "type", kind)
        if isinstance(kind, str) and kind not in _REVERSIBLE:
            raise ValueError(
                f"must be one whose tokens give the text back, {', '.join(_REVERSIBLE)}, received "
                f"{kind}"
            )
        return tokenizer

    @pydantic.model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(
                f"dim must be a multiple of the {self.heads} heads, received {self.dim}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _settings_of_its_decoder(self) -> Self:
        is_ctc = self.decoder == "ctc"
        if is_ctc and (self.inputs is None or len(self.inputs) != 1):
            raise ValueError(
                "inputs must name the one input whose tokens the decoder ctc reads, received "
                f"{self.inputs}"
            )
        fields = type(self).model_fields
        others = [name for name in fields if name not in SETTINGS] if is_ctc else []
        if isinstance(self.decoder, PresetDecoder):
            others = [*GIVEN]
        for name in others:
            value = getattr(self, name)
            if value != fields[name].get_default(call_default_factory=True):
                kind = "ctc" if is_ctc else "of a preset"
                raise ValueError(f"{name} is no setting of the decoder {kind}, received {value!r}")
        return self

    @pydantic.field_validator("choices", mode="after")
    @classmethod
    def _choices_are_texts(cls, choices: Any) -> Any:
        if not isinstance(choices, list):
            return choices
        texts = [canonical(one) for one in choices]
        if len(texts) < 2 or "" in texts or len({*texts}) < len(texts):
            raise ValueError(
                "must be training, or two different texts or more and none empty, received "
                f"{choices}"
            )
        return texts

    @pydantic.model_validator(mode="after")
    def _choices_are_not_written(self) -> Self:
        if self.choices is None:
            return self
        for name in ("search", "beam", "length_penalty", "temperature", "top_k", "top_p"):
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} is a setting of texts that are written, received {value!r} with "
                    "choices, all of which are compared"
                )
        return self

    @property
    def endings(self) -> tuple[str, ...]:  # type: ignore[override]
        """The log probability; with choices the probabilities, too."""
        if self.choices is None:
            return (LOG_PROBABILITY,)
        return LOG_PROBABILITY, PROBABILITY, PROBABILITIES

    def input_problem(self, own: Input | None) -> str:
        """Of `decoder: ctc`: it must have one token a time step."""
        return sequence_problem(own) if self.decoder == "ctc" else ""

    @property
    def samples(self) -> bool:
        """Its tokens can be drawn, but no choices, nor what a sound's time steps say."""
        return self.decoder != "ctc" and self.choices is None

    @property
    def stats_settings(self) -> list[Any]:
        """Its tokenizer, how long a text may be, and its choices."""
        chosen = [] if self.choices is None else [self.choices]
        return [self.tokenizer.model_dump_json(), self.max_tokens, *chosen]

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """The row's loss, its target's log probability, its hits, and of how many tokens."""
        return (4,)
