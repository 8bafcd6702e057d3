/** Both HTTP APIs, of the origin that the page comes from. */

import { ProblemError, type Shown, parse, unreachable, unreadable } from "./problem";
import type { ProblemKind } from "./types";

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface Ask {
  readonly method?: "GET" | "POST" | "PUT";
  readonly query?: Query;
  /** Sent as JSON; `text` as it is. */
  readonly body?: unknown;
  readonly text?: string;
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  /** One for a request, however often it is sent: whoever tries again sends the same. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer<T> {
  readonly status: number;
  readonly etag: string | undefined;
  /** As it came, to the letter. */
  readonly text: string;
  readonly body: T;
}

/** Longer than API Gateway waits for a function (30 s). */
const WITHIN_MS = 35_000;

export class Api {
  private readonly remedies = new Map<string, Promise<string | undefined>>();

  /**
   * @param token What is sent with every request; none where nobody is signed in.
   * @param refused Told when the token is not taken any more.
   */
  constructor(
    private readonly token: () => string | undefined,
    private readonly refused: (problem: Shown) => void,
    private readonly send: typeof fetch = (...request) => fetch(...request),
  ) {}

  /** Gives the answer, or throws a `ProblemError`. An answer of 304 has no body. */
  async ask<T>(path: string, ask: Ask = {}): Promise<Answer<T>> {
    const headers = new Headers({ accept: "application/json" });
    const token = this.token();
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    if (ask.ifMatch !== undefined) headers.set("if-match", ask.ifMatch);
    if (ask.ifNoneMatch !== undefined) headers.set("if-none-match", ask.ifNoneMatch);
    if (ask.idempotencyKey !== undefined) headers.set("idempotency-key", ask.idempotencyKey);
    const body = ask.text ?? (ask.body === undefined ? undefined : JSON.stringify(ask.body));
    if (body !== undefined) headers.set("content-type", "application/json");
    const timeout = AbortSignal.timeout(WITHIN_MS);
    const init: RequestInit = {
      method: ask.method ?? "GET",
      headers,
      // Conditions are this client's own; nothing is to stand in between, nor on a disk.
      cache: "no-store",
      credentials: "omit",
      signal: ask.signal ? AbortSignal.any([ask.signal, timeout]) : timeout,
    };
    if (body !== undefined) init.body = body;
    let answer: Response;
    let text: string;
    try {
      answer = await this.send(address(path, ask.query), init);
      text = await answer.text();
    } catch (thrown) {
      // Whoever has given up is not told of a problem.
      if (ask.signal?.aborted) throw thrown;
      throw new ProblemError(unreachable(thrown));
    }
    const etag = answer.headers.get("etag") ?? undefined;
    if (answer.status === 304) return { status: 304, etag, text: "", body: undefined as T };
    if (!answer.ok) {
      const problem = parse(answer.status, answer.headers.get("content-type"), text);
      if (answer.status === 401) this.refused(problem);
      throw new ProblemError(problem);
    }
    try {
      return { status: answer.status, etag, text, body: (text === "" ? undefined : JSON.parse(text)) as T };
    } catch {
      throw new ProblemError(unreadable(answer.status));
    }
  }

  /** What to do about a code, as the API says; nothing where it does not say. Asked once a code. */
  remedy(code: string): Promise<string | undefined> {
    const known = this.remedies.get(code);
    if (known !== undefined) return known;
    const asked = this.ask<ProblemKind>(`/v1/problems/${encodeURIComponent(code)}`).then(
      ({ body }) => body.remedy,
      () => {
        this.remedies.delete(code);
        return undefined;
      },
    );
    this.remedies.set(code, asked);
    return asked;
  }
}

/** The path with its query; what is undefined or empty is left out. */
export function address(path: string, query: Query = {}): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") words.set(name, String(value));
  }
  const text = words.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** A segment of a path: a name of somebody's choice, which may hold `/` or `?`. */
export function segment(name: string): string {
  return encodeURIComponent(name);
}
