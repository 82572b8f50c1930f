"""The search for forms of a model that are worth having: which are tried, how they do, and which is chosen."""
