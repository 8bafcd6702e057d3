/** Routes: all of a tenant, and one with what it says. */

import { useState } from "react";
import { segment } from "../lib/api";
import { link } from "../lib/place";
import type { Revision, Route, RouteHead } from "../lib/types";
import { ActDialog, type Deed } from "./act";
import { useAsk, useList } from "./asking";
import { usePortal } from "./context";
import { type Column, Facts, Listing, Loading, NotAllowed, Problem, State, Time, Title } from "./parts";

const id = (route: RouteHead) => route.name;

const COLUMNS: readonly Column<RouteHead>[] = [
  { name: "Route", show: (route) => <a href={link(["routes", route.name])}>{route.name}</a> },
  { name: "State", show: (route) => <State of={route.state} /> },
  { name: "Revision", show: (route) => <code>{route.revision}</code> },
  { name: "Change", show: (route) => route.change, number: true },
  { name: "Changed by", show: (route) => route.changedBy },
  { name: "Changed", show: (route) => <Time at={route.changedAt} /> },
];

export function Routes() {
  const { may } = usePortal();
  const actions = may("config:write") && (
    <a className="button primary" href={link(["new-route"])}>
      New route
    </a>
  );
  return (
    <>
      <Title title="Routes" actions={actions} />
      {may("config:read") ? <RouteList /> : <NotAllowed scope="config:read" />}
    </>
  );
}

function RouteList() {
  const list = useList<RouteHead>("/v1/routes", {}, id);
  return <Listing list={list} what="routes" empty="There are no routes yet." caption="Routes, by name" columns={COLUMNS} id={id} />;
}

export function RouteTabs({ name, at }: { name: string; at: "route" | "revisions" }) {
  return (
    <nav className="tabs" aria-label={`Route ${name}`}>
      <a href={link(["routes", name])} aria-current={at === "route" ? "page" : undefined}>
        As it stands
      </a>
      <a href={link(["routes", name, "revisions"])} aria-current={at === "revisions" ? "page" : undefined}>
        Revisions
      </a>
      <a href={link(["jobs"], { route: name })}>Jobs</a>
    </nav>
  );
}

export function RoutePage({ name }: { name: string }) {
  const asked = useAsk<Route>(`/v1/routes/${segment(name)}`);
  const route = asked.answer?.body;
  return (
    <>
      <Title title={`Route ${name}`} actions={route && <RouteActs route={route} again={asked.again} />}>
        {name} {route && <State of={route.state} />}
      </Title>
      <RouteTabs name={name} at="route" />
      {asked.problem && <Problem problem={asked.problem} again={asked.again} />}
      {!route && asked.loading && <Loading what="the route" />}
      {route && (
        <>
          <Facts
            facts={[
              ["Revision", <code key="revision">{route.revision}</code>],
              ["Change", route.change],
              ["Changed by", route.changedBy],
              ["Changed", <Time key="changed" at={route.changedAt} />],
            ]}
          />
          <Text of={route.route} />
        </>
      )}
    </>
  );
}

function Text({ of }: { of: unknown }) {
  return (
    <pre className="text" tabIndex={0} aria-label="What the route says">
      <code>{JSON.stringify(of, null, 2)}</code>
    </pre>
  );
}

function RouteActs({ route, again }: { route: Route; again: () => void }) {
  const { api, may, say } = usePortal();
  const [deed, setDeed] = useState<Deed>();
  if (!may("config:write")) return null;
  const pausing = route.state === "active";
  const act = async (_: string, key: string) => {
    await api.ask(`/v1/routes/${segment(route.name)}:${pausing ? "pause" : "activate"}`, { method: "POST", ifMatch: route.etag, idempotencyKey: key });
    say(pausing ? `${route.name} is paused` : `${route.name} is active`);
  };
  const asked: Deed = pausing
    ? { title: `Pause ${route.name}`, verb: "Pause", about: "Files that come wait, and go to no other route. Jobs that it has taken go on.", reason: false, danger: true, act }
    : { title: `Activate ${route.name}`, verb: "Activate", about: "It takes files again, those that have waited as well.", reason: false, act };
  return (
    <>
      <a className="button primary" href={link(["routes", route.name, "edit"])}>
        Edit
      </a>
      <button type="button" onClick={() => setDeed(asked)}>
        {asked.verb}
      </button>
      {deed && (
        <ActDialog
          deed={deed}
          close={() => {
            setDeed(undefined);
            again();
          }}
        />
      )}
    </>
  );
}

/** A route as it was after a change, or in a revision that a job or a receipt names. */
export function RevisionPage({ name, revision }: { name: string; revision: string }) {
  const asked = useAsk<Revision>(`/v1/routes/${segment(name)}/revisions/${segment(revision)}`);
  const found = asked.answer?.body;
  return (
    <>
      <Title title={`Route ${name} at ${revision}`} />
      <RouteTabs name={name} at="revisions" />
      {asked.problem && <Problem problem={asked.problem} again={asked.again} />}
      {!found && asked.loading && <Loading what="the revision" />}
      {found && (
        <>
          <Facts
            facts={[
              ["Revision", <code key="revision">{found.revision}</code>],
              ["Change", found.change],
              ["Changed by", found.changedBy],
              ["Changed", found.changedAt && <Time key="changed" at={found.changedAt} />],
            ]}
          />
          <Text of={found.route} />
        </>
      )}
    </>
  );
}
