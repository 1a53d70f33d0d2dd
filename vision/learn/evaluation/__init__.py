"""Parts of the evaluation of detectors; `vision.learn.evaluate` puts them together.

truth -> predict -> precision (mean average precision), operating (what a scan would report), calibration, worst -> page
"""
