/** The queues of the platform, for those who run it. */

import { useState } from "react";
import { segment } from "../lib/api";
import type { Fleet, Queue } from "../lib/types";
import { ActDialog } from "./act";
import { useAsk } from "./asking";
import { usePortal } from "./context";
import { type Column, Loading, NotAllowed, Problem, Table, Title } from "./parts";

const EVERY_MS = 5000;

const ABOUT: Readonly<Record<Queue["name"], string>> = {
  ingest: "what has arrived and is not routed yet",
  work: "jobs that wait for a worker",
  undelivered: "events that could not be put into ingest",
};

export function FleetPage() {
  const { may } = usePortal();
  return (
    <>
      <Title title="Fleet" />
      {may("admin") ? <Queues /> : <NotAllowed scope="admin" />}
    </>
  );
}

function Queues() {
  const { api, say } = usePortal();
  const asked = useAsk<Fleet>("/v1/fleet", undefined, EVERY_MS);
  const [redriven, setRedriven] = useState<Queue>();
  const columns: readonly Column<Queue>[] = [
    {
      name: "Queue",
      show: (queue) => (
        <>
          {queue.name}
          <span className="fine block">{ABOUT[queue.name]}</span>
        </>
      ),
    },
    { name: "Waiting", show: (queue) => queue.visible, number: true },
    { name: "In flight", show: (queue) => queue.inFlight, number: true },
    { name: "Delayed", show: (queue) => queue.delayed, number: true },
    { name: "Dead letters", show: (queue) => (queue.dead ? queue.dead.visible + queue.dead.inFlight + queue.dead.delayed : "–"), number: true },
    {
      name: "Act",
      show: (queue) =>
        queue.dead ? (
          <button type="button" disabled={queue.dead.visible === 0} onClick={() => setRedriven(queue)}>
            Redrive<span className="unseen"> {queue.name}</span>
          </button>
        ) : (
          "–"
        ),
    },
  ];
  return (
    <>
      <p>About how many messages there are; it is asked again every {EVERY_MS / 1000} seconds.</p>
      {asked.problem && <Problem problem={asked.problem} again={asked.again} />}
      {!asked.answer && asked.loading && <Loading what="the queues" />}
      {asked.answer && <Table caption="Queues" columns={columns} items={asked.answer.body.queues} id={(queue) => queue.name} />}
      {redriven && (
        <ActDialog
          deed={{
            title: `Redrive ${redriven.name}`,
            verb: "Redrive",
            about: `${redriven.dead?.visible ?? 0} messages that were set aside go back into the queue. See first that what they failed of is mended.`,
            reason: true,
            act: async (reason, key) => {
              await api.ask(`/v1/dead-letters/${segment(redriven.name)}:redrive`, { method: "POST", body: { reason }, idempotencyKey: key });
              say(`dead letters of ${redriven.name} are being moved`);
            },
          }}
          close={() => {
            setRedriven(undefined);
            asked.again();
          }}
        />
      )}
    </>
  );
}
