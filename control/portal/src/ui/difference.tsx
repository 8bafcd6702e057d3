import { useMemo, useState } from "react";
import { diff, folded } from "../lib/diff";

const SIGN = { same: " ", removed: "−", added: "+" } as const;
const SAID = { same: undefined, removed: "removed: ", added: "added: " } as const;

/** What two texts differ in; what is the same on both sides is folded until somebody asks for it. */
export function Difference({ before, after, label }: { before: string; after: string; label: string }) {
  const [whole, setWhole] = useState(false);
  const lines = useMemo(() => diff(before, after), [before, after]);
  const changed = lines.filter(({ kind }) => kind !== "same").length;
  if (changed === 0) return <p className="empty">Both say the same.</p>;
  const parts = whole ? lines : folded(lines);
  return (
    <figure className="diff" aria-label={label}>
      <figcaption>
        {label}
        <button type="button" className="plain" aria-pressed={whole} onClick={() => setWhole(!whole)}>
          {whole ? "Only what differs" : "All lines"}
        </button>
      </figcaption>
      <ol>
        {parts.map((part, index) =>
          typeof part === "number" ? (
            <li key={`fold ${index}`} className="fold">
              {part === 1 ? "1 line is" : `${part} lines are`} the same
            </li>
          ) : (
            <li key={`${part.before} ${part.after}`} className={part.kind}>
              <span className="numbers" aria-hidden="true">
                <span>{part.before}</span>
                <span>{part.after}</span>
                <span>{SIGN[part.kind]}</span>
              </span>
              <code>
                {SAID[part.kind] && <span className="unseen">{SAID[part.kind]}</span>}
                {part.text}
              </code>
            </li>
          ),
        )}
      </ol>
    </figure>
  );
}
