import { Duration, Fn, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

import type { Functions } from './functions';
import { servedBy } from './grants';
import type { Queues } from './queues';

/** Routers at once: what the tables take of one tenant is the limit, not Lambda. */
const ROUTERS = 50;

/**
 * The canonical form of an event, as `control/domain/src/message/ingest.rs` reads it. It leaves out what makes two events of
 * one object version differ (`id`, `time`, the request), so that the queue can tell duplicates by their content.
 */
const CANONICAL = {
  v: 1,
  bucket: events.EventField.fromPath('$.detail.bucket.name'),
  key: events.EventField.fromPath('$.detail.object.key'),
  version_id: events.EventField.fromPath('$.detail.object.version-id'),
  etag: events.EventField.fromPath('$.detail.object.etag'),
  size: events.EventField.fromPath('$.detail.object.size'),
  sequencer: events.EventField.fromPath('$.detail.object.sequencer'),
  reason: events.EventField.fromPath('$.detail.reason'),
};

/** For as long as EventBridge tries at most. */
const RETRY = { maximumEventAgeInSeconds: Duration.hours(24).toSeconds(), maximumRetryAttempts: 185 };

/** From the ingest bucket to the router, and the sweep for what has not come that way. */
export class Arrivals extends Construct {
  constructor(scope: Construct, id: string, bucket: s3.IBucket, queues: Queues, functions: Functions) {
    super(scope, id);
    const rule = new events.Rule(this, 'Created', {
      description: 'EFT: a file has arrived',
      eventPattern: { source: ['aws.s3'], detailType: ['Object Created'], detail: { bucket: { name: [bucket.bucketName] } } },
    });
    rule.addTarget({
      bind: () => ({
        arn: queues.ingest.queueArn,
        input: events.RuleTargetInput.fromObject(CANONICAL),
        // A group an object version: never the key, which may hold what no group may, and never one for all.
        sqsParameters: { messageGroupId: events.EventField.fromPath('$.detail.object.version-id') },
        deadLetterConfig: { arn: queues.undelivered.queueArn },
        retryPolicy: RETRY,
      }),
    });

    const ended = new events.Rule(this, 'Uploaded', {
      description: 'EFT: an upload over SFTP has ended, or was cut',
      eventPattern: {
        source: ['aws.transfer'],
        detailType: ['SFTP Server File Upload Completed', 'SFTP Server File Upload Failed'],
        // Of any server that writes there.
        detail: { 'file-path': [{ prefix: Fn.join('', ['/', bucket.bucketName, '/']) }] },
      },
    });
    ended.addTarget({
      bind: () => ({
        arn: queues.ingest.queueArn,
        // As it is: the router reads it. Its path may hold what no group may, and each event is of one upload.
        sqsParameters: { messageGroupId: events.EventField.fromPath('$.id') },
        deadLetterConfig: { arn: queues.undelivered.queueArn },
        retryPolicy: RETRY,
      }),
    });
    for (const queue of [queues.ingest, queues.undelivered]) {
      queue.addToResourcePolicy(mayBring(queue, rule, ended));
    }

    new lambda.EventSourceMapping(this, 'ToRouter', {
      target: functions.router,
      eventSourceArn: queues.ingest.queueArn,
      batchSize: 10,
      reportBatchItemFailures: true,
      maxConcurrency: ROUTERS,
    });

    const role = new iam.Role(this, 'ScheduleRole', { assumedBy: servedBy(Stack.of(this), 'scheduler.amazonaws.com') });
    const policy = new iam.Policy(this, 'SchedulePolicy', {
      roles: [role],
      statements: [new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [functions.sweep.functionArn] })],
    });
    const schedule = new scheduler.CfnSchedule(this, 'Schedule', {
      description: 'EFT: finds what was lost',
      scheduleExpression: 'rate(5 minutes)',
      flexibleTimeWindow: { mode: 'OFF' },
      target: {
        arn: functions.sweep.functionArn,
        roleArn: role.roleArn,
        // The next one does what this one could not.
        retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 },
      },
    });
    schedule.node.addDependency(policy);
    functions.sweep.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });
  }
}

function mayBring(queue: sqs.IQueue, ...rules: events.IRule[]): iam.PolicyStatement {
  return new iam.PolicyStatement({
    actions: ['sqs:SendMessage'],
    principals: [new iam.ServicePrincipal('events.amazonaws.com')],
    resources: [queue.queueArn],
    conditions: { ArnEquals: { 'aws:SourceArn': rules.map((rule) => rule.ruleArn) } },
  });
}
