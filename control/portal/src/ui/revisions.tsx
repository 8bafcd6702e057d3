/** The changes of a route, and what two of them differ in. */

import { useId } from "react";
import { segment } from "../lib/api";
import { canonical } from "../lib/diff";
import { time } from "../lib/format";
import { link } from "../lib/place";
import type { Revision, RevisionHead } from "../lib/types";
import { useAsk, useList } from "./asking";
import { Difference } from "./difference";
import { type Column, Listing, Loading, Problem, State, Time, Title } from "./parts";
import { RouteTabs } from "./routes";

const id = (one: RevisionHead) => String(one.change);

export function Revisions({ name, from, to }: { name: string; from: string | undefined; to: string | undefined }) {
  const list = useList<RevisionHead>(`/v1/routes/${segment(name)}/revisions`, {}, id);
  const columns: readonly Column<RevisionHead>[] = [
    { name: "Change", show: (one) => <a href={link(["routes", name, "revisions", id(one)])}>{one.change}</a> },
    { name: "Revision", show: (one) => <code>{one.revision}</code> },
    { name: "State", show: (one) => <State of={one.state} /> },
    { name: "By", show: (one) => one.changedBy },
    { name: "When", show: (one) => <Time at={one.changedAt} /> },
    {
      name: "Differs in",
      show: (one) => (one.change > 1 ? <a href={link(["routes", name, "revisions"], { from: String(one.change - 1), to: id(one) })}>what it changed</a> : "the first"),
    },
  ];
  const items = list.listed?.items ?? [];
  const [latest, before] = items;
  return (
    <>
      <Title title={`Revisions of ${name}`} />
      <RouteTabs name={name} at="revisions" />
      {latest && before && <Compare name={name} items={items} from={from ?? id(before)} to={to ?? id(latest)} />}
      <Listing list={list} what="revisions" empty="It has no revisions." caption="Each save, pause and activation, the latest first" columns={columns} id={id} />
    </>
  );
}

function Compare({ name, items, from, to }: { name: string; items: readonly RevisionHead[]; from: string; to: string }) {
  const field = useId();
  const before = useAsk<Revision>(`/v1/routes/${segment(name)}/revisions/${segment(from)}`);
  const after = useAsk<Revision>(`/v1/routes/${segment(name)}/revisions/${segment(to)}`);
  const go = (query: { from: string; to: string }) => {
    location.hash = link(["routes", name, "revisions"], query);
  };
  const choice = (label: string, value: string, choose: (one: string) => void) => (
    <div className="wide">
      <label htmlFor={`${field}-${label}`}>{label}</label>
      <select id={`${field}-${label}`} value={value} onChange={(event) => choose(event.target.value)}>
        {!items.some((one) => id(one) === value) && <option value={value}>change {value}</option>}
        {items.map((one) => (
          <option key={one.change} value={id(one)}>
            {`change ${one.change} by ${one.changedBy}, ${time(one.changedAt)}`}
          </option>
        ))}
      </select>
    </div>
  );
  const problem = before.problem ?? after.problem;
  const states = [before, after].map(({ answer }) => answer?.body.state);
  return (
    <section aria-label="Comparison">
      <div className="filters">
        {choice("From", from, (one) => go({ from: one, to }))}
        {choice("To", to, (one) => go({ from, to: one }))}
      </div>
      {problem && <Problem problem={problem} again={before.problem ? before.again : after.again} />}
      {!problem && !(before.answer && after.answer) && <Loading what="both revisions" />}
      {states[0] && states[1] && states[0] !== states[1] && (
        <p>
          It went from <State of={states[0]} /> to <State of={states[1]} />.
        </p>
      )}
      {before.answer && after.answer && (
        <Difference before={canonical(before.answer.body.route)} after={canonical(after.answer.body.route)} label={`From change ${from} to change ${to}`} />
      )}
    </section>
  );
}
