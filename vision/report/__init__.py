"""What a person looks at: the strip, the page and the terminal table, made from a run folder alone."""
