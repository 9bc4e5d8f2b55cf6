"""The forms in which a trained model is exported."""

from typing import Literal, TypeAlias

Form: TypeAlias = Literal["saved_model", "litert", "onnx"]
Weights: TypeAlias = Literal["float32", "float16", "int8"]
# what the weights of each form may be
WEIGHTS: dict[Form, tuple[Weights, ...]] = {
    "saved_model": ("float32", "float16"),
    "litert": ("float32", "float16", "int8"),
    "onnx": ("float32",),
}
