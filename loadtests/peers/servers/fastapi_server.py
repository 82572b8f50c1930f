"""FastAPI by hand: a route that runs the session, without batching. What most people write first."""

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from loadtests.peers.assignment import assigned
from loadtests.peers.network import Network
from loadtests.peers.oip import Protocol

app = FastAPI()
network, protocol = Network(assigned()), Protocol(assigned())


@app.get("/health")
async def health() -> None:
    """Ready: the session was made when this file was imported."""


@app.post("/infer")
async def infer(request: Request) -> Response:
    """One request. The session runs in the loop's own thread: another would take turns for the same cores."""
    try:
        identity, row = protocol.decode(await request.body())
    except ValueError as error:
        raise HTTPException(status_code=400, detail=str(error)) from error
    (output,) = network(row[None])
    return Response(protocol.encode(identity, output), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=assigned().port, access_log=False, log_level="warning")
