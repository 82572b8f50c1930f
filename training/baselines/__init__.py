"""Baselines: what a result has to beat, one a file.

Each is fitted on the training part by being built from it, and `predict`s in the form that the metric of its task
takes. `NGram` reads texts, and says what each costs.
"""
