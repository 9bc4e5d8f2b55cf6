"""A teacher: what it can teach, its predictions for the training rows, whether it helped."""

from multimodal_tf.training.teacher.compare import teacher_note
from multimodal_tf.training.teacher.lessons import Lessons, find_lessons

__all__ = ["Lessons", "find_lessons", "teacher_note"]
