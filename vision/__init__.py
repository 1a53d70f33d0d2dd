"""flatcar: what do the trains in these videos carry?"""

__version__ = "0.1.0"
