import { Aws, type Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';

import type { Functions } from './functions';
import type { Queues } from './queues';
import { TABLES, type Tables } from './tables';

type QueueName = 'ingest' | 'work' | 'undelivered' | 'ingestDead' | 'workDead';

/** What is measured, for alarms and the dashboard. */
export class Metrics {
  readonly router: lambda.IFunction;
  readonly sweep: lambda.IFunction;
  readonly config: lambda.IFunction;
  readonly status: lambda.IFunction;

  constructor(
    private readonly queues: Queues,
    private readonly tables: Tables,
    private readonly stateMachineArn: string,
    functions: Functions,
    /** Who may log in to the SFTP server. */
    readonly identity: lambda.IFunction,
  ) {
    this.router = functions.router;
    this.sweep = functions.sweep;
    this.config = functions.config;
    this.status = functions.status;
  }

  /** Seconds that the oldest message has waited. */
  age(queue: QueueName, period: Duration): cloudwatch.Metric {
    return this.queues[queue].metricApproximateAgeOfOldestMessage({ period, statistic: 'Maximum' });
  }

  /** Messages that wait. */
  visible(queue: QueueName, period: Duration): cloudwatch.Metric {
    return this.queues[queue].metricApproximateNumberOfMessagesVisible({ period, statistic: 'Maximum' });
  }

  /** Messages that somebody works on. */
  inFlight(queue: QueueName, period: Duration): cloudwatch.Metric {
    return this.queues[queue].metricApproximateNumberOfMessagesNotVisible({ period, statistic: 'Maximum' });
  }

  /** Runs that wait while none was taken or done; else 0. A long run is received by nobody again, and does not count as standing. */
  standing(period: Duration): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression: 'IF(FILL(waiting, 0) > 0 AND FILL(working, 0) == 0 AND FILL(done, 0) == 0, waiting, 0)',
      label: 'runs that wait while none is worked on',
      period,
      usingMetrics: {
        waiting: this.visible('work', period).with({ statistic: 'Minimum' }),
        working: this.inFlight('work', period),
        done: this.queues.work.metricNumberOfMessagesDeleted({ period, statistic: 'Sum' }),
      },
    });
  }

  /** A count of the sweep's report (`control/sweep/src/report.rs`). */
  ofSweep(count: string, period: Duration): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: 'EFT',
      metricName: `sweep_${count}`,
      dimensionsMap: { region: Aws.REGION },
      statistic: 'Sum',
      period,
    });
  }

  steps(metricName: string, period: Duration): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: 'AWS/States',
      metricName,
      dimensionsMap: { StateMachineArn: this.stateMachineArn },
      statistic: 'Sum',
      period,
    });
  }

  /** Executions that ended otherwise than by their last state. */
  stepsFailed(period: Duration): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression: 'FILL(failed, 0) + FILL(timedOut, 0)',
      label: 'failed executions',
      period,
      usingMetrics: { failed: this.steps('ExecutionsFailed', period), timedOut: this.steps('ExecutionsTimedOut', period) },
    });
  }

  /** Errors of DynamoDB itself, over all tables. */
  tableErrors(period: Duration): cloudwatch.MathExpression {
    const operations = ['GetItem', 'PutItem'];
    const usingMetrics = Object.fromEntries(
      TABLES.flatMap(({ name }) => operations.map((operation) => [`${name}${operation}`, this.ofTable(name, 'SystemErrors', operation, period)])),
    );
    return new cloudwatch.MathExpression({
      expression: Object.keys(usingMetrics)
        .map((name) => `FILL(${name}, 0)`)
        .join(' + '),
      label: 'errors of DynamoDB',
      period,
      usingMetrics,
    });
  }

  ofTable(table: (typeof TABLES)[number]['name'], metricName: string, operation: string, period: Duration): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: 'AWS/DynamoDB',
      metricName,
      dimensionsMap: { TableName: this.tables.nameOf(table), Operation: operation },
      statistic: 'Sum',
      period,
    });
  }
}
