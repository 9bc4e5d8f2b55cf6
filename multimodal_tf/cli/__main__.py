"""Runs the command line: `python -m multimodal_tf.cli`."""

from multimodal_tf.cli import main

main()
