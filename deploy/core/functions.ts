import { Duration } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import type { Buckets } from './buckets';
import * as grants from './grants';
import type { Keys } from './keys';
import type { Parameters } from './parameters';
import { Program } from './program';
import type { Queues } from './queues';
import type { Tables } from './tables';
import type { Topics } from './topics';

/** What the functions work with. */
export interface Platform {
  readonly parameters: Parameters;
  readonly keys: Keys;
  readonly buckets: Buckets;
  readonly queues: Queues;
  readonly topics: Topics;
  readonly tables: Tables;
  /** By its name: the machine calls a function that has to know it. */
  readonly stateMachineArn: string;
}

/** The Lambda functions. */
export class Functions extends Construct {
  /** From an event to a job. */
  readonly router: lambda.Function;
  /** Finds what was lost. */
  readonly sweep: lambda.Function;
  /** Does a state of a small job. */
  readonly stage: lambda.Function;
  /** Answers whoever keeps tenants and routes. */
  readonly config: lambda.Function;
  /** Answers whoever looks for a file, and acts on jobs. */
  readonly status: lambda.Function;

  constructor(scope: Construct, id: string, platform: Platform) {
    super(scope, id);
    const { parameters, buckets, keys, queues, tables } = platform;
    const environment = { ...settings(platform), EFT_INGEST_BUCKETS: `ingest=${buckets.ingest.bucketName}` };
    // To look at an object takes the right to read it, but not the key: neither of the two can read a file.
    const look = [grants.onBucket(buckets.ingest, 'ListBucket'), grants.onObjects(buckets.ingest, 'GetObject', 'GetObjectVersion')];

    this.router = new Program(this, 'Router', parameters, {
      code: 'router',
      description: 'EFT: from an event to a job',
      timeout: Duration.seconds(30),
      memory: 256,
      environment,
      statements: [...desk(platform), ...look, grants.receive(queues.ingest)],
      objectsOf: [buckets.ingest],
    }).function;

    this.sweep = new Program(this, 'Sweep', parameters, {
      code: 'sweep',
      description: 'EFT: finds what was lost',
      timeout: Duration.minutes(5),
      memory: 512,
      // Two would look at the same rows.
      atOnce: 1,
      environment: { ...environment, EFT_SWEEP_SECONDS: '240' },
      statements: [
        ...desk(platform),
        ...look,
        grants.onItems(tables, 'jobs', 'DeleteItem'),
        grants.onIndexes(tables, 'jobs', 'due', 'live'),
        grants.onItems(tables, 'keys', 'DeleteItem'),
        grants.onIndexes(tables, 'keys', 'expiry'),
        grants.onBucket(buckets.ingest, 'ListBucketVersions'),
        grants.onBucket(buckets.out, 'ListBucketMultipartUploads'),
        grants.onObjects(buckets.out, 'AbortMultipartUpload'),
      ],
      objectsOf: [buckets.ingest, buckets.out],
    }).function;

    const outputs = [buckets.staging, buckets.out, buckets.archive];
    this.stage = new Program(this, 'Stage', parameters, {
      code: 'stage',
      description: 'EFT: a state of a small job',
      // Lambda's most, and what the machine's longest states wait; the function looks at what is left of it.
      timeout: Duration.minutes(15),
      // A whole processor (AWS: 1,769 MiB).
      memory: 1_769,
      layers: parameters.stageLayers,
      environment: {
        ...environment,
        EFT_STAGING_BUCKET: buckets.staging.bucketName,
        EFT_ARCHIVE_BUCKET: buckets.archive.bucketName,
        EFT_SIGNING_KEY: parameters.signingKey,
        EFT_KEYS: parameters.keyFolder,
      },
      statements: [
        ...desk(platform),
        ...read(buckets.ingest),
        ...outputs.flatMap(write),
        grants.onObjects(buckets.staging, 'DeleteObject', 'DeleteObjectVersion'),
        grants.use(keys.files, true),
      ],
      objectsOf: [buckets.ingest, ...outputs],
    }).function;

    this.config = new Program(this, 'Config', parameters, {
      code: 'config',
      description: 'EFT: the config API',
      // API Gateway waits for 30 s at most.
      timeout: Duration.seconds(29),
      memory: 256,
      environment: {
        EFT_TABLE_CONFIG: tables.nameOf('config'),
        EFT_TABLE_KEYS: tables.nameOf('keys'),
        EFT_CURSOR_KEY: parameters.cursorKey,
        EFT_TENANT_CLAIM: parameters.tenantClaim,
      },
      statements: [
        grants.onItems(tables, 'config', 'GetItem', 'PutItem', 'Query'),
        // What a tenant may remove: no route, no tenant, and nothing of the audit trail.
        grants.onPartitions(tables, 'config', ['users', 'partners#*'], 'DeleteItem'),
        grants.onItems(tables, 'keys', 'GetItem', 'PutItem'),
      ],
      objectsOf: [],
    }).function;

    this.status = new Program(this, 'Status', parameters, {
      code: 'status',
      description: 'EFT: the status API',
      // API Gateway waits for 30 s at most.
      timeout: Duration.seconds(29),
      memory: 256,
      environment: {
        ...settings(platform),
        EFT_INGEST_QUEUE: queues.ingest.queueUrl,
        EFT_INGEST_DEAD_QUEUE: queues.ingestDead.queueUrl,
        EFT_WORK_DEAD_QUEUE: queues.workDead.queueUrl,
        EFT_UNDELIVERED_QUEUE: queues.undelivered.queueUrl,
        EFT_CURSOR_KEY: parameters.cursorKey,
        EFT_TENANT_CLAIM: parameters.tenantClaim,
      },
      statements: [
        ...desk(platform),
        grants.onPartitions(tables, 'config', ['audit#*'], 'PutItem'),
        grants.onIndexes(tables, 'runs', 'tenant', 'state', 'route'),
        grants.count(queues.ingest, queues.ingestDead, queues.work, queues.workDead, queues.undelivered),
        grants.redrive(queues.ingestDead, queues.workDead),
        grants.send(queues.ingest),
      ],
      objectsOf: [],
    }).function;
  }
}

/** To read object versions and what is said of them. */
function read(bucket: s3.IBucket): iam.PolicyStatement[] {
  return [grants.onBucket(bucket, 'ListBucket'), grants.onObjects(bucket, 'GetObject', 'GetObjectVersion', 'GetObjectTagging', 'GetObjectVersionTagging')];
}

/** To make objects, in parts where they are large, and to look at what stands there; not to remove one. */
function write(bucket: s3.IBucket): iam.PolicyStatement[] {
  return [...read(bucket), grants.onBucket(bucket, 'ListBucketMultipartUploads', 'ListBucketVersions'), grants.onObjects(bucket, 'PutObject', 'PutObjectTagging', 'AbortMultipartUpload', 'ListMultipartUploadParts')];
}

/** What every program of the platform reads of its environment: `control/store/src/aws/settings.rs`. */
export function settings({ parameters, queues, tables, topics, stateMachineArn }: Platform): Record<string, string> {
  return {
    EFT_TABLE_JOBS: tables.nameOf('jobs'),
    EFT_TABLE_KEYS: tables.nameOf('keys'),
    EFT_TABLE_RUNS: tables.nameOf('runs'),
    EFT_TABLE_CONFIG: tables.nameOf('config'),
    EFT_WORK_QUEUE: queues.work.queueUrl,
    EFT_STATE_MACHINE: stateMachineArn,
    EFT_TOPIC_EVENTS: topics.events.topicArn,
    EFT_TOPIC_SUCCESS: topics.success.topicArn,
    EFT_TOPIC_FAILURE: topics.failure.topicArn,
    EFT_RETENTION_DAYS: parameters.retentionDays,
  };
}

/** What whoever changes jobs does: rows, their history, the queue and the machine, the topics (`control/store/src/desk.rs`). */
export function desk({ keys, queues, tables, topics, stateMachineArn }: Platform): iam.PolicyStatement[] {
  return [
    grants.onItems(tables, 'jobs', 'GetItem', 'PutItem'),
    grants.onIndexes(tables, 'jobs', 'line', 'turn'),
    grants.onItems(tables, 'keys', 'GetItem', 'PutItem', 'UpdateItem'),
    grants.onItems(tables, 'runs', 'PutItem', 'Query', 'UpdateItem'),
    grants.onItems(tables, 'config', 'GetItem', 'Query'),
    grants.send(queues.work),
    grants.start(stateMachineArn),
    grants.publish(topics.events, topics.success, topics.failure),
    grants.use(keys.messages, true),
  ];
}
