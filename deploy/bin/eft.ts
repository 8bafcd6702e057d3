import { App, DefaultStackSynthesizer, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';

import { CoreStack } from '../core/stack';
import { EdgeStack } from '../edge/stack';

/** Ways of CDK that newer apps have by themselves, of the services we use. */
const FLAGS = [
  '@aws-cdk/aws-iam:minimizePolicies',
  '@aws-cdk/aws-kms:aliasNameRef',
  '@aws-cdk/aws-kms:reduceCrossAccountRegionPolicyScope',
  '@aws-cdk/aws-lambda:recognizeVersionProps',
  '@aws-cdk/aws-lambda:useCdkManagedLogGroup',
  '@aws-cdk/aws-s3:createDefaultLoggingPolicy',
  '@aws-cdk/aws-s3:publicAccessBlockedByDefault',
  '@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy',
  '@aws-cdk/core:aspectStabilization',
  '@aws-cdk/core:checkSecretUsage',
  '@aws-cdk/core:explicitStackTags',
  '@aws-cdk/core:validateAgainstDefaultRules',
];

// The stacks. They name no account and no region: what differs between deployments is a parameter.
const app = new App({ context: Object.fromEntries(FLAGS.map((flag) => [flag, true])) });
// Nothing here is brought by a bootstrapped bucket, so the templates deploy without one.
const synthesizer = new DefaultStackSynthesizer({ generateBootstrapVersionRule: false });
new CoreStack(app, 'core', { stackName: 'eft-core', synthesizer });
new EdgeStack(app, 'edge', { stackName: 'eft-edge', synthesizer });
Validations.of(app).addPlugins(new AwsSolutionsChecks(app, { writeSuppressionsToCloudFormation: true }));
app.synth();
