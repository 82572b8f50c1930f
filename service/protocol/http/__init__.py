"""The HTTP door: Open Inference Protocol, JSON and binary, through two entrances with one behaviour.

`fast` takes an inference request from uvicorn's parser straight to the engine. `app` is the FastAPI application: it has
every route, the inference one included, and takes whatever `fast` leaves to it (pipelined and chunked requests, other
servers, the documentation). Both use the same steps, each in its own file, and answer with the same bytes:

    head -> infer_request (document, tensors, raw_request) -> Engine.submit -> infer_response -> answer
"""
