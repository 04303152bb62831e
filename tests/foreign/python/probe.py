"""What the client and the server share: the messages of foreign.v1, made from a descriptor set while the program runs, without protoc."""

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.rpc import status_pb2

SERVICE = "foreign.v1.Probe"


def read_pool(path):
    """The pool of what the descriptor set in this file declares."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


class Schema:
    """The service and its messages."""

    def __init__(self, pool):
        self.pool = pool
        service = pool.FindServiceByName(SERVICE)
        self.methods = {method.name: method for method in service.methods}

    def message(self, name):
        """The class of a message, by its name without the package."""
        return self._class(self.pool.FindMessageTypeByName("foreign.v1." + name))

    def request(self, method):
        return self._class(self.methods[method].input_type)

    def response(self, method):
        return self._class(self.methods[method].output_type)

    def stub(self, channel, method):
        """What calls the method through the channel, whatever its shape is."""
        described = self.methods[method]
        make = getattr(channel, _shape(described))
        return make(
            f"/{SERVICE}/{method}",
            request_serializer=self.request(method).SerializeToString,
            response_deserializer=self.response(method).FromString,
        )

    def handler(self, method, function):
        """What serves the method by a function."""
        described = self.methods[method]
        make = getattr(grpc, _shape(described) + "_rpc_method_handler")
        return make(
            function,
            request_deserializer=self.request(method).FromString,
            response_serializer=self.response(method).SerializeToString,
        )

    def locked(self, missing):
        """The rich status of a door that is locked."""
        detail = self.message("DoorErrorDetail")(locked={"missing": missing})
        packed = any_pb2.Any()
        # Any's own class has no Pack for messages of another pool.
        packed.type_url = "type.googleapis.com/foreign.v1.DoorErrorDetail"
        packed.value = detail.SerializeToString()
        return status_pb2.Status(
            code=grpc.StatusCode.FAILED_PRECONDITION.value[0],
            message=f"{missing} keys are missing",
            details=[packed],
        )

    @staticmethod
    def _class(descriptor):
        return message_factory.GetMessageClass(descriptor)


def _shape(method):
    many = {True: "stream", False: "unary"}
    return f"{many[method.client_streaming]}_{many[method.server_streaming]}"
