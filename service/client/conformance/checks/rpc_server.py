"""gRPC: health and metadata, and that they agree with what HTTP says."""

from typing import Any

from service.client.conformance.check import extension, recommended, required
from service.client.conformance.expectation import applies, expect
from service.client.conformance.rpc_refusal import RpcRefused, expect_rpc_refused
from service.client.conformance.specification import CONFIGURATION, GRPC, GRPC_HEALTH, REPOSITORY, STATISTICS, TRITON
from service.client.conformance.target import NO_VERSION, NOBODY, Target

_SERVING = b"\x08\x01"
"""HealthCheckResponse{status: SERVING} in wire form."""


@required("grpc.health.live", GRPC)
def live(target: Target) -> None:
    """ServerLive says whether the server can receive requests and respond."""
    found = target.rpc.ask("ServerLive")
    expect(found.live, "expected live to be true")


@required("grpc.health.ready", GRPC)
def ready(target: Target) -> None:
    """ServerReady says whether the server is ready for inferencing, as v2/health/ready does."""
    expected = target.http.get("/v2/health/ready").status == 200
    found = target.rpc.ask("ServerReady").ready
    expect(found == expected, f"expected ready to be {expected}, as over HTTP, got {found}")


@required("grpc.health.model", GRPC)
def model(target: Target) -> None:
    """ModelReady says whether the model is ready, by its name and by its version."""
    expect(target.rpc.ask("ModelReady", name=target.model).ready, "expected ready to be true")
    if target.metadata.get("versions"):
        found = target.rpc.ask("ModelReady", name=target.model, version=target.version)
        expect(found.ready, f"version {target.version}: expected ready to be true")


@required("grpc.health.unknown-model", GRPC)
def unknown_model(target: Target) -> None:
    """A model that doesn't exist isn't ready: false, or an error status."""
    try:
        found = target.rpc.ask("ModelReady", name=NOBODY).ready
    except RpcRefused as error:
        expect(error.is_answer, f"expected false or an error status, got no answer ({error})")
    else:
        expect(not found, "a model that doesn't exist: expected ready to be false")


@recommended("grpc.health.health-service", GRPC_HEALTH)
def health_service(target: Target) -> None:
    """grpc.health.v1 Check of the whole server says SERVING while it is ready, as Kubernetes' probes ask it."""
    found = target.rpc.health()
    expect(found == _SERVING, f"expected SERVING, got the bytes {found!r}")


@required("grpc.metadata.server", GRPC)
def server(target: Target) -> None:
    """ServerMetadata has name, version and extensions: the same as over HTTP."""
    found = target.rpc.ask("ServerMetadata")
    expect(found.name and found.version, f'expected name and version, got "{found.name}" and "{found.version}"')
    applies(target.server, "the server's metadata over HTTP can't be read")
    for key in ("name", "version"):
        ours, theirs = getattr(found, key), target.server.get(key)
        expect(ours == theirs, f'{key}: HTTP says "{theirs}", gRPC "{ours}"')
    listed = set(found.extensions)
    expect(listed == target.extensions, f"extensions only on one side: {sorted(listed ^ target.extensions)}")


@required("grpc.metadata.model", GRPC)
def metadata(target: Target) -> None:
    """ModelMetadata has versions, platform, inputs and outputs: the same as over HTTP."""
    found, expected = target.rpc.ask("ModelMetadata", name=target.model), target.described()
    expect(found.name == target.model, f'expected the name "{target.model}", got "{found.name}"')
    expect(found.platform == expected.get("platform"), f"platform: {expected.get('platform')} and {found.platform}")
    ours, theirs = sorted(found.versions), sorted(expected.get("versions") or [])
    expect(ours == theirs, f"versions: HTTP says {theirs}, gRPC {ours}")
    for key in ("inputs", "outputs"):
        tensors = [(one.name, one.datatype, list(one.shape)) for one in getattr(found, key)]
        wanted = [(one["name"], one["datatype"], one["shape"]) for one in expected[key]]
        expect(sorted(tensors) == sorted(wanted), f"{key}: HTTP says {wanted}, gRPC {tensors}")


@required("grpc.metadata.unknown-model", GRPC)
def metadata_of_unknown(target: Target) -> None:
    """Errors are indicated by the status of the call: here, of a model and of a version that don't exist."""
    expect_rpc_refused(lambda: target.rpc.ask("ModelMetadata", name=NOBODY), "a model that doesn't exist")
    if target.metadata.get("versions"):
        ask = {"name": target.model, "version": NO_VERSION}
        expect_rpc_refused(lambda: target.rpc.ask("ModelMetadata", **ask), "a version that doesn't exist")


@recommended("grpc.metadata.not-found", TRITON)
def not_found(target: Target) -> None:
    """A model that doesn't exist is NOT_FOUND."""
    expect_rpc_refused(lambda: target.rpc.ask("ModelMetadata", name=NOBODY), "a model that doesn't exist", "NOT_FOUND")


@extension("grpc.config.model", CONFIGURATION, "model_configuration")
def config(target: Target) -> None:
    """ModelConfig has the model's configuration: the same as over HTTP."""
    found = target.rpc.ask("ModelConfig", name=target.model).config
    expect(found.name == target.model, f'expected the name "{target.model}", got "{found.name}"')
    rows, expected = found.max_batch_size, target.rows_allowed
    expect(rows == expected, f"max_batch_size: HTTP says {expected}, gRPC {rows}")
    for key in ("input", "output"):
        ours = [(one.name, list(one.dims)) for one in getattr(found, key)]
        theirs = [(one.get("name"), one.get("dims", [])) for one in target.config.get(key, [])]
        expect(ours == theirs, f"{key}: HTTP says {theirs}, gRPC {ours}")


@extension("grpc.statistics.model", STATISTICS, "statistics")
def statistics(target: Target) -> None:
    """ModelStatistics has the counts that HTTP has."""
    _ = target.baseline
    found = target.rpc.ask("ModelStatistics", name=target.model).model_stats
    expect(found, "expected model_stats")
    ours = sum(one.inference_stats.success.count for one in found)
    stats = target.http.get(target.path("/stats")).object()["model_stats"]
    theirs = sum(one["inference_stats"]["success"]["count"] for one in stats)
    expect(0 < ours <= theirs, f"success.count: gRPC said {ours}, then HTTP {theirs}")


@extension("grpc.repository.index", REPOSITORY, "model_repository")
def index(target: Target) -> None:
    """RepositoryIndex lists the models that are ready, this one among them."""
    found: Any = target.rpc.ask("RepositoryIndex", ready=True).models
    names = [one.name for one in found]
    expect(target.model in names, f"expected {target.model} among them, got {names}")
    odd = [f"{one.name} {one.state}" for one in found if one.state not in {"READY", ""}]
    expect(not odd, f"expected models that are READY, got {odd}")


CHECKS = (
    live,
    ready,
    model,
    unknown_model,
    health_service,
    server,
    metadata,
    metadata_of_unknown,
    not_found,
    config,
    statistics,
    index,
)
