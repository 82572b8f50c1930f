"""Every RPC but inference: what the server is, what it serves, and what it is to serve."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc import service_pb2 as pb

from service.errors import InvalidRequest, ModelNotFound, Unsupported
from service.logs import LogControl
from service.metadata import Duration, IndexEntry, ModelStatistics, TensorMetadata
from service.protocol.client_memory import NO_CUDA, ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.log_settings import change_log_settings, log_settings
from service.protocol.override import read_override
from service.protocol.parameters import unloads_dependents
from service.protocol.trace_settings import change_trace_settings, trace_settings
from service.quoting import quoted


class Questions:
    """The RPCs of GRPCInferenceService by their names, as coroutines from message to message that raise HoneErrors."""

    def __init__(self, engine: Engine, logs: LogControl, memory: ClientMemory) -> None:
        self._engine = engine
        self._logs = logs
        self._memory = memory

    async def ServerLive(self, _request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:  # noqa: N802
        """True while the process answers."""
        return pb.ServerLiveResponse(live=self._engine.live())

    async def ServerReady(self, _request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:  # noqa: N802
        """True when the server takes requests and its models compute."""
        return pb.ServerReadyResponse(ready=self._engine.ready())

    async def ModelReady(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:  # noqa: N802
        """True when the model computes; an unknown one doesn't."""
        try:
            ready = self._engine.model_ready(request.name, request.version or None)
        except ModelNotFound:
            ready = False
        return pb.ModelReadyResponse(ready=ready)

    async def ServerMetadata(self, _request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:  # noqa: N802
        """Name, version and extensions of the server."""
        engine = self._engine
        return pb.ServerMetadataResponse(
            name=engine.server_name, version=engine.server_version, extensions=engine.extensions
        )

    async def ModelMetadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:  # noqa: N802
        """Inputs and outputs of a model, the batch axis included."""
        found = self._engine.metadata(request.name, request.version or None)
        return pb.ModelMetadataResponse(
            name=found.name,
            versions=found.versions,
            platform=found.platform,
            inputs=[_tensor(tensor) for tensor in found.inputs],
            outputs=[_tensor(tensor) for tensor in found.outputs],
        )

    async def ModelConfig(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:  # noqa: N802
        """The configuration of a model, in Triton's terms."""
        config = self._engine.config(request.name, request.version or None)
        return pb.ModelConfigResponse(config=json_format.ParseDict(config, model_config_pb2.ModelConfig()))

    async def ModelStatistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:  # noqa: N802
        """How often models were asked, and how long it took; without a name, of all."""
        found = self._engine.statistics(request.name or None, request.version or None)
        return pb.ModelStatisticsResponse(model_stats=[_statistics(one) for one in found])

    async def LogSettings(self, request: pb.LogSettingsRequest) -> pb.LogSettingsResponse:  # noqa: N802
        """Which lines the server writes, after what the request sets."""
        change_log_settings(self._logs, _values(request.settings))
        told = {key: _setting(value) for key, value in log_settings(self._logs).items()}
        return pb.LogSettingsResponse(settings=told)

    async def TraceSetting(self, request: pb.TraceSettingRequest) -> pb.TraceSettingResponse:  # noqa: N802
        """Which requests are traced, after what the request sets: of all models, or of the one that is named."""
        changes = {key: list(setting.value) for key, setting in request.settings.items()}
        change_trace_settings(self._engine, request.model_name, changes)
        told = trace_settings(self._engine, request.model_name)
        value = pb.TraceSettingResponse.SettingValue
        return pb.TraceSettingResponse(
            settings={key: value(value=[one] if isinstance(one, str) else one) for key, one in told.items()}
        )

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:  # noqa: N802
        """Every model and version in the repository, with its state."""
        _refuse_repository(request.repository_name)
        found = await self._engine.index()
        return pb.RepositoryIndexResponse(
            models=[_entry(one) for one in found if not request.ready or one.state == "READY"]
        )

    async def RepositoryModelLoad(  # noqa: N802
        self, request: pb.RepositoryModelLoadRequest
    ) -> pb.RepositoryModelLoadResponse:
        """Serve a model as it is in the repository now, or as it is sent along (control mode explicit)."""
        _refuse_repository(request.repository_name)
        self._engine.check_explicit()
        await self._engine.load_model(request.model_name, read_override(_values(request.parameters), _bytes))
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(  # noqa: N802
        self, request: pb.RepositoryModelUnloadRequest
    ) -> pb.RepositoryModelUnloadResponse:
        """Serve a model no longer; answered when its last request is (control mode explicit)."""
        _refuse_repository(request.repository_name)
        dependents = unloads_dependents(_values(request.parameters))
        await self._engine.unload_model(request.model_name, dependents=dependents)
        return pb.RepositoryModelUnloadResponse()

    async def SystemSharedMemoryStatus(  # noqa: N802
        self, request: pb.SystemSharedMemoryStatusRequest
    ) -> pb.SystemSharedMemoryStatusResponse:
        """The regions that are registered; one, if it is named."""
        found = self._memory.regions(request.name or None)
        region = pb.SystemSharedMemoryStatusResponse.RegionStatus
        return pb.SystemSharedMemoryStatusResponse(
            regions={
                one.name: region(name=one.name, key=one.key, offset=one.offset, byte_size=one.size) for one in found
            }
        )

    async def SystemSharedMemoryRegister(  # noqa: N802
        self, request: pb.SystemSharedMemoryRegisterRequest
    ) -> pb.SystemSharedMemoryRegisterResponse:
        """Take tensors from, and write them to, a shared memory object of this machine."""
        self._memory.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    async def SystemSharedMemoryUnregister(  # noqa: N802
        self, request: pb.SystemSharedMemoryUnregisterRequest
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        """Let go of a region; of all, without a name."""
        self._memory.unregister(request.name or None)
        return pb.SystemSharedMemoryUnregisterResponse()

    async def CudaSharedMemoryStatus(  # noqa: N802
        self, _request: pb.CudaSharedMemoryStatusRequest
    ) -> pb.CudaSharedMemoryStatusResponse:
        """Nothing is registered, ever."""
        return pb.CudaSharedMemoryStatusResponse()

    async def CudaSharedMemoryRegister(  # noqa: N802
        self, _request: pb.CudaSharedMemoryRegisterRequest
    ) -> pb.CudaSharedMemoryRegisterResponse:
        """Refused: memory of a GPU can't be registered."""
        raise Unsupported(NO_CUDA)

    async def CudaSharedMemoryUnregister(  # noqa: N802
        self, _request: pb.CudaSharedMemoryUnregisterRequest
    ) -> pb.CudaSharedMemoryUnregisterResponse:
        """There is nothing to let go of."""
        return pb.CudaSharedMemoryUnregisterResponse()


def _refuse_repository(name: str) -> None:
    if name:
        raise Unsupported("this server has one repository: leave its name out")


def _setting(value: str | int | bool) -> pb.LogSettingsResponse.SettingValue:
    if isinstance(value, bool):
        return pb.LogSettingsResponse.SettingValue(bool_param=value)
    if isinstance(value, int):
        return pb.LogSettingsResponse.SettingValue(uint32_param=value)
    return pb.LogSettingsResponse.SettingValue(string_param=value)


def _values(parameters: Mapping[str, Any]) -> dict[str, object]:
    kinds = {key: value.WhichOneof("parameter_choice") for key, value in parameters.items()}
    return {key: getattr(parameters[key], kind) if kind else None for key, kind in kinds.items()}


def _bytes(key: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidRequest(f"parameter {quoted(key)} must be bytes")
    return value


def _tensor(tensor: TensorMetadata) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def _statistics(one: ModelStatistics) -> pb.ModelStatistics:
    return pb.ModelStatistics(
        name=one.name,
        version=one.version,
        last_inference=one.last_inference,
        inference_count=one.inference_count,
        execution_count=one.execution_count,
        inference_stats=pb.InferStatistics(**_durations(one.durations)),
        batch_stats=[
            pb.InferBatchStatistics(batch_size=rows, **_durations(times)) for rows, times in one.batches.items()
        ],
    )


def _durations(durations: Mapping[str, Duration]) -> dict[str, pb.StatisticDuration]:
    return {name: pb.StatisticDuration(count=count, ns=ns) for name, (count, ns) in durations.items()}


def _entry(entry: IndexEntry) -> pb.RepositoryIndexResponse.ModelIndex:
    return pb.RepositoryIndexResponse.ModelIndex(
        name=entry.name, version=entry.version, state=entry.state, reason=entry.reason
    )
