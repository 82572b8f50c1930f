"""The doors: where requests enter in a wire format and leave in the same one.

A door turns bytes into an `InferRequest`, hands it to the engine together with a receiver, and turns the answer into
bytes. It knows wire formats, limits and status codes, and nothing about batches, workers or models: all it sees of the
engine is `engine_port.Engine`. What every door shares lies here (`limits`, `status`); each protocol has its own folder.
"""
