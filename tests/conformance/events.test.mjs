// GraphQL over Server-Sent Events: the reference client, in its mode of distinct connections.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "graphql-sse";
import { RESUME, earn, memberId, tokens, url } from "./engage.mjs";

const LONG = { timeout: 40_000 };
const client = (token, more = {}) => createClient({ url, headers: { Authorization: `Bearer ${token}` }, retryAttempts: 0, ...more });

test("a query is answered once", LONG, async () => {
  const answers = [];
  for await (const answer of client(tokens.staff).iterate({ query: "{ channels { code } }" })) answers.push(answer);
  assert.equal(answers.length, 1);
  assert.ok(answers[0].data.channels.length > 3);
});

test("changes come, and are resumed with the cursor", LONG, async () => {
  const app = client(tokens.member);
  let cursor = null;
  const seen = [];
  for (let round = 0; round < 2; round += 1) {
    for await (const { data } of app.iterate({ query: RESUME, variables: { id: memberId, after: cursor } })) {
      const frame = data.pointsChanged;
      if (frame.cursor !== cursor) seen.push(frame.position);
      cursor = frame.cursor;
      if (seen.length === 2 + round) break;
      await earn(1);
    }
    await earn(1);
  }
  assert.deepEqual(seen, [0, 1, 2].map((nth) => seen[0] + nth));
});

test("what cannot be executed, and who is not known, is told", LONG, async () => {
  for (const [token, query, status] of [
    [tokens.staff, "{ nonsense }", 400],
    ["x", "{ channels { code } }", 401],
  ]) {
    await assert.rejects(client(token).iterate({ query }).next(), (error) => error.response?.status === status);
  }
});
