"""Review in FiftyOne: a run as a data set that people correct, and its corrections brought back. The one importer of fiftyone."""
