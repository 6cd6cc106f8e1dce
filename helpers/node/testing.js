"use strict";

// Replaces the answers of `getService` in unit tests. It writes a services file and sets
// SERVICES_FILE to its path, so code that reads the file itself gets the same answers.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const UNRESOLVED = {
  missing: "no version matches",
  unavailable: "the registry could not be reached",
};

function services(answers, options, callback) {
  if (typeof options === "function") {
    return services(answers, {}, options);
  }
  const restore = replace(answers, options?.age ?? 0);
  if (callback === undefined) {
    return restore;
  }
  let result;
  try {
    result = callback();
  } catch (error) {
    restore();
    throw error;
  }
  if (typeof result?.then === "function") {
    return Promise.resolve(result).finally(restore);
  }
  restore();
  return result;
}

/** Write a file with these answers; return the function that undoes this. */
function replace(answers, age) {
  const members = Object.fromEntries(
    Object.entries(answers).map(([key, answer]) => [key, toMember(key, answer)]),
  );
  const before = process.env.SERVICES_FILE;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "service-discovery-"));
  const file = path.join(folder, "services.json");
  fs.writeFileSync(file, JSON.stringify(members));
  const checkedAt = Math.max(0, Date.now() / 1000 - age);
  fs.utimesSync(file, checkedAt, checkedAt);
  process.env.SERVICES_FILE = file;

  function restore() {
    if (before === undefined) {
      delete process.env.SERVICES_FILE;
    } else {
      process.env.SERVICES_FILE = before;
    }
    fs.rmSync(folder, { recursive: true, force: true });
  }
  // For `using`, if the runtime has it.
  if (Symbol.dispose) {
    restore[Symbol.dispose] = restore;
  }
  return restore;
}

function toMember(key, answer) {
  const given = typeof answer === "string" ? { arn: answer } : { ...answer };
  const { status = "active" } = given;
  if (Object.hasOwn(UNRESOLVED, status)) {
    return { requested: "latest", error: UNRESOLVED[status], ...given };
  }
  if (status !== "active" && status !== "yanked") {
    throw new TypeError(
      `'${key}': status '${status}' is none of active, yanked, missing, unavailable`,
    );
  }
  if (typeof given.arn !== "string") {
    throw new TypeError(`'${key}' needs an "arn", a string`);
  }
  const { resolvedAt = new Date().toISOString().replace(/\.\d+Z$/, "Z"), ...rest } = given;
  return { requested: "latest", version: "1.0.0", status, resolved_at: resolvedAt, ...rest };
}

module.exports = { services };
