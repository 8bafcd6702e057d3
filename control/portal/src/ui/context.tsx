import { createContext, useContext, useEffect, useState } from "react";
import type { Api } from "../lib/api";
import { type Place, parsePlace } from "../lib/place";
import { type Scope, type Session, may } from "../lib/session";

export interface Portal {
  readonly api: Api;
  readonly session: Session;
  /** Says something that has been done to whoever sees the page and to whoever hears it. */
  readonly say: (what: string) => void;
}

export const PortalContext = createContext<Portal | undefined>(undefined);

export function usePortal(): Portal & { readonly may: (scope: Scope) => boolean } {
  const portal = useContext(PortalContext);
  if (portal === undefined) throw new Error("a page outside of the portal");
  return { ...portal, may: (scope) => may(portal.session, scope) };
}

export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return parsePlace(hash);
}
