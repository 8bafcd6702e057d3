/** A question before something is done: why, and then it is done once, however often it is sent. */

import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { type Shown, of, refused } from "../lib/problem";
import { Problem } from "./parts";

/** The longest reason that the API takes. */
const LONGEST_REASON = 500;

export interface Deed {
  readonly title: string;
  readonly verb: string;
  readonly about: ReactNode;
  readonly danger?: boolean;
  /** Whether somebody has to say why. */
  readonly reason: boolean;
  /** More to choose. */
  readonly more?: ReactNode;
  /** Does it; `key` is the same each time that somebody tries again what may have been done. */
  readonly act: (reason: string, key: string) => Promise<void>;
}

export function ActDialog({ deed, close }: { deed: Deed; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [key, setKey] = useState(() => crypto.randomUUID());
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState<Shown>();
  const [busy, setBusy] = useState(false);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);

  // What was sent is what is sent again.
  const unclear = problem !== undefined && !refused(problem);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    try {
      await deed.act(reason.trim(), key);
      dialog.current?.close();
    } catch (thrown) {
      const shown = of(thrown);
      setProblem(shown);
      setBusy(false);
      // What may have been done stays the same request.
      if (refused(shown)) setKey(crypto.randomUUID());
    }
  };

  return (
    <dialog ref={dialog} onClose={close} onCancel={(event) => busy && event.preventDefault()} aria-labelledby={`${id}-title`}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id={`${id}-title`}>{deed.title}</h2>
        <p>{deed.about}</p>
        {deed.more && <div inert={busy || unclear}>{deed.more}</div>}
        {deed.reason && (
          <>
            <label htmlFor={`${id}-reason`}>Reason</label>
            <textarea id={`${id}-reason`} required readOnly={busy || unclear} maxLength={LONGEST_REASON} rows={3} value={reason} onChange={(event) => setReason(event.target.value)} aria-describedby={`${id}-hint`} />
            <p className="fine" id={`${id}-hint`}>
              It stands in the history and in the audit trail, with your name.
            </p>
          </>
        )}
        {problem && <Problem problem={problem} />}
        <div className="actions">
          <button type="button" disabled={busy} onClick={() => dialog.current?.close()}>
            Back
          </button>
          <button type="submit" className={deed.danger ? "danger" : "primary"} disabled={busy || (deed.reason && reason.trim() === "")}>
            {busy ? "Being done …" : deed.verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}
