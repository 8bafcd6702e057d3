import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

import { Alarms } from './alarms';
import { Api } from './api';
import { Arrivals } from './arrivals';
import { Buckets } from './buckets';
import { Dashboard } from './dashboard';
import { Functions } from './functions';
import { Identity } from './identity';
import { Keys } from './keys';
import { Machine } from './machine';
import { Metrics } from './metrics';
import { Parameters } from './parameters';
import { Queues } from './queues';
import { Tables } from './tables';
import { Topics } from './topics';

/** What a region needs so that a file that arrives becomes a job, and a small one is done. */
export class CoreStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps) {
    super(scope, id, { ...props, description: 'EFT core: buckets, queues, ledger, topics, router, sweep, state machine' });
    const parameters = new Parameters(this);
    const keys = new Keys(this, 'Keys');
    const buckets = new Buckets(this, 'Buckets', keys.files);
    const queues = new Queues(this, 'Queues', keys.messages);
    const topics = new Topics(this, 'Topics', keys.messages);
    const tables = new Tables(this, 'Tables', parameters);
    const stateMachineArn = Machine.arn(this, parameters);
    const functions = new Functions(this, 'Functions', { parameters, keys, buckets, queues, topics, tables, stateMachineArn });
    new Machine(this, 'Machine', parameters, functions.stage);
    new Arrivals(this, 'Arrivals', buckets.ingest, queues, functions);
    const identity = new Identity(this, 'Sftp', { parameters, keys, buckets, tables });
    const api = new Api(this, 'Api', parameters, functions);
    const metrics = new Metrics(queues, tables, stateMachineArn, functions, identity.function);
    const alarms = new Alarms(this, 'Alarms', metrics, topics.alarms);
    new Dashboard(this, 'Dashboard', metrics, alarms);

    const outputs = {
      IngestBucket: buckets.ingest.bucketName,
      StagingBucket: buckets.staging.bucketName,
      OutBucket: buckets.out.bucketName,
      ArchiveBucket: buckets.archive.bucketName,
      IngestQueue: queues.ingest.queueUrl,
      WorkQueue: queues.work.queueUrl,
      UndeliveredQueue: queues.undelivered.queueUrl,
      IngestDeadQueue: queues.ingestDead.queueUrl,
      WorkDeadQueue: queues.workDead.queueUrl,
      JobsTable: tables.nameOf('jobs'),
      KeysTable: tables.nameOf('keys'),
      RunsTable: tables.nameOf('runs'),
      ConfigTable: tables.nameOf('config'),
      EventsTopic: topics.events.topicArn,
      SuccessTopic: topics.success.topicArn,
      FailureTopic: topics.failure.topicArn,
      AlarmsTopic: topics.alarms.topicArn,
      RouterFunction: functions.router.functionName,
      SweepFunction: functions.sweep.functionName,
      StageFunction: functions.stage.functionName,
      ConfigFunction: functions.config.functionName,
      IdentityFunction: identity.function.functionName,
      IdentityFunctionArn: identity.function.functionArn,
      SftpRole: identity.role.roleArn,
      StatusFunction: functions.status.functionName,
      ApiUrl: api.url,
      StateMachine: stateMachineArn,
    };
    for (const [name, value] of Object.entries(outputs)) {
      new CfnOutput(this, name, { value });
    }
  }
}
