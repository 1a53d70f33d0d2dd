"""The rail-scene simulator and the counting benchmark: scenes with exact truth, and scores against it."""
