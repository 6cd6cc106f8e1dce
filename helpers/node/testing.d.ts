/** A member of the services file; omitted properties have defaults. */
export interface Answer {
  arn?: string;
  version?: string;
  /** `missing` and `unavailable` need no `arn`. */
  status?: "active" | "yanked" | "missing" | "unavailable";
  metadata?: Record<string, string>;
  reason?: string;
  error?: string;
  resolvedAt?: string;
}

export interface ServicesOptions {
  /** How long ago, in seconds, the last successful check was; 0 by default. */
  age?: number;
}

/** Undoes a replacement; `using restore = services({...})` does it at the end of the block. */
export interface Restore {
  (): void;
}

/**
 * Replace the services file by one with these answers: for each key an ARN, or a member of the
 * file.
 *
 * With a callback, the answers are in place until it returns, or until its promise settles; the
 * callback's result is returned. Without one, they are in place until the returned function is
 * called.
 */
export function services(
  answers: Record<string, string | Answer>,
  options?: ServicesOptions,
): Restore;
export function services<T>(answers: Record<string, string | Answer>, callback: () => T): T;
export function services<T>(
  answers: Record<string, string | Answer>,
  options: ServicesOptions,
  callback: () => T,
): T;
