"""Makes models: trains, quantizes, exports to ONNX, measures through the service, and publishes what was proved.

`run` tells the whole story of one recipe on one screen; every other module is one step of it or one noun in it. Models
leave as a folder that the service and any other server of its protocol can read. Of the service only `service.artifact`
and `service.errors` are imported: measuring starts the real service as a process and talks to it as a client.
"""
