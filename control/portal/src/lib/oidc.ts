/**
 * Sign-in by OpenID Connect: authorization code with PKCE, as a public client.
 *
 * What has to outlive the way to the issuer and back (state, nonce, verifier, where one was) stands in the session storage of
 * the tab and is taken out when it is used. Tokens are only in memory.
 */

import { challenge, random } from "./pkce";
import { type Session, claims, session } from "./session";

/** `/portal.json`. */
export interface Settings {
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
  /** What the claim with the tenant is called: the parameter `TenantClaim` of the deployment. */
  readonly tenantClaim?: string;
}

interface Discovery {
  readonly issuer: string;
  readonly authorization_endpoint: string;
  readonly token_endpoint: string;
  readonly end_session_endpoint?: string;
}

interface Begun {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly place: string;
}

/** What the page needs of a browser, so that tests have it without one. */
export interface Browser {
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  readonly send: typeof fetch;
  /** The page's own address, to which the issuer sends people back. */
  readonly here: string;
  readonly now: () => number;
}

export class SignInError extends Error {}

const BEGUN = "eft.sign-in";

async function document<T>(browser: Browser, url: string, init?: RequestInit): Promise<T> {
  let answer: Response;
  try {
    answer = await browser.send(url, { ...init, cache: "no-store", credentials: "omit" });
  } catch (thrown) {
    throw new SignInError(`${new URL(url).origin} cannot be reached: ${thrown instanceof Error ? thrown.message : thrown}`);
  }
  const body = (await answer.json().catch(() => undefined)) as (T & { error?: string; error_description?: string }) | undefined;
  if (!answer.ok || body === undefined) {
    throw new SignInError(`${url} answered with status ${answer.status}: ${body?.error_description ?? body?.error ?? "no reason"}`);
  }
  return body;
}

export async function settings(browser: Browser): Promise<Settings> {
  const read = await document<Partial<Settings>>(browser, new URL("/portal.json", browser.here).href);
  if (!read.issuer || !read.clientId || !read.scope) throw new SignInError("/portal.json lacks issuer, clientId or scope");
  return { ...read, issuer: read.issuer, clientId: read.clientId, scope: read.scope };
}

async function discover(browser: Browser, { issuer }: Settings): Promise<Discovery> {
  const found = await document<Discovery>(browser, `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  // One issuer must not speak for another (OpenID Connect Discovery, section 4.3).
  if (found.issuer !== issuer) throw new SignInError(`${issuer} calls itself ${found.issuer}`);
  return found;
}

/** The address to go to. `place`: where to be afterwards. */
export async function begin(browser: Browser, settings: Settings, place: string): Promise<string> {
  const { authorization_endpoint } = await discover(browser, settings);
  const begun: Begun = { state: random(), nonce: random(), verifier: random(), place };
  browser.storage.setItem(BEGUN, JSON.stringify(begun));
  const url = new URL(authorization_endpoint);
  const words = {
    response_type: "code",
    client_id: settings.clientId,
    redirect_uri: browser.here,
    scope: settings.scope,
    state: begun.state,
    nonce: begun.nonce,
    code_challenge: await challenge(begun.verifier),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(words)) url.searchParams.set(name, value);
  return url.href;
}

/** Whether an address is one that the issuer has sent somebody back to. */
export function isAnswer(search: string): boolean {
  const words = new URLSearchParams(search);
  return words.has("state") && (words.has("code") || words.has("error"));
}

/** Ends what `begin` has begun; says who is signed in, and where that was. */
export async function end(browser: Browser, settings: Settings, search: string): Promise<{ session: Session; place: string }> {
  const words = new URLSearchParams(search);
  const kept = browser.storage.getItem(BEGUN);
  browser.storage.removeItem(BEGUN);
  const begun = kept === null ? undefined : (JSON.parse(kept) as Begun);
  if (begun === undefined || words.get("state") !== begun.state) {
    throw new SignInError("this sign-in was not begun here, or has ended already");
  }
  const error = words.get("error");
  if (error !== null) throw new SignInError(words.get("error_description") ?? error);
  const { issuer, token_endpoint } = await discover(browser, settings);
  // RFC 9207: the answer is of whom it was asked of.
  if ((words.get("iss") ?? issuer) !== issuer) throw new SignInError("another issuer has answered");
  const body = new URLSearchParams({
    grant_type: "authorization_code",
    code: words.get("code") ?? "",
    redirect_uri: browser.here,
    client_id: settings.clientId,
    code_verifier: begun.verifier,
  });
  const got = await document<{ access_token?: string; id_token?: string; token_type?: string; expires_in?: number }>(browser, token_endpoint, { method: "POST", body });
  if (!got.access_token || got.token_type?.toLowerCase() !== "bearer") throw new SignInError("the issuer gave no bearer token");
  if (!got.id_token) throw new SignInError("the issuer does not say who has signed in: `scope` needs `openid`");
  identified(got.id_token, settings, begun.nonce, browser.now());
  const signedIn = session(got.access_token, got.id_token, got.expires_in, settings.tenantClaim ?? "tenant", browser.now());
  return { session: signedIn, place: begun.place };
}

/**
 * That the ID token is of this issuer, for this client, and of this sign-in. It came from the issuer itself, so that its
 * signature need not be checked (OpenID Connect Core, section 3.1.3.7, item 6).
 */
function identified(idToken: string, settings: Settings, nonce: string, now: number): void {
  const said = claims(idToken);
  const audience = said?.["aud"];
  const forUs = Array.isArray(audience) ? audience.includes(settings.clientId) : audience === settings.clientId;
  const lives = typeof said?.["exp"] === "number" && said["exp"] * 1000 > now;
  if (said?.["iss"] !== settings.issuer || !forUs || said["nonce"] !== nonce || !lives) {
    throw new SignInError("the issuer's answer is not of this sign-in");
  }
}

/** Where to go to sign out at the issuer as well; nowhere where it offers none. */
export async function signOut(browser: Browser, settings: Settings, session: Session): Promise<string | undefined> {
  const { end_session_endpoint } = await discover(browser, settings);
  if (end_session_endpoint === undefined) return undefined;
  const url = new URL(end_session_endpoint);
  url.searchParams.set("client_id", settings.clientId);
  url.searchParams.set("post_logout_redirect_uri", browser.here);
  if (session.idToken !== undefined) url.searchParams.set("id_token_hint", session.idToken);
  return url.href;
}
