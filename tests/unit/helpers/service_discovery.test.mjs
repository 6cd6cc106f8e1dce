import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs, { mkdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { Worker } from "node:worker_threads";

import { installed, requireIn } from "./helper.mjs";

const PADDING = "x".repeat(100_000);

function documentOf(version, padding = "") {
  const member = { requested: "1.x", version, arn: `arn:users:${version}`, status: "active" };
  return JSON.stringify({ users: member, other: { error: padding, status: "missing" } });
}

/** A services file in a folder of its own, and the helper that reads it. */
function world(t) {
  const folder = installed(t);
  const path = join(folder, "services.json");
  process.env.SERVICES_FILE = path;
  const helper = requireIn(folder)("service-discovery");
  const { services } = requireIn(folder)("service-discovery/testing");
  return { folder, path, services, ...helper };
}

function replaceFile(path, text) {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

test("a replaced file is read at the next call", (t) => {
  const { path, getArn } = world(t);
  replaceFile(path, documentOf("1.0.0"));
  assert.equal(getArn("users"), "arn:users:1.0.0");

  replaceFile(path, documentOf("1.1.0"));

  assert.equal(getArn("users"), "arn:users:1.1.0");
});

test("a file that is rewritten in place is read, even within one tick of the clock", (t) => {
  const { path, getArn } = world(t);
  // The file times of Lambda's kernels (before 6.13) stand still for up to 10 ms.
  const { fstatSync } = fs;
  t.after(() => {
    fs.fstatSync = fstatSync;
  });
  fs.fstatSync = (fd) => {
    const stats = fstatSync(fd);
    stats.ctimeMs -= stats.ctimeMs % 10;
    return stats;
  };
  for (let round = 0; round < 300; round += 1) {
    writeFileSync(path, documentOf(`1.0.${round % 10}`));
    // As the extension does while it holds readers; inode, size and here even the time stay.
    utimesSync(path, 1_700_000_000, 1_700_000_000);

    assert.equal(getArn("users"), `arn:users:1.0.${round % 10}`);
  }
});

test("a settled file that is rewritten in place with its time kept is read", async (t) => {
  const { path, getArn } = world(t);
  writeFileSync(path, documentOf("1.0.0"));
  utimesSync(path, 1_700_000_000, 1_700_000_000);
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(getArn("users"), "arn:users:1.0.0");
  assert.equal(getArn("users"), "arn:users:1.0.0");

  writeFileSync(path, documentOf("1.0.1"));
  utimesSync(path, 1_700_000_000, 1_700_000_000);

  assert.equal(getArn("users"), "arn:users:1.0.1");
});

test("a file is parsed only if its content has changed", (t) => {
  const { path, getService } = world(t);
  replaceFile(path, documentOf("1.0.0"));
  let parsed = 0;
  const { parse } = JSON;
  t.after(() => {
    JSON.parse = parse;
  });
  JSON.parse = (text) => {
    parsed += 1;
    return parse(text);
  };

  for (let check = 0; check < 5; check += 1) {
    utimesSync(path, 1_700_000_000 + check, 1_700_000_000 + check);
    getService("users");
    getService("users");
  }

  assert.equal(parsed, 1);
  assert.ok(statSync(path).mtimeMs / 1000 === 1_700_000_004);
});

test("the age is that of the last check, though nothing was parsed", (t) => {
  const { path, getService } = world(t);
  replaceFile(path, documentOf("1.0.0"));
  const now = Date.now() / 1000;
  utimesSync(path, now - 500, now - 500);
  assert.ok(getService("users").age >= 499);

  utimesSync(path, now - 100, now - 100);

  const { age } = getService("users");
  assert.ok(age >= 99 && age < 400, String(age));
});

test("a deleted file is an error, and one that is back is read", (t) => {
  const { path, getArn, ServiceUnavailableError } = world(t);
  replaceFile(path, documentOf("1.0.0"));
  getArn("users");
  rmSync(path);
  assert.throws(() => getArn("users"), ServiceUnavailableError);

  replaceFile(path, documentOf("1.0.0"));

  assert.equal(getArn("users"), "arn:users:1.0.0");
});

test("a folder in the file's place is an error with the cause", (t) => {
  const { path, getArn, ServiceUnavailableError } = world(t);
  mkdirSync(path);

  assert.throws(() => getArn("users"), (error) => {
    assert.ok(error instanceof ServiceUnavailableError);
    assert.equal(error.cause.code, "EISDIR");
    return true;
  });
});

test("what a caller does to the metadata is not what the next one gets", (t) => {
  const { getService, services } = world(t);
  t.after(services({ users: { arn: "arn:users", metadata: { team: "identity" } } }));

  getService("users").metadata.team = "mine";

  assert.deepEqual(getService("users").metadata, { team: "identity" });
});

test("readers never see a part of a document while another thread replaces it", async (t) => {
  const { path, getService } = world(t);
  replaceFile(path, documentOf("0.0.0", PADDING));
  const writer = new Worker(
    `const { renameSync, writeFileSync } = require("node:fs");
     const { parentPort, workerData: { path, padding } } = require("node:worker_threads");
     for (let n = 0; n < 400; n += 1) {
       const users = { version: "1.0." + n, arn: "arn:users:1.0." + n, status: "active" };
       writeFileSync(path + ".new", JSON.stringify({ users, padding }));
       renameSync(path + ".new", path);
     }
     parentPort.postMessage("done");`,
    { eval: true, workerData: { path, padding: PADDING } },
  );
  const seen = new Set();
  let isDone = false;
  writer.once("message", () => {
    isDone = true;
  });
  while (!isDone) {
    const { arn, version } = getService("users");
    assert.equal(arn, `arn:users:${version}`);
    seen.add(version);
    await new Promise(setImmediate);
  }

  assert.ok(seen.size > 1, "the file was never seen to change");
  assert.equal(getService("users").version, "1.0.399");
});

test("services replaces the answers until it is undone", (t) => {
  const { path, getArn, services, ServiceMissingError } = world(t);
  replaceFile(path, documentOf("1.0.0"));

  const restore = services({ users: "arn:fake", billing: { status: "missing" } });

  assert.equal(getArn("users"), "arn:fake");
  assert.throws(() => getArn("billing"), ServiceMissingError);
  restore();
  assert.equal(getArn("users"), "arn:users:1.0.0");
});

test("services with a callback lasts until it returns, throws or settles", async (t) => {
  const { path, getArn, services } = world(t);
  replaceFile(path, documentOf("1.0.0"));
  const fake = { users: "arn:fake" };

  assert.equal(services(fake, () => getArn("users")), "arn:fake");
  assert.throws(() => services(fake, () => assert.fail("in the test")), /in the test/);
  assert.equal(getArn("users"), "arn:users:1.0.0");
  const later = services(fake, async () => {
    await new Promise(setImmediate);
    return getArn("users");
  });
  assert.equal(await later, "arn:fake");
  assert.equal(getArn("users"), "arn:users:1.0.0");
});

test("services sets the age, and everything that a member can have", (t) => {
  const { getService, services, StaleServiceError } = world(t);
  const users = { arn: "arn:fake", version: "2.0.0", status: "yanked", resolvedAt: "then" };

  services({ users }, { age: 600 }, () => {
    assert.throws(() => getService("users", { maxAge: 300 }), StaleServiceError);
    const { age, ...service } = getService("users");
    assert.ok(age >= 600 && age < 700);
    const { resolvedAt, ...rest } = users;
    assert.deepEqual(service, { ...rest, resolvedAt, metadata: {} });
  });
});

test("a maxAge that is no number refuses every answer, instead of none", (t) => {
  const { getService, services, StaleServiceError } = world(t);

  services({ users: "arn:fake" }, () => {
    assert.equal(getService("users", { maxAge: "30" }).arn, "arn:fake");
    for (const maxAge of ["30s", NaN, {}]) {
      assert.throws(() => getService("users", { maxAge }), StaleServiceError);
    }
  });
});

test("services refuses a member that no file could have", (t) => {
  const { services } = world(t);

  assert.throws(() => services({ users: { status: "gone" } }), /'users': status 'gone'/);
  assert.throws(() => services({ users: { version: "1.0.0" } }), /'users' needs an "arn"/);
});

test("import and require load one and the same module", (t) => {
  const { folder } = world(t);
  writeFileSync(
    join(folder, "app.mjs"),
    `import { createRequire } from "node:module";
     import { getArn, StaleServiceError } from "service-discovery";
     import { services } from "service-discovery/testing";
     const required = createRequire(import.meta.url)("service-discovery");
     const arn = services({ users: "arn:fake" }, () => getArn("users"));
     console.log(arn, required.StaleServiceError === StaleServiceError);`,
  );

  const output = execFileSync(process.execPath, ["app.mjs"], { cwd: folder, encoding: "utf8" });

  assert.equal(output, "arn:fake true\n");
});
