// graphql-transport-ws: the reference client, and each way in which a socket has to be closed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { RESUME, WATCH, earn, memberId, socketUrl, tokens } from "./engage.mjs";

const PROTOCOL = "graphql-transport-ws";
const LONG = { timeout: 40_000 };

function client(role, more = {}) {
  return createClient({ url: socketUrl, webSocketImpl: WebSocket, connectionParams: { token: tokens[role] }, ...more });
}

/** A bare socket: what it is sent, and how it was closed. */
function bare(protocol = PROTOCOL) {
  const socket = new WebSocket(socketUrl, protocol);
  const inbox = [];
  const waiting = [];
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    waiting.length ? waiting.shift()(message) : inbox.push(message);
  });
  const closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve({ code, reason: String(reason) })));
  return {
    opened: new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject)),
    closed,
    send: (message) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
    next: () => (inbox.length ? Promise.resolve(inbox.shift()) : new Promise((resolve) => waiting.push(resolve))),
    close: () => socket.close(),
    socket,
  };
}

async function begun(role = "staff") {
  const one = bare();
  await one.opened;
  one.send({ type: "connection_init", payload: { token: tokens[role] } });
  assert.equal((await one.next()).type, "connection_ack");
  return one;
}

test("a query, a mutation's problem and an error", LONG, async () => {
  const app = client("staff");
  const first = await app.iterate({ query: "{ channels { code } }" }).next();
  assert.ok(first.value.data.channels.length > 3);
  const refused = await app
    .iterate({ query: 'mutation { createChannel(input: {code: "x y", name: "x"}) { ... on Problem { code } } }' })
    .next();
  assert.equal(refused.value.data.createChannel.code, "FORBIDDEN");
  await assert.rejects(app.iterate({ query: "{ nonsense }" }).next(), (errors) => errors[0].extensions.code === "BAD_REQUEST");
  await app.dispose();
});

test("changes come, and the client ends them", LONG, async () => {
  const app = client("member");
  const changes = app.iterate({ query: WATCH, variables: { id: memberId } });
  const { available } = (await changes.next()).value.data.pointsChanged.balance;
  await earn(3);
  assert.equal((await changes.next()).value.data.pointsChanged.balance.available, available + 3);
  await changes.return();
  await app.dispose();
});

test("a socket that breaks is opened again, and resumed without gap", LONG, async () => {
  let socket;
  let cursor = null;
  let broken = false;
  const positions = [];
  const app = client("member", {
    retryAttempts: 5,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    shouldRetry: () => true,
    on: { opened: (one) => (socket = one) },
  });
  while (positions.length < 3) {
    // an app gives the cursor that it has seen last, whenever it subscribes again
    const changes = app.iterate({ query: RESUME, variables: { id: memberId, after: cursor } });
    for await (const { data } of changes) {
      const frame = data.pointsChanged;
      if (positions.length && cursor !== frame.cursor) assert.equal(frame.reset, false);
      if (cursor !== frame.cursor) positions.push(frame.position);
      cursor = frame.cursor;
      if (!broken) {
        broken = true;
        socket.terminate();
        await earn(1);
        break;
      }
      if (positions.length >= 3) break;
      await earn(1);
    }
  }
  assert.deepEqual(positions, [0, 1, 2].map((nth) => positions[0] + nth));
  await app.dispose();
});

test("ping is answered with pong, at any time", LONG, async () => {
  const one = bare();
  await one.opened;
  one.send({ type: "ping", payload: { any: "thing" } });
  assert.equal((await one.next()).type, "pong");
  one.send({ type: "pong" });
  one.send({ type: "connection_init" });
  assert.equal((await one.next()).type, "connection_ack");
  one.close();
});

test("complete ends an operation, and its id can be used again", LONG, async () => {
  const one = await begun();
  for (let round = 0; round < 2; round += 1) {
    one.send({ id: "a", type: "subscribe", payload: { query: WATCH, variables: { id: memberId } } });
    assert.equal((await one.next()).type, "next");
    one.send({ id: "a", type: "complete" });
  }
  one.close();
});

test("4408: nobody has begun in time", LONG, async () => {
  const one = bare();
  await one.opened;
  assert.equal((await one.closed).code, 4408);
});

test("4429: begun twice", LONG, async () => {
  const one = await begun();
  one.send({ type: "connection_init" });
  assert.equal((await one.closed).code, 4429);
});

test("4401: an operation before the beginning", LONG, async () => {
  const one = bare();
  await one.opened;
  one.send({ id: "a", type: "subscribe", payload: { query: "{ channels { code } }" } });
  assert.equal((await one.closed).code, 4401);
});

test("4403: a token that does not hold", LONG, async () => {
  const one = bare();
  await one.opened;
  one.send({ type: "connection_init", payload: { token: "x" } });
  assert.equal((await one.closed).code, 4403);
});

test("4409: an id that is in use", LONG, async () => {
  const one = await begun();
  const payload = { query: WATCH, variables: { id: memberId } };
  one.send({ id: "a", type: "subscribe", payload });
  assert.equal((await one.next()).type, "next");
  one.send({ id: "a", type: "subscribe", payload });
  assert.equal((await one.closed).code, 4409);
});

for (const message of ["", "{", "[]", "7", '{"type":"nonsense"}', '{"type":"subscribe"}', '{"type":"subscribe","id":"a"}', '{"id":"a"}']) {
  test(`4400: ${message || "nothing"}`, LONG, async () => {
    const one = await begun();
    one.send(message);
    assert.equal((await one.closed).code, 4400);
  });
}

test("4406: no protocol that is spoken here", LONG, async () => {
  const one = bare([]);
  await one.opened;
  assert.equal((await one.closed).code, 4406);
});
