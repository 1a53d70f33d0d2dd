"""Counting along the train: one passage and the detector's looks at it in, one counted train out."""

from vision.count.train import REASONS, CountResult, count_train

__all__ = ["REASONS", "CountResult", "count_train"]
