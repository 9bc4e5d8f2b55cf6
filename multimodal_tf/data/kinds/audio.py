"""Audio: the bytes of a WAV file, "" where missing."""

import functools
from typing import Any

import tensorflow as tf

from multimodal_tf.config import AudioInput
from multimodal_tf.data.codecs import audio_decoders, audio_file, riff
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.decoder_file import readable
from multimodal_tf.data.codecs.file_decoder import FileDecoder
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds.files import array_of, open_file
from multimodal_tf.data.kinds.kind import Kind, Reader

_FULL_SCALE = 32768.0


class AudioKind(Kind[AudioInput, None]):
    """An audio file (`kinds.files.open_file` lists the ways to name one) or an array.

    Arrays are `(samples,)`, 16-bit integers or floats -1..1, at the input's own `sample_rate`.
    """

    def read(self, value: Any, root: Root) -> bytes:
        """A mono WAV at the file's own rate, cut to what the model can use.

        It is 16-bit if the source is lossy or loses nothing by it, otherwise 32-bit float.
        """
        array = array_of(value)
        if array is not None:
            return audio_file.from_array(array, self.config.sample_rate)
        with open_file(value, root, audio_decoders.MAGIC) as file, readable():
            if not file.read(1):
                raise CellError("an empty file (0 bytes)")
            file.seek(0)
            return audio_file.to_wav(file, self.config.seconds)

    def _problem(self, cell: bytes) -> str:
        return _decoder(self.config.sample_rate, self.config.samples).problem(cell)

    def reader(self, stats: None) -> "AudioReader":
        """Needs no statistics."""
        return AudioReader(self.config)

    def example(self, stats: None) -> tf.Tensor:
        """A tenth of a second of silence."""
        rate = self.config.sample_rate
        return tf.audio.encode_wav(tf.zeros([rate // 10, 1]), rate)


class AudioReader(Reader[AudioInput]):
    """The bytes of a WAV file to samples."""

    def read(self, cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """int16 `(batch, samples)`."""
        return _decoder(self.config.sample_rate, self.config.samples).decode(cells)

    def model_input(self, tensor: tf.Tensor) -> tf.Tensor:
        """float32 -1..1."""
        return tf.cast(tensor, tf.float32) / _FULL_SCALE


@functools.cache
def _decoder(sample_rate: int, samples: int) -> FileDecoder:
    return FileDecoder(
        riff.problem,
        lambda data: riff.decode(data, sample_rate, samples),
        tf.TensorSpec([samples], tf.int16),
        # the header is valid, the rest is not
        "damaged audio",
    )
