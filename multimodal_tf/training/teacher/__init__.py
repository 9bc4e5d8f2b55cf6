"""A teacher: what it can teach, its predictions for the training rows, whether it helped."""

from multimodal_tf.training.teacher.compare import teacher_note
from multimodal_tf.training.teacher.lessons import Lessons, check_folder, find_lessons

__all__ = ["Lessons", "check_folder", "find_lessons", "teacher_note"]
