// Greets a user whom the service `users` knows.
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { ServiceDiscoveryError, getService } from "service-discovery";

export const client = new LambdaClient();

export async function handler(event) {
  let users;
  try {
    users = getService("users");
  } catch (error) {
    if (!(error instanceof ServiceDiscoveryError)) throw error;
    // The message says what to do. The caller gets this function's own error.
    return { status: 503, reason: error.message };
  }
  const payload = JSON.stringify({ id: event.user });
  const command = new InvokeCommand({ FunctionName: users.arn, Payload: payload });
  const response = await client.send(command);
  const user = JSON.parse(response.Payload.transformToString());
  return { status: 200, greeting: `Hello, ${user.name}!`, users: users.version };
}
