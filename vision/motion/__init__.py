"""How the train and the background move: the train coordinate, and the strip drawn in it."""
