"""What a model really takes from each input, and when it breaks: the sections of a report on one split of a table."""

from multimodal_tf.evaluation.perception.report import Perception, perception_report
from multimodal_tf.evaluation.perception.subject import subject_of

__all__ = ["Perception", "perception_report", "subject_of"]
