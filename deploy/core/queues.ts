import { Duration, Validations } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** What a message may be received before it is set aside for a person. */
const RECEIVES = 5;

/** Longer than the router may take, six times: SQS gives no batch out twice while Lambda still retries (AWS's advice). */
const INGEST_VISIBILITY = Duration.seconds(180);

/** A worker sets its own with every heartbeat; this is for the moment before its first. */
const WORK_VISIBILITY = Duration.minutes(5);

const KEPT = Duration.days(14);

/** The queues, and those for what they could not get done. */
export class Queues extends Construct {
  /** Events, for the router. */
  readonly ingest: sqs.Queue;
  /** Runs, for the workers. */
  readonly work: sqs.Queue;
  /** Events that EventBridge could not bring to `ingest`. */
  readonly undelivered: sqs.Queue;
  readonly ingestDead: sqs.Queue;
  readonly workDead: sqs.Queue;

  constructor(scope: Construct, id: string, key: kms.IKey) {
    super(scope, id);
    const common = { encryption: sqs.QueueEncryption.KMS, encryptionMasterKey: key, enforceSSL: true, retentionPeriod: KEPT };
    // High throughput: 300 calls a second a group of messages, not a queue; and each object version is a group.
    const fifo = {
      ...common,
      fifo: true,
      deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
      fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
    };
    this.undelivered = new sqs.Queue(this, 'Undelivered', common);
    Validations.of(this.undelivered).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'it is the queue for what is set aside, of a rule of EventBridge',
    });
    this.ingestDead = new sqs.Queue(this, 'IngestDead', fifo);
    this.workDead = new sqs.Queue(this, 'WorkDead', fifo);
    this.ingest = new sqs.Queue(this, 'Ingest', {
      ...fifo,
      // EventBridge has no other way to say what is a duplicate.
      contentBasedDeduplication: true,
      visibilityTimeout: INGEST_VISIBILITY,
      deadLetterQueue: { queue: this.ingestDead, maxReceiveCount: RECEIVES },
    });
    this.work = new sqs.Queue(this, 'Work', {
      ...fifo,
      visibilityTimeout: WORK_VISIBILITY,
      deadLetterQueue: { queue: this.workDead, maxReceiveCount: RECEIVES },
    });
  }
}
