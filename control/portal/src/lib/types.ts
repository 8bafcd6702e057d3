// Made by `npm run types` of control/config/openapi.json and control/status/openapi.json.

export type AuditEntry = { readonly at: string; readonly code?: string | undefined; readonly etag?: string | undefined; readonly id: string; readonly on: string; readonly outcome: "begun" | "done" | "refused" | "failed"; readonly reason?: string | undefined; readonly requestId?: string | undefined; readonly status?: number | undefined; readonly what: string; readonly who: string };

export type AuditPage = { readonly items: readonly (AuditEntry)[]; readonly nextCursor?: string | undefined };

export type Deliveries = { readonly items: readonly (Delivery)[]; readonly job: string; readonly outcome: "SUCCEEDED" | "PARTIALLY_DELIVERED" | "REJECTED" | "FAILED" | "HELD" | "CANCELLED"; readonly run: string };

export type Delivery = { readonly alreadyDelivered: boolean; readonly attempts: number; readonly crc64nvme?: string | undefined; readonly deliveryId: string; readonly etag?: string | undefined; readonly failure?: Failure | undefined; readonly method: "stream" | "server_copy" | "put"; readonly outcome: "DELIVERED" | "FAILED" | "HELD" | "NOT_ATTEMPTED" | "INDETERMINATE"; readonly parts: number; readonly sha256?: string | undefined; readonly size?: number | undefined; readonly uri: string; readonly versionId?: string | undefined };

export type Depth = { readonly delayed: number; readonly inFlight: number; readonly visible: number };

export type Document = Readonly<Record<string, unknown>>;

export type Event = { readonly actor: string; readonly after: "ARRIVED" | "INCOMPLETE" | "UNROUTED" | "ACCEPTED" | "RUNNING" | "DELIVERING" | "HELD" | "SUCCEEDED" | "PARTIALLY_DELIVERED" | "REJECTED" | "FAILED" | "CANCELLED"; readonly at: string; readonly before: "ARRIVED" | "INCOMPLETE" | "UNROUTED" | "ACCEPTED" | "RUNNING" | "DELIVERING" | "HELD" | "SUCCEEDED" | "PARTIALLY_DELIVERED" | "REJECTED" | "FAILED" | "CANCELLED"; readonly code?: string | undefined; readonly generation: number; readonly reason?: string | undefined; readonly sequence: number };

export type EventPage = { readonly items: readonly (Event)[]; readonly nextCursor?: string | undefined };

export type Failure = { readonly code: string; readonly message: string; readonly remedy: string };

export type Fault = { readonly detail: string; readonly line?: number | undefined; readonly pointer: string };

export type Fleet = { readonly queues: readonly (Queue)[] };

export type GatewayMessage = { readonly message: string };

export type Job = { readonly acts: readonly ("cancel" | "redeliver" | "replay" | "resume")[]; readonly arrivedAt: string; readonly bucket: string; readonly changedAt: string; readonly checkpoint: boolean; readonly etag?: string | undefined; readonly failure?: Failure | undefined; readonly generation: number; readonly hold?: { readonly retryAt?: string | undefined; readonly since: string; readonly tries: number } | undefined; readonly job: string; readonly key: string; readonly leaseUntil?: string | undefined; readonly owned: boolean; readonly reason?: string | undefined; readonly receipt: boolean; readonly route?: PinnedRoute | undefined; readonly run: string; readonly runner: "worker" | "steps"; readonly sends: number; readonly sentAt?: string | undefined; readonly size: number; readonly state: "ARRIVED" | "INCOMPLETE" | "UNROUTED" | "ACCEPTED" | "RUNNING" | "DELIVERING" | "HELD" | "SUCCEEDED" | "PARTIALLY_DELIVERED" | "REJECTED" | "FAILED" | "CANCELLED"; readonly strikes: number; readonly turn?: number | undefined; readonly versionId: string };

export type JobHead = { readonly arrivedAt: string; readonly bucket: string; readonly changedAt: string; readonly code?: string | undefined; readonly generation: number; readonly job: string; readonly key: string; readonly reason?: string | undefined; readonly route?: PinnedRoute | undefined; readonly run: string; readonly size: number; readonly state: "ARRIVED" | "INCOMPLETE" | "UNROUTED" | "ACCEPTED" | "RUNNING" | "DELIVERING" | "HELD" | "SUCCEEDED" | "PARTIALLY_DELIVERED" | "REJECTED" | "FAILED" | "CANCELLED"; readonly versionId: string };

export type JobPage = { readonly items: readonly (JobHead)[]; readonly nextCursor?: string | undefined };

export type Partner = { readonly etag: string; readonly name: string; readonly partner: PartnerText };

export type PartnerPage = { readonly items: readonly (Partner)[]; readonly nextCursor?: string | undefined };

export type PartnerText = { readonly contacts?: readonly ({ readonly email: string; readonly name?: string | undefined })[] | undefined; readonly displayName?: string | undefined; readonly folder?: string | undefined; readonly paused?: boolean | undefined };

export type PinnedRoute = { readonly name: string; readonly revision: string };

export type Problem = { readonly code: "auth.missing" | "auth.invalid" | "auth.scope" | "tenant.unknown" | "tenant.not_found" | "tenant.name" | "user.not_found" | "user.name" | "user.name_taken" | "partner.not_found" | "partner.name" | "partner.in_use" | "request.path" | "request.method" | "request.parameter" | "request.header" | "request.media_type" | "request.too_large" | "request.body" | "cursor.invalid" | "precondition.required" | "precondition.failed" | "idempotency.missing" | "idempotency.mismatch" | "idempotency.running" | "route.not_found" | "route.name" | "route.name_taken" | "route.invalid" | "route.ambiguous" | "route.busy" | "revision.not_found" | "job.not_found" | "job.filter" | "job.state" | "job.publishing" | "receipt.not_found" | "report.not_found" | "queue.not_found" | "queue.busy" | "problem.not_found" | "store.unavailable" | "internal"; readonly detail: string; readonly errors?: readonly (Fault)[] | undefined; readonly instance: string; readonly requestId?: string | undefined; readonly retryable: boolean; readonly status: number; readonly title: string; readonly type: string };

export type ProblemKind = { readonly code: "auth.missing" | "auth.invalid" | "auth.scope" | "tenant.unknown" | "tenant.not_found" | "tenant.name" | "user.not_found" | "user.name" | "user.name_taken" | "partner.not_found" | "partner.name" | "partner.in_use" | "request.path" | "request.method" | "request.parameter" | "request.header" | "request.media_type" | "request.too_large" | "request.body" | "cursor.invalid" | "precondition.required" | "precondition.failed" | "idempotency.missing" | "idempotency.mismatch" | "idempotency.running" | "route.not_found" | "route.name" | "route.name_taken" | "route.invalid" | "route.ambiguous" | "route.busy" | "revision.not_found" | "job.not_found" | "job.filter" | "job.state" | "job.publishing" | "receipt.not_found" | "report.not_found" | "queue.not_found" | "queue.busy" | "problem.not_found" | "store.unavailable" | "internal"; readonly remedy: string; readonly retryable: boolean; readonly status: number; readonly title: string; readonly type: string };

export type Queue = { readonly dead?: Depth | undefined; readonly delayed: number; readonly inFlight: number; readonly name: "ingest" | "work" | "undelivered"; readonly visible: number };

export type Reason = { readonly reason: string };

export type Receipt = Readonly<Record<string, unknown>>;

export type Redrive = { readonly queue: string; readonly task: string };

export type Reject = { readonly column?: string | undefined; readonly offset: number; readonly reason: string; readonly record: number; readonly stage: string };

export type RejectReport = { readonly errors: number; readonly items: readonly (Reject)[]; readonly job: string; readonly run: string; readonly truncated: boolean };

export type Replay = { readonly reason: string; readonly route?: "same" | "current" | undefined };

export type Revision = { readonly change?: number | undefined; readonly changedAt?: string | undefined; readonly changedBy?: string | undefined; readonly name: string; readonly revision: string; readonly route: RouteText; readonly state?: "active" | "paused" | undefined };

export type RevisionHead = { readonly change: number; readonly changedAt: string; readonly changedBy: string; readonly revision: string; readonly state: "active" | "paused" };

export type RevisionPage = { readonly items: readonly (RevisionHead)[]; readonly nextCursor?: string | undefined };

export type Route = { readonly change: number; readonly changedAt: string; readonly changedBy: string; readonly etag: string; readonly name: string; readonly revision: string; readonly route: RouteText; readonly state: "active" | "paused" };

export type RouteDraft = Readonly<Record<string, unknown>>;

export type RouteHead = { readonly change: number; readonly changedAt: string; readonly changedBy: string; readonly etag: string; readonly name: string; readonly revision: string; readonly state: "active" | "paused" };

export type RoutePage = { readonly items: readonly (RouteHead)[]; readonly nextCursor?: string | undefined };

export type RouteText = Readonly<Record<string, unknown>>;

export type RunList = { readonly items: readonly (JobHead)[] };

export type SftpUser = { readonly etag: string; readonly fingerprints: readonly (string)[]; readonly hasPassword: boolean; readonly name: string; readonly prefix: string; readonly user: SftpUserText };

export type SftpUserPage = { readonly items: readonly (SftpUser)[]; readonly nextCursor?: string | undefined };

export type SftpUserText = { readonly home?: string | undefined; readonly keys?: readonly (string)[] | undefined; readonly partner?: string | undefined; readonly password?: string | null | undefined; readonly paused?: boolean | undefined; readonly sources?: readonly (string)[] | undefined };

export type Simulation = { readonly code?: string | undefined; readonly key: string; readonly outcome: "accepted" | "refused" | "heartbeat" | "unrouted" | "ignored"; readonly plan?: { readonly archive?: { readonly original: boolean; readonly storageClass: string } | undefined; readonly completeWhen: string; readonly copy: boolean; readonly destinations: readonly ({ readonly bucket: string; readonly key?: string | undefined; readonly onExisting: string; readonly problem?: string | undefined })[]; readonly ordered: boolean; readonly runner: "steps" | "worker"; readonly runnerReason?: string | undefined; readonly stages: readonly (string)[] } | undefined; readonly reason?: string | undefined; readonly remedy?: string | undefined; readonly route?: { readonly name: string; readonly revision: string; readonly state: "active" | "paused" } | undefined; readonly size: number };

export type SimulationRequest = { readonly name: string; readonly route?: RouteText | undefined; readonly size: number };

export type Tenant = { readonly etag: string; readonly name: string; readonly tenant: TenantText };

export type TenantPage = { readonly items: readonly (TenantRow)[]; readonly nextCursor?: string | undefined };

export type TenantRow = { readonly etag?: string | undefined; readonly name: string; readonly tenant?: TenantText | undefined; readonly unreadable?: string | undefined };

export type TenantText = { readonly id?: string | undefined; readonly max_bytes?: number | undefined; readonly max_jobs?: number | undefined; readonly outputs?: readonly ({ readonly bucket: string; readonly prefix?: string | undefined })[] | undefined; readonly paused?: boolean | undefined; readonly weight?: number | undefined };

export type Validation = { readonly errors: readonly (Fault)[]; readonly revision?: string | undefined; readonly route?: RouteText | undefined; readonly valid: boolean };
