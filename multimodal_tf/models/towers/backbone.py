"""KerasHub's presets: what one holds, and a backbone of which only what a tower needs becomes
weights.
"""

import pathlib

import keras
from keras import layers

from multimodal_tf.models.towers.pretrained import is_answer, line

# a token each, beside what is made of them
_TOKENS = ("sequence_output", "encoder_sequence_output", "last_hidden_state")


@keras.saving.register_keras_serializable("multimodal_tf")
class BackbonePart(layers.Layer):
    """A KerasHub backbone from some of its inputs to one output, and nothing of it that this output
    does not need.

    So a pooler or a decoder is no weight of this model. A layer of its own, because backbones of
    KerasHub 0.32 are made anew from their own configuration, but not from that of their layers.

    Args:
        backbone: `keras_hub.models.Backbone`, or a network in one.
        output: str or None. Which of its outputs, where it has several by name.
        prepare: `keras.Layer` or None. It makes of `x` a dict of some of the backbone's inputs, and
            perhaps others, whose names are its attribute `makes`; the output depends on no others.
            None: the backbone has one input, which takes `x` as it is.
        length: int or None. So many tokens are answered, the first ones; None: all.

    Call:
        `x` is what `prepare` takes. Returns the output.
    """

    def __init__(self, backbone, output=None, prepare=None, length=None, **kwargs):
        super().__init__(**kwargs)
        self.output_name, self.prepare, self.length = output, prepare, length
        # hidden from Keras, which would take all of its weights
        self._whole = lambda: backbone
        answers = backbone.output
        if output is not None:
            answers = answers[output]
        if prepare is None:
            given = keras.tree.flatten(backbone.input)[0]
        else:
            given = {key: one for key, one in inputs(backbone).items() if key in prepare.makes}
        self.network = keras.Model(
            given, answers if length is None else answers[:, :length], name=f"{backbone.name}_part"
        )
        # told by a saved configuration; Keras does not pass it on
        if not self.trainable:
            self.network.trainable = False
        self.built = True

    @property
    def backbone(self):
        """All of it."""
        return self._whole()

    def call(self, x, training=None):
        if self.prepare is not None:
            prepared = self.prepare(x)
            x = {key: prepared[key] for key in self.network.input}
        return self.network(x, training=training)

    def get_config(self):
        prepare = (
            None if self.prepare is None else keras.saving.serialize_keras_object(self.prepare)
        )
        own = {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "output": self.output_name,
            "prepare": prepare,
        }
        return super().get_config() | own | {"length": self.length}

    @classmethod
    def from_config(cls, config):
        parts = {
            key: keras.saving.deserialize_keras_object(config.pop(key))
            for key in ("backbone", "prepare")
        }
        return cls(**parts, **config)


def opened(tower, field, dtype=None):
    """The backbone of a preset.

    Args:
        tower: `config.PresetTower`.
        field: str. `preset`'s own, for errors.
        dtype: str or None. What it computes in; None: as Keras' policy says.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: KerasHub cannot make a backbone of what is there.
    """
    # it takes a second, which only those who want it should pay
    import keras_hub

    if (
        "://" not in tower.preset
        and tower.preset not in keras_hub.models.Backbone.presets
        and not pathlib.Path(tower.preset).exists()
    ):
        raise FileNotFoundError(
            f"{field}: must be a folder, a handle or a name of KerasHub, nothing is at {tower.preset!r}"
        )
    try:
        return keras_hub.models.Backbone.from_preset(
            tower.preset, load_weights=tower.weights, dtype=dtype
        )
    except Exception as error:  # noqa: BLE001  KerasHub and its downloads raise whatever they like
        raise ValueError(
            f"{field}: KerasHub makes no backbone of {tower.preset!r}: {line(error)}"
        ) from error


def converter(kind, tower, field, what):
    """What a preset does with the values before its backbone.

    Args:
        kind: "ImageConverter" or "AudioConverter".
        tower: `config.PresetTower`.
        field: str. `preset`'s own, for errors.
        what: str. What it says, for errors.

    Returns:
        KerasHub's layer, in float32.

    Raises:
        ValueError: the preset has none.
    """
    # here, as in `opened`
    import keras_hub

    try:
        return getattr(keras_hub.layers, kind).from_preset(tower.preset, dtype="float32")
    except Exception as error:  # noqa: BLE001  as in `opened`
        raise ValueError(
            f"{field}: must have an {kind}, which says {what}, {tower.preset!r} has none that loads: {line(error)}"
        ) from error


def inputs(backbone):
    """A backbone's Keras inputs by name."""
    return (
        backbone.input
        if isinstance(backbone.input, dict)
        else {one.name: one for one in keras.tree.flatten(backbone.input)}
    )


def reader(backbone, chosen, part, name):
    """What of a backbone answers to one kind of input: all of it, or one of the networks that it
    holds, such as CLIP's two encoders.

    Args:
        backbone: `keras_hub.models.Backbone`.
        chosen: function of a network's Keras inputs, dict by name, that returns those which the
        input gives; empty: it reads another kind.
        part, name: the input's configuration and name, for the error.

    Returns:
        `(network, output)`: the first network with an answer that depends on these inputs alone,
        and the answer's name, None where it has none. A token each goes before what is pooled from
        them, and of a pyramid the last, which is the deepest.

    Raises:
        ValueError: there is none.
    """
    for network in (
        backbone,
        *(
            held
            for held in vars(backbone).values()
            if isinstance(held, keras.Model) and hasattr(held, "input")
        ),
    ):
        given = chosen(inputs(network))
        for output, answer in _answers(network) if given else ():
            if is_answer(answer.shape[1:]) and _follows(answer, given):
                return network, output
    raise unread(backbone, part, name)


def _answers(network):
    """A network's outputs with their names, in the order in which they are to be taken."""
    named = network.output if isinstance(network.output, dict) else {None: network.output}
    last_first = [
        (name, answer)
        for name, answer in reversed(named.items())
        if isinstance(answer, keras.KerasTensor)
    ]
    return sorted(last_first, key=lambda one: one[0] not in _TOKENS)


def _follows(answer, given):
    """Whether Keras can compute a tensor from these inputs alone."""
    try:
        keras.Model(given, answer)
    except ValueError:
        return False
    return True


def unread(backbone, part, name):
    """The error of a backbone that reads something else than the input gives, or something besides."""
    return ValueError(
        f"inputs.{name}.tower.preset: must have a network that reads {part.type} alone, received {part.tower.preset!r}, a "
        f"{type(backbone).__name__} of the inputs {sorted(inputs(backbone))}"
    )
