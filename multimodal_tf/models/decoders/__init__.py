"""Decoders: texts from the tokens of inputs, step by step."""
