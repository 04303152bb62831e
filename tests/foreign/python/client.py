"""Calls a server with grpcio as it comes, and says what of it was right: `python client.py ADDRESS SET`.

Each check prints its name when it is done. The first that fails ends the program with a traceback.
"""

import sys
import threading
import time

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

import probe

# Longer than anything here takes: a call that hangs is a failure with a place.
SOON = 10


def unary(channel, schema):
    greet = schema.stub(channel, "Greet")
    response = greet(schema.request("Greet")(name="Ada", mood=1, seal=b"\x00\xff"), timeout=SOON)
    assert response.text == "Hello, Ada!", response
    assert response.mood == 1, response
    assert response.within.ToMilliseconds() == 1500, response
    assert dict(response.counts) == {"Ada": 1}, response
    assert response.sign.WhichOneof("kind") == "seal", response
    assert response.sign.seal.wax == b"\x00\xff", response
    # What is not set is not there, and what only one side knows comes back.
    response = greet(schema.request("Greet")(mood=77), timeout=SOON)
    assert response.text == "Hello, !" and response.mood == 77, response
    assert response.sign.name, response


def server_streaming(channel, schema):
    responses = schema.stub(channel, "Count")(schema.request("Count")(**{"from": 3}), timeout=SOON)
    assert [response.value for response in responses] == [3, 2, 1, 0]


def client_streaming(channel, schema):
    number = schema.request("Sum")
    numbers = (number(value=value) for value in range(-1, 101))
    assert schema.stub(channel, "Sum")(numbers, timeout=SOON).value == 5049
    assert schema.stub(channel, "Sum")(iter([]), timeout=SOON).value == 0


def bidirectional(channel, schema):
    """Each word is heard before the next is said."""
    heard = threading.Semaphore(1)
    word = schema.request("Talk")

    def words():
        for text in ["one", "two", "drei 🐻"]:
            assert heard.acquire(timeout=SOON)
            yield word(value=text)

    said = []
    for response in schema.stub(channel, "Talk")(words(), timeout=SOON):
        said.append(response.value)
        heard.release()
    assert said == ["one", "two", "drei 🐻"], said


def metadata(channel, schema):
    sent = [("x-text", "plain text"), ("x-blob-bin", b"\x00\x01\xfe\xff"), ("x-blob-too-bin", b"")]
    response, call = schema.stub(channel, "See").with_call(schema.request("See")(), metadata=sent, timeout=SOON)
    assert dict(response.texts) == {"x-text": "plain text"}, response
    assert dict(response.blobs) == {"x-blob-bin": b"\x00\x01\xfe\xff", "x-blob-too-bin": b""}, response
    headers, trailers = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert headers["x-text"] == "plain text" and headers["x-blob-bin"] == b"\x00\x01\xfe\xff", headers
    assert trailers["x-text-too"] == "plain text" and trailers["x-blob-too-bin"] == b"\x00\x01\xfe\xff", trailers


def deadline(channel, schema):
    see = schema.stub(channel, "See")
    left = see(schema.request("See")(), timeout=SOON).left.ToMilliseconds()
    # It rounds up, to what fits into the header.
    assert SOON * 500 < left <= SOON * 1020, left
    assert not see(schema.request("See")()).HasField("left")
    # Enforced, and known to the other side: it stops.
    for method in ["Hang", "Drip"]:
        name = f"late {method}"
        started = time.monotonic()
        call = schema.stub(channel, method)
        try:
            answer = call(schema.request(method)(name=name), timeout=0.3)
            for _ in answer:
                pass
            raise AssertionError(f"{method} ended")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
        assert 0.2 < time.monotonic() - started < SOON
        schema.stub(channel, "Cancelled")(schema.request("Cancelled")(name=name), timeout=SOON)


def cancellation(channel, schema):
    cancelled = schema.stub(channel, "Cancelled")
    call = schema.stub(channel, "Drip")(schema.request("Drip")(name="a stream"), timeout=SOON)
    assert next(call).value == 1
    call.cancel()
    assert call.code() == grpc.StatusCode.CANCELLED, call
    cancelled(schema.request("Cancelled")(name="a stream"), timeout=SOON)
    # One that is under way for certain: the others of its connection are answered in order.
    call = schema.stub(channel, "Hang").future(schema.request("Hang")(name="a call"), timeout=SOON)
    schema.stub(channel, "See")(schema.request("See")(), timeout=SOON)
    call.cancel()
    assert call.code() == grpc.StatusCode.CANCELLED, call
    cancelled(schema.request("Cancelled")(name="a call"), timeout=SOON)


def status(channel, schema):
    fail = schema.stub(channel, "Fail")
    for code in grpc.StatusCode:
        number, message = code.value[0], f"größer als 100 %, {code.name}\nand more"
        if number == 0:
            continue
        try:
            fail(schema.request("Fail")(code=number, message=message), timeout=SOON)
            raise AssertionError(f"{code} is no failure")
        except grpc.RpcError as error:
            assert error.code() == code, error
            assert error.details() == message, error
    try:
        channel.unary_unary("/foreign.v1.Probe/None")(b"", timeout=SOON)
        raise AssertionError("there is no such method")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def details(channel, schema):
    door = schema.stub(channel, "Open")
    door(schema.request("Open")(keys=3), timeout=SOON)
    try:
        door(schema.request("Open")(keys=1), timeout=SOON)
        raise AssertionError("the door is open")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        rich = rpc_status.from_call(error)
        assert rich == schema.locked(missing=2), rich
        detail = schema.message("DoorErrorDetail").FromString(rich.details[0].value)
        assert detail.locked.missing == 2, detail


def limits(channel, schema):
    """Ten megabytes are what a message has; one more is refused, and the next call is answered."""
    greet = schema.stub(channel, "Greet")
    too_much = schema.request("Greet")(seal=b"x" * (10 * 1024 * 1024))
    try:
        greet(too_much, timeout=SOON)
        raise AssertionError("it was read")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
    assert greet(schema.request("Greet")(name="Ada"), timeout=SOON).text == "Hello, Ada!"


def compression(channel, schema):
    greet = schema.stub(channel, "Greet")
    request = schema.request("Greet")(name="a" * 100_000)
    response = greet(request, timeout=SOON, compression=grpc.Compression.Gzip)
    assert len(response.text) == 100_008, len(response.text)


def many_at_once(channel, schema):
    greet, request = schema.stub(channel, "Greet"), schema.request("Greet")
    calls = [greet.future(request(name=str(number)), timeout=SOON) for number in range(200)]
    assert [call.result().text for call in calls] == [f"Hello, {number}!" for number in range(200)]


def health(channel, _):
    stub = health_pb2_grpc.HealthStub(channel)
    statuses = health_pb2.HealthCheckResponse
    ask = health_pb2.HealthCheckRequest
    assert stub.Check(ask(), timeout=SOON).status == statuses.SERVING
    assert stub.Check(ask(service=probe.SERVICE), timeout=SOON).status == statuses.SERVING
    try:
        stub.Check(ask(service="no.Such"), timeout=SOON)
        raise AssertionError("it is known")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
    watch = stub.Watch(ask(service="no.Such"), timeout=SOON)
    assert next(watch).status == statuses.SERVICE_UNKNOWN
    watch.cancel()


def reflection(channel, _):
    """Nothing is known but where the server is."""
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    assert {probe.SERVICE, "grpc.health.v1.Health"} <= services, services
    found = probe.Schema(descriptor_pool.DescriptorPool(database))
    assert len(found.methods) == 10, found.methods
    request = found.request("Greet")(name="Ada", mood=found.pool.FindEnumTypeByName("foreign.v1.Mood").values_by_name["MOOD_KIND"].number)
    response = found.stub(channel, "Greet")(request, timeout=SOON)
    assert response.text == "Hello, Ada!" and response.mood == 1, response
    unary(channel, found)
    details(channel, found)


CHECKS = [
    unary,
    server_streaming,
    client_streaming,
    bidirectional,
    metadata,
    deadline,
    cancellation,
    status,
    details,
    limits,
    compression,
    many_at_once,
    health,
    reflection,
]


def main(address, path):
    schema = probe.Schema(probe.read_pool(path))
    with grpc.insecure_channel(address) as channel:
        for check in CHECKS:
            check(channel, schema)
            print("ok", check.__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
