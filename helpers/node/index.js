"use strict";

// Reads the services file, which has the ARNs of the services that this function needs. Part of the
// service-discovery layer. CommonJS, which `require` and `import` both load as one module.

const fs = require("node:fs");

const DEFAULT_PATH = "/tmp/services.json";
// File times have the resolution of the kernel's clock tick, up to 10 ms. Two changes within a tick
// look the same, so the content of a file that has just changed is compared.
const RECENT_MS = 100;

/** The base of all errors here. */
class ServiceDiscoveryError extends Error {
  constructor(message, { key, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.key = key;
  }
}

/** There is no answer yet: the registry could not be reached, or the file cannot be read. */
class ServiceUnavailableError extends ServiceDiscoveryError {}

/** The services file has no such key: it is not in `NEEDED_SERVICES`. */
class UnknownServiceError extends ServiceDiscoveryError {}

/** The registry has no version that matches the need. */
class ServiceMissingError extends ServiceDiscoveryError {}

/** The last successful check is older than the caller's `maxAge`. */
class StaleServiceError extends ServiceDiscoveryError {}

/** The file as last read: `{ path, stats, data, members }`. */
let last;

function getService(name, { maxAge } = {}) {
  const path = process.env.SERVICES_FILE || DEFAULT_PATH;
  const { members, mtimeMs } = read(path);
  // A service may have the name "constructor", a property that every object inherits.
  if (!Object.hasOwn(members, name)) {
    throw new UnknownServiceError(unknownMessage(name, members), { key: name });
  }
  const member = members[name];
  const status = member?.status;
  if (status === "unavailable") {
    throw new ServiceUnavailableError(
      `'${name}' is not resolved yet: ${errorOf(member)}. The extension tries again with a later ` +
        "invocation; if this continues, see its lines in the function's log.",
      { key: name },
    );
  }
  // Date.now() is coarser than the file's times, so the difference may be below 0.
  const age = mtimeMs ? Math.max(0, (Date.now() - mtimeMs) / 1000) : Infinity;
  // Not `age > maxAge`, which is false if `maxAge` is not a number.
  if (maxAge !== undefined && !(age <= maxAge)) {
    throw new StaleServiceError(staleMessage(name, age, maxAge), { key: name });
  }
  if (status === "missing") {
    throw new ServiceMissingError(
      `${errorOf(member)}: publish one (\`service-registry publish\`), or change the ` +
        `selector of '${name}' in NEEDED_SERVICES.`,
      { key: name },
    );
  }
  return toService(path, name, member, age);
}

function getArn(name, options) {
  return getService(name, options).arn;
}

/** Return a resolved member as a service; throw if it is malformed. */
function toService(path, name, member, age) {
  const fault = faultOf(member);
  if (fault !== undefined) {
    throw new ServiceUnavailableError(
      `'${path}' has a malformed member '${name}': ${fault}. It needs "arn", "version" and ` +
        '"status": "active". Only the extension should write this file.',
      { key: name },
    );
  }
  const { arn, version, status, metadata = {}, resolved_at: resolvedAt = "" } = member;
  // A copy of the metadata, since the caller may change it.
  return { arn, version, status, metadata: { ...metadata }, resolvedAt, age };
}

function faultOf(member) {
  if (!isObject(member)) {
    return "it is not an object";
  }
  const { arn = "", version = "", status, metadata = {}, resolved_at: resolvedAt = "" } = member;
  if (status !== "active" && status !== "yanked") {
    return `its status is '${status}'`;
  }
  if ([arn, version, resolvedAt].some((text) => typeof text !== "string")) {
    return "a field is not a string";
  }
  if (!arn || !version) {
    return "it has no arn or no version";
  }
  return isObject(metadata) ? undefined : "its metadata is not an object";
}

/** Return the file's members by key, and its modification time. */
function read(path) {
  let stats;
  let data;
  let isSettled;
  try {
    // If a check is due, the kernel holds this call until the check has ended.
    const fd = fs.openSync(path, "r");
    try {
      stats = fs.fstatSync(fd);
      if (last?.stats !== undefined && last.path === path && isSame(last.stats, stats)) {
        return { members: last.members, mtimeMs: stats.mtimeMs };
      }
      isSettled = stats.ctimeMs < Date.now() - RECENT_MS;
      data = fs.readFileSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    throw new ServiceUnavailableError(unreadableMessage(path, error), { cause: error });
  }
  // A check without a changed answer changes only the modification time.
  const members = last?.data.equals(data) ? last.members : parse(path, data);
  last = { path, data, members, stats: isSettled ? stats : undefined };
  return { members, mtimeMs: stats.mtimeMs };
}

/** Return whether the file was neither replaced, changed nor checked between the two reads. */
function isSame(before, now) {
  return (
    before.ino === now.ino &&
    before.dev === now.dev &&
    before.size === now.size &&
    before.mtimeMs === now.mtimeMs &&
    before.ctimeMs === now.ctimeMs
  );
}

function parse(path, data) {
  let reason = "it is not a JSON object";
  let cause;
  try {
    const members = JSON.parse(data.toString("utf8"));
    if (isObject(members)) {
      return members;
    }
  } catch (error) {
    reason = error.message;
    cause = error;
  }
  throw new ServiceUnavailableError(
    `'${path}' is malformed: ${reason}. Only the extension should write this file; one that ` +
      "SERVICES_FILE names for a test has to be a JSON object with a member for each service.",
    { cause },
  );
}

function errorOf(member) {
  return member.error ?? "the file has no reason";
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unreadableMessage(path, error) {
  if (error.code === "ENOENT") {
    return (
      `'${path}' does not exist. In Lambda: attach the service-discovery layer, with the same ` +
      "SERVICES_FILE (if any) for function and layer. In a test or on a laptop: use services() " +
      "of service-discovery/testing, or set SERVICES_FILE to a JSON file."
    );
  }
  return `'${path}' cannot be read: ${error.message}. It has to be a readable file.`;
}

function unknownMessage(name, members) {
  const needed = process.env.NEEDED_SERVICES || Object.keys(members).sort().join(",");
  const has = needed ? `it has '${needed}'` : "it is empty";
  if (/[=~>@: ,]/.test(name)) {
    return (
      `'${name}' is not a key of the services file: pass only the name (or the alias), and write ` +
      `version or channel into NEEDED_SERVICES; ${has}.`
    );
  }
  const whole = needed ? `${needed},${name}==1.x` : `${name}==1.x`;
  return (
    `'${name}' is not in NEEDED_SERVICES; ${has}. Add it to the function's environment with the ` +
    `major version that you call, for example NEEDED_SERVICES='${whole}'.`
  );
}

function staleMessage(name, age, maxAge) {
  const since =
    age === Infinity ? "has never been checked" : `was last checked ${age.toFixed(0)} s ago`;
  return (
    `'${name}' ${since}, and maxAge is ${maxAge} s. If the registry cannot be reached, the ` +
    "extension's lines in the function's log say why. If it can, SERVICE_DISCOVERY_MAX_AGE has " +
    "to be below maxAge."
  );
}

module.exports = {
  getService,
  getArn,
  ServiceDiscoveryError,
  ServiceUnavailableError,
  UnknownServiceError,
  ServiceMissingError,
  StaleServiceError,
};
