/** Lists that come in pages, each with the cursor of the next. */

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string | undefined;
}

/** What is shown of a list; with a cursor, more can be asked for. */
export interface Listed<T> {
  readonly items: readonly T[];
  readonly cursor: string | undefined;
}

/**
 * Pages that are asked for before somebody is asked whether to go on. A page may be empty though more follow, and nobody
 * wants to press a button that brings nothing.
 */
const MOST = 10;

/** Goes on from `before`, or begins; gives what there is with at least one more item, if there is one. */
export async function more<T>(
  ask: (cursor: string | undefined) => Promise<Page<T>>,
  id: (item: T) => string,
  before?: Listed<T>,
): Promise<Listed<T>> {
  let listed: Listed<T> = before ?? { items: [], cursor: undefined };
  const had = listed.items.length;
  for (let asked = 0; asked < MOST; asked += 1) {
    const page = await ask(listed.cursor);
    listed = { items: joined(listed.items, page.items, id), cursor: page.nextCursor };
    if (listed.cursor === undefined || listed.items.length > had) break;
  }
  return listed;
}

/** What changes while it is paged through may come twice: it stands where it came first, as it was told last. */
function joined<T>(items: readonly T[], next: readonly T[], id: (item: T) => string): T[] {
  const all = new Map(items.map((item) => [id(item), item]));
  for (const item of next) all.set(id(item), item);
  return [...all.values()];
}
