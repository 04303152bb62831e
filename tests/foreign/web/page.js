// Runs in a browser: calls a server by gRPC-Web, with connect-web as it comes, and tells the server of the page what was right.
//
// The address is behind `#`; the messages are those of the descriptor set.

import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

const address = location.hash.slice(1);
// Longer than anything here takes: a call that hangs is a failure with a place.
const soon = { timeoutMs: 10_000 };

function assert(holds, what) {
  if (!holds) throw new Error(JSON.stringify(what, (_, value) => (typeof value === "bigint" ? `${value}` : value)));
}
async function failure(call) {
  try {
    assert(false, await call());
  } catch (error) {
    return ConnectError.from(error);
  }
}
async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

async function run(probe, registry) {
  const CHECKS = {
    async unary() {
      const seal = new Uint8Array([0, 255]);
      const greeting = await probe.greet({ name: "Ada", mood: 1, seal }, soon);
      assert(greeting.text === "Hello, Ada!" && greeting.mood === 1, greeting);
      assert(greeting.within.seconds === 1n && greeting.within.nanos === 500_000_000, greeting);
      assert(greeting.counts.Ada === 1, greeting);
      const { kind } = greeting.sign;
      assert(kind.case === "seal" && `${kind.value.wax}` === "0,255", greeting);
    },

    async server_streaming() {
      const items = await collect(probe.count({ from: 3 }, soon));
      assert(`${items.map((item) => item.value)}` === "3,2,1,0", items);
    },

    async metadata() {
      let headers, trailers;
      const seen = await probe.see(
        {},
        {
          ...soon,
          headers: { "x-text": "plain text", "x-blob-bin": "AAH+/w" },
          onHeader: (found) => (headers = found),
          onTrailer: (found) => (trailers = found),
        },
      );
      assert(seen.texts["x-text"] === "plain text" && `${seen.blobs["x-blob-bin"]}` === "0,1,254,255", seen);
      assert(headers.get("x-text") === "plain text", [...headers]);
      assert(headers.get("x-blob-bin").replaceAll("=", "") === "AAH+/w", [...headers]);
      assert(trailers.get("x-text-too") === "plain text", [...trailers]);
      assert(trailers.get("x-blob-too-bin").replaceAll("=", "") === "AAH+/w", [...trailers]);
    },

    async deadline() {
      const { left } = await probe.see({}, soon);
      assert(left.seconds > 5n && left.seconds <= 10n, left);
      const late = await failure(() => probe.hang({ name: "late" }, { timeoutMs: 300 }));
      assert(late.code === Code.DeadlineExceeded, late.message);
      await probe.cancelled({ name: "late" }, soon);
    },

    async cancellation() {
      const abort = new AbortController();
      const cut = await failure(async () => {
        for await (const item of probe.drip({ name: "a stream" }, { ...soon, signal: abort.signal })) {
          assert(item.value === 1, item);
          abort.abort();
        }
      });
      assert(cut.code === Code.Canceled, cut.message);
      await probe.cancelled({ name: "a stream" }, soon);
    },

    async status() {
      for (let code = 1; code <= 16; code++) {
        const message = `größer als 100 %, ${code}`;
        const error = await failure(() => probe.fail({ code, message }, soon));
        assert(error.code === code && error.rawMessage === message, [code, error.message]);
      }
    },

    async details() {
      await probe.open({ keys: 3 }, soon);
      const error = await failure(() => probe.open({ keys: 1 }, soon));
      assert(error.code === Code.FailedPrecondition, error.message);
      const [detail] = error.findDetails(registry.getMessage("foreign.v1.DoorErrorDetail"));
      assert(detail.kind.case === "locked" && detail.kind.value.missing === 2, detail);
    },
  };
  for (const [name, check] of Object.entries(CHECKS)) {
    await check();
    said.push(`ok ${name}`);
  }
}

const said = [];
try {
  const set = await (await fetch("/set.bin")).arrayBuffer();
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, new Uint8Array(set)));
  const transport = createGrpcWebTransport({ baseUrl: address });
  await run(createClient(registry.getService("foreign.v1.Probe"), transport), registry);
} catch (error) {
  said.push(`${error.stack ?? error}`);
}
await fetch("/said", { method: "POST", body: said.join("\n") });
