"""How training inputs are changed by chance, so that a network sees more than there is: one change a file.

A recipe names those that it wants as a list; they are applied in that order, to each batch anew.
"""
