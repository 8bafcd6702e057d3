/** What two texts differ in, line by line. */

export interface Line {
  readonly kind: "same" | "removed" | "added";
  readonly text: string;
  /** Numbers from 1, in each text that has the line. */
  readonly before?: number;
  readonly after?: number;
}

/** Lines around a change that are shown with it; what else is the same is folded. */
const AROUND = 3;
/** Cells of the table below; beyond that, what differs is shown as taken out and put in whole. */
const MOST = 4_000_000;

/** A document in a form in which only what it says makes a difference: names in order, a line a value. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => (isRecord(one) ? Object.fromEntries(sorted(one)) : one), 2);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sorted(record: Record<string, unknown>): [string, unknown][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

export function diff(before: string, after: string): Line[] {
  const a = before.split("\n");
  const b = after.split("\n");
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const kinds = middle(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const all = [...Array<"same">(start).fill("same"), ...kinds, ...Array<"same">(end).fill("same")];
  let i = 0;
  let j = 0;
  return all.map((kind) => {
    if (kind === "removed") return { kind, text: a[i] as string, before: ++i };
    if (kind === "added") return { kind, text: b[j] as string, after: ++j };
    return { kind, text: a[i] as string, before: ++i, after: ++j };
  });
}

/** A longest common subsequence, by the table of the lengths of those of what is left. */
function middle(a: readonly string[], b: readonly string[]): Line["kind"][] {
  if (a.length * b.length > MOST) return [...a.map(() => "removed" as const), ...b.map(() => "added" as const)];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => longest[i * width + j] as number;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const kinds: Line["kind"][] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      kinds.push("same");
      i += 1;
      j += 1;
    } else if (j === b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      kinds.push("removed");
      i += 1;
    } else {
      kinds.push("added");
      j += 1;
    }
  }
  return kinds;
}

/** The lines with what is far from any change folded: a number says how many lines are left out. */
export function folded(lines: readonly Line[]): (Line | number)[] {
  const near = lines.map(() => false);
  lines.forEach(({ kind }, index) => {
    if (kind !== "same") near.fill(true, Math.max(0, index - AROUND), index + AROUND + 1);
  });
  const shown: (Line | number)[] = [];
  lines.forEach((line, index) => {
    const last = shown.at(-1);
    if (near[index]) shown.push(line);
    else if (typeof last === "number") shown[shown.length - 1] = last + 1;
    else shown.push(1);
  });
  return shown;
}
