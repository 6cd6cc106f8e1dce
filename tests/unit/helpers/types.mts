// Compiled, never run: what a user of TypeScript may write, and what he may not.
import {
  getArn,
  getService,
  ServiceDiscoveryError,
  StaleServiceError,
  type Service,
} from "service-discovery";
import { services } from "service-discovery/testing";

const service: Service = getService("users", { maxAge: 300 });
const texts: string[] = [service.arn, service.version, service.resolvedAt, getArn("users")];
const age: number = service.age;
const team: string | undefined = service.metadata["team"];
const status: "active" | "yanked" = service.status;

try {
  getArn("users");
} catch (error) {
  if (error instanceof StaleServiceError) {
    const base: ServiceDiscoveryError = error;
    const key: string | undefined = base.key;
    console.log(key);
  }
}

const restore = services({ users: "arn", billing: { status: "missing" } });
restore();
const answer: number = services({ users: { arn: "arn", version: "2.0.0" } }, () => 7);
const later: Promise<string> = services({ users: "arn" }, { age: 60 }, async () => getArn("users"));
console.log(texts, age, team, status, answer, later);

// @ts-expect-error: the limit is a number of seconds.
getService("users", { maxAge: "5m" });
// @ts-expect-error: there is no such status.
services({ users: { status: "gone" } });
