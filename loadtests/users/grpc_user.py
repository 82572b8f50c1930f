"""A user who asks over gRPC, with the stubs of Triton's protocol."""

import random
import time

import grpc
import numpy as np
from locust import User, task
from locust.exception import StopUser
from tritonclient.grpc import service_pb2, service_pb2_grpc

from loadtests.users import model

SECONDS = 60


class GrpcUser(User):
    """A client with a channel of its own, to the address that `--grpc-host` names."""

    weight = 3
    wait_time = model.pause

    def on_start(self) -> None:
        """Ask what the model takes."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        self.channel = grpc.insecure_channel(self.environment.parsed_options.grpc_host, options)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        described = None
        with self.environment.events.request.measure("GRPC", model.SETUP):
            wanted = service_pb2.ModelMetadataRequest(name=model.NAME)
            described = self.stub.ModelMetadata(wanted, timeout=SECONDS)
        if described is None:
            raise StopUser  # counted as a failure already, and nothing else can be asked
        tensors = [{"name": one.name, "datatype": one.datatype, "shape": one.shape} for one in described.inputs]
        self.model = model.Model.of({"inputs": tensors, "outputs": [{"name": one.name} for one in described.outputs]})
        time.sleep(model.first_pause(self))

    def on_stop(self) -> None:
        """Close the channel."""
        self.channel.close()

    @task
    def ask(self) -> None:
        """One to eight images, raw in both directions."""
        count = random.randint(1, model.LARGEST)
        request = service_pb2.ModelInferRequest(model_name=model.NAME)
        request.inputs.add(**self.model.tensor(count))
        request.raw_input_contents.append(self.model.some(count).tobytes())
        with self.environment.events.request.measure("GRPC", "infer grpc") as measured:
            answer = self.stub.ModelInfer(request, timeout=SECONDS)
            measured["response_length"] = answer.ByteSize()
            if wrong := model.problem(np.frombuffer(answer.raw_output_contents[0], dtype=np.float32), count):
                raise ValueError(wrong)
