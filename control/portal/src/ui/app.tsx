/** Signing in, and the frame around every page. */

import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Api } from "../lib/api";
import { type Browser, type Settings, SignInError, begin, end, isAnswer, settings as readSettings, signOut } from "../lib/oidc";
import { type Place, link } from "../lib/place";
import { type Scope, type Session, may } from "../lib/session";
import { PortalContext, usePlace } from "./context";
import { EditRoute, NewRoute } from "./editor";
import { JobPage } from "./job";
import { Arrivals, Jobs } from "./jobs";
import { Empty, Title } from "./parts";
import { Audit, Partners, Users } from "./people";
import { FleetPage } from "./platform";
import { Revisions } from "./revisions";
import { RevisionPage, RoutePage, Routes } from "./routes";
import { Simulate } from "./simulate";

const BROWSER: Browser = {
  storage: sessionStorage,
  send: (...request) => fetch(...request),
  here: `${location.origin}/`,
  now: Date.now,
};

/** A session is ended this much before its token, so that no request is on its way with one that has expired. */
const EARLY_MS = 5_000;
/** And whoever edits is told this much before. */
const WARN_MS = 120_000;
/** The longest that `setTimeout` waits, and some days less. */
const LONGEST_MS = 20 * 86_400_000;

export function App() {
  const [settings, setSettings] = useState<Settings>();
  const [session, setSession] = useState<Session>();
  const [message, setMessage] = useState<string>();
  const [busy, setBusy] = useState(true);
  const begun = useRef(false);

  useEffect(() => {
    // Codes are of one use: whatever renders this twice must not ask twice.
    if (begun.current) return;
    begun.current = true;
    const { search } = location;
    const start = async () => {
      const read = await readSettings(BROWSER);
      setSettings(read);
      if (!isAnswer(search)) return;
      // At once: neither a reload nor a bookmark is to send the code again.
      history.replaceState(null, "", "/");
      const { session: signedIn, place } = await end(BROWSER, read, search);
      history.replaceState(null, "", `/${place}`);
      // `replaceState` tells nobody.
      dispatchEvent(new HashChangeEvent("hashchange"));
      setSession(signedIn);
    };
    start()
      .catch((thrown: unknown) => setMessage(thrown instanceof SignInError ? thrown.message : String(thrown)))
      .finally(() => setBusy(false));
  }, []);

  const leave = useCallback((why: string) => {
    setSession(undefined);
    setMessage(why);
  }, []);

  if (session && settings) {
    const out = () => {
      leave("You are signed out.");
      // At the issuer as well, where it has something to sign out of; here it is done either way.
      void signOut(BROWSER, settings, session).then((url) => url && location.assign(url), () => undefined);
    };
    return <Frame session={session} leave={leave} signOut={out} />;
  }

  const signIn = async () => {
    if (!settings) return location.reload();
    setBusy(true);
    try {
      location.assign(await begin(BROWSER, settings, location.hash));
    } catch (thrown) {
      setMessage(thrown instanceof Error ? thrown.message : String(thrown));
      setBusy(false);
    }
    return undefined;
  };
  return (
    <main className="sign-in">
      <h1>EFT</h1>
      <p>Enterprise File Transfer: the admin portal.</p>
      {message && (
        <p className="notice" role="alert">
          {message}
        </p>
      )}
      {busy ? (
        <p role="status" className="loading">
          One moment …
        </p>
      ) : (
        <button type="button" className="primary" onClick={() => void signIn()}>
          {settings ? "Sign in" : "Try again"}
        </button>
      )}
    </main>
  );
}

const LINKS: readonly (readonly [string, string, Scope])[] = [
  ["jobs", "Jobs", "jobs:read"],
  ["arrivals", "Arrivals", "jobs:read"],
  ["routes", "Routes", "config:read"],
  ["simulate", "Simulate", "config:read"],
  ["partners", "Partners", "config:read"],
  ["users", "SFTP users", "config:read"],
  ["audit", "Audit trail", "config:read"],
  ["fleet", "Fleet", "admin"],
];

function Frame({ session, leave, signOut: out }: { session: Session; leave: (why: string) => void; signOut: () => void }) {
  const place = usePlace();
  const [said, setSaid] = useState<string>();
  const [ending, setEnding] = useState(false);
  const [menu, setMenu] = useState(false);
  const api = useMemo(() => new Api(() => session.token, () => leave("Your token is not taken any more: sign in again.")), [session, leave]);
  const say = useCallback((what: string) => setSaid(what), []);
  const portal = useMemo(() => ({ api, session, say }), [api, session, say]);

  useEffect(() => {
    const left = session.expiresAt - Date.now();
    const timer = (ms: number, act: () => void) => setTimeout(act, Math.min(Math.max(ms, 0), LONGEST_MS));
    const timers = [
      timer(left - WARN_MS, () => setEnding(true)),
      timer(left - EARLY_MS, () => leave("Your session has expired: sign in again, and you are back where you were.")),
    ];
    return () => timers.forEach(clearTimeout);
  }, [session, leave]);

  useEffect(() => {
    if (said === undefined) return undefined;
    const timer = setTimeout(() => setSaid(undefined), 6000);
    return () => clearTimeout(timer);
  }, [said]);

  const at = place.path[0] ?? "jobs";
  useEffect(() => setMenu(false), [at]);
  const section = at === "new-route" ? "routes" : at;
  return (
    <PortalContext value={portal}>
      <a className="skip" href="#main" onClick={skip}>
        Skip to the page
      </a>
      <div className="frame">
        <header className="bar">
          <a className="brand" href={link(["jobs"])}>
            EFT<span> Enterprise File Transfer</span>
          </a>
          <button type="button" className="menu" aria-expanded={menu} aria-controls="menu" onClick={() => setMenu(!menu)}>
            Menu
          </button>
          <nav id="menu" aria-label="Main" className={menu ? "open" : undefined}>
            {LINKS.filter(([, , scope]) => may(session, scope)).map(([path, name]) => (
              <a key={path} href={link([path])} aria-current={section === path ? "page" : undefined}>
                {name}
              </a>
            ))}
          </nav>
          <div className="person">
            <span className="who">
              {session.name}
              {session.tenant && <span className="fine block">{session.tenant}</span>}
            </span>
            <button type="button" onClick={out}>
              Sign out
            </button>
          </div>
        </header>
        <main id="main" tabIndex={-1}>
          {ending && (
            <p className="notice" role="alert">
              Your session ends within two minutes: save what you have written, and sign in again.
            </p>
          )}
          <Page key={place.path.join("/")} place={place} />
        </main>
      </div>
      <p className="said" role="status">
        {said}
      </p>
    </PortalContext>
  );
}

/** The address stays: what stands behind `#` says which page it is. */
function skip(event: React.MouseEvent) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Page({ place }: { place: Place }): ReactNode {
  const [at = "jobs", name, part, revision, ...rest] = place.path;
  const { query } = place;
  if (rest.length === 0) {
    if (name === undefined) {
      switch (at) {
        case "jobs":
          return <Jobs state={query["state"]} route={query["route"]} />;
        case "arrivals":
          return <Arrivals state={query["state"]} of={query["of"]} />;
        case "routes":
          return <Routes />;
        case "new-route":
          return <NewRoute />;
        case "simulate":
          return <Simulate name={query["name"]} size={query["size"]} />;
        case "partners":
          return <Partners />;
        case "users":
          return <Users />;
        case "audit":
          return <Audit />;
        case "fleet":
          return <FleetPage />;
      }
    } else if (at === "jobs" && part === undefined) {
      return <JobPage id={name} run={query["run"]} />;
    } else if (at === "routes" && revision === undefined) {
      if (part === undefined) return <RoutePage name={name} />;
      if (part === "edit") return <EditRoute name={name} />;
      if (part === "revisions") return <Revisions name={name} from={query["from"]} to={query["to"]} />;
    } else if (at === "routes" && part === "revisions" && revision !== undefined) {
      return <RevisionPage name={name} revision={revision} />;
    }
  }
  return (
    <>
      <Title title="Nothing here" />
      <Empty>
        There is no such page. <a href={link(["jobs"])}>See the jobs</a>.
      </Empty>
    </>
  );
}
