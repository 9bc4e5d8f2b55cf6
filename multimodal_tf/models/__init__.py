"""Towers, fusion and heads, and `build_model`, the only place where they meet."""

from multimodal_tf.models.build import (
    build_model,
    build_towers,
    compile_arguments,
    embeddings,
    explanations,
)
from multimodal_tf.models.peft import attach  # noqa: F401  Keras must know what is grafted to load a model that has it

__all__ = ["build_model", "build_towers", "compile_arguments", "embeddings", "explanations"]
