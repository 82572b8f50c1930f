"""What a model is put through before it serves: does it answer as its golden samples say (`golden`), does a batch-mate
change an answer (`independence`), and how long do its batches take (`timing`)?

A `bench` runs one batch after another on an instance, with the device's leave, so that models that serve already are
hardly disturbed. `samples` finds the inputs.
"""
