"""Frozen towers from the presets on this machine, and what their inputs must be like."""

from multimodal_tf.config import PresetTower
from multimodal_tf.data.presets.folder import PresetFolder

# pixels, where a preset does not say
_SIDE = 224


def frozen_tower(preset: PresetFolder) -> PresetTower:
    """The preset's network, which is not trained."""
    return PresetTower(preset=str(preset.folder))


def sides(preset: PresetFolder) -> tuple[int, int]:
    """Height and width that the preset's converter, or else its network, says."""
    shapes = (preset.beside.get("image_size"), preset.settings.get("image_shape"))
    for shape in shapes:
        if isinstance(shape, list) and len(shape) > 1 and all(shape[:2]):
            return shape[0], shape[1]
    return _SIDE, _SIDE
