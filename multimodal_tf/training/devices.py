"""Whether the devices of this process compute in a precision."""

import tensorflow as tf

from multimodal_tf.config import Training

# the lowest compute capability of a GPU with such numbers: NVIDIA, CUDA C++ Programming Guide,
# "Arithmetic Instructions"
_LEAST = {"mixed_float16": (5, 3), "mixed_bfloat16": (8, 0)}


def check_precision(training: Training) -> None:
    """Checks that the devices have the numbers of `training.precision`.

    Processors have both, if slowly.

    Raises:
        ValueError: a GPU is too old, or a TPU would have to compute in float16.
    """
    wanted = training.precision
    if wanted == "float32":
        return
    if wanted == "mixed_float16" and tf.config.list_physical_devices("TPU"):
        raise ValueError(
            "training.precision: TPUs compute in mixed_bfloat16 or float32, received mixed_float16"
        )
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        found, least = details.get("compute_capability"), _LEAST[wanted]
        if found is not None and tuple(found) < least:
            name = details.get("device_name", device.name)
            raise ValueError(
                f"training.precision: {wanted} needs a GPU of compute capability "
                f"{least[0]}.{least[1]} or more, received {name} of {found[0]}.{found[1]}"
            )
