// Serves foreign.v1.Probe and gRPC's health with grpc-js as it comes: `node server.js FOLDER`. It prints its port, and runs until it is
// killed.

import { DETAIL, grpc, load, Status } from "./probe.js";

const { Probe, Health, detail } = load(process.argv[2]);

// Calls that never answer, by their names: what is cancelled, and who waits for that.
const told = new Map();
const tell = (name) => {
  if (!told.has(name)) {
    const entry = {};
    entry.cancelled = new Promise((resolve) => (entry.tell = resolve));
    told.set(name, entry);
  }
  return told.get(name);
};

const service = {
  Greet({ request: { name, mood, seal } }, answer) {
    const sign = seal?.length ? { seal: { wax: seal } } : { name: "Node" };
    const within = { seconds: 1, nanos: 500_000_000 };
    answer(null, { text: `Hello, ${name ?? ""}!`, mood, within, counts: { [name ?? ""]: 1 }, sign });
  },

  Count(call) {
    for (let value = call.request.from; value >= 0; value--) call.write({ value });
    call.end();
  },

  Sum(call, answer) {
    let sum = 0n;
    call.on("data", ({ value }) => (sum += BigInt(value ?? 0)));
    call.on("end", () => answer(null, { value: sum.toString() }));
  },

  Talk(call) {
    call.on("data", ({ value }) => call.write({ value }));
    call.on("end", () => call.end());
  },

  See(call, answer) {
    const response = { texts: {}, blobs: {} };
    const [headers, trailers] = [new grpc.Metadata(), new grpc.Metadata()];
    for (const key of Object.keys(call.metadata.getMap())) {
      const [value] = call.metadata.get(key);
      if (!key.startsWith("x-")) continue;
      (key.endsWith("-bin") ? response.blobs : response.texts)[key] = value;
      if (key === "x-text" || key === "x-blob-bin") headers.set(key, value);
      if (key === "x-text") trailers.set("x-text-too", value);
      if (key === "x-blob-bin") trailers.set("x-blob-too-bin", value);
    }
    const left = call.getDeadline() - Date.now();
    if (Number.isFinite(left)) {
      response.left = { seconds: Math.trunc(left / 1000), nanos: (left % 1000) * 1_000_000 };
    }
    call.sendMetadata(headers);
    answer(null, response, trailers);
  },

  Fail({ request: { code, message } }, answer) {
    answer({ code, details: message });
  },

  Open({ request: { keys } }, answer) {
    const missing = 3 - (keys ?? 0);
    if (missing <= 0) return answer(null, {});
    const [code, message] = [grpc.status.FAILED_PRECONDITION, `${missing} keys are missing`];
    const value = detail.encode({ locked: { missing } }).finish();
    const status = { code, message, details: [{ type_url: DETAIL, value }] };
    const metadata = new grpc.Metadata();
    metadata.set("grpc-status-details-bin", Buffer.from(Status.encode(status).finish()));
    answer({ code, details: message, metadata });
  },

  Hang(call) {
    call.on("cancelled", tell(call.request.name).tell);
  },

  Drip(call) {
    call.on("cancelled", tell(call.request.name).tell);
    call.write({ value: 1 });
  },

  Cancelled({ request: { name } }, answer) {
    tell(name).cancelled.then(() => answer(null, {}));
  },
};

const known = new Set(["", "foreign.v1.Probe"]);
const health = {
  Check({ request: { service } }, answer) {
    if (known.has(service ?? "")) answer(null, { status: 1 });
    else answer({ code: grpc.status.NOT_FOUND, details: "it is not known" });
  },
  List(_, answer) {
    answer(null, { statuses: Object.fromEntries([...known].map((name) => [name, { status: 1 }])) });
  },
  Watch(call) {
    call.write({ status: known.has(call.request.service ?? "") ? 1 : 3 });
  },
};

const server = new grpc.Server();
server.addService(Probe.service, service);
server.addService(Health.service, health);
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
