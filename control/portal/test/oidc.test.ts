import assert from "node:assert/strict";
import { test } from "node:test";
import { type Browser, SignInError, begin, end, isAnswer, settings } from "../src/lib/oidc";
import { base64url, challenge, random } from "../src/lib/pkce";
import { claims, may, scopesOf, session } from "../src/lib/session";

const ISSUER = "https://id.example";
const SETTINGS = { issuer: ISSUER, clientId: "portal", scope: "openid jobs:read" };
const NOW = 1_700_000_000_000;

const jwt = (body: object) => `e30.${base64url(new TextEncoder().encode(JSON.stringify(body)))}.sig`;

/** A browser beside an issuer that answers as `tokens` says. */
function browser(tokens: (form: URLSearchParams) => object, discovery: object = {}): Browser & { kept: Map<string, string> } {
  const kept = new Map<string, string>();
  const documents: Record<string, object> = {
    "https://portal.example/portal.json": SETTINGS,
    [`${ISSUER}/.well-known/openid-configuration`]: { issuer: ISSUER, authorization_endpoint: `${ISSUER}/authorize?p=1`, token_endpoint: `${ISSUER}/token`, ...discovery },
  };
  const send = (url: unknown, init?: RequestInit) => {
    const body = String(url) === `${ISSUER}/token` ? tokens(init?.body as URLSearchParams) : documents[String(url)];
    return Promise.resolve(body ? Response.json(body) : new Response(null, { status: 404 }));
  };
  return {
    kept,
    storage: { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => void kept.set(name, value), removeItem: (name) => void kept.delete(name) },
    send: send as typeof fetch,
    here: "https://portal.example/",
    now: () => NOW,
  };
}

/** The tokens of somebody who has signed in with this nonce. */
function tokens(nonce: string, changes: object = {}) {
  const id = { iss: ISSUER, aud: "portal", sub: "ann", name: "Ann Õun", nonce, exp: NOW / 1000 + 60, ...changes };
  return { access_token: jwt({ sub: "ann", tenant: "acme", scope: "jobs:write" }), id_token: jwt(id), token_type: "Bearer", expires_in: 600 };
}

test("the challenge is that of RFC 7636, appendix B", async () => {
  assert.equal(await challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
});

test("a verifier is of the length and the letters of RFC 7636, and another each time", () => {
  assert.match(random(), /^[A-Za-z0-9_-]{43}$/);
  assert.notEqual(random(), random());
});

test("somebody is sent to the issuer, and comes back signed in", async () => {
  let form = new URLSearchParams();
  let url = new URL(ISSUER);
  const one = browser((sent) => {
    form = sent;
    return tokens(url.searchParams.get("nonce") ?? "");
  });
  url = new URL(await begin(one, await settings(one), "#/jobs"));
  assert.equal(url.origin + url.pathname, `${ISSUER}/authorize`);
  assert.deepEqual(["p", "response_type", "client_id", "redirect_uri", "scope", "code_challenge_method"].map((name) => url.searchParams.get(name)), ["1", "code", "portal", "https://portal.example/", "openid jobs:read", "S256"]);
  const { session, place } = await end(one, SETTINGS, `?code=c&state=${url.searchParams.get("state")}&iss=${encodeURIComponent(ISSUER)}`);
  assert.deepEqual([place, session.subject, session.name, session.tenant, session.expiresAt], ["#/jobs", "ann", "Ann Õun", "acme", NOW + 600_000]);
  assert.equal(await challenge(form.get("code_verifier") ?? ""), url.searchParams.get("code_challenge"));
  assert.equal(one.kept.size, 0, "nothing is left in the storage");
});

test("an answer to no question, or to another one, is refused", async () => {
  const one = browser(() => tokens("x"));
  await assert.rejects(end(one, SETTINGS, "?code=c&state=s"), SignInError);
  await begin(one, SETTINGS, "");
  await assert.rejects(end(one, SETTINGS, "?code=c&state=other"), SignInError);
  assert.equal(one.kept.size, 0, "and what was begun cannot be tried again");
});

test("what the issuer refuses is said in its words", async () => {
  const one = browser(() => ({}));
  const state = new URL(await begin(one, SETTINGS, "")).searchParams.get("state");
  await assert.rejects(end(one, SETTINGS, `?error=access_denied&error_description=not+you&state=${state}`), /not you/);
});

for (const [what, changes] of [["another issuer", { iss: "https://evil.example" }], ["another client", { aud: "other" }], ["another sign-in", { nonce: "other" }], ["another time", { exp: NOW / 1000 }]] as const) {
  test(`an ID token of ${what} is refused`, async () => {
    let nonce = "";
    const one = browser(() => tokens(nonce, changes));
    const url = new URL(await begin(one, SETTINGS, ""));
    nonce = url.searchParams.get("nonce") ?? "";
    await assert.rejects(end(one, SETTINGS, `?code=c&state=${url.searchParams.get("state")}`), /not of this sign-in/);
  });
}

test("an issuer that calls itself otherwise is refused, and so is an answer of another one", async () => {
  await assert.rejects(begin(browser(() => ({}), { issuer: "https://evil.example" }), SETTINGS, ""), SignInError);
  const one = browser(() => tokens("x"));
  const state = new URL(await begin(one, SETTINGS, "")).searchParams.get("state");
  await assert.rejects(end(one, SETTINGS, `?code=c&state=${state}&iss=https://evil.example`), /another issuer/);
});

test("only what an issuer sends is an answer", () => {
  assert.deepEqual(["?code=c&state=s", "?error=e&state=s", "?code=c", "?state=s", ""].map(isAnswer), [true, true, false, false, false]);
});

test("scopes allow what the API lets them", () => {
  const of = (scope: string) => session(jwt({ scope }), undefined, 60, "tenant", NOW);
  assert.ok(may(of("config:write"), "config:read") && may(of("admin"), "jobs:write") && may(of("jobs:read"), "jobs:read"));
  assert.ok(!may(of("jobs:read"), "jobs:write") && !may(of("jobs:write"), "config:read") && !may(of("config:write"), "admin"));
  assert.deepEqual(scopesOf({ scope: "openid  jobs:read", scp: ["config:read", 1] }), ["openid", "jobs:read", "config:read"]);
});

test("what is no JWT says nothing", () => {
  assert.deepEqual(["", "a", "a.b.c", "a.MQ.c"].map(claims), [undefined, undefined, undefined, undefined]);
  assert.deepEqual(session("opaque", undefined, undefined, "tenant", NOW).expiresAt, NOW, "and lives no longer than now");
});
