"""Towers, fusion and heads, and `build_model`, the only place where they meet."""

from multimodal_tf.models.build import (
    build_model,
    build_towers,
    compile_arguments,
    embeddings,
    explanations,
)

# Keras must know `PeftModel` to load one
from multimodal_tf.models.peft import attach  # noqa: F401

__all__ = ["build_model", "build_towers", "compile_arguments", "embeddings", "explanations"]
