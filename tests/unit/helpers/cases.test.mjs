// The cases of tests/vectors/helpers.json, which the Python helper runs too.
import assert from "node:assert/strict";
import { readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { installed, requireIn } from "./helper.mjs";

const cases = JSON.parse(readFileSync(new URL("../../vectors/helpers.json", import.meta.url)));

for (const each of cases) {
  test(each.what, (t) => {
    const folder = installed(t);
    const { getService, ...errors } = requireIn(folder)("service-discovery");
    const path = join(folder, "services.json");
    rmSync(path, { force: true });
    const text = "document" in each ? JSON.stringify(each.document) : each.text;
    if (text !== null) {
      writeFileSync(path, text);
      const ago = "checked_s_ago" in each ? each.checked_s_ago : 10;
      const checkedAt = ago === null ? 0 : Date.now() / 1000 - ago;
      utimesSync(path, checkedAt, checkedAt);
    }
    process.env.SERVICES_FILE = path;
    process.env.NEEDED_SERVICES = each.needed ?? "";
    const call = () => getService(each.name, { maxAge: each.max_age });

    if (each.error !== undefined) {
      assert.throws(call, (error) => {
        assert.equal(error.name, each.error);
        assert.ok(error instanceof errors[each.error]);
        assert.ok(error instanceof errors.ServiceDiscoveryError);
        for (const part of each.says) {
          // The one word that the languages spell differently.
          assert.ok(error.message.includes(part.replace("max_age", "maxAge")), error.message);
        }
        return true;
      });
    } else {
      const { age, resolvedAt, ...service } = call();
      assert.deepEqual({ ...service, resolved_at: resolvedAt }, each.service);
      assert.ok(age >= Number(each.age_from) && age <= Number(each.age_to), String(age));
    }
  });
}
