/** Jobs, and what has arrived and is not run. */

import { useEffect, useId, useState } from "react";
import { fileName, words } from "../lib/format";
import { link } from "../lib/place";
import { NAME } from "../lib/route";
import type { JobHead } from "../lib/types";
import { useList } from "./asking";
import { usePortal } from "./context";
import { type Column, Listing, NotAllowed, Size, State, Time, Title } from "./parts";

const STATES = ["INCOMPLETE", "UNROUTED", "ACCEPTED", "RUNNING", "DELIVERING", "HELD", "SUCCEEDED", "PARTIALLY_DELIVERED", "REJECTED", "FAILED", "CANCELLED"];

const id = (job: JobHead) => job.job;

const COLUMNS: readonly Column<JobHead>[] = [
  {
    name: "File",
    show: (job) => (
      <>
        <a href={link(["jobs", job.job])}>{fileName(job.key)}</a>
        <span className="fine block path">{job.key}</span>
      </>
    ),
  },
  {
    name: "State",
    show: (job) => (
      <>
        <State of={job.state} />
        {job.code && <code className="fine block">{job.code}</code>}
      </>
    ),
  },
  { name: "Route", show: (job) => (job.route ? <a href={link(["routes", job.route.name])}>{job.route.name}</a> : "–") },
  { name: "Size", show: (job) => <Size bytes={job.size} />, number: true },
  { name: "Run", show: (job) => job.generation, number: true },
  { name: "Changed", show: (job) => <Time at={job.changedAt} /> },
];

export function Jobs({ state, route }: { state: string | undefined; route: string | undefined }) {
  const { may } = usePortal();
  return (
    <>
      <Title title="Jobs" />
      {may("jobs:read") ? <JobList state={state} route={route} /> : <NotAllowed scope="jobs:read" />}
    </>
  );
}

/** The API lists by state or by route, not by both: choosing one clears the other. */
function JobList({ state, route }: { state: string | undefined; route: string | undefined }) {
  const list = useList<JobHead>("/v1/jobs", { state, route }, id);
  const [name, setName] = useState(route ?? "");
  useEffect(() => setName(route ?? ""), [route]);
  const field = useId();
  const go = (query: Readonly<Record<string, string>>) => {
    location.hash = link(["jobs"], query);
  };
  return (
    <>
      <form
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          go({ route: name.trim() });
        }}
      >
        <div>
          <label htmlFor={`${field}-state`}>State</label>
          <select id={`${field}-state`} value={state ?? ""} onChange={(event) => go({ state: event.target.value })}>
            <option value="">Any</option>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {words(one)}
              </option>
            ))}
          </select>
        </div>
        <span className="or">or</span>
        <div>
          <label htmlFor={`${field}-route`}>Route</label>
          <input id={`${field}-route`} value={name} pattern={NAME.source} title="a name of 1 to 64 of a-z, 0-9, -, _, ." placeholder="name of a route" onChange={(event) => setName(event.target.value)} />
        </div>
        <button type="submit">List</button>
        {(state ?? route) !== undefined && <a href={link(["jobs"])}>Clear</a>}
        <button type="button" className="end" onClick={list.again}>
          Refresh
        </button>
      </form>
      <Listing list={list} what="jobs" empty="There are no such jobs." caption="Jobs, those that changed last first" columns={COLUMNS} id={id} />
    </>
  );
}

const ARRIVALS = {
  UNROUTED: "No route takes them. Once one does, they are run: make a route, or correct one.",
  INCOMPLETE: "They are not known to be whole yet: their upload has not ended, or what is to come with them is missing.",
} as const;

export function Arrivals({ state, of }: { state: string | undefined; of: string | undefined }) {
  const { may } = usePortal();
  const shown = state === "INCOMPLETE" ? "INCOMPLETE" : "UNROUTED";
  return (
    <>
      <Title title="Arrivals" />
      {may("jobs:read") ? (
        <>
          <nav className="tabs" aria-label="Kinds of arrivals">
            {(Object.keys(ARRIVALS) as (keyof typeof ARRIVALS)[]).map((one) => (
              <a key={one} href={link(["arrivals"], { state: one, of })} aria-current={one === shown ? "page" : undefined}>
                {words(one)}
              </a>
            ))}
          </nav>
          {may("admin") && (
            <p>
              <a href={link(["arrivals"], { state: shown, of: of === "nobody" ? undefined : "nobody" })}>{of === "nobody" ? "Those of my tenant" : "Those under no tenant's prefix"}</a>
            </p>
          )}
          <p>{ARRIVALS[shown]}</p>
          <ArrivalList key={`${shown} ${of}`} state={shown} of={of === "nobody" ? of : undefined} />
        </>
      ) : (
        <NotAllowed scope="jobs:read" />
      )}
    </>
  );
}

function ArrivalList({ state, of }: { state: string; of: string | undefined }) {
  const list = useList<JobHead>("/v1/arrivals", { state, of }, id);
  const columns = COLUMNS.filter(({ name }) => name !== "Run" && name !== "Route");
  const reason: Column<JobHead> = { name: "Why", show: (job) => job.reason ?? "–" };
  return <Listing list={list} what="arrivals" empty="Nothing waits here." caption={`Arrivals: ${words(state)}`} columns={columns.toSpliced(2, 0, reason)} id={id} />;
}
