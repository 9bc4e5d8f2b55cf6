"""The pretrained networks that `describe` proposes, and KerasHub's backbones that may replace them.

One small network for each kind of input, by KerasHub's own name. A folder with another network of
the same kind serves as well: what its `config.json` says the class is counts, not its name.
"""

import dataclasses
from typing import Literal

# what a network reads
Kind = Literal["image", "text", "sound"]


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A pretrained network of KerasHub.

    Attributes:
        kind: what it reads.
        name: KerasHub's name of the preset.
        reads: what, for people.
        megabytes: size of its weights.
        many_languages: whether it reads texts in many languages.
    """

    kind: Kind
    name: str
    reads: str
    megabytes: int
    many_languages: bool = False


# of each kind the first that fits is taken
PROPOSED = (
    Proposal("image", "efficientnet_lite0_ra_imagenet", "images, videos", 19),
    Proposal("text", "all_minilm_l6_v2_en", "English texts", 91),
    Proposal("text", "multilingual_e5_small", "texts, 100 languages", 471, many_languages=True),
    Proposal("sound", "whisper_tiny_multi", "speech, sounds", 151),
)
NAMES = tuple(proposal.name for proposal in PROPOSED)

# beside the network, the file of what a tower of its kind reads
BESIDE: dict[Kind, str] = {
    "image": "image_converter.json",
    "text": "tokenizer.json",
    "sound": "audio_converter.json",
}
# Encoders of a whole image, text or clip. KerasHub's detectors, segmenters, decoders and models of
# pairs are left to the configuration.
BACKBONES: dict[str, Kind] = {
    "CSPNetBackbone": "image",
    "DINOV2Backbone": "image",
    "DeiTBackbone": "image",
    "DenseNetBackbone": "image",
    "EfficientNetBackbone": "image",
    "HGNetV2Backbone": "image",
    "MobileNetBackbone": "image",
    "ResNetBackbone": "image",
    "ViTBackbone": "image",
    "AlbertBackbone": "text",
    "BertBackbone": "text",
    "DebertaV3Backbone": "text",
    "DistilBertBackbone": "text",
    "ElectraBackbone": "text",
    "FNetBackbone": "text",
    "RobertaBackbone": "text",
    "XLMRobertaBackbone": "text",
    "MoonshineBackbone": "sound",
    "WhisperBackbone": "sound",
}
# Of these tokenizers, those with at least so many ids are of many languages.
MANY_LANGUAGES = {
    "XLMRobertaTokenizer": 0,
    "BertTokenizer": 100_000,
    "DistilBertTokenizer": 100_000,
    "DebertaV3Tokenizer": 200_000,
}
