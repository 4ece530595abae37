"""Interpreter for tensor programs: from a text file to its infinite-width limit."""
