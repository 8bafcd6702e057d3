import assert from "node:assert/strict";
import { test } from "node:test";
import { type Line, canonical, diff, folded } from "../src/lib/diff";
import { ago, fileName, parseSize, size, words } from "../src/lib/format";
import { type Page, more } from "../src/lib/pages";
import { link, parsePlace } from "../src/lib/place";
import { draft, lineOf, template } from "../src/lib/route";

const sign = { same: " ", removed: "-", added: "+" };
const shown = (lines: readonly Line[]) => lines.map(({ kind, text }) => sign[kind] + text);

test("what is the same stays, what differs is taken out and put in", () => {
  assert.deepEqual(shown(diff("a\nb\nc\nd", "a\nx\nc\nd\ne")), [" a", "-b", "+x", " c", " d", "+e"]);
  assert.deepEqual(shown(diff("a", "a")), [" a"]);
  assert.deepEqual(shown(diff("a\na\na", "a")), [" a", "-a", "-a"]);
});

test("a difference makes either text again, whatever they are, and is the least there is", () => {
  let seed = 7;
  const next = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const text = () => Array.from({ length: next(12) }, () => "abc"[next(3)]).join("\n");
  for (let round = 0; round < 500; round += 1) {
    const [a, b] = [text(), text()];
    const lines = diff(a, b);
    assert.equal(lines.filter(({ kind }) => kind !== "added").map((line) => line.text).join("\n"), a);
    assert.equal(lines.filter(({ kind }) => kind !== "removed").map((line) => line.text).join("\n"), b);
    assert.equal(lines.filter(({ kind }) => kind === "same").length, longest(a.split("\n"), b.split("\n")));
  }
});

/** The length of a longest common subsequence, by trying everything. */
function longest(a: string[], b: string[]): number {
  const [[x, ...as], [y, ...bs]] = [a, b];
  if (x === undefined || y === undefined) return 0;
  return x === y ? 1 + longest(as, bs) : Math.max(longest(as, b), longest(a, bs));
}

test("lines have their numbers in each text", () => {
  assert.deepEqual(diff("a\nb", "a\nc").map(({ before, after }) => [before, after]), [[1, 1], [2, undefined], [undefined, 2]]);
});

test("texts too large to compare are told whole", () => {
  const many = (letter: string) => Array.from({ length: 2100 }, (_, line) => letter + line).join("\n");
  const kinds = diff(many("a"), many("b")).map(({ kind }) => kind);
  assert.deepEqual([kinds.length, kinds[0], kinds.at(-1)], [4200, "removed", "added"]);
});

test("what is far from a change is folded", () => {
  const lines = Array.from({ length: 20 }, (_, line) => String(line));
  const parts = folded(diff(lines.join("\n"), lines.with(10, "x").join("\n")));
  assert.deepEqual([parts[0], parts.at(-1), parts.length], [7, 6, 2 + 3 + 2 + 3]);
  assert.deepEqual(folded(diff("a\nb", "a\nb")), [2]);
});

test("the order of names makes no difference, that of a list does", () => {
  assert.equal(canonical({ b: 1, a: { d: 1, c: [] } }), canonical({ a: { c: [], d: 1 }, b: 1 }));
  assert.notEqual(canonical([1, 2]), canonical([2, 1]));
});

/** A list whose pages are given by their cursors. */
const pages = (all: Record<string, Page<string>>) => {
  const asked: (string | undefined)[] = [];
  const ask = (cursor: string | undefined) => {
    asked.push(cursor);
    return Promise.resolve(all[cursor ?? ""] ?? { items: [] });
  };
  return { ask, asked };
};

test("pages are put behind each other until no cursor comes", async () => {
  const { ask, asked } = pages({ "": { items: ["a", "b"], nextCursor: "2" }, 2: { items: ["b", "c"] } });
  const first = await more(ask, (item) => item);
  assert.deepEqual(first, { items: ["a", "b"], cursor: "2" });
  assert.deepEqual(await more(ask, (item) => item, first), { items: ["a", "b", "c"], cursor: undefined });
  assert.deepEqual(asked, [undefined, "2"]);
});

test("pages with nothing new are gone through, and not for ever", async () => {
  const { ask } = pages({ "": { items: [], nextCursor: "2" }, 2: { items: [], nextCursor: "3" }, 3: { items: ["a"], nextCursor: "4" } });
  assert.deepEqual(await more(ask, (item) => item), { items: ["a"], cursor: "4" });
  let asked = 0;
  const empty = await more(() => Promise.resolve({ items: [], nextCursor: String((asked += 1)) }), String);
  assert.deepEqual([empty.cursor, asked], ["10", 10]);
});

test("places and links are each other's", () => {
  const place = { path: ["routes", "a/b %"], query: { from: "1", to: "2&3" } };
  assert.deepEqual(parsePlace(link(place.path, place.query)), place);
  assert.deepEqual(parsePlace(""), { path: [], query: {} });
  assert.deepEqual(parsePlace("#/jobs/%E0%A4%A?x=%zz").path, ["jobs", "%E0%A4%A"]);
});

test("sizes are written and read", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 10 * 1024 ** 2, 1024 ** 5].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 MiB", "1.0 PiB"]);
  assert.deepEqual(["0", "12", "1.5 KiB", "2 GB", "3m", "1 TiB", "100B"].map(parseSize), [0, 12, 1536, 2e9, 3e6, 1024 ** 4, 100]);
  assert.deepEqual(["", "x", "-1", "1 XB", "9999999 PiB"].map(parseSize), [undefined, undefined, undefined, undefined, undefined]);
});

test("names, states and ages are as people say them", () => {
  assert.deepEqual(["a/b.csv", "a/b/", "/"].map(fileName), ["b.csv", "b", "/"]);
  assert.equal(words("PARTIALLY_DELIVERED"), "Partially delivered");
  const at = (seconds: number) => ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:00:00Z") + seconds * 1000);
  assert.deepEqual([1, 42, 120, 7200, 86_400, 200_000].map(at), ["just now", "42 s ago", "2 min ago", "2 h ago", "1 day ago", "2 days ago"]);
});

test("what is no JSON is told with its line", () => {
  const faulty = draft('{\n  "a": 1,\n  b\n}', "orders");
  assert.ok("fault" in faulty && faulty.fault.line === 3, JSON.stringify(faulty));
  assert.ok("fault" in draft("[]", "orders"));
  assert.deepEqual(draft('{"match":{}}', "orders"), { body: { id: "orders", match: {} } });
  assert.deepEqual(draft('{"id":"other"}', "orders"), { body: { id: "other" } }, "what it says itself is left to the API to refuse");
});

test("a pointer is found in the text", () => {
  const text = template("acme");
  assert.deepEqual(["", "/match", "/match/glob", "/stages", "/destinations/0/s3/key"].map((pointer) => lineOf(text, pointer)), [1, 2, 4, 6, 11]);
  assert.equal(lineOf(text, "/match/nothing/there"), 2, "of what is not there, what holds it");
  assert.equal(lineOf('{"a/b": "x{\\"",\n"c~": [true,\n{"d": null}]}', "/c~0/1/d"), 3);
});
