/** The answer of a need. */
export interface Service {
  readonly arn: string;
  readonly version: string;
  readonly status: "active" | "yanked";
  /** The publisher's metadata; may be empty. */
  readonly metadata: Record<string, string>;
  /** When this answer last changed: ISO 8601, UTC. */
  readonly resolvedAt: string;
  /** Seconds since the last successful check; `Infinity` if there was none yet. */
  readonly age: number;
}

export interface GetServiceOptions {
  /** The maximum age of the last successful check, in seconds. */
  maxAge?: number;
}

/**
 * Return the service with the key `name`: its alias in `NEEDED_SERVICES`, otherwise its name.
 *
 * Synchronous: it may wait up to `SERVICE_DISCOVERY_HOLD_MS` while a check is due.
 *
 * @throws {ServiceUnavailableError} It was never resolved, or the file is absent or malformed.
 * @throws {UnknownServiceError} `NEEDED_SERVICES` has no such key.
 * @throws {ServiceMissingError} The registry has no version that matches.
 * @throws {StaleServiceError} The last successful check is older than `maxAge`.
 */
export function getService(name: string, options?: GetServiceOptions): Service;

/** Return the ARN of the service with the key `name`; see `getService`. */
export function getArn(name: string, options?: GetServiceOptions): string;

/** The base of all errors here. */
export class ServiceDiscoveryError extends Error {
  /** The key that was requested; undefined if the whole file is malformed or missing. */
  readonly key?: string;
}

/** There is no answer yet: the registry could not be reached, or the file cannot be read. */
export class ServiceUnavailableError extends ServiceDiscoveryError {}

/** The services file has no such key: it is not in `NEEDED_SERVICES`. */
export class UnknownServiceError extends ServiceDiscoveryError {}

/** The registry has no version that matches the need. */
export class ServiceMissingError extends ServiceDiscoveryError {}

/** The last successful check is older than the caller's `maxAge`. */
export class StaleServiceError extends ServiceDiscoveryError {}
