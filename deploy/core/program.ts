import { type Duration, type IResolvable, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

import { servedBy } from './grants';
import type { Parameters } from './parameters';

/** What a program needs as a Lambda function. */
export interface ProgramProps {
  /** Its package, without `.zip`. */
  readonly code: string;
  readonly description: string;
  readonly timeout: Duration;
  /** MiB; the share of a processor comes with it. */
  readonly memory: number;
  /** Executions at once; without it as many as come. */
  readonly atOnce?: number;
  /** A list of layers, or nothing. */
  readonly layers?: IResolvable;
  readonly environment: Record<string, string>;
  readonly statements: iam.PolicyStatement[];
  /** Whose objects the statements name. */
  readonly objectsOf: s3.Bucket[];
}

/** A program of ours as a Lambda function, with a log and a role of its own. */
export class Program extends Construct {
  readonly function: lambda.Function;

  constructor(scope: Construct, id: string, parameters: Parameters, props: ProgramProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const log = new logs.LogGroup(this, 'Log', { retention: logs.RetentionDays.THREE_MONTHS, removalPolicy: RemovalPolicy.RETAIN });
    const role = new iam.Role(this, 'Role', {
      assumedBy: servedBy(stack, 'lambda.amazonaws.com'),
      description: props.description,
    });
    this.function = new lambda.Function(this, 'Function', {
      description: props.description,
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture: lambda.Architecture.custom(parameters.architecture),
      handler: 'bootstrap',
      // A folder a build: with another version the function is another, and with the same one the template too.
      code: lambda.Code.fromBucketV2(s3.Bucket.fromBucketName(this, 'Code', parameters.codeBucket), `${parameters.codeVersion}/${props.code}.zip`),
      timeout: props.timeout,
      memorySize: props.memory,
      reservedConcurrentExecutions: props.atOnce,
      environment: props.environment,
      logGroup: log,
      role,
    });
    if (props.layers !== undefined) {
      // The construct knows no list that is a parameter.
      (this.function.node.defaultChild as lambda.CfnFunction).addPropertyOverride('Layers', props.layers);
      for (const rule of ['F3031', 'F3033']) {
        Validations.of(this.function).acknowledge({
          id: `CloudFormation-Validate::${rule}`,
          reason: 'where the list is empty, a condition leaves the property out',
        });
      }
    }
    const policy = new iam.Policy(this, 'Policy', {
      roles: [role],
      statements: [
        new iam.PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [log.logGroupArn] }),
        ...props.statements,
      ],
    });
    // Its first execution needs what the policy allows.
    this.function.node.addDependency(policy);
    for (const bucket of props.objectsOf) {
      Validations.of(policy).acknowledge({
        id: `AwsSolutions-IAM5[Resource::<${stack.getLogicalId(bucket.node.defaultChild as s3.CfnBucket)}.Arn>/*]`,
        reason: 'files have the names that their senders give them; what may be done to them is in the list of operations',
      });
    }
    Validations.of(this).acknowledge({
      id: 'Annotation::@aws-cdk/aws-lambda:codeFromBucketObjectVersionNotSpecified',
      reason: 'a build has a folder of its own, so a key stands for one package',
    });
  }
}
