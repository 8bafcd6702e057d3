import { Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type * as sqs from 'aws-cdk-lib/aws-sqs';

import type { TableName, Tables } from './tables';

/** Statements of policies, each of one service, with the operations that our programs call and no others. */
const allow = (actions: string[], resources: string[]): iam.PolicyStatement => new iam.PolicyStatement({ actions, resources });

/** Operations on the items of a table. */
export const onItems = (tables: Tables, table: TableName, ...operations: string[]): iam.PolicyStatement =>
  allow(
    operations.map((operation) => `dynamodb:${operation}`),
    tables.arnOf(table),
  );

/** Operations on the items of a table whose partition keys are these, or fit them. */
export const onPartitions = (tables: Tables, table: TableName, partitions: string[], ...operations: string[]): iam.PolicyStatement => {
  const statement = onItems(tables, table, ...operations);
  statement.addCondition('ForAllValues:StringLike', { 'dynamodb:LeadingKeys': partitions });
  return statement;
};

/** Queries of these indexes of a table. */
export const onIndexes = (tables: Tables, table: TableName, ...indexes: string[]): iam.PolicyStatement => allow(['dynamodb:Query'], tables.arnOf(table, ...indexes));

/** Operations on a bucket. */
export const onBucket = (bucket: s3.IBucket, ...operations: string[]): iam.PolicyStatement =>
  allow(
    operations.map((operation) => `s3:${operation}`),
    [bucket.bucketArn],
  );

/** Operations on the objects of a bucket. */
export const onObjects = (bucket: s3.IBucket, ...operations: string[]): iam.PolicyStatement =>
  allow(
    operations.map((operation) => `s3:${operation}`),
    [bucket.arnForObjects('*')],
  );

export const send = (queue: sqs.IQueue): iam.PolicyStatement => allow(['sqs:SendMessage'], [queue.queueArn]);

/** What Lambda does with a queue in a function's name. */
export const receive = (queue: sqs.IQueue): iam.PolicyStatement =>
  allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility', 'sqs:GetQueueAttributes'], [queue.queueArn]);

/** To look at how many messages queues have. */
export const count = (...queues: sqs.IQueue[]): iam.PolicyStatement =>
  allow(
    ['sqs:GetQueueAttributes'],
    queues.map((queue) => queue.queueArn),
  );

/** What SQS does in the name of whoever has it move messages out of a dead-letter queue; into which queue is `send`. */
export const redrive = (...dead: sqs.IQueue[]): iam.PolicyStatement =>
  allow(
    ['sqs:StartMessageMoveTask', 'sqs:ListMessageMoveTasks', 'sqs:ReceiveMessage', 'sqs:DeleteMessage'],
    dead.map((queue) => queue.queueArn),
  );

export const publish = (...topics: sns.ITopic[]): iam.PolicyStatement =>
  allow(
    ['sns:Publish'],
    topics.map((topic) => topic.topicArn),
  );

export const start = (stateMachineArn: string): iam.PolicyStatement => allow(['states:StartExecution'], [stateMachineArn]);

/** To read what a key has encrypted; with `write` also to encrypt. */
export const use = (key: kms.IKey, write: boolean): iam.PolicyStatement => allow(['kms:Decrypt', ...(write ? ['kms:GenerateDataKey'] : [])], [key.keyArn]);

/** The role of a service of AWS, for resources of this account only. */
export const servedBy = (scope: Stack, service: string): iam.ServicePrincipal =>
  new iam.ServicePrincipal(service, { conditions: { StringEquals: { 'aws:SourceAccount': scope.account } } });
