"""A TensorFlow SavedModel as a tower."""

from typing import Any

from multimodal_tf.config import Input, SavedModelTower
from multimodal_tf.models.towers import saved_model_files
from multimodal_tf.models.towers.encoding import Encoding, TowerInput
from multimodal_tf.models.towers.pretrained import encode_output, one_line, run, scale_pixels
from multimodal_tf.models.towers.saved_model_layer import SavedModelLayer, load, weights_of
from multimodal_tf.models.towers.saved_model_signature import choose, try_out


def saved_model(tower: SavedModelTower, given: TowerInput[Input], last: str) -> Encoding:
    """A SavedModel from a folder, an archive or a handle.

    A SavedModel is a program: load only those of a trusted source (`saved_model_files`). Its lookup
    tables are included, as its variables are.

    Args:
        tower, last: as in `models.towers`.
        given: its `x` is float32 `(batch, height, width, channels)` 0 to 1, as TensorFlow 2's image
            modules expect; float32 `(batch, samples)` -1 to 1; int32 `(batch, max_tokens)`; or
            string `(batch,)`.

    Returns:
        `Encoding`: the output `(batch, dim)` is one token, `(batch, length, dim)` are `length`
        tokens, `(batch, height, width, dim)` one per cell. All tokens are valid. A signature that
        takes a single row, or a batch of one, is called row by row.

    Raises:
        FileNotFoundError: nothing is at `tower.path`.
        ValueError: as `saved_model_files.fetch`; the SavedModel does not load; no signature or
            output can be used, or several and none is named; the signature fails; or it is
            trainable and has nothing to train.

    Source: «Common SavedModel APIs for Image Tasks» and «for Text Tasks» of TensorFlow Hub.
    """
    name = given.name
    field = f"inputs.{name}.tower"
    files = saved_model_files.fetch(tower.path, f"{field}.path")
    # This reference keeps the variables alive, to which signatures refer weakly.
    loaded = _loaded(files, field)
    choice = choose(loaded.signatures, tower, given.x, field)
    function = loaded.signatures[choice.signature]
    x = scale_pixels(tower.pixels, given.config, given.x, name)
    shape, reached = try_out(function, choice, tower.trainable, field)
    variables = [
        [
            weight.name.split(":")[0].replace("/", "_"),
            list(weight.shape),
            weight.dtype.name,
            bool(weight.trainable) and gradient,
        ]
        for weight, gradient in zip(weights_of(function), reached)
    ]
    # In float32 whatever the policy, because the signature casts by itself.
    layer = SavedModelLayer(
        files.digest,
        **choice._asdict(),
        output_row_shape=shape,
        variables=variables,
        name=f"{name}_saved_model",
        dtype="float32",
    )
    return encode_output(
        tower, run(layer, x, given.present, name, tower.trainable), None, name, last
    )


def _loaded(files: saved_model_files.Files, field: str) -> Any:
    try:
        return load(files)
    # TensorFlow may raise anything on a damaged file.
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"{field}.path: TensorFlow cannot load the SavedModel: {one_line(error)}"
        ) from error
