"""The head that predicts a text, token by token."""

from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from multimodal_tf.config.heads.bases import LabelColumn
from multimodal_tf.config.heads.ctc import SETTINGS, sequence_problem
from multimodal_tf.config.heads.preset_decoder import (
    GIVEN,
    PresetDecoder,
    with_its_tokenizer,
)
from multimodal_tf.config.inputs import Input
from multimodal_tf.config.names import (
    LOG_PROBABILITY,
    AttentionHeads,
    Depth,
    Fraction,
    MLPWidth,
    Width,
)
from multimodal_tf.config.text import (
    BytePairTokenizer,
    CharacterTokenizer,
    PresetTokenizer,
    SentencePieceTokenizer,
)

# tokenizers whose tokens give the text back
_REVERSIBLE = ("characters", "byte_pair", "sentence_piece", "preset")

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
    arXiv:1508.04025; length penalty: Wu et al. 2016, arXiv:1609.08144; CTC: Graves
    et al. 2006.
    """

    target_type = "text"
    generates = True
    reads_tokens = True
    endings = (LOG_PROBABILITY,)

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
                "sample, which needs a seed for each row"
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

    def input_problem(self, own: Input | None) -> str:
        """Of `decoder: ctc`: it must have one token a time step."""
        return sequence_problem(own) if self.decoder == "ctc" else ""

    @property
    def stats_settings(self) -> list[Any]:
        """Its tokenizer, and how long a text may be."""
        return [self.tokenizer.model_dump_json(), self.max_tokens]

    def output_shape(self, classes: int) -> tuple[int, ...]:
        """The row's loss, its target's log probability, its hits, and of how many tokens."""
        return (4,)
