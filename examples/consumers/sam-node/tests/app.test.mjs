// Unit tests: `npm test`, without AWS and without the layer.
import assert from "node:assert/strict";
import test from "node:test";

import { services } from "service-discovery/testing";

process.env.AWS_REGION ??= "eu-west-1";
const { client, handler } = await import("../src/app.mjs");

const arn = "arn:aws:lambda:eu-west-1:123456789012:function:users:42";

test("greets the user", async (t) => {
  t.mock.method(client, "send", async (command) => {
    assert.equal(command.input.FunctionName, arn);
    return { Payload: { transformToString: () => JSON.stringify({ name: "Ada" }) } };
  });

  const answer = await services({ users: { arn, version: "1.4.2" } }, () => handler({ user: 7 }));

  assert.deepEqual(answer, { status: 200, greeting: "Hello, Ada!", users: "1.4.2" });
});

test("says why there is no service", async () => {
  const answer = await services({ users: { status: "missing" } }, () => handler({ user: 7 }));

  assert.equal(answer.status, 503);
  assert.match(answer.reason, /NEEDED_SERVICES/);
});
