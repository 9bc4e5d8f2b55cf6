"""A small input for each tower: `TOWERS` of random weights, `PRETRAINED` of networks in files."""

from multimodal_tf.config import (
    ApplicationTower,
    AudioInput,
    BagTower,
    BooleanInput,
    BytePairTokenizer,
    CategoryInput,
    CharacterTokenizer,
    Conv3DTower,
    ConvTower,
    CRNNTower,
    DateInput,
    DenseTower,
    FramesAverage,
    FramesLSTM,
    FramesTower,
    FramesTransformer,
    GRUTower,
    ImageInput,
    KerasTower,
    LSTMTower,
    NgramTokenizer,
    NoTokenizer,
    NumberInput,
    PresetTower,
    ResNetTower,
    SavedModelTower,
    SpectrogramTower,
    SpectrogramTransformerTower,
    TextInput,
    TransformerTower,
    VectorFile,
    VectorInput,
    VideoInput,
    ViTTower,
    WaveformTower,
)


def image(size=16, **tower):
    return ImageInput(
        height=size,
        width=size,
        channels=1,
        tower=ConvTower(**{"filters": [4, 4], "dim": 6} | tower),
    )


def pixels(tower, size=16):
    return ImageInput(height=size, width=size, channels=1, tower=tower)


def audio(seconds=0.1, **tower):
    return AudioInput(
        sample_rate=4000,
        seconds=seconds,
        tower=SpectrogramTower(**{"filters": [4], "mel_bins": 8, "dim": 6} | tower),
    )


def recurrent(seconds=0.1, **tower):
    return AudioInput(
        sample_rate=4000,
        seconds=seconds,
        tower=CRNNTower(**{"filters": [4, 4], "mel_bins": 8, "units": 5} | tower),
    )


def patches(seconds=0.1, **tower):
    small = {
        "units": 8,
        "depth": 1,
        "heads": 2,
        "mlp_units": 8,
        "block_dropout": 0,
        "mel_bins": 8,
        "patch_ms": 30,
        "patch_bins": 4,
    }
    return AudioInput(
        sample_rate=4000, seconds=seconds, tower=SpectrogramTransformerTower(**small | tower)
    )


def waveform(seconds=0.1, **tower):
    small = {"filters": [4, 4], "stride": 3, "window_ms": 2, "dim": 6}
    return AudioInput(sample_rate=4000, seconds=seconds, tower=WaveformTower(**small | tower))


def video(tower, frames=3):
    return VideoInput(frames=frames, height=8, width=8, channels=1, tower=tower)


def framed(over, **tower):
    return video(FramesTower(frame=ConvTower(filters=[4], dim=6), over=over, **tower))


def text(**tower):
    return TextInput(max_tokens=4, tower=LSTMTower(**{"embedding_dim": 4, "units": 5} | tower))


SMALL = {"units": 8, "depth": 1, "heads": 2, "mlp_units": 8, "block_dropout": 0}
TOWERS = {
    "image": image(),
    "image, plain and flat": image(
        batch_normalization=False, padding="valid", pooling="flatten", dim=None
    ),
    "image, wide": image(wide=True),
    "image, residual": pixels(ResNetTower(filters=4)),
    "image, an application": pixels(ApplicationTower(name="MobileNet"), size=32),
    "image, a vision transformer": pixels(ViTTower(**SMALL, patch_size=8)),
    "text, an LSTM over subwords": TextInput(
        max_tokens=4,
        tokenizer=BytePairTokenizer(),
        tower=LSTMTower(embedding_dim=4, units=5),
    ),
    "text, two LSTMs both ways, averaged and projected": text(
        depth=2, bidirectional=True, pooling="average", dim=6
    ),
    "text, a GRU over characters with fixed vectors": TextInput(
        max_tokens=4,
        tokenizer=CharacterTokenizer(),
        vectors=VectorFile(path="vectors.txt", trainable=False),
        tower=GRUTower(embedding_dim=4, units=5),
    ),
    "text, a bag of words with vectors, projected": TextInput(
        max_tokens=4,
        vectors=VectorFile(path="vectors.txt"),
        tower=BagTower(embedding_dim=4, dim=6, dropout=0),
    ),
    "text, a bag of n-grams": TextInput(
        max_tokens=4,
        tokenizer=NgramTokenizer(buckets=8),
        tower=BagTower(embedding_dim=4, dropout=0),
    ),
    "text, a wide bag of words": TextInput(
        max_tokens=4, tower=BagTower(embedding_dim=4, dim=6, dropout=0, wide=True)
    ),
    "text, a transformer": TextInput(max_tokens=4, tower=TransformerTower(**SMALL)),
    "text, a causal transformer": TextInput(
        max_tokens=4, tower=TransformerTower(**SMALL, causal=True, dim=6)
    ),
    "audio": audio(),
    "audio, plain and flat": audio(batch_normalization=False, pooling="flatten", dim=None),
    "audio, the largest": audio(padding="valid", pooling="max"),
    "audio, wide": audio(wide=True),
    "audio, recurrent": recurrent(),
    "audio, recurrent twice one way and projected": recurrent(
        bidirectional=False, depth=2, time_pools=0, pooling="last", dim=6
    ),
    "audio, patches": patches(),
    "audio, waveform": waveform(),
    "video": video(Conv3DTower(filters=[4, 4], dim=6)),
    "video, plain": video(
        Conv3DTower(
            filters=[4], batch_normalization=False, padding="valid", pooling="max", dim=None
        )
    ),
    "video, an LSTM": framed(FramesLSTM(units=5)),
    "video, two LSTMs both ways, the largest, projected": framed(
        FramesLSTM(units=5, depth=2, bidirectional=True, pooling="max"), dim=6
    ),
    "video, self-attention": framed(
        FramesTransformer(depth=1, heads=2, mlp_units=8, block_dropout=0)
    ),
    "video, an average of vision transformers": video(
        FramesTower(frame=ViTTower(**SMALL, patch_size=4), over=FramesAverage())
    ),
    "number": NumberInput(tower=DenseTower(dim=4)),
    "number, wide": NumberInput(tower=DenseTower(dim=4, wide=True)),
    "category, wide": CategoryInput(tower=DenseTower(dim=4, wide=True), unknown=0),
    "date, wide": DateInput(tower=DenseTower(dim=4, wide=True)),
    "vector, wide": VectorInput(dim=8, tower=DenseTower(dim=4, wide=True)),
    "category": CategoryInput(tower=DenseTower(dim=4), unknown=0),
    "boolean": BooleanInput(tower=DenseTower(dim=4)),
    "date": DateInput(tower=DenseTower(dim=4)),
    "vector": VectorInput(dim=8, tower=DenseTower(dim=4)),
}
# what has the layers of another one with other options, or another network in the same layer
ALIKE = (
    "image, plain and flat",
    "text, two LSTMs both ways, averaged and projected",
    "text, a bag of n-grams",
    "text, a causal transformer",
    "audio, plain and flat",
    "audio, the largest",
    "audio, recurrent twice one way and projected",
    "video, plain",
    "video, two LSTMs both ways, the largest, projected",
    "image, an application",
    "text, the encoder of a preset like T5",
    "audio, a preset like Whisper",
)
# functions of the fixture `pretrained`
PRETRAINED = {
    "image, a SavedModel": lambda pretrained: ImageInput(
        height=8,
        width=8,
        channels=1,
        tower=SavedModelTower(path=pretrained.image_module(), trainable=True),
    ),
    "audio, a frozen SavedModel of one clip": lambda pretrained: AudioInput(
        sample_rate=1000,
        seconds=0.3,
        tower=SavedModelTower(path=pretrained.audio_module(), output="embeddings", dim=6),
    ),
    "image, a Keras file": lambda pretrained: pixels(
        KerasTower(path=pretrained.keras_model(), layer="norm", trainable=True), size=8
    ),
    "image, a frozen preset": lambda pretrained: ImageInput(
        height=8, width=8, tower=PresetTower(preset=pretrained.image_preset(), dim=6)
    ),
    "text, a preset": lambda pretrained: TextInput(
        max_tokens=4, tower=PresetTower(preset=pretrained.text_preset(), trainable=True)
    ),
    "text, the encoder of a preset like T5": lambda pretrained: TextInput(
        max_tokens=4, tower=PresetTower(preset=pretrained.text_family("T5"), trainable=True)
    ),
    "text, a SavedModel of strings": lambda pretrained: TextInput(
        tokenizer=NoTokenizer(),
        tower=SavedModelTower(path=pretrained.text_module(), trainable=True, dim=6),
    ),
    "audio, a preset like Whisper": lambda pretrained: AudioInput(
        sample_rate=2000,
        seconds=0.2,
        tower=PresetTower(preset=pretrained.whisper_preset(), dim=6),
    ),
    "audio, a preset like Moonshine": lambda pretrained: AudioInput(
        sample_rate=4000,
        seconds=0.5,
        tower=PresetTower(preset=pretrained.moonshine_preset(), trainable=True),
    ),
}
