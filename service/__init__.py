"""Hone's inference microservice.

A request enters by a door (`protocol`), is admitted and batched by the `engine`, travels through shared memory to a
worker process (`workers`), is computed by a `backends` runtime, and leaves by the door it came through. What can be
served is found on disk by `repository` and described by `artifact`. Nothing here imports torch or `training`.
"""

__version__ = "0.1.0"
