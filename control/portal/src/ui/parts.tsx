/** What every page is made of. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { ago, size, time, words } from "../lib/format";
import { type Shown, ownRemedy } from "../lib/problem";
import type { Fault } from "../lib/types";
import type { List } from "./asking";
import { usePortal } from "./context";

/** The heading of a page: its title in the window as well, and where a screen reader goes on after a link was followed. */
export function Title({ children, title, actions }: { children?: ReactNode; title: string; actions?: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · EFT`;
    // Whoever is typing, or has just loaded the page, is left where they are.
    if (document.activeElement === document.body || document.activeElement?.closest("nav")) heading.current?.focus({ preventScroll: true });
  }, [title]);
  return (
    <header className="title">
      <h1 ref={heading} tabIndex={-1}>
        {children ?? title}
      </h1>
      {actions && <div className="actions">{actions}</div>}
    </header>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p className="loading" role="status">
      Loading {what} …
    </p>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

/** A problem with all that it says, and what to do about it. */
export function Problem({ problem, again }: { problem: Shown; again?: () => void }) {
  const { api } = usePortal();
  const [remedy, setRemedy] = useState(ownRemedy(problem.code));
  useEffect(() => {
    const own = ownRemedy(problem.code);
    setRemedy(own);
    let shown = true;
    if (own === undefined) void api.remedy(problem.code).then((said) => shown && setRemedy(said));
    return () => {
      shown = false;
    };
  }, [api, problem.code]);
  return (
    <section className="problem" role="alert">
      <h2>{problem.title}</h2>
      {problem.detail && <p>{problem.detail}</p>}
      <Faults faults={problem.faults} />
      {remedy && (
        <p>
          <strong>What to do:</strong> {remedy}
        </p>
      )}
      <p className="fine">
        <code>{problem.code}</code>
        {problem.status > 0 && <> · status {problem.status}</>}
        {problem.requestId && (
          <>
            {" "}
            · request <code>{problem.requestId}</code>
          </>
        )}
      </p>
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </section>
  );
}

/** What is wrong with a text, each with where. */
export function Faults({ faults, line }: { faults: readonly Fault[]; line?: (fault: Fault) => number | undefined }) {
  if (faults.length === 0) return null;
  return (
    <ul className="faults">
      {faults.map((fault) => (
        <li key={`${fault.pointer} ${fault.detail}`}>
          <code>{fault.pointer || "(the whole)"}</code>
          {(line?.(fault) ?? fault.line) !== undefined && <span className="fine"> line {line?.(fault) ?? fault.line}</span>} {fault.detail}
        </li>
      ))}
    </ul>
  );
}

const KINDS: Readonly<Record<string, string>> = {
  SUCCEEDED: "good",
  active: "good",
  done: "good",
  accepted: "good",
  DELIVERED: "good",
  FAILED: "bad",
  REJECTED: "bad",
  failed: "bad",
  refused: "bad",
  HELD: "warn",
  INCOMPLETE: "warn",
  UNROUTED: "warn",
  PARTIALLY_DELIVERED: "warn",
  INDETERMINATE: "warn",
  paused: "warn",
  begun: "warn",
  unrouted: "warn",
};

/** A state, in words and a colour; never in a colour alone. */
export function State({ of }: { of: string }) {
  return <span className={`state ${KINDS[of] ?? "other"}`}>{words(of)}</span>;
}

export function Time({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at}>
      {time(at)} <span className="fine">{ago(at, Date.now())}</span>
    </time>
  );
}

export function Size({ bytes }: { bytes: number }) {
  return <span title={`${bytes.toLocaleString("en")} bytes`}>{size(bytes)}</span>;
}

export interface Column<T> {
  readonly name: string;
  readonly show: (item: T) => ReactNode;
  readonly number?: boolean;
}

/** A table; on a narrow screen each row is a card, in which every value has the name of its column. */
export function Table<T>({ caption, columns, items, id }: { caption: string; columns: readonly Column<T>[]; items: readonly T[]; id: (item: T) => string }) {
  return (
    <table>
      <caption>{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ name, number }) => (
            <th key={name} scope="col" className={number ? "number" : undefined}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {items.map((item) => (
          <tr key={id(item)}>
            {columns.map(({ name, show, number }) => (
              <td key={name} data-label={name} className={number ? "number" : undefined}>
                {show(item)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A list as it is: being loaded, with a problem, empty, or a table with more to ask for. */
export function Listing<T>({ list, what, empty, caption, columns, id }: { list: List<T>; what: string; empty: ReactNode; caption: string; columns: readonly Column<T>[]; id: (item: T) => string }) {
  const { listed, problem, loading } = list;
  return (
    <div aria-busy={loading}>
      {listed && listed.items.length > 0 && <Table caption={caption} columns={columns} items={listed.items} id={id} />}
      {problem && <Problem problem={problem} again={list.retry} />}
      {loading && <Loading what={what} />}
      {!loading && !problem && listed?.items.length === 0 && listed.cursor === undefined && <Empty>{empty}</Empty>}
      {!loading && !problem && listed && (
        <p className="more">
          {listed.cursor !== undefined && (
            <button type="button" onClick={list.more}>
              Show more
            </button>
          )}
          {listed.items.length > 0 && (
            <span className="fine" role="status">
              {listed.items.length} shown{listed.cursor === undefined ? ", these are all" : ""}
            </span>
          )}
        </p>
      )}
    </div>
  );
}

/** Names and values; what is not there has no row. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {facts
        .filter(([, value]) => value !== undefined && value !== null && value !== false)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** Keeps whoever is not allowed to see a page from a page of refusals. */
export function NotAllowed({ scope }: { scope: string }) {
  return (
    <Empty>
      Your token lacks the scope <code>{scope}</code>: an administrator of the tenant gives it.
    </Empty>
  );
}
