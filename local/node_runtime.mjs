// A small Lambda runtime for Node.js: `node node_runtime.mjs FOLDER app.handler`. AWS's own runtime
// interface client for Node.js has to be compiled; this one needs nothing.
import { existsSync } from "node:fs";
import { register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Lambda's runtime searches NODE_PATH for ES modules too, which Node.js itself does not.
const hooks = `
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const require = createRequire("file:///");
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    try {
      return next(pathToFileURL(require.resolve(specifier)).href, context);
    } catch {
      throw error;
    }
  }
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

const [folder, name] = process.argv.slice(2);
const [file, exported] = name.split(".");
const path = [".mjs", ".js", ".cjs"].map((each) => join(folder, file + each)).find(existsSync);
const code = await import(pathToFileURL(path)).catch((error) => {
  if (/'@aws-sdk\//.test(error.message)) {
    console.error("Lambda's runtime has the AWS SDK; here your function needs it in its own node_modules:");
  }
  throw error;
});
const handler = code[exported] ?? code.default[exported];
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;

for (;;) {
  const next = await fetch(`${api}/invocation/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id");
  const deadline = Number(next.headers.get("lambda-runtime-deadline-ms"));
  const context = {
    awsRequestId: id,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  try {
    const body = JSON.stringify((await handler(await next.json(), context)) ?? null);
    await fetch(`${api}/invocation/${id}/response`, { method: "POST", body });
  } catch (error) {
    console.error(error);
    const body = JSON.stringify({ errorType: error.name, errorMessage: error.message });
    await fetch(`${api}/invocation/${id}/error`, { method: "POST", body });
  }
}
