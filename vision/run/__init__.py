"""The one composition: video in, results and a run folder out."""
