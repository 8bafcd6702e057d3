/** A job: what arrived, what was done with it, and what can be asked of it. */

import { type ReactNode, useState } from "react";
import { segment } from "../lib/api";
import { fileName } from "../lib/format";
import { link } from "../lib/place";
import { type Shown, of } from "../lib/problem";
import type { Deliveries, Delivery, Event, Job, JobHead, Reject, RejectReport, RunList } from "../lib/types";
import { ActDialog, type Deed } from "./act";
import { useAsk, useList } from "./asking";
import { usePortal } from "./context";
import { type Column, Empty, Facts, Listing, Loading, Problem, Size, State, Table, Time, Title } from "./parts";

/** In between it is asked again by itself; a job that has ended stays as it is until somebody acts. */
const EVERY_MS = 4000;
const MOVING = new Set(["ARRIVED", "ACCEPTED", "RUNNING", "DELIVERING"]);

export function JobPage({ id, run }: { id: string; run: string | undefined }) {
  const [moving, setMoving] = useState(true);
  const asked = useAsk<Job>(`/v1/jobs/${segment(id)}`, undefined, moving ? EVERY_MS : undefined);
  const job = asked.answer?.body;
  if (job && MOVING.has(job.state) !== moving) setMoving(MOVING.has(job.state));
  return (
    <>
      <Title title={job ? fileName(job.key) : "Job"} actions={job && <button type="button" onClick={asked.again}>Refresh</button>}>
        {job ? (
          <>
            {fileName(job.key)} <State of={job.state} />
          </>
        ) : (
          "Job"
        )}
      </Title>
      {asked.problem && <Problem problem={asked.problem} again={asked.again} />}
      {!job && asked.loading && <Loading what="the job" />}
      {job && <Told job={job} etag={asked.answer?.etag} run={run} again={asked.again} />}
    </>
  );
}

function Told({ job, etag, run, again }: { job: Job; etag: string | undefined; run: string | undefined; again: () => void }) {
  const number = run !== undefined && /^[1-9]\d*$/.test(run) ? Number(run) : job.generation;
  // What the parts below show is of this state; in the next they ask anew.
  const turn = `${job.changedAt} ${job.state} ${number}`;
  return (
    <>
      <Matter job={job} />
      <Acts job={job} etag={etag} again={again} />
      <Facts
        facts={[
          ["Job", <code key="job">{job.job}</code>],
          ["Key", <span key="key" className="path">{job.key}</span>],
          ["Version", <code key="version" className="path">{job.versionId}</code>],
          ["Size", <Size key="size" bytes={job.size} />],
          ["Route", job.route && <Pinned key="route" name={job.route.name} revision={job.route.revision} />],
          ["Run by", job.runner === "steps" ? "Step Functions" : "a worker"],
          ["Run", job.generation],
          ["Turn", job.turn],
          ["Arrived", <Time key="arrived" at={job.arrivedAt} />],
          ["Changed", <Time key="changed" at={job.changedAt} />],
          ["Sent", job.sentAt && <span key="sent"><Time at={job.sentAt} /> ({job.sends === 1 ? "once" : `${job.sends} times in all`})</span>],
          ["Lease until", job.leaseUntil && <Time key="lease" at={job.leaseUntil} />],
          ["Owners that died", job.strikes > 0 && job.strikes],
        ]}
      />
      <Runs key={`runs ${turn}`} job={job} shown={number} />
      <OfRun key={`deliveries ${turn}`} job={job} run={number} />
      <History key={`history ${turn}`} job={job} />
    </>
  );
}

function Pinned({ name, revision }: { name: string; revision: string }) {
  return (
    <>
      <a href={link(["routes", name])}>{name}</a> at revision <a href={link(["routes", name, "revisions", revision])}><code>{revision}</code></a>
    </>
  );
}

/** Why it stands where it stands, and what to do about it. */
function Matter({ job }: { job: Job }) {
  const { failure, hold } = job;
  const waits = hold && (
    <p>
      It has waited since <Time at={hold.since} />, and was tried {hold.tries === 1 ? "once" : `${hold.tries} times`}.{" "}
      {hold.retryAt ? <>It is tried again at <Time at={hold.retryAt} />.</> : "It goes on when somebody resumes it."}
    </p>
  );
  if (failure) {
    return (
      <section className={`matter ${job.state === "HELD" ? "warn" : "bad"}`} aria-label="What to do">
        <h2>
          <code>{failure.code}</code>
        </h2>
        <p>{failure.message}</p>
        <p>
          <strong>What to do:</strong> {failure.remedy}
        </p>
        {waits}
      </section>
    );
  }
  if (job.state === "UNROUTED") {
    return (
      <section className="matter warn" aria-label="What to do">
        <p>{job.reason ?? "No route takes this file."}</p>
        <p>
          <strong>What to do:</strong> see which route would take it: <a href={link(["simulate"], { name: job.key, size: String(job.size) })}>simulate it</a>.
        </p>
      </section>
    );
  }
  if (!job.reason && !waits) return null;
  return (
    <section className="matter other" aria-label="Why">
      {job.reason && <p>{job.reason}</p>}
      {waits}
    </section>
  );
}

type Act = Job["acts"][number];

const ACTS: Readonly<Record<Act, { verb: string; about: string; danger?: boolean }>> = {
  replay: { verb: "Replay", about: "It is run once more from the beginning, as a new run." },
  redeliver: { verb: "Redeliver", about: "The run goes on with the destinations that did not get it; those that have it keep it." },
  resume: { verb: "Resume", about: "It goes on now, without waiting for its next try." },
  cancel: { verb: "Cancel the job", about: "It is ended, and nothing of it is delivered. It can be replayed later.", danger: true },
};

function Acts({ job, etag, again }: { job: Job; etag: string | undefined; again: () => void }) {
  const { api, may, say } = usePortal();
  const [chosen, setChosen] = useState<{ act: Act; etag: string | undefined }>();
  const [route, setRoute] = useState<"same" | "current">("same");
  // A question that is open stays, with what was written, whatever becomes of the job meanwhile.
  if (!may("jobs:write") || (job.acts.length === 0 && !chosen)) return null;

  const deed = (act: Act, read: string | undefined): Deed => ({
    ...ACTS[act],
    title: `${ACTS[act].verb}: ${fileName(job.key)}`,
    reason: true,
    more: act === "replay" && job.route && (
      <fieldset>
        <legend>With which text of the route</legend>
        <label>
          <input type="radio" name="route" checked={route === "same"} onChange={() => setRoute("same")} /> the revision that the last run had
        </label>
        <label>
          <input type="radio" name="route" checked={route === "current"} onChange={() => setRoute("current")} /> the one of now
        </label>
      </fieldset>
    ),
    act: async (reason, key) => {
      const body = act === "replay" && job.route ? { reason, route } : { reason };
      // Of the job as it was read: whoever has acted meanwhile is not acted over. A job that runs changes with every part, and
      // to cancel it is the same whatever it has come to.
      const ifMatch = act === "cancel" ? undefined : read;
      await api.ask(`/v1/jobs/${segment(job.job)}:${act}`, { method: "POST", body, ifMatch, idempotencyKey: key });
      say(`${ACTS[act].verb}: done`);
      again();
    },
  });

  return (
    <div className="actions" role="group" aria-label="What can be done">
      {job.acts.map((act) => (
        <button key={act} type="button" className={ACTS[act].danger ? "danger" : "primary"} onClick={() => setChosen({ act, etag })}>
          {ACTS[act].verb}
        </button>
      ))}
      {chosen && (
        <ActDialog
          deed={deed(chosen.act, chosen.etag)}
          close={() => {
            setChosen(undefined);
            again();
          }}
        />
      )}
    </div>
  );
}

function Runs({ job, shown }: { job: Job; shown: number }) {
  const asked = useAsk<RunList>(`/v1/jobs/${segment(job.job)}/runs`);
  const columns: readonly Column<JobHead>[] = [
    { name: "Run", show: (run) => <a href={link(["jobs", job.job], { run: String(run.generation) })} aria-current={run.generation === shown ? "true" : undefined}>{run.generation}</a> },
    { name: "State", show: (run) => <State of={run.state} /> },
    { name: "Code", show: (run) => (run.code ? <code>{run.code}</code> : "–") },
    { name: "Revision", show: (run) => (run.route ? <code>{run.route.revision}</code> : "–") },
    { name: "Changed", show: (run) => <Time at={run.changedAt} /> },
  ];
  return (
    <Part name="Runs" asked={asked}>
      {asked.answer && <Table caption="How each run stands" columns={columns} items={asked.answer.body.items} id={(run) => run.run} />}
    </Part>
  );
}

const DELIVERY: readonly Column<Delivery>[] = [
  { name: "Destination", show: (one) => <span className="path">{one.uri}</span> },
  {
    name: "Outcome",
    show: (one) => (
      <>
        <State of={one.outcome} />
        {one.failure && <span className="block">{one.failure.message} <strong>What to do:</strong> {one.failure.remedy}</span>}
      </>
    ),
  },
  { name: "Size", show: (one) => (one.size === undefined ? "–" : <Size bytes={one.size} />), number: true },
  { name: "SHA-256", show: (one) => (one.sha256 ? <code className="path">{one.sha256}</code> : "–") },
  { name: "How", show: (one) => `${one.method === "server_copy" ? "copied by S3" : one.method}, ${one.attempts} ${one.attempts === 1 ? "attempt" : "attempts"}` },
];

/** What a run has left behind: deliveries, receipt, broken records. */
function OfRun({ job, run }: { job: Job; run: number }) {
  const latest = run === job.generation;
  // Of a run that has not ended there is nothing yet.
  if (latest && !job.receipt && !["SUCCEEDED", "PARTIALLY_DELIVERED", "REJECTED", "FAILED", "HELD"].includes(job.state)) return null;
  return <Left job={job} run={run} />;
}

function Left({ job, run }: { job: Job; run: number }) {
  const { api } = usePortal();
  const asked = useAsk<Deliveries>(`/v1/jobs/${segment(job.job)}/deliveries`, { run });
  const [problem, setProblem] = useState<Shown>();
  const [report, setReport] = useState(false);
  const none = asked.problem?.code === "receipt.not_found";

  const download = async () => {
    setProblem(undefined);
    try {
      // To the letter: the signature is over the bytes as they came.
      const { text } = await api.ask(`/v1/jobs/${segment(job.job)}/receipt`, { query: { run } });
      const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      const anchor = Object.assign(document.createElement("a"), { href: url, download: `receipt-${job.job}.${run}.json` });
      anchor.click();
      // Some browsers read it only after this.
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (thrown) {
      setProblem(of(thrown));
    }
  };

  if (none) return <Part name={`Deliveries of run ${run}`} asked={{ problem: undefined, loading: false, again: asked.again }}><Empty>There is no receipt of this run.</Empty></Part>;
  return (
    <Part name={`Deliveries of run ${run}`} asked={asked}>
      {asked.answer && asked.answer.body.items.length > 0 && <Table caption="What each destination got" columns={DELIVERY} items={asked.answer.body.items} id={(one) => one.deliveryId} />}
      {asked.answer && (
        <div className="actions">
          <button type="button" onClick={() => void download()}>
            Download the receipt
          </button>
          {asked.answer.body.outcome === "REJECTED" && (
            <button type="button" aria-expanded={report} onClick={() => setReport(!report)}>
              Reject report
            </button>
          )}
        </div>
      )}
      {problem && <Problem problem={problem} />}
      {report && <Report job={job.job} run={run} />}
    </Part>
  );
}

const REJECTS: readonly Column<Reject>[] = [
  { name: "Record", show: (one) => one.record, number: true },
  { name: "Column", show: (one) => one.column ?? "–" },
  { name: "Why", show: (one) => one.reason },
  { name: "Byte", show: (one) => one.offset, number: true },
  { name: "Stage", show: (one) => one.stage },
];

function Report({ job, run }: { job: string; run: number }) {
  const asked = useAsk<RejectReport>(`/v1/jobs/${segment(job)}/reject-report`, { run });
  const report = asked.answer?.body;
  if (asked.problem?.code === "report.not_found") return <Empty>No record broke a rule: the file as a whole was rejected.</Empty>;
  return (
    <Part name="Reject report" asked={asked}>
      {report && <Table caption={`${report.errors} ${report.errors === 1 ? "record" : "records"} broke a rule${report.truncated ? "; these are the first" : ""}`} columns={REJECTS} items={report.items} id={(one) => `${one.record} ${one.offset} ${one.column} ${one.reason}`} />}
    </Part>
  );
}

const EVENT: readonly Column<Event>[] = [
  { name: "When", show: (event) => <Time at={event.at} /> },
  { name: "Run", show: (event) => event.generation, number: true },
  { name: "To", show: (event) => <State of={event.after} /> },
  { name: "By", show: (event) => event.actor.replace(/^principal:/, "") },
  {
    name: "Why",
    show: (event) => (
      <>
        {event.reason ?? "–"}
        {event.code && <code className="fine block">{event.code}</code>}
      </>
    ),
  },
];

function History({ job }: { job: Job }) {
  const id = (event: Event) => String(event.sequence);
  const list = useList<Event>(`/v1/jobs/${segment(job.job)}/events`, {}, id);
  return (
    <section>
      <h2>History</h2>
      <Listing list={list} what="the history" empty="Nothing was told of it yet." caption="Each change of the job" columns={EVENT} id={id} />
    </section>
  );
}

function Part({ name, asked, children }: { name: string; asked: { problem: Shown | undefined; loading: boolean; again: () => void }; children: ReactNode }) {
  return (
    <section>
      <h2>{name}</h2>
      {asked.problem && <Problem problem={asked.problem} again={asked.again} />}
      {asked.loading && !children && <Loading what={name.toLowerCase()} />}
      {children}
    </section>
  );
}
