"""Which settings of a recipe are best, found by trying: the space that is searched, the study, and what it came to."""
