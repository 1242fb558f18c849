"""Text from a language model on the simulated chip: its file, its tokens, its two programs."""
