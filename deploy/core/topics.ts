import { Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

import { servedBy } from './grants';

/** The topics: three of jobs, and one of alarms, because whoever reads jobs expects CloudEvents. */
export class Topics extends Construct {
  /** Every event. */
  readonly events: sns.Topic;
  /** Ends that were wished for. */
  readonly success: sns.Topic;
  /** What somebody has to look at. */
  readonly failure: sns.Topic;
  /** Alarms of the platform. */
  readonly alarms: sns.Topic;

  constructor(scope: Construct, id: string, key: kms.IKey) {
    super(scope, id);
    const topic = (name: string): sns.Topic => new sns.Topic(this, name, { masterKey: key, enforceSSL: true });
    this.events = topic('Events');
    this.success = topic('Success');
    this.failure = topic('Failure');
    this.alarms = topic('Alarms');
    this.alarms.addToResourcePolicy(
      new iam.PolicyStatement({
        actions: ['sns:Publish'],
        principals: [servedBy(Stack.of(this), 'cloudwatch.amazonaws.com')],
        resources: [this.alarms.topicArn],
      }),
    );
  }
}
