/** Where in the portal one is: what stands behind `#`. It needs no server that knows of it. */

export interface Place {
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

export function parsePlace(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const words = path.split("/").filter((word) => word !== "");
  return { path: words.map(decoded), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** An address with `%` that is no escape is somebody's typing, not a fault. */
function decoded(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

/** A link to a place; what is undefined or empty of the query is left out. */
export function link(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) words.set(name, value);
  const text = words.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}
