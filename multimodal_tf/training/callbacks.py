"""The Keras callbacks of every training."""

import pathlib

import keras

from multimodal_tf.config import Training
from multimodal_tf.training.run_dir import CHECKPOINT, HISTORY, LOGS


def make_callbacks(
    training: Training, run_dir: pathlib.Path, validated: bool
) -> list[keras.callbacks.Callback]:
    """Stops on NaN, writes history, TensorBoard logs and the best model, stops early.

    Args:
        training: `Training`. `patience` None: all epochs are run, and the best weights kept.
        run_dir: gets `history.csv`, `logs` and `checkpoint.keras`.
        validated: whether there is a validation loss. Without one there is no early stopping, and
            the checkpoint is the last model instead of the best.
    """
    callbacks: list[keras.callbacks.Callback] = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(str(run_dir / HISTORY)),
        keras.callbacks.TensorBoard(str(run_dir / LOGS), write_graph=False),
        keras.callbacks.ModelCheckpoint(
            str(run_dir / CHECKPOINT), monitor="val_loss", save_best_only=validated
        ),
    ]
    if validated:
        patience = training.epochs if training.patience is None else training.patience
        callbacks.append(
            keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
        )
    return callbacks
