"""Videos: the image files of their frames or one GIF; no file where missing."""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from multimodal_tf.config import VideoInput
from multimodal_tf.data.codecs import frames, gif, image_file, video_file
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.codecs.decoder_file import readable
from multimodal_tf.data.codecs.file_decoder import FileDecoder
from multimodal_tf.data.filesystem import Root
from multimodal_tf.data.kinds.cell import is_missing
from multimodal_tf.data.kinds.files import array_of, open_file, read_bytes
from multimodal_tf.data.kinds.image import checked_image, gray_jpeg, image_decoder, read_image
from multimodal_tf.data.kinds.kind import Kind, Reader, batch_spec

_EXAMPLE_FRAMES = 2


class VideoKind(Kind[VideoInput, None]):
    """A video file (`kinds.files.open_file` lists the ways to name one), a list or an array.

    A list holds images, as cells of an image input. An array is `(frames, height, width, 1, 3 or
    4)`. Evenly spaced frames are taken (`data.codecs.video_file`).
    """

    def read(self, value: Any, root: Root) -> list[bytes] | None:
        """At least one image and at most `frames`; None for a list without images.

        Frames of a file are JPEGs, those of arrays PNGs, other images as in an image input. A GIF
        is the only element.
        """
        if not isinstance(value, (list, tuple, np.ndarray)):
            with open_file(value, root, video_file.MAGIC) as file, readable():
                if not (head := file.read(4)):
                    raise CellError("an empty file (0 bytes)")
                file.seek(0)
                if head == video_file.GIF:
                    return [read_bytes(file)]
                return video_file.to_frames(file, self.config)
        if isinstance(value, np.ndarray) and value.dtype != object and value.ndim != 4:
            raise CellError(
                f"a video array must be (frames, height, width, 1, 3 or 4), received {value.shape}"
            )
        images = [(number, one) for number, one in enumerate(value, start=1) if not is_missing(one)]
        chosen = (
            range(len(images))
            if len(images) <= self.config.frames
            else video_file.choose(len(images), self.config.frames)
        )
        return [self._read_frame(*images[index], root) for index in chosen] or None

    def _read_frame(self, number: int, value: Any, root: Root) -> bytes:
        try:
            array = array_of(value)
            if array is None:
                return read_image(value, self.config.max_pixels, root)
            return self._frame_of_array(array)
        except CellError as error:
            raise CellError(f"frame {number}: {error}") from None

    def _frame_of_array(self, array: npt.NDArray[Any]) -> bytes:
        if array.ndim != 3:
            raise CellError(f"an array must be (height, width, 1, 3 or 4), received {array.shape}")
        image = image_file.from_array(array, self.config.max_pixels)
        return image_file.png(video_file.shrunk(image, self.config))

    def checked(self, cell: Any) -> tuple[list[bytes], str]:
        """Frames that the graph cannot decode, but Pillow can, are converted to PNG."""
        problem = self.problem(cell)
        is_gif = len(cell) == 1 and cell[0][:4] == video_file.GIF
        if not problem or is_gif:
            return cell, problem
        decoder = _frame_decoder(self.config)
        frames = [checked_image(one, decoder, self.config.max_pixels)[0] for one in cell]
        return frames, self.problem(frames)

    def _problem(self, cell: list[bytes]) -> str:
        find = _find_problem(self.config.model_dump_json(exclude={"tower"}))
        return str(find(tf.constant([cell])).numpy().decode())

    def reader(self, stats: None) -> "VideoReader":
        """Needs no statistics."""
        return VideoReader(self.config)

    def example(self, stats: None) -> tf.Tensor:
        """Gray JPEGs."""
        return tf.fill([_EXAMPLE_FRAMES], gray_jpeg())


class VideoReader(Reader[VideoInput]):
    """Image files of frames, or a GIF, to pixels.

    A row of string `(any,)`, where "" is no frame, is missing if it has no frame. Of its n files
    those at the centres of `frames` equal stretches are taken (`gif.choose`); fewer files are
    repeated. Of a GIF that is a row's only file, the frames that it shows at the centres of equal
    stretches of time are taken. One broken frame makes the whole video broken: the reason names the
    first one, from 1.
    """

    def of_request(self, cells: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Files of frames, which one string of a request holds."""
        return frames.unpack(cells)

    def read(self, cells: tf.Tensor | tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """uint8 `(batch, frames, height, width, channels)`."""
        files, numbers, counts = self._files(cells)
        first = files[:, 0]
        is_gif = (counts == 1) & (tf.strings.substr(first, 0, 4) == video_file.GIF)
        pixels, present, reason = self._read_images(
            tf.where(is_gif[:, tf.newaxis], "", files), numbers
        )

        def none() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return tf.zeros_like(pixels), tf.zeros_like(present), tf.zeros_like(reason)

        gif_pixels, gif_present, gif_reason = tf.cond(
            tf.reduce_any(is_gif),
            lambda: _gif_decoder(*self.config.model_shape, self.config.max_pixels).decode(
                tf.where(is_gif, first, "")
            ),
            none,
        )
        pixels = tf.where(tf.reshape(is_gif, [-1, 1, 1, 1, 1]), gif_pixels, pixels)
        return (
            tf.ensure_shape(pixels, [None, *self.config.model_shape]),
            tf.where(is_gif, gif_present, present),
            tf.where(is_gif, gif_reason, reason),
        )

    def model_input(self, tensor: tf.Tensor) -> tf.Tensor:
        """float32 0..1."""
        return tf.cast(tensor, tf.float32) / 255

    def _files(self, cells: tf.Tensor | tf.RaggedTensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`(chosen files, their numbers, counts)`: `(batch, frames)` twice, and `(batch,)`.

        Numbers count a row's files from 1.
        """
        files = tf.ragged.boolean_mask(cells, cells != "")
        counts = files.row_lengths()
        numbers = gif.choose(tf.maximum(counts, 1), self.config.frames)
        # the last one stands for rows without files
        values = tf.concat([files.values, [""]], 0)
        indices = tf.where(
            counts[:, tf.newaxis] > 0,
            files.row_starts()[:, tf.newaxis] + numbers,
            tf.size(values, tf.int64) - 1,
        )
        return tf.gather(values, indices), numbers + 1, counts

    def _read_images(
        self, files: tf.Tensor, numbers: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """All frames of all rows decoded at once; a row is present if all of its frames are."""
        config, shape = self.config, tf.shape(files)
        decoder = _frame_decoder(config)
        pixels, presents, reasons = decoder.decode(tf.reshape(files, [-1]))
        present = tf.reduce_all(tf.reshape(presents, shape), axis=1)
        pixels = tf.reshape(pixels, tf.stack([shape[0], config.frames, *pixels.shape[1:]]))
        pixels = tf.where(tf.reshape(present, [-1, 1, 1, 1, 1]), pixels, tf.zeros([], tf.uint8))
        return pixels, present, _first_reason(tf.reshape(reasons, shape), numbers)


def _frame_decoder(config: VideoInput) -> FileDecoder:
    return image_decoder(config.height, config.width, config.channels, config.max_pixels)


@functools.cache
def _gif_decoder(
    frames: int, height: int, width: int, channels: int, max_pixels: int
) -> FileDecoder:
    """A decoder to uint8 `(frames, height, width, channels)`."""
    shape = (frames, height, width, channels)
    return FileDecoder(
        lambda data: gif.problem(data, max_pixels, frames),
        lambda data: gif.decode(data, *shape),
        tf.TensorSpec(shape, tf.uint8),
        # the header is valid, the rest is not
        "damaged GIF",
    )


def _first_reason(reasons: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """The first reason of each row, with the number of its frame."""
    broken = reasons != ""
    index = tf.argmax(tf.cast(broken, tf.int8), axis=1)
    number, reason = (
        tf.gather(values, index, batch_dims=1)
        for values in (tf.strings.as_string(numbers), reasons)
    )
    return tf.where(
        tf.reduce_any(broken, axis=1), tf.strings.join(["frame ", number, ": ", reason]), ""
    )


@functools.cache
def _find_problem(config: str) -> Any:
    """`config`: a `VideoInput` as JSON, which can be hashed."""
    reader = VideoReader(VideoInput.model_validate_json(config))

    @tf.function(input_signature=[batch_spec(reader.config)], autograph=False)
    def find(cells: tf.Tensor) -> tf.Tensor:
        return reader.read(cells)[2][0]

    return find
