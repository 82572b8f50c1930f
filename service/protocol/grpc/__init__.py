"""The gRPC door: the Open Inference Protocol and Triton's extensions as RPCs."""
