import { Aws, RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

/** Two keys: services of AWS that bring messages may use the one of messages, and none the one of files. */
export class Keys extends Construct {
  /** Of the files. */
  readonly files: kms.Key;
  /** Of what stands in queues and topics. */
  readonly messages: kms.Key;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const key = (name: string, description: string): kms.Key =>
      new kms.Key(this, name, { description, enableKeyRotation: true, removalPolicy: RemovalPolicy.RETAIN });
    this.files = key('Files', 'EFT: files in buckets');
    this.messages = key('Messages', 'EFT: messages in queues and topics');
    // The key that AWS keeps for SQS has no policy to change, and EventBridge could bring nothing to its queues.
    for (const service of ['events.amazonaws.com', 'cloudwatch.amazonaws.com']) {
      this.messages.addToResourcePolicy(
        new iam.PolicyStatement({
          actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
          principals: [new iam.ServicePrincipal(service)],
          resources: ['*'],
          conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
        }),
      );
    }
  }
}
