"""Data sets, training, evaluation and export. Importing it loads no training library."""
