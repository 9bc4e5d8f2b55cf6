"""What a model really takes from each input, and when it breaks: the sections of a report on one
split of a table.
"""

from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.report.model.model_report import ModelReport, model_report

__all__ = ["ModelReport", "model_report", "predictor_of"]
