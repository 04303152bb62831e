// What the client and the server share: the service, from its .proto files, and the rich status.

import { createRequire } from "node:module";
import { join } from "node:path";

// The packages are not beside the sources, but where the tools are.
const require = createRequire(join(process.env.NODE_PACKAGES, "package.json"));
export const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

// The packages foreign.v1 and grpc.health.v1, from the folder of their .proto files.
export function load(folder) {
  const options = { includeDirs: [folder], keepCase: true, longs: String, oneofs: true };
  const files = ["foreign/v1/foreign.proto", "grpc/health/v1/health.proto"];
  const loaded = grpc.loadPackageDefinition(loader.loadSync(files, options));
  const root = new protobuf.Root();
  root.resolvePath = (_, target) => join(folder, target);
  root.loadSync(files[0], { keepCase: true });
  return {
    Probe: loaded.foreign.v1.Probe,
    Health: loaded.grpc.health.v1.Health,
    detail: root.lookupType("foreign.v1.DoorErrorDetail"),
  };
}

// google.rpc.Status, of which grpc-js knows nothing: what is in grpc-status-details-bin.
const any = new protobuf.Type("Any")
  .add(new protobuf.Field("type_url", 1, "string"))
  .add(new protobuf.Field("value", 2, "bytes"));
export const Status = new protobuf.Type("Status")
  .add(new protobuf.Field("code", 1, "int32"))
  .add(new protobuf.Field("message", 2, "string"))
  .add(new protobuf.Field("details", 3, "Any", "repeated"));
new protobuf.Root().define("google.rpc").add(any).add(Status);

export const DETAIL = "type.googleapis.com/foreign.v1.DoorErrorDetail";
