import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

import type { Metrics } from './metrics';

const MINUTE = Duration.minutes(1);
const FIVE = Duration.minutes(5);

interface Watch {
  readonly metric: cloudwatch.IMetric;
  /** What has happened, and where to look. */
  readonly says: string;
  /** It rings above this. */
  readonly above?: number;
  /** Or below this. */
  readonly below?: number;
  /** In so many periods one after the other. */
  readonly periods?: number;
  /** Nothing measured is a fault as well. */
  readonly silenceIsBad?: boolean;
}

/** What rings, and on which topic. */
export class Alarms extends Construct {
  readonly all: cloudwatch.Alarm[] = [];

  constructor(
    scope: Construct,
    id: string,
    metrics: Metrics,
    private readonly topic: sns.ITopic,
  ) {
    super(scope, id);
    this.ring('IngestAge', { metric: metrics.age('ingest', MINUTE), above: 600, periods: 5, says: 'events wait for the router: is it throttled, or do the tables fail?' });
    this.ring('WorkAge', { metric: metrics.age('work', MINUTE), above: 3_600, periods: 5, says: 'runs wait for a worker: are there enough, and do they make progress?' });
    this.ring('IngestDead', { metric: metrics.visible('ingestDead', MINUTE), above: 0, says: 'events that the router could not read or route: look at them, then redrive' });
    this.ring('WorkDead', { metric: metrics.visible('workDead', MINUTE), above: 0, says: 'messages that no worker knew a job for: look at them, then redrive' });
    this.ring('Undelivered', { metric: metrics.visible('undelivered', MINUTE), above: 0, says: 'EventBridge could not bring events to the queue: its policy or its key; the sweep finds the files' });
    this.ring('RouterErrors', { metric: metrics.router.metricErrors({ period: FIVE }), above: 0, periods: 2, says: 'the router ends with an error: see its log' });
    this.ring('RouterThrottles', { metric: metrics.router.metricThrottles({ period: FIVE }), above: 0, periods: 3, says: 'the account has no room for the router: raise its concurrency' });
    this.ring('SweepErrors', { metric: metrics.sweep.metricErrors({ period: FIVE }), above: 0, periods: 2, says: 'the sweep ends with an error: see its log' });
    this.ring('SweepGone', { metric: metrics.sweep.metricInvocations({ period: FIVE }), below: 1, periods: 3, silenceIsBad: true, says: 'no sweep for 15 minutes: is its schedule on?' });
    this.ring('SweepCannot', { metric: metrics.ofSweep('errors', FIVE), above: 0, periods: 3, says: 'the sweep cannot do something, three times over: see its log' });
    this.ring('SweepFound', { metric: metrics.ofSweep('found', FIVE), above: 100, periods: 3, says: 'many events are lost: is EventBridge on for the bucket, and the rule enabled?' });
    this.ring('IdentityErrors', { metric: metrics.identity.metricErrors({ period: FIVE }), above: 0, periods: 2, says: 'nobody can log in over SFTP: see the log of the function that says who may' });
    this.ring('IdentityThrottles', { metric: metrics.identity.metricThrottles({ period: FIVE }), above: 0, periods: 3, says: 'the account has no room for the function that says who may log in over SFTP: raise its concurrency' });
    this.ring('ConfigErrors', { metric: metrics.config.metricErrors({ period: FIVE }), above: 0, periods: 2, says: 'the config API ends with an error: see the log of its function' });
    this.ring('StatusErrors', { metric: metrics.status.metricErrors({ period: FIVE }), above: 0, periods: 2, says: 'the status API ends with an error: see the log of its function' });
    this.ring('NoProgress', { metric: metrics.standing(Duration.minutes(30)), above: 0, says: 'runs wait, and for 30 minutes none was done: are there workers, and are they alive?' });
    this.ring('StepsFailed', { metric: metrics.stepsFailed(FIVE), above: 0, periods: 3, says: 'executions of the state machine fail: jobs that end badly do not, so it is the machine or its function' });
    this.ring('TableErrors', { metric: metrics.tableErrors(FIVE), above: 0, periods: 3, says: 'DynamoDB answers with errors of its own: nothing runs unclaimed meanwhile' });
  }

  private ring(id: string, { metric, says, above, below, periods = 1, silenceIsBad = false }: Watch): void {
    const { GREATER_THAN_THRESHOLD, LESS_THAN_THRESHOLD } = cloudwatch.ComparisonOperator;
    const alarm = new cloudwatch.Alarm(this, id, {
      metric,
      alarmDescription: `EFT: ${says}`,
      threshold: above ?? below ?? 0,
      comparisonOperator: above === undefined ? LESS_THAN_THRESHOLD : GREATER_THAN_THRESHOLD,
      evaluationPeriods: periods,
      treatMissingData: silenceIsBad ? cloudwatch.TreatMissingData.BREACHING : cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(this.topic));
    alarm.addOkAction(new SnsAction(this.topic));
    this.all.push(alarm);
  }
}
