import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

/**
 * After so many days S3 aborts an upload that nobody has ended. A job is tried again for days, and goes on with its
 * upload; the sweep aborts those of dead runs after one. This is for what is left.
 */
const ABORT_UPLOADS = Duration.days(14);

/** The buckets, all of them versioned, encrypted and closed to the public. */
export class Buckets extends Construct {
  /** Where files arrive. No rule removes a version: one that was overwritten may still wait for its job. */
  readonly ingest: s3.Bucket;
  /** Where outputs wait until all of them are right. */
  readonly staging: s3.Bucket;
  /** What is delivered. */
  readonly out: s3.Bucket;
  /** Originals and results that are kept. */
  readonly archive: s3.Bucket;

  constructor(scope: Construct, id: string, key: kms.IKey) {
    super(scope, id);
    const closed = {
      versioned: true,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      removalPolicy: RemovalPolicy.RETAIN,
    };
    const accessLog = new s3.Bucket(this, 'AccessLog', {
      ...closed,
      // S3 writes its access logs to buckets with its own key only.
      encryption: s3.BucketEncryption.S3_MANAGED,
      lifecycleRules: [{ expiration: Duration.days(400), noncurrentVersionExpiration: Duration.days(1), abortIncompleteMultipartUploadAfter: ABORT_UPLOADS }],
    });
    const bucket = (name: string, rule: s3.LifecycleRule): s3.Bucket =>
      new s3.Bucket(this, name, {
        ...closed,
        encryption: s3.BucketEncryption.KMS,
        encryptionKey: key,
        // One call of KMS for many objects.
        bucketKeyEnabled: true,
        serverAccessLogsBucket: accessLog,
        serverAccessLogsPrefix: `${name.toLowerCase()}/`,
        lifecycleRules: [{ abortIncompleteMultipartUploadAfter: ABORT_UPLOADS }, rule],
      });
    const colder = (storageClass: s3.StorageClass, days: number): s3.NoncurrentVersionTransition => ({ storageClass, transitionAfter: Duration.days(days) });

    this.ingest = bucket('Ingest', {
      transitions: [colder(s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, 90)],
      noncurrentVersionTransitions: [colder(s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, 90)],
    });
    this.staging = bucket('Staging', { expiration: Duration.days(7), noncurrentVersionExpiration: Duration.days(1) });
    this.out = bucket('Out', { noncurrentVersionTransitions: [colder(s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, 30)] });
    // A route writes in the class it wants; what it has left in STANDARD becomes colder here.
    this.archive = bucket('Archive', { transitions: [colder(s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, 30), colder(s3.StorageClass.DEEP_ARCHIVE, 365)] });

    // `eventBridgeEnabled` of the construct would bring a Lambda function of its own to say the same.
    (this.ingest.node.defaultChild as s3.CfnBucket).notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
  }
}
