"""Finished models from elsewhere: whatever they were made with, they enter as an ONNX file that answers as they did.

`onnx_file`, `keras_model` and `saved_model` read one kind each and give a `Converted`: the graph, and the original to
compare it with. `proving` compares them, and `release` says what is published of that.
"""
