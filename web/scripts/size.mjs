// Says how large the client core is once it is built and compressed, everything that it exports included; too large is an error.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const LIMIT = 12 * 1024;
const entry = fileURLToPath(new URL("../src/service/websocket/index.ts", import.meta.url));

const [bundle] = [
  await build({
    configFile: false,
    logLevel: "error",
    build: { write: false, minify: true, target: "es2022", lib: { entry, formats: ["es"], fileName: "core" } },
  }),
].flat();
const code = bundle.output
  .filter((part) => part.type === "chunk")
  .map((chunk) => chunk.code)
  .join("");
const size = gzipSync(code, { level: 9 }).length;
console.log(`@natter/web/core: ${size} of ${LIMIT} bytes (gzip), ${code.length} without`);
process.exitCode = size <= LIMIT ? 0 : 1;
