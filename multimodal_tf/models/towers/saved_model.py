"""A TensorFlow SavedModel as a tower, frozen or trained further."""

import functools
import pathlib
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers, ops

from multimodal_tf.models.towers import saved_model_files
from multimodal_tf.models.towers.pretrained import (
    as_trained,
    encoding,
    is_answer,
    line,
    listed,
    reshaped,
    run,
    same_kind,
)

# of words, for one
_Table = tf.saved_model.experimental.TrackableResource


@keras.saving.register_keras_serializable("multimodal_tf")
class SavedModelLayer(layers.Layer):
    """One output of one signature of a SavedModel, with the SavedModel's variables as its weights.

    A signature computes what it does in serving: batch statistics and dropout are as in inference,
    while its weights can be trained. Computes in the SavedModel's own precision, whatever Keras'
    policy. Saving to `.keras` puts the files into it. A configuration alone (`from_config`) has no
    files: it finds those of a layer of the same process, and otherwise can be built, but not
    called, before `load_assets`. `keras.layers.TFSMLayer` 3.15 reads the original folder again, and
    not in Keras' safe mode.

    Args:
        digest: str. Of the files.
        signature, output: str.
        row: list. Shape of a row as the signature takes it.
        by_row: bool. The signature takes one row, not a batch.
        first: bool. It takes a batch of exactly one row.
        answer: list. Shape of an answer to one row.
        variables: list of `[name, shape, dtype, trainable]`, in the order of the weights.

    Call:
        `x` is `(batch, ...)`, whose rows have as many values as `row`. Returns float32 `(batch,
        *answer)`.
    """

    def __init__(self, digest, signature, output, row, by_row, first, answer, variables, **kwargs):
        super().__init__(**kwargs)
        self.digest, self.signature, self.output_name = digest, signature, output
        self.row, self.by_row, self.first, self.answer = list(row), by_row, first, list(answer)
        self.variable_specs = [list(spec) for spec in variables]
        self._graph: Any = None

    def build(self, shape):
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

    def _bind(self, files, loaded):
        """Makes the signature compute with this layer's weights in place of the variables that it
        was loaded with.

        Whatever an optimizer or a strategy knows of the weights stays valid.
        """
        function = loaded.signatures[self.signature]
        # the handle is asked for at each call, because each replica has its own
        handles = {
            id(_captured(variable)): functools.partial(_handle, weight.value)
            for weight, variable in zip(self.own, weights_of(function))
        }
        function.set_external_captures(
            [handles.get(id(capture), capture) for capture in function.captured_inputs]
        )
        # what a gradient tape watches
        function.graph.variables = [weight.value for weight in self.own]
        self._graph = _Graph(files, loaded, function)
        # for an export to track
        self.tables = [
            one for one in tf.train.TrackableView(loaded).descendants() if isinstance(one, _Table)
        ]

    def call(self, x, training=None):
        if self._graph is None:
            raise ValueError(
                f"the layer {self.name!r} was made from a configuration alone: only a .keras file brings its SavedModel along"
            )
        if not self.by_row:
            return self._answers(ops.reshape(x, (-1, *self.row)))
        return tf.map_fn(self._answer, x, fn_output_signature=tf.TensorSpec(self.answer, "float32"))

    def _answers(self, x):
        function = self._graph.function
        (name, spec), *_ = function.structured_input_signature[1].items()
        answer = tf.cast(function(**{name: tf.cast(x, spec.dtype)})[self.output_name], "float32")
        answer = answer if self.trainable else tf.stop_gradient(answer)
        return tf.ensure_shape(
            answer, self.answer if self.by_row and not self.first else [None, *self.answer]
        )

    def _answer(self, row):
        if self.first:
            return self._answers(ops.reshape(row, (1, *self.row)))[0]
        return self._answers(ops.reshape(row, self.row))

    def compute_output_spec(self, x, training=None):
        return keras.KerasTensor((x.shape[0], *self.answer), "float32")

    def save_assets(self, folder):
        if self._graph is None:
            raise ValueError(
                f"the layer {self.name!r} was made from a configuration alone and has no SavedModel to save"
            )
        self._graph.files.write(folder)

    def load_assets(self, folder):
        # `build` found the same files in this process
        if self._graph is not None:
            return
        files = saved_model_files.kept(pathlib.Path(folder), self.name)
        if files.digest != self.digest:
            raise ValueError(
                f"{self.name}: the SavedModel in the .keras file is damaged: its SHA-256 is {files.digest}, not {self.digest}"
            )
        self._bind(files, load(files))

    def get_config(self):
        own = {
            "digest": self.digest,
            "signature": self.signature,
            "output": self.output_name,
            "row": self.row,
            "by_row": self.by_row,
        }
        own |= {"first": self.first, "answer": self.answer, "variables": self.variable_specs}
        return super().get_config() | own


def saved_model(part, stats, x, present, name, last):
    """A SavedModel from a folder, an archive or a handle; `part.tower` is `config.SavedModelTower`.

    A SavedModel is a program: only one of somebody who is trusted belongs here
    (`saved_model_files`). Its tables come along as its variables do.

    Args:
        part: `config.ImageInput`, `TextInput` or `AudioInput`.
        x: Keras tensor: float32 `(batch, height, width, channels)` 0 to 1, as TensorFlow 2's image
            modules expect; float32 `(batch, samples)` -1 to 1; int32 `(batch, max_tokens)`; or
            string `(batch,)`.
        learned, present, name, last: as `models.towers` says.

    Returns:
        `Encoding`: the output `(batch, dim)` is one token, `(batch, length, dim)` so many, `(batch,
        height, width, dim)` one a place. All tokens are there. A signature that takes a single row,
        or a batch of one, is called row by row.

    Raises:
        FileNotFoundError: nothing is at `part.tower.path`.
        ValueError: as `saved_model_files.opened`; the SavedModel does not load; no signature or
            output can be used, or several and none is named; the signature fails; or it is to be
            trained and cannot be.

    Source: «Common SavedModel APIs for Image Tasks» and «for Text Tasks» of TensorFlow Hub.
    """
    tower, field = part.tower, f"inputs.{name}.tower"
    files = saved_model_files.opened(tower.path, f"{field}.path")
    loaded = _loaded(files, field)
    choice = _chosen(loaded.signatures, tower, x, field)
    x = as_trained(part, x, name)
    answer, gradients = _tried(
        loaded.signatures[choice.signature], choice, x, tower.trainable, field
    )
    variables = [
        [
            weight.name.split(":")[0].replace("/", "_"),
            list(weight.shape),
            weight.dtype.name,
            bool(weight.trainable) and flows,
        ]
        for weight, flows in zip(weights_of(loaded.signatures[choice.signature]), gradients)
    ]
    # float32 whatever the policy: the signature casts as it likes
    layer = SavedModelLayer(
        files.digest,
        **choice._asdict(),
        answer=answer,
        variables=variables,
        name=f"{name}_saved_model",
        dtype="float32",
    )
    return encoding(tower, run(layer, x, present, name, tower.trainable), None, name, last)


def load(files):
    """Loads the SavedModel; its variables belong to the strategy in whose scope this is called."""
    with tf.init_scope():
        try:
            return tf.saved_model.load(str(files.folder))
        except (RuntimeError, OSError, tf.errors.NotFoundError) as error:
            if "not registered" not in str(error):
                raise
            # only the import registers those of TensorFlow Text, which modules for texts use, and
            # it takes its time
            import tensorflow_text  # noqa: F401

            return tf.saved_model.load(str(files.folder))


def weights_of(function):
    """The variables of a signature that can be weights (not strings), sorted by name.

    Sorted, because their order is the saver's business; variables of one name keep that.
    """
    return sorted(
        (variable for variable in function.variables if variable.dtype != tf.string),
        key=lambda one: one.name,
    )


class _Graph:
    """What a layer computes with; no tuple, and nothing that TensorFlow would track and save a
    second time.
    """

    def __init__(self, files, loaded, function):
        # `loaded` holds the tables
        self.files, self.loaded, self.function = files, loaded, function


def _handle(variable):
    """The resource of a variable: of this replica's copy, or outside of replicas (Keras looks for
    shapes there) of the first.
    """
    if tf.distribute.in_cross_replica_context():
        variable = tf.distribute.get_strategy().experimental_local_results(variable)[0]
    return variable.handle


def _captured(variable):
    """What a loaded function captures of a variable: under a strategy the variable itself."""
    return variable if tf.distribute.has_strategy() else variable.handle


class _Choice(NamedTuple):
    signature: str
    output: str
    row: list
    by_row: bool
    first: bool


def _loaded(files, field):
    try:
        return load(files)
    except Exception as error:  # noqa: BLE001  TensorFlow raises whatever it likes on a file that is not as it should be
        raise ValueError(
            f"{field}.path: TensorFlow cannot load the SavedModel: {line(error)}"
        ) from error


def _chosen(signatures, tower, x, field):
    """The signature and output that the configuration names, or the only ones that can be used."""
    if tower.signature is not None and tower.signature not in signatures:
        raise ValueError(
            f"{field}.signature: must be one of the SavedModel's, which has {_listing(signatures)}, received {tower.signature!r}"
        )
    choices = [
        choice
        for key, function in signatures.items()
        if tower.signature in (None, key)
        and not (tower.signature is None and _is_twin(key, signatures))
        for choice in _usable(key, function, x)
    ]
    row = f"{x.dtype} (batch, {listed(x.shape[1:])})".replace("(batch, )", "(batch)")
    if not choices:
        raise ValueError(
            f"{field}: no signature takes what this input gives, {row}, the SavedModel has {_listing(signatures)}"
        )
    named = [choice for choice in choices if tower.output in (None, choice.output)]
    if len(named) != 1:
        wanted = "output" if len({choice.signature for choice in choices}) == 1 else "signature"
        received = repr(getattr(tower, wanted)) if getattr(tower, wanted) is not None else "none"
        raise ValueError(
            f"{field}.{wanted}: must name one of what can be used, which are {_listing(signatures)}, received {received}"
        )
    return named[0]


def _is_twin(key, signatures):
    """Whether this is `serving_default` beside the endpoint that it repeats, as Keras writes it."""
    if key != "serving_default":
        return False
    own = signatures[key]
    return any(
        other != key
        and function.structured_input_signature == own.structured_input_signature
        and function.structured_outputs == own.structured_outputs
        for other, function in signatures.items()
    )


def _usable(key, function, x):
    """The outputs of a signature that can be a tower's, if it takes what the input gives."""
    _, inputs = function.structured_input_signature
    if len(inputs) != 1:
        return
    (spec,) = inputs.values()
    taken = _taken(spec, tuple(x.shape[1:])) if same_kind(x.dtype, spec.dtype.name) else None
    if taken is None:
        return
    row, by_row, first = taken
    for name, output in function.structured_outputs.items():
        shape = output.shape.as_list() if output.shape.rank is not None else None
        if shape is not None and not (by_row and not first):
            shape = shape[1:]
        if output.dtype.is_floating and (shape is None or len(shape) in (1, 2, 3)):
            yield _Choice(key, name, list(row), by_row, first)


def _taken(spec, given):
    """`(row, by_row, first)`: how a signature takes the rows of an input; None if it does not."""
    if spec.shape.rank is None:
        return given, False, False
    batch, *rest = spec.shape.as_list() or [0]
    row = reshaped(given, rest)
    if row is not None and batch in (None, 1):
        return row, batch == 1, batch == 1
    # a single row, as YAMNet takes a single sound
    row = reshaped(given, spec.shape.as_list())
    return None if row is None else (row, True, False)


def _tried(function, choice, x, trainable, field):
    """Calls the signature once: the shape of an answer to one row, and for each weight whether a
    gradient reaches it.
    """
    weights = weights_of(function)
    rows = 1 if choice.by_row else 2
    (name, spec), *_ = function.structured_input_signature[1].items()
    sample = tf.zeros(
        choice.row if choice.by_row and not choice.first else [rows, *choice.row], spec.dtype
    )
    gradients: list = []

    def attempt():
        with tf.GradientTape() as tape:
            answer = function(**{name: sample})[choice.output]
            mean = tf.reduce_mean(answer)
        gradients[:] = tape.gradient(mean, weights) if trainable else weights
        return answer

    # its variables can be read in one of its replicas only
    strategy = tf.distribute.get_strategy()
    try:
        answer = strategy.experimental_local_results(strategy.run(attempt))[0]
    except (tf.errors.OpError, LookupError, ValueError, TypeError) as error:
        raise ValueError(
            f"{field}.path: signature {choice.signature!r} fails on an input of zeros: {line(error)}"
        ) from error
    shape = (
        answer.shape.as_list() if choice.by_row and not choice.first else answer.shape.as_list()[1:]
    )
    if not is_answer(shape) or not (choice.by_row or answer.shape[0] == rows):
        raise ValueError(
            f"{field}.output: must have one to three axes for each of {rows} rows, {choice.output!r} is of shape {answer.shape.as_list()}"
        )
    flows = [gradient is not None for gradient in gradients]
    if trainable and not any(weight.trainable and one for weight, one in zip(weights, flows)):
        raise ValueError(
            f"{field}.trainable: signature {choice.signature!r} has no variable that can be trained, received true"
        )
    return shape, flows


def _listing(signatures):
    """All signatures with their inputs and outputs, for an error."""
    if not signatures:
        return "none"
    return "; ".join(
        f"{key}({_specs(function.structured_input_signature[1])}) -> {_specs(function.structured_outputs)}"
        for key, function in signatures.items()
    )


def _specs(specs):
    return ", ".join(
        f"{name}: {spec.dtype.name} "
        + (f"({listed(spec.shape.as_list())})" if spec.shape.rank is not None else "of any shape")
        for name, spec in specs.items()
    )
