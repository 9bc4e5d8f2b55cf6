"""Towers, fusion and heads, and `build_model`, the only place where they meet."""

from multimodal_tf.models.build import build_model, build_towers, compile_arguments, embeddings

__all__ = ["build_model", "build_towers", "compile_arguments", "embeddings"]
