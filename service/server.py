"""The composition root: builds the rooms from the settings, starts them, and takes them down in order."""

import asyncio
import errno
import gc
import signal
import socket
import threading
from wsgiref.simple_server import WSGIServer

import prometheus_client
import structlog
import uvicorn

from service import __version__
from service.engine.catalog import Catalog
from service.engine.device import Devices
from service.engine.engine import EXTENSIONS, Engine
from service.engine.ensemble.model import EnsembleModel
from service.engine.model_control import ModelControl
from service.engine.observed import ObservedEngine
from service.engine.remote.address import parse_remotes
from service.engine.remote.model import RemoteModel
from service.engine.response_cache import ResponseCache
from service.engine.servable import Servable
from service.engine.served_model import ServedModel
from service.engine.source import EngineLimits, ModelSource
from service.engine.text.model import TextModel
from service.engine.trials.findings import FindingsCache
from service.event_loop_lag import EventLoopLag
from service.exit_code import ExitCode
from service.exposition import registry_of
from service.logs import LogControl
from service.metrics import Metrics, ModelMetrics
from service.observation import calls_of, traces_of
from service.protocol.client_memory import ClientMemory
from service.protocol.grpc.server import GrpcServer
from service.protocol.http.app import build_app
from service.protocol.http.fast import fast_protocol
from service.protocol.http.observed_app import ObservedApp
from service.protocol.http.observed_fast import observed_fast_protocol
from service.protocol.http.server import HttpServer
from service.protocol.limits import Limits
from service.repository.watch import CALM, Watch
from service.settings import Settings
from service.workers.patience import Patience

_BACKLOG = 2048
_GARBAGE = 5_000
"""Objects after which the collector looks for cycles among the newest. Requests and connections leave none: at the
interpreter's 700 it cost some percent of a loaded server.
"""
_TIDY_SECONDS = 30.0
"""How often it looks at all objects. Models that were replaced leave cycles, which it would else find after a quarter
of an hour.
"""
_CORES_A_LOAD = 2
"""Cores that a load keeps busy, about: more at once would disturb what each measures."""
_log = structlog.get_logger()

_TELLING = 0.5
"""Seconds before the last moment in which texts that are still being written are ended, with a reason."""


class CannotBindError(Exception):
    """A port is taken or not ours to take; the text names address and port."""


class Server:
    """Owns the listening sockets, the engine and the doors for as long as the process serves."""

    def __init__(self, settings: Settings, logs: LogControl) -> None:
        self._settings = settings
        self._logs = logs
        self._memory = ClientMemory(allowed=settings.allow_client_shm)
        self._metrics = Metrics()
        self._traces = traces_of(settings)
        self._calls = calls_of(settings)
        self._stop = asyncio.Event()
        self._urls: dict[str, str] = {}
        self._limits = Limits(
            max_json_bytes=settings.max_json_bytes,
            max_binary_bytes=settings.max_binary_bytes,
            max_bytes_elements=settings.max_bytes_elements,
            receive_seconds=settings.receive_timeout_secs,
        )
        devices = Devices()
        self._catalog = _catalog(settings, self._metrics, devices)
        self._control = _control(settings, self._catalog, devices)
        self._engine = (ObservedEngine if self._calls else Engine)(
            server_name=settings.server_name,
            server_version=__version__,
            catalog=self._catalog,
            control=self._control,
            metrics=self._metrics,
            traces=self._traces,
            extensions=(*EXTENSIONS, "system_shared_memory") if settings.allow_client_shm else EXTENSIONS,
        )

    async def run(self) -> int:
        """Serve until a signal says stop; the exit code. Raises ArtifactError or CannotBindError."""
        settings = self._settings
        await self._control.survey()
        with bind(settings.host, settings.http_port) as listener:
            self._tell("http", listener.getsockname()[1])
            grpc = self._bind_grpc()
            scraped, scrape_thread = self._serve_metrics()
            self._tell("metrics", scraped.server_port)
            try:
                return await self._serve(listener, grpc)
            finally:
                await asyncio.to_thread(scraped.shutdown)
                scraped.server_close()
                scrape_thread.join()

    async def _serve(self, listener: socket.socket, grpc: GrpcServer | None) -> int:
        http = HttpServer(self._http_config())
        self._listen_for_signals(http, grpc)
        lag = EventLoopLag(self._metrics.loop_lag)
        self._metrics.loop_overdue = lag.overdue
        lag.start()
        if grpc:
            await grpc.start()
        door = asyncio.create_task(http.serve(sockets=[listener]))
        loading = asyncio.create_task(self._load())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({door, loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done() and not loading.result():
                return ExitCode.WRONG_SETTING
            if loading.done() and not self._stop.is_set():
                self._announce()
            await asyncio.wait({door, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return ExitCode.OK if self._stop.is_set() else ExitCode.FAILED
        finally:
            loading.cancel()
            stopping.cancel()
            await self._shut_down(http, door, grpc)

    async def _shut_down(self, http: HttpServer, door: asyncio.Task[None], grpc: GrpcServer | None) -> None:
        """Close the doors first: they wait until what came through them is answered."""
        http.should_exit = True
        await self._engine.announce_stop()
        seconds = max(self._settings.exit_timeout_secs - _TELLING, 0.0)
        telling = asyncio.get_running_loop().call_later(seconds, self._engine.interrupt)
        closing = [grpc.stop(self._settings.exit_timeout_secs)] if grpc else []
        await asyncio.gather(door, *closing, return_exceptions=True)
        telling.cancel()
        await self._engine.stop()
        await asyncio.gather(*[asyncio.to_thread(one.close) for one in (self._traces, self._calls) if one])
        _log.info("stopped")

    async def _load(self) -> bool:
        """Load what can be loaded; False when that is nothing, and nothing can be hoped for."""
        await self._engine.start()
        gc.collect()
        gc.freeze()  # models, routes and modules stay: the collector need not walk them during requests
        gc.set_threshold(_GARBAGE)
        self._tidy()
        return any(self._catalog.models()) or self._control.may_be_empty

    def _tidy(self) -> None:
        gc.collect()
        asyncio.get_running_loop().call_later(_TIDY_SECONDS, self._tidy)

    def _announce(self) -> None:
        models = [f"{model.name}/{model.version}" for model in self._catalog.models()]
        _log.info("ready", **self._urls, models=models)

    def _tell(self, door: str, port: int) -> None:
        scheme = "grpc" if door == "grpc" else "http"
        self._urls[door] = f"{scheme}://{self._settings.host}:{port}"

    def _http_config(self) -> uvicorn.Config:
        settings, shared, calls = self._settings, (self._engine, self._limits, self._memory), self._calls
        app = build_app(self._engine, self._limits, self._logs, self._memory)
        return uvicorn.Config(
            ObservedApp(app, calls) if calls else app,
            http=observed_fast_protocol(*shared, calls) if calls else fast_protocol(*shared),
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=int(settings.exit_timeout_secs),
        )

    def _bind_grpc(self) -> GrpcServer | None:
        """The gRPC door on its port; it doesn't take calls yet."""
        settings = self._settings
        if not settings.allow_grpc:
            return None
        grpc = GrpcServer(self._engine, self._limits, self._logs, self._memory, self._calls)
        try:
            self._tell("grpc", grpc.bind(settings.host, settings.grpc_port))
        except OSError as error:
            raise CannotBindError(_unbindable("grpc-port", settings.host, settings.grpc_port, error)) from error
        return grpc

    def _serve_metrics(self) -> tuple[WSGIServer, threading.Thread]:
        """Scrapes are rendered in a thread of their own, off the event loop."""
        settings = self._settings
        registry = registry_of(self._metrics)
        try:
            return prometheus_client.start_http_server(settings.metrics_port, settings.host, registry)
        except OSError as error:
            raise CannotBindError(_unbindable("metrics-port", settings.host, settings.metrics_port, error)) from error

    def _listen_for_signals(self, http: HttpServer, grpc: GrpcServer | None) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if self._stop.is_set():
                http.force_exit = True  # asked twice: don't wait for anybody
                if grpc:
                    grpc.force_exit()
            self._stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CannotBindError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotBindError(_unbindable("http-port", host, port, error)) from error
    listener.setblocking(False)
    return listener


def _unbindable(flag: str, host: str, port: int, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"--host: {host} isn't an address of this machine"
    why = f": {error.strerror}" if error.strerror else ""
    return f"--{flag}: can't listen on {host}:{port}{why}; choose another port, or end who holds it"


def _catalog(settings: Settings, metrics: Metrics, devices: Devices) -> Catalog:
    limits = _engine_limits(settings)

    def make(source: ModelSource, numbers: ModelMetrics) -> Servable:
        if source.config and source.config.hone.remote:
            return RemoteModel(source, numbers, limits)
        if source.config and source.config.hone.generate:
            return TextModel(source, devices, numbers, limits)
        if source.config and source.config.ensemble_scheduling:
            return EnsembleModel(source, numbers, limits, catalog)
        return ServedModel(source, devices, numbers, limits)

    catalog = Catalog(
        make,
        metrics,
        at_once=max(devices.cores // _CORES_A_LOAD, 1),
        drain_seconds=settings.exit_timeout_secs,
    )
    return catalog


def _control(settings: Settings, catalog: Catalog, devices: Devices) -> ModelControl:
    mode = settings.model_control_mode
    return ModelControl(
        catalog,
        Watch(settings.model_repository, settings.checks, calm=0.0 if mode == "none" else CALM),
        mode=mode,
        names=settings.load_model,
        poll_seconds=settings.repository_poll_secs,
        review=devices.review,
    )


def _engine_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        default_deadline=settings.default_deadline_ms / 1e3,
        max_queued_requests=settings.max_queue_requests,
        max_queued_bytes=settings.max_queue_bytes,
        max_output_bytes=settings.max_output_bytes,
        worker_nice=settings.worker_nice,
        response_cache=ResponseCache(settings.response_cache_byte_size),
        findings=FindingsCache(settings.cache_dir),
        patience=Patience(load=settings.load_timeout_secs, batch=settings.batch_timeout_secs),
        remotes=parse_remotes(settings.remote),
        traced=settings.otlp_endpoint is not None,
    )
