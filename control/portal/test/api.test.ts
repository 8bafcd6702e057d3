import assert from "node:assert/strict";
import { test } from "node:test";
import { Api, address, segment } from "../src/lib/api";
import { ProblemError, type Shown, refused as isRefused } from "../src/lib/problem";

type Sent = { url: string; init: RequestInit };

/** An API whose answers are given, one after the other, and what was sent to it. */
function stub(...answers: (Response | Error)[]) {
  const sent: Sent[] = [];
  const refused: Shown[] = [];
  const send = (url: unknown, init?: RequestInit) => {
    sent.push({ url: String(url), init: init ?? {} });
    const answer = answers.shift();
    return answer instanceof Response ? Promise.resolve(answer) : Promise.reject(answer ?? new Error("no answer is left"));
  };
  return { api: new Api(() => "TOKEN", (problem) => refused.push(problem), send as typeof fetch), sent, refused };
}

async function problemOf(asked: Promise<unknown>): Promise<Shown> {
  const thrown = await asked.then(() => undefined, (error: unknown) => error);
  assert.ok(thrown instanceof ProblemError, String(thrown));
  return thrown.problem;
}

const PROBLEM = { type: "x", title: "It is not as it was when it was read", status: 412, detail: "changed by bob", instance: "/v1/routes/a", code: "precondition.failed", retryable: false, requestId: "r-1" };

test("a request has the token, its condition and its key", async () => {
  const { api, sent } = stub(Response.json({ ok: true }, { headers: { etag: '"b"' } }));
  const answer = await api.ask<{ ok: boolean }>("/v1/routes/a:pause", { method: "POST", ifMatch: '"a"', idempotencyKey: "k", body: { reason: "r" } });
  assert.deepEqual([answer.body.ok, answer.etag, answer.text], [true, '"b"', '{"ok":true}']);
  const headers = new Headers(sent[0]?.init.headers);
  assert.deepEqual(
    ["authorization", "if-match", "idempotency-key", "content-type"].map((name) => headers.get(name)),
    ["Bearer TOKEN", '"a"', "k", "application/json"],
  );
  assert.equal(sent[0]?.init.body, '{"reason":"r"}');
});

test("without a body no type is said, and no header that nobody gave", async () => {
  const { api, sent } = stub(Response.json({}));
  await api.ask("/v1/jobs");
  const headers = new Headers(sent[0]?.init.headers);
  assert.deepEqual(["content-type", "if-match", "if-none-match", "idempotency-key"].filter((name) => headers.has(name)), []);
});

test("a text is sent as it is written", async () => {
  const { api, sent } = stub(Response.json({}));
  await api.ask("/v1/routes/a", { method: "PUT", text: '{ "b": 1,  "a": 2 }' });
  assert.equal(sent[0]?.init.body, '{ "b": 1,  "a": 2 }');
});

test("a problem is thrown with all it says", async () => {
  const faults = [{ pointer: "/match", detail: "two take it" }];
  const { api, refused } = stub(new Response(JSON.stringify({ ...PROBLEM, errors: faults }), { status: 412, headers: { "content-type": "application/problem+json" } }));
  const problem = await problemOf(api.ask("/v1/routes/a"));
  assert.deepEqual(problem, { title: PROBLEM.title, detail: PROBLEM.detail, code: PROBLEM.code, status: 412, retryable: false, faults, requestId: "r-1" });
  assert.equal(refused.length, 0);
});

test("a token that is refused is told, in the gateway's words as well", async () => {
  const { api, refused } = stub(Response.json({ message: "Unauthorized" }, { status: 401 }));
  assert.equal((await problemOf(api.ask("/v1/jobs"))).code, "portal.signed_out");
  assert.equal(refused.length, 1);
});

test("what is no problem is told as one", async () => {
  const { api } = stub(
    Response.json({ message: "Too Many Requests" }, { status: 429 }),
    new Response("<h1>Bad gateway</h1>", { status: 502, headers: { "content-type": "text/html" } }),
    new TypeError("fetch failed"),
    new Response("<h1>Welcome</h1>", { status: 200 }),
  );
  const codes = [];
  for (let asked = 0; asked < 4; asked += 1) {
    const { code, retryable } = await problemOf(api.ask("/v1/jobs"));
    codes.push([code, retryable]);
  }
  assert.deepEqual(codes, [["portal.gateway", true], ["portal.gateway", true], ["portal.unreachable", true], ["portal.answer", true]]);
});

test("what has not changed has no body", async () => {
  const { api } = stub(new Response(null, { status: 304, headers: { etag: '"a"' } }));
  const answer = await api.ask("/v1/jobs/j", { ifNoneMatch: '"a"' });
  assert.deepEqual([answer.status, answer.etag, answer.body], [304, '"a"', undefined]);
});

test("whoever gives up is told of no problem", async () => {
  const { api } = stub(new DOMException("aborted", "AbortError"));
  const thrown = await api.ask("/v1/jobs", { signal: AbortSignal.abort() }).catch((error: unknown) => error);
  assert.ok(!(thrown instanceof ProblemError));
});

test("what to do about a code is asked once, and again where no answer came", async () => {
  const { api, sent } = stub(new TypeError("fetch failed"), Response.json({ remedy: "read it again" }));
  assert.equal(await api.remedy("precondition.failed"), undefined);
  assert.equal(await api.remedy("precondition.failed"), "read it again");
  assert.equal(await api.remedy("precondition.failed"), "read it again");
  assert.deepEqual(sent.map(({ url }) => url), ["/v1/problems/precondition.failed", "/v1/problems/precondition.failed"]);
});

test("addresses hold what people type", () => {
  assert.equal(address("/v1/jobs", { state: "FAILED", cursor: undefined, route: "" }), "/v1/jobs?state=FAILED");
  assert.equal(address("/v1/jobs", { cursor: "a+b/=" }), "/v1/jobs?cursor=a%2Bb%2F%3D");
  assert.equal(segment("a/b?c"), "a%2Fb%3Fc");
});

test("what may have been done is the same request when it is sent again", () => {
  const said = { title: "", detail: "", code: "job.state", status: 409, retryable: false, faults: [] };
  assert.ok(isRefused(said));
  assert.ok(!isRefused({ ...said, retryable: true }), "to try again is to send the same");
  assert.ok(!isRefused({ ...said, status: 500 }), "a fault of the server");
  assert.ok(!isRefused({ ...said, status: 0 }), "no answer");
  assert.ok(!isRefused({ ...said, status: 422, code: "idempotency.mismatch" }), "it says nothing of the first request");
});
