/** What was not done, and why: a problem of RFC 9457, or what stands in for one where the answer is none. */

import type { Fault } from "./types";

export interface Shown {
  readonly title: string;
  readonly detail: string;
  readonly code: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly faults: readonly Fault[];
  readonly requestId?: string | undefined;
}

export class ProblemError extends Error {
  constructor(readonly problem: Shown) {
    super(problem.title);
  }
}

/** Codes that no API gives: of this page, for what comes from the network and from what stands before the APIs. */
const OWN: Readonly<Record<string, string>> = {
  "portal.unreachable": "see whether this machine is online, and try again; what was asked may have been done",
  "portal.answer": "try again; if it recurs, tell whoever runs the platform",
  "portal.gateway": "try again in a moment; if it recurs, tell whoever runs the platform",
  "portal.signed_out": "sign in again",
};

/** What to do about a code of this page; the APIs know their own. */
export function ownRemedy(code: string): string | undefined {
  return OWN[code];
}

function problem(code: string, title: string, detail: string, status: number, retryable: boolean): Shown {
  return { code, title, detail, status, retryable, faults: [] };
}

export function unreachable(why: unknown): Shown {
  const detail = why instanceof Error ? why.message : String(why);
  return problem("portal.unreachable", "The platform cannot be reached", detail, 0, true);
}

export function unreadable(status: number): Shown {
  return problem("portal.answer", "The answer cannot be read", `the answer with status ${status} is not what was asked for`, status, true);
}

/**
 * Whether it was surely not done, and is another request when it is sent again. A key that was used for something else says of
 * the first request nothing; nor does a fault of the server.
 */
export function refused({ status, code, retryable }: Shown): boolean {
  return status >= 400 && status < 500 && !retryable && code !== "idempotency.mismatch";
}

export function of(thrown: unknown): Shown {
  if (thrown instanceof ProblemError) return thrown.problem;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return problem("portal.answer", "The page has a fault", detail, 0, false);
}

/** Of an answer that is no success. */
export function parse(status: number, type: string | null, text: string): Shown {
  const body = type?.includes("json") ? json(text) : undefined;
  const of = (name: string) => (typeof body?.[name] === "string" ? (body[name] as string) : undefined);
  if (type?.startsWith("application/problem+json") && of("code") !== undefined) {
    return {
      title: of("title") ?? `Status ${status}`,
      detail: of("detail") ?? "",
      code: of("code") as string,
      status,
      retryable: body?.["retryable"] === true,
      faults: Array.isArray(body?.["errors"]) ? (body["errors"] as Fault[]) : [],
      requestId: of("requestId"),
    };
  }
  // What API Gateway and CloudFront say by themselves.
  if (status === 401) return problem("portal.signed_out", "You are not signed in any more", of("message") ?? "", status, false);
  const detail = of("message") ?? `what stands before the API answered with status ${status}`;
  return problem("portal.gateway", "The request did not get through", detail, status, status === 429 || status >= 500);
}

function json(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
