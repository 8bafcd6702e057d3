/** Whoever is signed in: what its token says. The APIs check it; here it only says what to offer. */

export type Scope = "config:read" | "config:write" | "jobs:read" | "jobs:write" | "admin";

export interface Session {
  readonly token: string;
  readonly idToken?: string | undefined;
  readonly subject: string;
  readonly name: string;
  readonly tenant: string | undefined;
  readonly scopes: readonly string[];
  /** In milliseconds since 1970, by this machine's clock. */
  readonly expiresAt: number;
}

/** What each scope allows besides itself: `control/api/src/principal.rs`. */
const ALLOWS: Readonly<Record<string, readonly Scope[]>> = {
  admin: ["config:read", "config:write", "jobs:read", "jobs:write"],
  "config:write": ["config:read"],
  "jobs:write": ["jobs:read"],
};

export function may(session: Session, scope: Scope): boolean {
  return session.scopes.some((held) => held === scope || ALLOWS[held]?.includes(scope));
}

/** The claims of a JWT; nothing where it is none. They are not checked: whoever takes the token does. */
export function claims(token: string): Readonly<Record<string, unknown>> | undefined {
  const part = token.split(".")[1];
  if (part === undefined) return undefined;
  try {
    const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The words of `scope` and `scp`, which some providers write as a list. */
export function scopesOf(said: Readonly<Record<string, unknown>>): string[] {
  return ["scope", "scp"].flatMap((name) => {
    const value = said[name];
    if (Array.isArray(value)) return value.filter((one) => typeof one === "string");
    return typeof value === "string" ? value.split(" ").filter((word) => word !== "") : [];
  });
}

/**
 * @param expiresIn Seconds, as the issuer says them; where it does not, the token does.
 */
export function session(token: string, idToken: string | undefined, expiresIn: number | undefined, tenantClaim: string, now: number): Session {
  const said = claims(token) ?? {};
  const person = (idToken === undefined ? undefined : claims(idToken)) ?? {};
  const text = (...values: unknown[]) => values.find((value) => typeof value === "string" && value !== "") as string | undefined;
  const seconds = expiresIn ?? (typeof said["exp"] === "number" ? said["exp"] - now / 1000 : 0);
  const subject = text(said["sub"], person["sub"]) ?? "";
  return {
    token,
    idToken,
    subject,
    name: text(person["name"], person["email"], subject) ?? subject,
    tenant: text(said[tenantClaim]),
    scopes: scopesOf(said),
    expiresAt: now + seconds * 1000,
  };
}
