/** The text of a route, and saving it: only over what was read. */

import { type ChangeEvent, useEffect, useId, useRef, useState } from "react";
import { segment } from "../lib/api";
import { canonical } from "../lib/diff";
import { link } from "../lib/place";
import { type Shown, of, refused } from "../lib/problem";
import { NAME, draft, lineOf, template } from "../lib/route";
import type { Fault, Route, Validation } from "../lib/types";
import { useAsk } from "./asking";
import { usePortal } from "./context";
import { Difference } from "./difference";
import { Loading, NotAllowed, Problem, Time, Title } from "./parts";

export function EditRoute({ name }: { name: string }) {
  const { may } = usePortal();
  const asked = useAsk<Route>(`/v1/routes/${segment(name)}`);
  if (!may("config:write")) return <NotAllowed scope="config:write" />;
  return (
    <>
      <Title title={`Edit route ${name}`} />
      {asked.problem && <Problem problem={asked.problem} again={asked.again} />}
      {!asked.answer && asked.loading && <Loading what="the route" />}
      {asked.answer && <Editor name={name} read={asked.answer.body} />}
    </>
  );
}

export function NewRoute() {
  const { may } = usePortal();
  const [name, setName] = useState("");
  const field = useId();
  if (!may("config:write")) return <NotAllowed scope="config:write" />;
  return (
    <>
      <Title title="New route" />
      <div className="field">
        <label htmlFor={field}>Name</label>
        <input id={field} value={name} onChange={(event) => setName(event.target.value)} pattern={NAME.source} required autoComplete="off" aria-describedby={`${field}-hint`} />
        <p className="fine" id={`${field}-hint`}>
          1 to 64 of a-z, 0-9, -, _, ., beginning with a letter or digit. It is unique on the platform, and stays.
        </p>
      </div>
      <Editor name={name} read={undefined} />
    </>
  );
}

/** What a saved route says, as somebody would write it: whose it is and its name stand elsewhere. */
function written(route: Route): string {
  const { id: _, tenant: __, ...rest } = route.route;
  return `${JSON.stringify(rest, null, 2)}\n`;
}

type Checked = { readonly kind: "faults"; readonly faults: readonly Fault[] } | { readonly kind: "valid"; readonly revision: string | undefined } | { readonly kind: "problem"; readonly problem: Shown };

function Editor({ name, read }: { name: string; read: Route | undefined }) {
  const { api, say, session } = usePortal();
  // What the text is a change of; when somebody else has changed it, and it is gone on with, that.
  const [base, setBase] = useState(read);
  const [text, setText] = useState(() => (read ? written(read) : template(session.tenant)));
  const [begun] = useState(text);
  const [checked, setChecked] = useState<Checked>();
  const [theirs, setTheirs] = useState<{ route: Route; problem: Shown }>();
  const [busy, setBusy] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  // A save of which nobody knows whether it was done.
  const unclear = useRef(false);
  const field = useId();
  const named = NAME.test(name);
  useUnsaved(text !== begun);

  /** Does one of the two things below, with a text that is JSON. */
  const withDraft = async (act: (body: unknown) => Promise<void>) => {
    setChecked(undefined);
    const drafted = draft(text, name);
    if ("fault" in drafted) return setChecked({ kind: "faults", faults: [drafted.fault] });
    setBusy(true);
    try {
      await act(drafted.body);
    } catch (thrown) {
      const problem = of(thrown);
      // What is wrong with the text is shown at the text.
      setChecked(problem.code === "route.invalid" ? { kind: "faults", faults: problem.faults } : { kind: "problem", problem });
    } finally {
      setBusy(false);
    }
    return undefined;
  };

  const validate = () =>
    withDraft(async (body) => {
      const { body: said } = await api.ask<Validation>("/v1/routes:validate", { method: "POST", body });
      setChecked(said.valid ? { kind: "valid", revision: said.revision } : { kind: "faults", faults: said.errors });
    });

  /** It is what an earlier save of this page has made. */
  const isOurs = async (route: Route, body: unknown) => {
    if (route.changedBy !== session.subject) return false;
    const { body: said } = await api.ask<Validation>("/v1/routes:validate", { method: "POST", body });
    return said.valid && said.revision === route.revision;
  };

  const save = () =>
    withDraft(async (body) => {
      const path = `/v1/routes/${segment(name)}`;
      const condition = base ? { "if-match": base.etag } : { "if-none-match": "*" };
      try {
        await api.ask<Route>(path, { method: "PUT", body, ifMatch: condition["if-match"], ifNoneMatch: condition["if-none-match"] });
      } catch (thrown) {
        const problem = of(thrown);
        unclear.current ||= !refused(problem);
        if (problem.code !== "precondition.failed") throw thrown;
        const now = await api.ask<Route>(path);
        if (!unclear.current || !(await isOurs(now.body, body))) return setTheirs({ route: now.body, problem });
      }
      say(`${name} is saved`);
      location.hash = link(["routes", name]);
      return undefined;
    });

  const goOn = (route: Route, mine: boolean) => {
    setBase(route);
    if (!mine) setText(written(route));
    setTheirs(undefined);
    setChecked(undefined);
    area.current?.focus();
  };

  /** Puts the cursor on a line, and the line where it is seen. */
  const show = (line: number) => {
    const one = area.current;
    if (!one) return;
    const lines = text.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, before) => sum + before.length + 1, 0);
    one.focus();
    one.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    one.scrollTop = ((line - 4) / lines.length) * one.scrollHeight;
  };

  if (theirs) return <Conflict name={name} base={base} mine={text} theirs={theirs} goOn={goOn} />;
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <label htmlFor={field}>Text (JSON)</label>
      <textarea
        id={field}
        ref={area}
        value={text}
        spellCheck={false}
        wrap="off"
        rows={Math.min(40, Math.max(16, text.split("\n").length + 1))}
        aria-invalid={checked?.kind === "faults"}
        aria-describedby={`${field}-checked`}
        onChange={(event: ChangeEvent<HTMLTextAreaElement>) => {
          setText(event.target.value);
          setChecked(undefined);
        }}
      />
      <div id={`${field}-checked`} aria-live="polite">
        {checked?.kind === "valid" && (
          <p className="good-news">
            It is right. {checked.revision && <>Saved, it would be revision <code>{checked.revision}</code>.</>}
          </p>
        )}
        {checked?.kind === "problem" && <Problem problem={checked.problem} />}
        {checked?.kind === "faults" && <FaultsOfText text={text} faults={checked.faults} show={show} />}
      </div>
      <div className="actions">
        <button type="submit" className="primary" disabled={busy || !named || (base !== undefined && text === written(base))}>
          {busy ? "Being asked …" : base ? "Save" : "Create"}
        </button>
        <button type="button" disabled={busy || !named} onClick={() => void validate()}>
          Validate
        </button>
        <a className="button" href={base ? link(["routes", name]) : link(["routes"])}>
          Back
        </a>
      </div>
      {base && text !== written(base) && <Difference before={written(base)} after={text} label="What you have changed" />}
    </form>
  );
}

function FaultsOfText({ text, faults, show }: { text: string; faults: readonly Fault[]; show: (line: number) => void }) {
  const place = (fault: Fault) => {
    if (fault.line !== undefined) return fault.line;
    try {
      JSON.parse(text);
      return lineOf(text, fault.pointer);
    } catch {
      return undefined;
    }
  };
  return (
    <section className="problem" role="alert">
      <h2>{faults.length === 1 ? "One place is wrong" : `${faults.length} places are wrong`}</h2>
      <ul className="faults">
        {faults.map((fault) => {
          const line = place(fault);
          return (
            <li key={`${fault.pointer} ${fault.detail}`}>
              <code>{fault.pointer || "(the whole)"}</code>{" "}
              {line !== undefined && (
                <button type="button" className="plain" onClick={() => show(line)}>
                  line {line}
                </button>
              )}{" "}
              {fault.detail}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** Somebody else has changed what is being changed: what each has done, and with what to go on. */
function Conflict({ name, base, mine, theirs, goOn }: { name: string; base: Route | undefined; mine: string; theirs: { route: Route; problem: Shown }; goOn: (route: Route, mine: boolean) => void }) {
  const { route, problem } = theirs;
  const now = written(route);
  const same = base && canonical(base.route) === canonical(route.route);
  return (
    <>
      <section className="problem" role="alert">
        <h2>{base ? "Someone else has changed it" : `There is a route ${name} already`}</h2>
        <p>
          {route.changedBy} made change {route.change} of {name} at <Time at={route.changedAt} />
          {same && route.state !== base?.state ? `: it is ${route.state} now` : ""}. Nothing of yours is saved, and nothing of it is lost.
        </p>
        <p className="fine">
          <code>{problem.code}</code> · status {problem.status} · {problem.detail}
        </p>
      </section>
      {base && (
        <>
          <h2>What they have changed</h2>
          <Difference before={written(base)} after={now} label={`From what you have read to change ${route.change}`} />
        </>
      )}
      <h2>What yours would change of it</h2>
      <Difference before={now} after={mine} label={`From change ${route.change} to your text`} />
      <div className="actions">
        <button type="button" className="primary" onClick={() => goOn(route, true)}>
          Go on with my text, over theirs
        </button>
        <button type="button" onClick={() => goOn(route, false)}>
          Drop mine, and edit theirs
        </button>
      </div>
    </>
  );
}

/** Has the browser ask before a text is left that is not saved: for another page, and for another place of this one. */
function useUnsaved(unsaved: boolean) {
  useEffect(() => {
    if (!unsaved) return undefined;
    const unload = (event: BeforeUnloadEvent) => event.preventDefault();
    const follow = (event: MouseEvent) => {
      const link = event.target instanceof Element ? event.target.closest('a[href^="#/"]') : null;
      if (link && !confirm("What you have written is not saved. Leave it?")) event.preventDefault();
    };
    addEventListener("beforeunload", unload);
    document.addEventListener("click", follow, { capture: true });
    return () => {
      removeEventListener("beforeunload", unload);
      document.removeEventListener("click", follow, { capture: true });
    };
  }, [unsaved]);
}
