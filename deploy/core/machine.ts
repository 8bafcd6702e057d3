import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ArnFormat, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as stepfunctions from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';

import { servedBy } from './grants';
import type { Parameters } from './parameters';

/** Seen from `dist/core`, where this file is when it runs. */
const DEFINITION = join(__dirname, '../../state-machine/run.asl.json');

/** The state machine of small jobs, with one definition for both of its types. */
export class Machine extends Construct {
  constructor(scope: Construct, id: string, parameters: Parameters, stage: lambda.IFunction) {
    super(scope, id);
    const stack = Stack.of(this);
    const log = new logs.LogGroup(this, 'Log', {
      logGroupName: `/aws/vendedlogs/states/${Machine.nameOf(parameters)}`,
      retention: logs.RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const role = new iam.Role(this, 'Role', { assumedBy: servedBy(stack, 'states.amazonaws.com') });
    const policy = new iam.Policy(this, 'Policy', {
      roles: [role],
      statements: [
        new iam.PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [stage.functionArn] }),
        new iam.PolicyStatement({
          actions: [
            'logs:CreateLogDelivery',
            'logs:DeleteLogDelivery',
            'logs:DescribeLogGroups',
            'logs:DescribeResourcePolicies',
            'logs:GetLogDelivery',
            'logs:ListLogDeliveries',
            'logs:PutResourcePolicy',
            'logs:UpdateLogDelivery',
            'xray:GetSamplingRules',
            'xray:GetSamplingTargets',
            'xray:PutTelemetryRecords',
            'xray:PutTraceSegments',
          ],
          resources: ['*'],
        }),
      ],
    });
    Validations.of(policy).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'deliveries of logs and segments of traces are no resources that a policy could name (Step Functions, Service Authorization Reference)',
    });
    const machine = new stepfunctions.CfnStateMachine(this, 'Run', {
      stateMachineName: Machine.nameOf(parameters),
      stateMachineType: parameters.stateMachineType,
      roleArn: role.roleArn,
      definitionString: JSON.stringify(JSON.parse(readFileSync(DEFINITION, 'utf8'))),
      definitionSubstitutions: { StageFunctionArn: stage.functionArn },
      loggingConfiguration: {
        level: 'ALL',
        includeExecutionData: true,
        destinations: [{ cloudWatchLogsLogGroup: { logGroupArn: log.logGroupArn } }],
      },
      tracingConfiguration: { enabled: true },
    });
    machine.node.addDependency(policy);
  }

  /** By its type: a machine of another type is another machine, and both stand while one takes the place of the other. */
  private static nameOf(parameters: Parameters): string {
    return `${parameters.prefix}-${parameters.stateMachineType}`;
  }

  /** Said by its name, because its function has to know it and is made before it. */
  static arn(stack: Stack, parameters: Parameters): string {
    return stack.formatArn({ service: 'states', resource: 'stateMachine', resourceName: Machine.nameOf(parameters), arnFormat: ArnFormat.COLON_RESOURCE_NAME });
  }
}
