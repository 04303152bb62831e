"""Serves foreign.v1.Probe and gRPC's health with grpcio as it comes: `python server.py SET`. It prints its port, and runs until it is killed."""

import sys
import threading
from collections import defaultdict
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

import probe


class Probe:
    """Does what the service in Rust does."""

    def __init__(self, schema):
        self.schema = schema
        self.told = defaultdict(threading.Event)

    def Greet(self, request, context):
        response = self.schema.response("Greet")(
            text=f"Hello, {request.name}!", mood=request.mood, counts={request.name: 1}
        )
        response.within.FromMilliseconds(1500)
        if request.HasField("seal"):
            response.sign.seal.wax = request.seal
        else:
            response.sign.name = "Python"
        return response

    def Count(self, request, context):
        for number in range(getattr(request, "from"), -1, -1):
            yield self.schema.response("Count")(value=number)

    def Sum(self, requests, context):
        return self.schema.response("Sum")(value=sum(request.value for request in requests))

    def Talk(self, requests, context):
        for request in requests:
            yield self.schema.response("Talk")(value=request.value)

    def See(self, request, context):
        response = self.schema.response("See")()
        headers, trailers = [], []
        for key, value in context.invocation_metadata():
            if key.startswith("x-"):
                (response.blobs if key.endswith("-bin") else response.texts)[key] = value
            if key == "x-text":
                headers.append((key, value))
                trailers.append(("x-text-too", value))
            if key == "x-blob-bin":
                headers.append((key, value))
                trailers.append(("x-blob-too-bin", value))
        context.send_initial_metadata(headers)
        context.set_trailing_metadata(trailers)
        left = context.time_remaining()
        # Without a deadline it is some thousand years.
        if left is not None and left < 1e6:
            response.left.FromMilliseconds(int(left * 1000))
        return response

    def Fail(self, request, context):
        codes = {code.value[0]: code for code in grpc.StatusCode}
        context.abort(codes[request.code], request.message)

    def Open(self, request, context):
        if request.keys < 3:
            locked = self.schema.locked(missing=3 - request.keys)
            context.abort_with_status(rpc_status.to_status(locked))
        return self.schema.response("Open")()

    def Hang(self, request, context):
        told = self.told[request.name]
        context.add_callback(told.set)
        told.wait()
        return self.schema.response("Hang")()

    def Drip(self, request, context):
        told = self.told[request.name]
        context.add_callback(told.set)
        yield self.schema.response("Drip")(value=1)
        told.wait()

    def Cancelled(self, request, context):
        self.told[request.name].wait()
        return self.schema.response("Cancelled")()


def main(path):
    schema = probe.Schema(probe.read_pool(path))
    service = Probe(schema)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    handlers = {name: schema.handler(name, getattr(service, name)) for name in schema.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(probe.SERVICE, handlers),))
    checks = health.HealthServicer()
    checks.set(probe.SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
