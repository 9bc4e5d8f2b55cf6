"""A teacher's predictions of raw cells: of a run's model, or of a SavedModel on its signatures."""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import generating, output_key
from multimodal_tf.config.names import PRESENT, TARGET
from multimodal_tf.config.saved_model.form import load_exported
from multimodal_tf.data import requests
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.data.teacher_files import TeacherFiles
from multimodal_tf.models.build import embeddings
from multimodal_tf.training.run_dir import load_run

Tensors = dict[str, tf.Tensor]
# raw cells to outputs by name, and whether an input is present, float32 `(batch,)`
Function = Callable[[Tensors], tuple[Mapping[str, tf.Tensor], tf.Tensor]]


class TeacherModel:
    """A teacher, loaded when it is first asked.

    Args:
        files: its folder.
        config: its configuration.
        widths: by name, numbers of an output that is taught: a head, or a vector of `embed`.
    """

    def __init__(self, files: TeacherFiles, config: Config, widths: Mapping[str, int]) -> None:
        self._files, self.config, self.widths = files, config, dict(widths)
        self.folder, self.digest = files.model, files.digest
        self._function: Function | None = None

    @property
    def name(self) -> str:
        """Of its folder in the cache."""
        return "teacher"

    def __call__(self, raw: Tensors) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Its outputs of a batch of cells by name, and 1 or 0 where it sees an input.

        Raises:
            ValueError: it is damaged, or an output holds NaN or infinity.
        """
        if self._function is None:
            of_folder = _of_run if self._files.is_run else _of_saved_model
            self._function = of_folder(self._files, self.config, list(self.widths))
        outputs, present = self._function(raw)
        arrays = {name: np.asarray(tf.cast(outputs[name], tf.float32)) for name in self.widths}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(
                    f"teacher.model {self._files.model}: predictions must be finite numbers, "
                    f"received NaN or infinity of {name!r}"
                )
            if array.ndim == 1:
                arrays[name] = array[:, np.newaxis]
        return arrays, present.numpy()


def _of_run(files: TeacherFiles, config: Config, names: list[str]) -> Function:
    run = load_run(files.path)
    preprocessor, vectors = Preprocessor(config, run.schema), embeddings(run.model)

    @tf.function(input_signature=[preprocessor.raw_spec], autograph=False)
    def predict(raw: Tensors) -> tuple[Tensors, tf.Tensor]:
        features, _ = preprocessor.features(raw)
        inputs = preprocessor.model_inputs(features)
        rows = tf.shape(features[next(iter(features))])[0]
        for name in generating(config.heads):
            # it has no target, and what the teacher writes or draws is not taught
            target = run.model.input[name + TARGET]
            inputs[name + TARGET] = tf.zeros([rows, *target.shape[1:]], target.dtype)
        found = dict(run.model(inputs, training=False))
        if any(name not in found for name in names):
            found = vectors(inputs, training=False) | found
        flags = tf.stack([features[name + PRESENT] for name in config.inputs], axis=1)
        return {name: found[name] for name in names}, tf.reduce_max(flags, axis=1)

    function: Function = predict
    return function


def _of_saved_model(files: TeacherFiles, config: Config, names: list[str]) -> Function:
    loaded = load_exported(files.path)
    predict, embed = (loaded.signatures.get(name) for name in ("serving_default", "embed"))

    def function(raw: Tensors) -> tuple[Tensors, tf.Tensor]:
        raw = requests.of_records(config, raw)
        served = predict(**raw)
        found = {
            name: served[output_key(name, head)]
            for name, head in config.heads.items()
            if name in names
        }
        if embed is not None and any(name not in found for name in names):
            found = embed(**raw) | found
        seen = tf.reduce_any(served["present"], axis=1)
        return found, tf.cast(seen, tf.float32)

    return function


def vector_widths(files: TeacherFiles) -> dict[str, int]:
    """Numbers of each output or vector that a teacher gives; its model is loaded."""
    if files.is_run:
        model = load_run(files.path).model
        found = {**embeddings(model).output, **model.output}
    else:
        signatures = load_exported(files.path).signatures
        found = {}
        for name in ("embed", "serving_default"):
            if name in signatures:
                found |= signatures[name].structured_outputs
    return {name: int(one.shape[-1]) for name, one in found.items() if len(one.shape) == 2}
