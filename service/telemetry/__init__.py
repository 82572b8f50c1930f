"""What is told of requests besides their answers: spans for a collector of OpenTelemetry, lines for an access log.

A door begins a `Call` for each request and ends it with the answer; `CALL` has it while it is taken, so that the engine
can say what became of it. If requests are traced it has a `Span`, which goes along with the request, and whoever does a
part of its work makes a child of that. `Calls` tells those who listen. Where nobody does, no call is ever made: doors
and engine are then those that know nothing of all this.
"""
