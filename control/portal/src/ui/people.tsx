/** Who sends files, who logs in, and who has changed what. */

import type { AuditEntry, Partner, SftpUser } from "../lib/types";
import { useList } from "./asking";
import { usePortal } from "./context";
import { type Column, Listing, NotAllowed, State, Time, Title } from "./parts";

function Guarded({ title, children }: { title: string; children: () => React.ReactNode }) {
  const { may } = usePortal();
  return (
    <>
      <Title title={title} />
      {may("config:read") ? children() : <NotAllowed scope="config:read" />}
    </>
  );
}

const nameOf = (one: { readonly name: string }) => one.name;

const PARTNERS: readonly Column<Partner>[] = [
  {
    name: "Partner",
    show: ({ name, partner }) => (
      <>
        {name}
        {partner.displayName && <span className="fine block">{partner.displayName}</span>}
      </>
    ),
  },
  { name: "State", show: ({ partner }) => <State of={partner.paused ? "paused" : "active"} /> },
  { name: "Folder", show: ({ partner }) => (partner.folder ? <code>{partner.folder}</code> : "anywhere") },
  {
    name: "Contacts",
    show: ({ partner }) =>
      partner.contacts?.length ? (
        <ul className="plain">
          {partner.contacts.map(({ email, name }) => (
            <li key={email}>
              {name ? `${name}, ` : ""}
              <a href={`mailto:${email}`}>{email}</a>
            </li>
          ))}
        </ul>
      ) : (
        "none"
      ),
  },
];

export function Partners() {
  return <Guarded title="Partners">{() => <PartnerList />}</Guarded>;
}

function PartnerList() {
  const list = useList<Partner>("/v1/partners", {}, nameOf);
  return <Listing list={list} what="partners" empty="There are no partners yet." caption="Partners, by name" columns={PARTNERS} id={nameOf} />;
}

const USERS: readonly Column<SftpUser>[] = [
  { name: "User", show: ({ name }) => name },
  { name: "State", show: ({ user }) => <State of={user.paused ? "paused" : "active"} /> },
  { name: "Partner", show: ({ user }) => user.partner ?? "–" },
  { name: "Files arrive below", show: ({ prefix }) => <code className="path">{prefix}</code> },
  {
    name: "Logs in with",
    show: ({ fingerprints, hasPassword }) => (
      <ul className="plain">
        {fingerprints.map((one) => (
          <li key={one}>
            <code className="path">{one}</code>
          </li>
        ))}
        {hasPassword && <li>a password</li>}
        {fingerprints.length === 0 && !hasPassword && <li>nothing: it cannot log in</li>}
      </ul>
    ),
  },
  { name: "From", show: ({ user }) => (user.sources?.length ? user.sources.join(", ") : "anywhere") },
];

export function Users() {
  return <Guarded title="SFTP users">{() => <UserList />}</Guarded>;
}

function UserList() {
  const list = useList<SftpUser>("/v1/sftp-users", {}, nameOf);
  return <Listing list={list} what="users" empty="There are no users of the SFTP server yet." caption="Users of the SFTP server, by name" columns={USERS} id={nameOf} />;
}

const AUDIT: readonly Column<AuditEntry>[] = [
  { name: "When", show: (entry) => <Time at={entry.at} /> },
  { name: "Who", show: (entry) => entry.who },
  { name: "What", show: (entry) => <code>{entry.what}</code> },
  { name: "On", show: (entry) => <code className="path">{entry.on.replace(/^\/v1\//, "")}</code> },
  {
    name: "Outcome",
    show: (entry) => (
      <>
        <State of={entry.outcome} />
        {entry.code && <code className="fine block">{entry.code}</code>}
      </>
    ),
  },
  { name: "Why", show: (entry) => entry.reason ?? "–" },
];

export function Audit() {
  return <Guarded title="Audit trail">{() => <AuditList />}</Guarded>;
}

const entryId = (entry: AuditEntry) => entry.id;

function AuditList() {
  const list = useList<AuditEntry>("/v1/audit", {}, entryId);
  return (
    <>
      <p>Who was to change something, when and why, over either API; kept for 400 days.</p>
      <Listing list={list} what="the audit trail" empty="Nobody has changed anything yet." caption="The audit trail, the latest first" columns={AUDIT} id={entryId} />
    </>
  );
}
