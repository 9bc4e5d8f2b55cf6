"""KerasHub's presets: their backbones and converters, and the part of a backbone a tower needs."""

import contextlib
import pathlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import keras
from keras import KerasTensor, layers

from multimodal_tf.config import Input, PresetTower
from multimodal_tf.models.layer import Layer
from multimodal_tf.models.towers.pretrained import is_encodable, one_line

Tensors: TypeAlias = dict[str, KerasTensor]
# by preset and dtype policy
Backbones: TypeAlias = dict[tuple[str, str], keras.Model]
_shared: list[Backbones] = []
# Shape and dtype of outputs, by backbone: to find them, Keras runs through its whole graph.
_specs: weakref.WeakKeyDictionary[keras.Model, dict[str, Any]] = weakref.WeakKeyDictionary()

# outputs with one vector per token, which are preferred to pooled ones
_TOKENS = ("sequence_output", "encoder_sequence_output", "last_hidden_state")


@keras.saving.register_keras_serializable("multimodal_tf")
class BackbonePart(Layer):
    """The part of a KerasHub backbone between some of its inputs and one output.

    A pooler or a decoder that this output does not need adds no weights. It is a layer, because a
    backbone of KerasHub 0.32 is rebuilt from its own configuration, but not from those of its
    layers.

    Args:
        backbone: `keras_hub.models.Backbone`, or a network in one.
        output: str or None. The output's name, if the backbone has named ones.
        prepare: `keras.Layer` or None. It turns `x` into a dict of some of the backbone's inputs,
            perhaps with other keys; the output depends on no other inputs. Its attribute
            `output_keys` lists them. None: the backbone has one input, which is `x`.
        length: int or None. Only the first `length` tokens are returned; None: all.

    Call:
        `x` is what `prepare` takes. Returns the output.
    """

    def __init__(
        self,
        backbone: keras.Model,
        output: str | None = None,
        prepare: layers.Layer | None = None,
        length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_name, self.prepare, self.length = output, prepare, length
        # A function hides it from Keras, which would track all of its weights.
        self._whole: Callable[[], keras.Model] = lambda: backbone
        outputs = backbone.output if output is None else backbone.output[output]
        used: Tensors | KerasTensor
        if prepare is None:
            used = keras.tree.flatten(backbone.input)[0]
        else:
            own = inputs(backbone)
            used = {key: one for key, one in own.items() if key in prepare.output_keys}
        self.network = keras.Model(
            used, outputs if length is None else outputs[:, :length], name=f"{backbone.name}_part"
        )
        # A saved configuration sets `trainable`, and Keras does not pass it on.
        if not self.trainable:
            self.network.trainable = False
        self.built = True

    @property
    def backbone(self) -> keras.Model:
        """The whole backbone."""
        return self._whole()

    def call(self, x: Any, training: bool | None = None) -> KerasTensor:
        if self.prepare is not None:
            prepared = self.prepare(x)
            x = {key: prepared[key] for key in self.network.input}
        # frozen, it runs in inference mode, in training too
        return self.network(x, training=bool(training) and self.network.trainable)

    def compute_output_spec(self, x: Any, training: bool | None = None) -> KerasTensor:
        given = x if self.prepare is None else self.prepare.compute_output_spec(x)
        sizes = [(one.shape, one.dtype) for one in keras.tree.flatten(given)]
        key = repr((self.output_name, self.length, self.compute_dtype, sizes))
        known = _specs.setdefault(self.backbone, {})
        if key not in known:
            found = super().compute_output_spec(x)
            known[key] = found.shape, found.dtype
        return KerasTensor(*known[key])

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "backbone": serialize(self.backbone),
            "output": self.output_name,
            "prepare": None if self.prepare is None else serialize(self.prepare),
            "length": self.length,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "BackbonePart":
        layers_of = {
            key: keras.saving.deserialize_keras_object(config.pop(key))
            for key in ("backbone", "prepare")
        }
        return cls(**layers_of, **config)


def load_backbone(tower: PresetTower, field: str, dtype: str | None = None) -> keras.Model:
    """Loads the backbone of a preset.

    Args:
        tower: `config.PresetTower`.
        field: str. The path of its field `preset`, for errors.
        dtype: str or None. Its compute dtype; None: that of Keras' policy.

    Raises:
        FileNotFoundError: there is no such preset.
        ValueError: KerasHub cannot load a backbone from it.
    """
    key = (tower.preset, str(dtype or keras.config.dtype_policy().name))
    shared = _shared[-1] if _shared and tower.weights and not tower.trainable else None
    if shared is not None and key in shared:
        return shared[key]
    # The import takes a second, which most models do not need.
    import keras_hub

    if (
        "://" not in tower.preset
        and tower.preset not in keras_hub.models.Backbone.presets
        and not pathlib.Path(tower.preset).exists()
    ):
        raise FileNotFoundError(
            f"{field}: must be a folder, a handle or a name of KerasHub, nothing is at"
            f" {tower.preset!r}"
        )
    try:
        backbone = keras_hub.models.Backbone.from_preset(
            tower.preset, load_weights=tower.weights, dtype=dtype
        )
    # KerasHub and its downloads may raise anything.
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"{field}: KerasHub does not load a backbone from {tower.preset!r}: {one_line(error)}"
        ) from error
    if shared is not None:
        shared[key] = backbone
    return backbone


@contextlib.contextmanager
def shared_backbones(backbones: Backbones) -> Iterator[None]:
    """Within the block, models share the backbones of frozen towers, which takes no time to load.

    For models that nothing changes but training: LoRA in one of them would be in all.

    Args:
        backbones: a dict that keeps them from one block to the next.
    """
    _shared.append(backbones)
    try:
        yield
    finally:
        _shared.pop()


def load_converter(
    kind: Literal["ImageConverter", "AudioConverter"], tower: PresetTower, field: str, what: str
) -> layers.Layer:
    """Loads the layer of a preset that preprocesses values for its backbone.

    Args:
        kind: the class in `keras_hub.layers`.
        tower: `config.PresetTower`.
        field: str. The path of its field `preset`, for errors.
        what: str. What it provides, for errors.

    Returns:
        KerasHub's layer, in float32.

    Raises:
        ValueError: the preset has none.
    """
    # As in `load_backbone`.
    import keras_hub

    try:
        return getattr(keras_hub.layers, kind).from_preset(tower.preset, dtype="float32")
    # As in `load_backbone`.
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"{field}: must have an {kind}, which provides {what}, {tower.preset!r} has none that"
            f" loads: {one_line(error)}"
        ) from error


def inputs(backbone: keras.Model) -> Tensors:
    """A backbone's Keras inputs by name."""
    if isinstance(backbone.input, dict):
        return backbone.input
    return {one.name: one for one in keras.tree.flatten(backbone.input)}


def find_reader(
    backbone: keras.Model,
    select: Callable[[Tensors], Tensors],
    tower: PresetTower,
    input_config: Input,
    name: str,
) -> tuple[keras.Model, str | None]:
    """Finds the network of a backbone that reads one kind of input.

    It is the whole backbone, or one of its networks, such as one of CLIP's two encoders.

    Args:
        backbone: `keras_hub.models.Backbone`.
        select: function of a network's Keras inputs by name; returns those that the input provides,
            an empty dict if the network reads another kind.
        tower, input_config, name: for the error.

    Returns:
        `(network, output)`: the first network with an output that depends on these inputs alone,
        and the output's name, None if it has none. An output with tokens is preferred to a pooled
        one, and of a feature pyramid the last, which is the deepest.

    Raises:
        ValueError: there is none.
    """
    parts = (
        held
        for held in vars(backbone).values()
        if isinstance(held, keras.Model) and hasattr(held, "input")
    )
    for network in (backbone, *parts):
        given = select(inputs(network))
        for output, tensor in _outputs(network) if given else ():
            if is_encodable(tensor.shape[1:]) and _depends_only_on(tensor, given):
                return network, output
    raise unreadable(backbone, tower, input_config, name)


def _outputs(network: keras.Model) -> Iterator[tuple[str | None, KerasTensor]]:
    """A network's outputs and their names, the preferred ones first."""
    named = network.output if isinstance(network.output, dict) else {None: network.output}
    last_first = [
        (name, tensor)
        for name, tensor in reversed(named.items())
        if isinstance(tensor, KerasTensor)
    ]
    yield from sorted(last_first, key=lambda one: one[0] not in _TOKENS)


def _depends_only_on(tensor: KerasTensor, given: Tensors) -> bool:
    try:
        keras.Model(given, tensor)
    except ValueError:
        return False
    return True


def unreadable(
    backbone: keras.Model, tower: PresetTower, input_config: Input, name: str
) -> ValueError:
    """The error for a backbone that does not read this kind of input, or not it alone."""
    return ValueError(
        f"inputs.{name}.tower.preset: must have a network that reads {input_config.type} alone,"
        f" received {tower.preset!r}, a {type(backbone).__name__} of the inputs"
        f" {sorted(inputs(backbone))}"
    )
