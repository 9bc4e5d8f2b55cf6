"""A signature of a SavedModel as a Keras layer."""

import functools
import pathlib
from typing import Any

import keras
import tensorflow as tf
from keras import KerasTensor, ops

from multimodal_tf.models.chain import Shape
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers import saved_model_files
from multimodal_tf.models.towers.saved_model_files import Files

# such as a lookup table
_Table = tf.saved_model.experimental.TrackableResource


@keras.saving.register_keras_serializable("multimodal_tf")
class SavedModelLayer(Layer):
    """One output of one signature of a SavedModel, whose variables are the layer's weights.

    The signature computes as in serving: batch normalization and dropout are in inference mode,
    while the weights can be trained. It runs in the SavedModel's own precision, whatever Keras'
    policy. Saving to `.keras` includes the files. `from_config` alone has no files: it uses those
    of a layer of the same process; otherwise the layer can be built, but not called, before
    `load_assets`. `keras.layers.TFSMLayer` 3.15 reads the original folder again, and does not load
    in Keras' safe mode.

    Args:
        digest: str. Of the files.
        signature, output: str.
        row_shape: shape of a row as the signature takes it.
        row_by_row: bool. The signature takes one row, not a batch.
        batch_of_one: bool. It takes a batch of exactly one row.
        output_row_shape: shape of the output for one row.
        variables: list of `[name, shape, dtype, trainable]`, in the order of the weights.

    Call:
        `x` is `(batch, ...)`, whose rows have as many values as `row_shape`. Returns float32
        `(batch, *output_row_shape)`.
    """

    def __init__(
        self,
        digest: str,
        signature: str,
        output: str,
        row_shape: list[int],
        row_by_row: bool,
        batch_of_one: bool,
        output_row_shape: list[int | None],
        variables: list[list[Any]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.digest, self.signature, self.output_name = digest, signature, output
        self.row_shape, self.row_by_row, self.batch_of_one = (
            list(row_shape),
            row_by_row,
            batch_of_one,
        )
        self.output_row_shape = list(output_row_shape)
        self.variable_specs = [list(spec) for spec in variables]
        self._graph: _Graph | None = None

    def build(self, shape: Shape) -> None:
        self.own = [
            self.add_weight(
                shape=shape,
                initializer="zeros",
                dtype=dtype,
                trainable=trainable,
                autocast=False,
                name=name,
            )
            for name, shape, dtype, trainable in self.variable_specs
        ]
        files = saved_model_files.held(self.digest)
        if files is not None:
            loaded = load(files)
            for weight, variable in zip(self.own, weights_of(loaded.signatures[self.signature])):
                weight.assign(tf.convert_to_tensor(variable))
            self._bind(files, loaded)

    def _bind(self, files: Files, loaded: Any) -> None:
        """Makes the signature read this layer's weights instead of the loaded variables.

        An optimizer's or a strategy's references to the weights stay valid.
        """
        function = loaded.signatures[self.signature]
        # The handle is looked up at each call, because each replica has its own.
        handles = {
            id(_captured(variable)): functools.partial(_handle, weight.value)
            for weight, variable in zip(self.own, weights_of(function))
        }
        function.set_external_captures(
            [handles.get(id(capture), capture) for capture in function.captured_inputs]
        )
        # A gradient tape watches these.
        function.graph.variables = [weight.value for weight in self.own]
        self._graph = _Graph(files, loaded, function)
        # An export tracks these.
        self.tables = [
            one for one in tf.train.TrackableView(loaded).descendants() if isinstance(one, _Table)
        ]

    def call(self, x: KerasTensor, training: bool | None = None) -> KerasTensor:
        if self._graph is None:
            raise ValueError(
                f"the layer {self.name!r} was made from a configuration alone: only a .keras file"
                " includes its SavedModel"
            )
        if not self.row_by_row:
            return self._batch(self._graph, ops.reshape(x, (-1, *self.row_shape)))
        spec = tf.TensorSpec(self.output_row_shape, "float32")
        return tf.map_fn(functools.partial(self._row, self._graph), x, fn_output_signature=spec)

    def _batch(self, graph: "_Graph", x: tf.Tensor) -> tf.Tensor:
        """Calls the signature with what it takes, a batch or a row."""
        (name, spec), *_ = graph.function.structured_input_signature[1].items()
        outputs = graph.function(**{name: tf.cast(x, spec.dtype)})
        output = tf.cast(outputs[self.output_name], "float32")
        if not self.trainable:
            output = tf.stop_gradient(output)
        row = self.output_row_shape
        return tf.ensure_shape(
            output, row if self.row_by_row and not self.batch_of_one else [None, *row]
        )

    def _row(self, graph: "_Graph", row: tf.Tensor) -> tf.Tensor:
        if self.batch_of_one:
            return self._batch(graph, ops.reshape(row, (1, *self.row_shape)))[0]
        return self._batch(graph, ops.reshape(row, self.row_shape))

    def compute_output_spec(self, x: KerasTensor, training: bool | None = None) -> KerasTensor:
        return KerasTensor((x.shape[0], *self.output_row_shape), "float32")

    def save_assets(self, folder: str) -> None:
        """Keras' hook: writes the SavedModel into the `.keras` file."""
        if self._graph is None:
            raise ValueError(
                f"the layer {self.name!r} was made from a configuration alone and has no"
                " SavedModel to save"
            )
        self._graph.files.write(folder)

    def load_assets(self, folder: str) -> None:
        """Keras' hook: reads the SavedModel from the `.keras` file, unless `build` has found it."""
        if self._graph is not None:
            return
        files = saved_model_files.copy_checked(pathlib.Path(folder), self.name)
        if files.digest != self.digest:
            raise ValueError(
                f"{self.name}: the SavedModel in the .keras file is damaged: its SHA-256 is"
                f" {files.digest}, not {self.digest}"
            )
        self._bind(files, load(files))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "digest": self.digest,
            "signature": self.signature,
            "output": self.output_name,
            "row_shape": self.row_shape,
            "row_by_row": self.row_by_row,
            "batch_of_one": self.batch_of_one,
            "output_row_shape": self.output_row_shape,
            "variables": self.variable_specs,
        }


def load(files: Files) -> Any:
    """Loads the SavedModel; its variables belong to the strategy of the current scope."""
    with tf.init_scope():
        try:
            return tf.saved_model.load(str(files.folder))
        except (RuntimeError, OSError, tf.errors.NotFoundError) as error:
            if "not registered" not in str(error):
                raise
            # Importing TensorFlow Text, which takes time, registers the operations that modules
            # for texts use.
            import tensorflow_text  # noqa: F401

            return tf.saved_model.load(str(files.folder))


def weights_of(function: Any) -> list[tf.Variable]:
    """The variables of a signature that can be weights (not strings), sorted by name.

    Their own order depends on the saver; variables of one name keep it.
    """
    return sorted(
        (variable for variable in function.variables if variable.dtype != tf.string),
        key=lambda one: one.name,
    )


class _Graph:
    """A bound signature. It is no tuple, so that TensorFlow does not track and save it again."""

    def __init__(self, files: Files, loaded: Any, function: Any) -> None:
        # `loaded` keeps the tables alive.
        self.files, self.loaded, self.function = files, loaded, function


def _handle(variable: tf.Variable) -> Any:
    """The resource of a variable: of this replica's copy, or outside of replicas of the first.

    Keras looks for shapes outside of replicas.
    """
    if tf.distribute.in_cross_replica_context():
        variable = tf.distribute.get_strategy().experimental_local_results(variable)[0]
    return variable.handle


def _captured(variable: tf.Variable) -> Any:
    """What a loaded function captures of a variable: under a strategy the variable itself."""
    return variable if tf.distribute.has_strategy() else variable.handle
