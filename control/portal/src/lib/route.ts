/** The text of a route, as somebody writes it. */

import type { Fault } from "./types";

/** What `PUT /v1/routes/{name}` takes for a name; written so that it is one with the flag `v` as well, as in `pattern` of a field. */
export const NAME = /^[a-z0-9][a-z0-9._\-]{0,63}$/;

/** A route to begin with. */
export function template(tenant: string | undefined): string {
  const route = {
    match: { prefix: `tenants/${tenant ?? "TENANT"}/FOLDER/`, glob: "*.csv" },
    stages: [],
    destinations: [{ s3: { bucket: "BUCKET", key: "FOLDER/{name}", on_existing: "fail" } }],
  };
  return `${JSON.stringify(route, null, 2)}\n`;
}

/** The text as the API checks it, with the name that it is to have; or what keeps it from being JSON, and where. */
export function draft(text: string, name: string): { body: unknown } | { fault: Fault } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (thrown) {
    return { fault: { pointer: "", detail: thrown instanceof Error ? thrown.message : String(thrown), line: lineOfFault(text, thrown) } };
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) return { fault: { pointer: "", detail: "a route is an object" } };
  return { body: { id: name, ...body } };
}

/** Engines say where a text is not JSON any more, each in its own words. */
function lineOfFault(text: string, thrown: unknown): number | undefined {
  const message = thrown instanceof Error ? thrown.message : "";
  const line = /line (\d+)/.exec(message)?.[1];
  if (line !== undefined) return Number(line);
  const position = /position (\d+)/.exec(message)?.[1];
  return position === undefined ? undefined : text.slice(0, Number(position)).split("\n").length;
}

/**
 * The line, from 1, on which what a JSON Pointer names begins in a JSON text; of what is not there, where the deepest
 * part of it is that is.
 */
export function lineOf(text: string, pointer: string): number {
  const wanted = pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  let at = 0;
  let line = 1;
  let best = { depth: 0, line: 1 };
  const spaces = () => {
    for (; at < text.length && /\s/.test(text[at] as string); at += 1) if (text[at] === "\n") line += 1;
  };
  const string = () => {
    const start = at;
    for (at += 1; at < text.length && text[at] !== '"'; at += 1) if (text[at] === "\\") at += 1;
    at += 1;
    return text.slice(start, at);
  };
  /** `depth`: how much of what is wanted the path to here agrees with; less than its own depth where it does not. */
  const value = (depth: number, on: boolean) => {
    spaces();
    const open = text[at];
    if (open !== "{" && open !== "[") {
      if (open === '"') string();
      else while (at < text.length && !/[,\]}\s]/.test(text[at] as string)) at += 1;
      return;
    }
    at += 1;
    for (let index = 0; at < text.length; index += 1) {
      spaces();
      if (text[at] === "}" || text[at] === "]") break;
      const begun = line;
      const name = open === "{" ? (JSON.parse(string()) as string) : String(index);
      const agrees = on && wanted[depth] === name;
      if (agrees && depth + 1 > best.depth) best = { depth: depth + 1, line: begun };
      if (open === "{") {
        spaces();
        at += 1;
      }
      value(depth + 1, agrees);
      spaces();
      if (text[at] === ",") at += 1;
    }
    at += 1;
  };
  value(0, true);
  return best.line;
}
