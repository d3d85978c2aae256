// What the suites share: where the server is, who calls, and how to change something.
export const { url, tokens } = JSON.parse(process.env.ENGAGE_UNDER_TEST);
export const socketUrl = url.replace(/^http/, "ws");

export const WATCH = "subscription ($id: ID!) { pointsChanged(memberId: $id) { position fromPosition reset balance { available } } }";
export const RESUME = WATCH.replace("$id: ID!", "$id: ID!, $after: String").replace("memberId: $id", "memberId: $id, after: $after").replace("position fromPosition", "cursor position fromPosition");
const ME = "{ me { id } }";
const EARN = "mutation ($input: EarnPointsInput!) { earnPoints(input: $input) { ... on Problem { code message } } }";

export async function ask(query, variables, role) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${tokens[role]}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

export const memberId = (await ask(ME, {}, "member")).me.id;

export async function earn(amount) {
  const input = { memberId, program: "default", amount, idempotencyKey: crypto.randomUUID() };
  const { earnPoints } = await ask(EARN, { input }, "staff");
  if (earnPoints.code) throw new Error(earnPoints.message);
}
