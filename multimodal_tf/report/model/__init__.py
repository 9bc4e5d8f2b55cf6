"""The model report: contributions, robustness, alignment, calibration and errors on one split."""

from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.report.model.model_report import ModelReport, model_report

__all__ = ["ModelReport", "model_report", "predictor_of"]
