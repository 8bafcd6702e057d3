/** What would become of a file that has not arrived. */

import { type FormEvent, useEffect, useId, useState } from "react";
import { parseSize } from "../lib/format";
import { link } from "../lib/place";
import { type Shown, of } from "../lib/problem";
import type { Simulation } from "../lib/types";
import { usePortal } from "./context";
import { type Column, Facts, Loading, NotAllowed, Problem, Size, State, Table, Title } from "./parts";

export function Simulate({ name: begun, size: sized }: { name: string | undefined; size: string | undefined }) {
  const { api, may } = usePortal();
  const [name, setName] = useState(begun ?? "");
  const [size, setSize] = useState(sized ?? "1 MiB");
  const [found, setFound] = useState<Simulation>();
  const [problem, setProblem] = useState<Shown>();
  const [busy, setBusy] = useState(false);
  const field = useId();
  const bytes = parseSize(size);

  const ask = async (file: string, exactly: number) => {
    setBusy(true);
    setProblem(undefined);
    setFound(undefined);
    try {
      setFound((await api.ask<Simulation>("/v1/routes:simulate", { method: "POST", body: { name: file, size: exactly } })).body);
    } catch (thrown) {
      setProblem(of(thrown));
    }
    setBusy(false);
  };
  useEffect(() => {
    // A link from a job says which file: nobody has to press a button for what is known.
    if (begun && sized && may("config:read")) void ask(begun, Number(sized));
    // Once, for the place that was gone to.
  }, []);
  if (!may("config:read")) return <NotAllowed scope="config:read" />;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (bytes !== undefined) void ask(name.trim(), bytes);
  };
  return (
    <>
      <Title title="Simulate" />
      <p>Which route takes a file, and what would be done with it. Nothing is stored, and no file is looked at.</p>
      <form className="filters" onSubmit={submit}>
        <div className="wide">
          <label htmlFor={`${field}-name`}>File, as its sender names it, or the whole key</label>
          <input id={`${field}-name`} required maxLength={1024} value={name} placeholder="in/orders/a.csv" onChange={(event) => setName(event.target.value)} />
        </div>
        <div>
          <label htmlFor={`${field}-size`}>Size</label>
          <span className="fine aside" id={`${field}-bytes`}>
            {bytes === undefined ? "such as 12, 1.5 GiB or 2 GB" : `${bytes.toLocaleString("en")} bytes`}
          </span>
          <input id={`${field}-size`} required value={size} aria-invalid={bytes === undefined} aria-describedby={`${field}-bytes`} onChange={(event) => setSize(event.target.value)} />
        </div>
        <button type="submit" className="primary" disabled={busy || bytes === undefined}>
          Simulate
        </button>
      </form>
      {busy && <Loading what="what would become of it" />}
      {problem && <Problem problem={problem} />}
      {found && <Found found={found} />}
    </>
  );
}

type Destination = NonNullable<Simulation["plan"]>["destinations"][number];

const DESTINATIONS: readonly Column<Destination>[] = [
  { name: "Bucket", show: (one) => <span className="path">{one.bucket}</span> },
  { name: "Key", show: (one) => (one.key ? <span className="path">{one.key}</span> : "–") },
  { name: "If something stands there", show: (one) => one.onExisting },
  { name: "Problem", show: (one) => one.problem ?? "none" },
];

function Found({ found }: { found: Simulation }) {
  const { plan, route } = found;
  return (
    <section aria-label="What would become of it" aria-live="polite">
      <h2>
        <State of={found.outcome} /> {route && <a href={link(["routes", route.name])}>{route.name}</a>}
      </h2>
      {found.reason && <p>{found.reason}</p>}
      {found.remedy && (
        <p>
          <strong>What to do:</strong> {found.remedy}
        </p>
      )}
      <Facts
        facts={[
          ["Key", <span key="key" className="path">{found.key}</span>],
          ["Size", <Size key="size" bytes={found.size} />],
          ["Code", found.code && <code key="code">{found.code}</code>],
          ["Route", route && <span key="route"><State of={route.state} /> at revision <code>{route.revision}</code></span>],
          ["Run by", plan && `${plan.runner === "steps" ? "Step Functions" : "a worker"}${plan.runnerReason ? `: ${plan.runnerReason}` : ""}`],
          ["Stages", plan && (plan.stages.length > 0 ? plan.stages.join(" → ") : "none: the bytes as they are")],
          ["Copy", plan?.copy && "S3 copies it: no byte is looked at"],
          ["Order", plan && (plan.ordered ? "one after the other" : "none")],
          ["Complete when", plan?.completeWhen],
          ["Archive", plan?.archive?.original && `the original, in ${plan.archive.storageClass}`],
        ]}
      />
      {plan && <Table caption="Where it would go" columns={DESTINATIONS} items={plan.destinations} id={(one) => `${one.bucket} ${one.key}`} />}
    </section>
  );
}
