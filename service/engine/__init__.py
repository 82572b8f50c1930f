"""Who runs when: requests are admitted, queued, batched and matched with their answers, all on one event loop.

The `catalog` owns which models are served; a `served_model` is one generation of one version; its scheduler (see
`scheduling`) forms batches and hands them to worker instances when the `device` grants it; an `exchange` is one request
until it ends. State lives on the event loop, so there are no locks.
"""
