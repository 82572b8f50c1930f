"""What is on disk: which models a repository holds, and whether their files may be loaded.

A repository has Triton's layout, `<name>/config.pbtxt` and `<name>/<version>/model.onnx`. `scan` reads all of it and
runs nothing: a model that can't be served is found too, with the reason, so that it can be listed and never stops the
others. A `Watch` looks again and again, and scans only what has changed and isn't being written any more.
"""
