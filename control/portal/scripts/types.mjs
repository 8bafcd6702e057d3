// Makes `src/lib/types.ts` of the documents of both APIs; without `--write`, holds the committed one to them.
import { readFileSync, writeFileSync } from "node:fs";

const DOCUMENTS = ["../config/openapi.json", "../status/openapi.json"];
const AT = "src/lib/types.ts";
// A route is edited as text, and the API says what is wrong with it; a type of every stage would only repeat that.
const OPEN = new Set(["RouteText", "RouteDraft", "Document", "Receipt"]);

function typeOf(schema) {
  if (schema === undefined) return "unknown";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return either.map(typeOf).join(" | ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type })).join(" | ");
  switch (schema.type) {
    case "array":
      return `readonly (${typeOf(schema.items)})[]`;
    case "integer":
      return "number";
    case "object":
      return schema.properties ? fields(schema) : "Readonly<Record<string, unknown>>";
    case "string":
    case "number":
    case "boolean":
    case "null":
      return schema.type;
    default:
      return "unknown";
  }
}

function fields({ properties, required = [] }) {
  const lines = Object.entries(properties).map(([name, schema]) => {
    // What is optional in an answer is optional here, and may also be written as undefined.
    const optional = required.includes(name) ? [":", ""] : ["?:", " | undefined"];
    return `readonly ${name}${optional[0]} ${typeOf(schema)}${optional[1]}`;
  });
  return `{ ${lines.join("; ")} }`;
}

const schemas = {};
for (const path of DOCUMENTS) {
  const document = JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), "utf8"));
  Object.assign(schemas, document.components.schemas);
}
const types = Object.keys(schemas)
  .sort()
  .map((name) => `export type ${name} = ${OPEN.has(name) ? "Readonly<Record<string, unknown>>" : typeOf(schemas[name])};`);
const text = `// Made by \`npm run types\` of control/config/openapi.json and control/status/openapi.json.\n\n${types.join("\n\n")}\n`;

const at = new URL(`../${AT}`, import.meta.url);
if (process.argv.includes("--write")) {
  writeFileSync(at, text);
} else if (readFileSync(at, "utf8") !== text) {
  console.error(`${AT} is not what the documents of the APIs say: \`npm run types\` makes it anew`);
  process.exit(1);
}
