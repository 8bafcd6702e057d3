import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';

import type { Alarms } from './alarms';
import type { Metrics } from './metrics';

const MINUTE = Duration.minutes(1);
const FIVE = Duration.minutes(5);

/** One page, in the order in which files flow. */
export class Dashboard extends Construct {
  constructor(scope: Construct, id: string, metrics: Metrics, alarms: Alarms) {
    super(scope, id);
    const graph = (title: string, left: cloudwatch.IMetric[], right: cloudwatch.IMetric[] = []): cloudwatch.GraphWidget =>
      new cloudwatch.GraphWidget({ title, left, right, width: 12, leftYAxis: { min: 0 }, rightYAxis: { min: 0 } });
    const queue = (name: 'ingest' | 'work', title: string): cloudwatch.GraphWidget =>
      graph(
        title,
        [metrics.visible(name, MINUTE).with({ label: 'waiting' }), metrics.inFlight(name, MINUTE).with({ label: 'in flight' })],
        [metrics.age(name, MINUTE).with({ label: 'age of the oldest (s)' })],
      );
    const board = new cloudwatch.Dashboard(this, 'Board', { defaultInterval: Duration.hours(3) });
    board.addWidgets(new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms: alarms.all, width: 24, height: 3 }));
    board.addWidgets(
      queue('ingest', 'Events that wait for the router'),
      graph(
        'Router',
        [metrics.router.metricInvocations({ period: MINUTE }), metrics.router.metricErrors({ period: MINUTE })],
        [metrics.router.metricDuration({ period: MINUTE, statistic: 'p99' })],
      ),
    );
    board.addWidgets(
      graph('Small jobs', [metrics.steps('ExecutionsStarted', MINUTE), metrics.steps('ExecutionsSucceeded', MINUTE), metrics.stepsFailed(MINUTE)]),
      queue('work', 'Runs that wait for a worker'),
    );
    board.addWidgets(
      graph(
        'Sweep: what the others have lost',
        ['found', 'resent', 'released', 'resumed', 'aborted', 'errors'].map((count) => metrics.ofSweep(count, FIVE).with({ label: count })),
      ),
      graph(
        'Set aside for a person',
        (['undelivered', 'ingestDead', 'workDead'] as const).map((name) => metrics.visible(name, MINUTE).with({ label: name })),
      ),
    );
    board.addWidgets(
      graph('Ledger: rows written', [metrics.ofTable('jobs', 'SuccessfulRequestLatency', 'PutItem', MINUTE).with({ statistic: 'SampleCount', label: 'writes' })], [
        metrics.ofTable('jobs', 'SuccessfulRequestLatency', 'PutItem', MINUTE).with({ statistic: 'p99', label: 'p99 (ms)' }),
      ]),
      graph('Ledger: throttled', (['jobs', 'keys', 'runs'] as const).map((table) => metrics.ofTable(table, 'ThrottledRequests', 'PutItem', MINUTE).with({ label: table }))),
    );
  }
}
