"""Measuring stories: the evaluator that reads frames, and the rates that are counted from its readings."""

from .evaluators import FrameEvaluator, evaluator_loss, frame_labels, reading_accuracy

__all__ = ["FrameEvaluator", "evaluator_loss", "frame_labels", "reading_accuracy"]
