// Calls a server with grpc-js as it comes, and says what of it was right: `node client.js ADDRESS FOLDER`.
//
// Each check prints its name when it is done. The first that fails ends the program.

import assert from "node:assert/strict";
import { DETAIL, grpc, load, Status } from "./probe.js";

const [address, folder] = process.argv.slice(2);
const { Probe, Health, detail } = load(folder);
// Longer than anything here takes: a call that hangs is a failure with a place.
const soon = (ms = 10_000) => ({ deadline: Date.now() + ms });

const probe = new Probe(address, grpc.credentials.createInsecure());

// A call with one response: it, or how the call failed.
const call = (method, request, options = soon(), metadata = new grpc.Metadata()) =>
  new Promise((resolve, reject) => {
    probe[method](request, metadata, options, (error, response) => (error ? reject(error) : resolve(response)));
  });
const failure = (promise) =>
  promise.then(
    (answer) => assert.fail(`it answered ${JSON.stringify(answer)}`),
    (error) => error,
  );
const collect = async (stream) => {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
};

const CHECKS = {
  async unary() {
    const greeting = await call("Greet", { name: "Ada", mood: 1, seal: Buffer.from([0, 255]) });
    assert.equal(greeting.text, "Hello, Ada!");
    assert.equal(greeting.mood, 1);
    assert.deepEqual(greeting.within, { seconds: "1", nanos: 500_000_000 });
    assert.deepEqual(greeting.counts, { Ada: 1 });
    assert.equal(greeting.sign.kind, "seal");
    assert.deepEqual(greeting.sign.seal.wax, Buffer.from([0, 255]));
    // What is not set is not there, and what only one side knows comes back.
    const nobody = await call("Greet", { mood: 77 });
    assert.equal(nobody.mood, 77);
    assert.equal(nobody.sign.kind, "name");
  },

  async server_streaming() {
    const items = await collect(probe.Count({ from: 3 }, soon()));
    assert.deepEqual(
      items.map((item) => item.value ?? 0),
      [3, 2, 1, 0],
    );
  },

  async client_streaming() {
    const sum = await new Promise((resolve, reject) => {
      const stream = probe.Sum(soon(), (error, response) => (error ? reject(error) : resolve(response)));
      for (let value = -1; value <= 100; value++) stream.write({ value });
      stream.end();
    });
    assert.equal(sum.value, "5049");
  },

  // Each word is heard before the next is said.
  async bidirectional() {
    const words = ["one", "two", "drei 🐻"];
    const stream = probe.Talk(soon());
    const heard = [];
    stream.write({ value: words[0] });
    for await (const { value } of stream) {
      heard.push(value);
      if (heard.length < words.length) stream.write({ value: words[heard.length] });
      else stream.end();
    }
    assert.deepEqual(heard, words);
  },

  async metadata() {
    const blob = Buffer.from([0, 1, 254, 255]);
    const sent = new grpc.Metadata();
    sent.set("x-text", "plain text");
    sent.set("x-blob-bin", blob);
    let headers, trailers;
    const seen = await new Promise((resolve, reject) => {
      const answered = (error, response) => (error ? reject(error) : resolve(response));
      const see = probe.See({}, sent, soon(), answered);
      see.on("metadata", (metadata) => (headers = metadata));
      see.on("status", (status) => (trailers = status.metadata));
    });
    assert.deepEqual(seen.texts, { "x-text": "plain text" });
    assert.deepEqual(seen.blobs["x-blob-bin"], blob);
    await new Promise(setImmediate);
    assert.deepEqual(headers.get("x-text"), ["plain text"]);
    assert.deepEqual(headers.get("x-blob-bin"), [blob]);
    assert.deepEqual(trailers.get("x-text-too"), ["plain text"]);
    assert.deepEqual(trailers.get("x-blob-too-bin"), [blob]);
  },

  async deadline() {
    const { left } = await call("See", {}, soon());
    assert.ok(Number(left.seconds) > 5 && Number(left.seconds) <= 10, JSON.stringify(left));
    assert.equal((await call("See", {}, {})).left ?? null, null);
    // Enforced, and known to the other side: it stops.
    const late = await failure(call("Hang", { name: "late" }, soon(300)));
    assert.equal(late.code, grpc.status.DEADLINE_EXCEEDED, late.message);
    await call("Cancelled", { name: "late" });
    const stream = await failure(collect(probe.Drip({ name: "late stream" }, soon(300))));
    assert.equal(stream.code, grpc.status.DEADLINE_EXCEEDED, stream.message);
    await call("Cancelled", { name: "late stream" });
  },

  async cancellation() {
    const stream = probe.Drip({ name: "a stream" }, soon());
    const ended = failure(
      (async () => {
        for await (const item of stream) {
          assert.equal(item.value, 1);
          stream.cancel();
        }
      })(),
    );
    assert.equal((await ended).code, grpc.status.CANCELLED);
    await call("Cancelled", { name: "a stream" });
    let hanging;
    const answer = failure(
      new Promise((resolve, reject) => {
        const answered = (error, response) => (error ? reject(error) : resolve(response));
        hanging = probe.Hang({ name: "a call" }, soon(), answered);
      }),
    );
    // It is under way when one after it was answered.
    await call("See", {});
    hanging.cancel();
    assert.equal((await answer).code, grpc.status.CANCELLED);
    await call("Cancelled", { name: "a call" });
  },

  async status() {
    for (let code = 1; code <= 16; code++) {
      const message = `größer als 100 %, ${code}\nand more`;
      const error = await failure(call("Fail", { code, message }));
      assert.equal(error.code, code);
      assert.equal(error.details, message);
    }
    const none = await failure(
      new Promise((resolve, reject) => {
        const bytes = (value) => value;
        const answered = (error, response) => (error ? reject(error) : resolve(response));
        probe.makeUnaryRequest("/foreign.v1.Probe/None", bytes, bytes, Buffer.alloc(0), answered);
      }),
    );
    assert.equal(none.code, grpc.status.UNIMPLEMENTED);
  },

  async details() {
    await call("Open", { keys: 3 });
    const error = await failure(call("Open", { keys: 1 }));
    assert.equal(error.code, grpc.status.FAILED_PRECONDITION);
    const [rich] = error.metadata.get("grpc-status-details-bin");
    const status = Status.decode(rich);
    assert.equal(status.code, error.code);
    assert.equal(status.message, "2 keys are missing");
    assert.equal(status.details[0].type_url, DETAIL);
    assert.equal(detail.decode(status.details[0].value).locked.missing, 2);
  },

  // Ten megabytes are what a message has; one more is refused, and the next call is answered.
  async limits() {
    const error = await failure(call("Greet", { seal: Buffer.alloc(10 * 1024 * 1024) }));
    assert.equal(error.code, grpc.status.RESOURCE_EXHAUSTED, error.message);
    assert.equal((await call("Greet", { name: "Ada" })).text, "Hello, Ada!");
  },

  async compression() {
    const options = { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip };
    const zipped = new Probe(address, grpc.credentials.createInsecure(), options);
    const greeting = await new Promise((resolve, reject) => {
      const answered = (error, response) => (error ? reject(error) : resolve(response));
      zipped.Greet({ name: "a".repeat(100_000) }, soon(), answered);
    });
    assert.equal(greeting.text.length, 100_008);
    zipped.close();
  },

  async many_at_once() {
    const numbers = Array.from({ length: 200 }, (_, number) => number);
    const greetings = await Promise.all(numbers.map((number) => call("Greet", { name: `${number}` })));
    assert.deepEqual(
      greetings.map((greeting) => greeting.text),
      numbers.map((number) => `Hello, ${number}!`),
    );
  },

  async health() {
    const health = new Health(address, grpc.credentials.createInsecure());
    const check = (service) =>
      new Promise((resolve, reject) => {
        health.Check({ service }, soon(), (error, response) => (error ? reject(error) : resolve(response.status)));
      });
    assert.equal(await check(""), 1);
    assert.equal(await check("foreign.v1.Probe"), 1);
    assert.equal((await failure(check("no.Such"))).code, grpc.status.NOT_FOUND);
    const watch = health.Watch({ service: "no.Such" }, soon());
    const ended = failure(
      (async () => {
        for await (const { status } of watch) {
          assert.equal(status, 3);
          watch.cancel();
        }
      })(),
    );
    assert.equal((await ended).code, grpc.status.CANCELLED);
    health.close();
  },
};

for (const [name, check] of Object.entries(CHECKS)) {
  await check();
  console.log("ok", name);
}
probe.close();
