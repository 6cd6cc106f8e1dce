// A small Lambda runtime for Node.js: `node node_runtime.mjs FOLDER app.handler`. AWS's own runtime
// interface client for Node.js has to be compiled; this one needs nothing.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, name] = process.argv.slice(2);
const [file, exported] = name.split(".");
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const { [exported]: handler } = await import(pathToFileURL(join(folder, `${file}.mjs`)));

for (;;) {
  const next = await fetch(`${api}/invocation/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id");
  try {
    const body = JSON.stringify(await handler(await next.json()));
    await fetch(`${api}/invocation/${id}/response`, { method: "POST", body });
  } catch (error) {
    const body = JSON.stringify({ errorType: error.name, errorMessage: error.message });
    await fetch(`${api}/invocation/${id}/error`, { method: "POST", body });
  }
}
