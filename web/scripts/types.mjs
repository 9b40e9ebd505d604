// Makes src/service/generated from the published JSON Schemas and the OpenAPI; with --check it only says whether they are fresh.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "json-schema-to-typescript";
import openapiTS, { astToString } from "openapi-typescript";

const WEB = join(dirname(fileURLToPath(import.meta.url)), "..");
const SCHEMAS = join(WEB, "../libs/contracts/schemas");
const OPENAPI = join(WEB, "../docs/openapi.json");
const TARGET = join(WEB, "src/service/generated");
const BANNER =
  "// Made by scripts/types.mjs from what the servers publish; `npm run types` makes it anew. Not to be edited.\n\n";

const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

/** `message.created.v1` is the type MessageCreatedV1. */
const eventName = (file) =>
  basename(file, ".json")
    .split(/[._]/)
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join("");

/** Titles of single fields would each become a type of their own; `$schema` and `$defs` belong to whole documents. */
function plain(schema) {
  if (Array.isArray(schema)) return schema.map(plain);
  if (schema === null || typeof schema !== "object") return schema;
  const kept = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === "$schema" || key === "$defs" || (key === "title" && typeof value === "string")) continue;
    // Below `properties` the keys are names of fields, and a field may be called `title`.
    kept[key] =
      key === "properties" ? Object.fromEntries(Object.entries(value).map(([n, v]) => [n, plain(v)])) : plain(value);
  }
  return kept;
}

function collect() {
  const found = {};
  const add = (name, schema) => {
    const own = plain(schema);
    if (found[name] !== undefined && JSON.stringify(found[name]) !== JSON.stringify(own)) {
      throw new Error(`${name} means two things: the schemas disagree`);
    }
    found[name] = own;
  };
  const read = (folder, nameOf) => {
    for (const file of readdirSync(folder).sort()) {
      if (!file.endsWith(".json")) continue;
      const schema = readJson(join(folder, file));
      for (const [name, definition] of Object.entries(schema.$defs ?? {})) add(name, definition);
      add(nameOf(file), schema);
    }
  };
  read(SCHEMAS, (file) => basename(file, ".json"));
  read(join(SCHEMAS, "events"), eventName);
  return found;
}

async function contracts() {
  const root = { title: "Contracts", type: "object", additionalProperties: false, $defs: collect() };
  const text = await compile(root, "Contracts", {
    additionalProperties: false,
    bannerComment: "",
    format: false,
    ignoreMinAndMaxItems: true,
    unreachableDefinitions: true,
  });
  // The root exists only because the compiler wants one; its notes on where each definition was found say nothing here.
  const kept = text
    .replace(/export interface Contracts \{\s*\}\n/, "")
    .replace(
      / \* This interface was referenced by `Contracts`'s JSON-Schema\n \* via the `definition` "[^"]+"\.\n/g,
      "",
    )
    .replace(/( \*[ ]*\n)+(?= \*\/)/g, "")
    .replace(/\/\*\*\n \*\/\n/g, "")
    .replace(/[ ]+$/gm, "");
  return BANNER + kept.trimStart();
}

async function openapi() {
  return BANNER + astToString(await openapiTS(readJson(OPENAPI), { defaultNonNullable: false }));
}

const files = { "contracts.ts": await contracts(), "openapi.ts": await openapi() };
const check = process.argv.includes("--check");
let stale = 0;
for (const [name, text] of Object.entries(files)) {
  const path = join(TARGET, name);
  if (!check) {
    mkdirSync(TARGET, { recursive: true });
    writeFileSync(path, text);
    console.log(`wrote src/service/generated/${name}`);
    continue;
  }
  let old = "";
  try {
    old = readFileSync(path, "utf8");
  } catch {
    // Missing is stale, too.
  }
  if (old !== text) {
    stale += 1;
    console.error(`src/service/generated/${name} is not what the schemas say: run \`npm run types\``);
  }
}
process.exitCode = stale === 0 ? 0 : 1;
