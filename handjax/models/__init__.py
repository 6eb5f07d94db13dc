"""The papers' networks as flax modules, each in a file of its own: import them by that file's name."""
