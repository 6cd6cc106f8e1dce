// The package under test, found as `require` and `import` find it, by its name.
import { mkdtempSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const PACKAGE = fileURLToPath(new URL("../../../helpers/node", import.meta.url));

/** Make a folder whose node_modules has the package; `t` removes it. */
export function installed(t) {
  const folder = mkdtempSync(join(tmpdir(), "helpers-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(PACKAGE, join(folder, "node_modules/service-discovery"));
  return folder;
}

/** Return the `require` of a module in `folder`. */
export function requireIn(folder) {
  return createRequire(pathToFileURL(join(folder, "app.js")));
}
