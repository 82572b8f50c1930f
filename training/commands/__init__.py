"""The verbs of the command line, one a file, and what they have in common: their flags, their screen, their end.

Whatever a verb needs it imports when it is called: torch takes seconds, and --help must not wait for it.
"""
