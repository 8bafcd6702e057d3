import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { all, core, edge, list, one, shown } from './kit';

const ROOT = join(__dirname, '../../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface Statement {
  Action: string | string[];
  Resource: unknown;
  Condition?: unknown;
}

/** What a policy allows: each operation with each resource, without the ends of logical ids. */
const allowed = (start: string): string[] =>
  (one('AWS::IAM::Policy', start)[1]['PolicyDocument'].Statement as Statement[])
    .flatMap(({ Action, Resource }) => list(Action).flatMap((action) => list(Resource).map((resource) => `${action} ${shown(resource)}`)))
    .map((one_) => one_.replace(/[0-9A-F]{8}\.Arn\}/g, '}'))
    .sort();

test('the server speaks SFTP alone, asks our function, and says what is done in a log of its own', () => {
  const [, server] = one('AWS::Transfer::Server', 'Sftp', edge);
  assert.deepEqual(server['Protocols'], ['SFTP']);
  assert.equal(server['IdentityProviderType'], 'AWS_LAMBDA');
  assert.deepEqual(server['IdentityProviderDetails'], { Function: { Ref: 'IdentityFunction' }, SftpAuthenticationMethods: 'PUBLIC_KEY_OR_PASSWORD' });
  assert.match(server['SecurityPolicyName'], /^TransferSecurityPolicy-20(2[5-9]|[3-9]\d)-/, "not CloudFormation's own, which is of 2018");
  const [log] = one('AWS::Logs::LogGroup', 'Sftp', edge);
  assert.deepEqual(server['StructuredLogDestinations'], [{ 'Fn::GetAtt': [log, 'Arn'] }]);
  assert.equal(server['ProtocolDetails'].SetStatOption, 'ENABLE_NO_OP');
  edge.hasResource('AWS::Transfer::Server', { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
});

test('its endpoint has fixed addresses and security groups, or is public and has nothing', () => {
  const [, server] = one('AWS::Transfer::Server', 'Sftp', edge);
  edge.hasParameter('EndpointType', { Default: 'VPC', AllowedValues: ['VPC', 'PUBLIC'] });
  assert.deepEqual(server['EndpointType'], { Ref: 'EndpointType' });
  const [condition, details, nothing] = server['EndpointDetails']['Fn::If'];
  assert.equal(condition, 'IsInVpc');
  assert.deepEqual(Object.keys(details).sort(), ['AddressAllocationIds', 'SecurityGroupIds', 'SubnetIds', 'VpcId']);
  assert.deepEqual(nothing, { Ref: 'AWS::NoValue' });
});

test('only Transfer Family of this account calls the function, and it reaches users and counts only', () => {
  const [id, made] = one('AWS::Lambda::Function', 'SftpIdentityFunction');
  const calls = [...all('AWS::Lambda::Permission').values()].filter((permission) => shown(permission['FunctionName']) === `{${id}.Arn}`);
  assert.equal(calls.length, 1);
  assert.equal(calls[0]!['Principal'], 'transfer.amazonaws.com');
  assert.deepEqual(calls[0]!['SourceAccount'], { Ref: 'AWS::AccountId' });
  assert.match(shown(calls[0]!['SourceArn']), /:transfer:\{AWS::Region\}:\{AWS::AccountId\}:server\/\*$/);
  const settings = read('control/identity/src/config.rs');
  const wanted = new Set([...settings.slice(0, settings.indexOf('#[cfg(test)]')).matchAll(/need\("(EFT_\w+)"\)/g)].map((found) => found[1]));
  assert.deepEqual(Object.keys(made['Environment'].Variables).sort(), [...wanted].sort());
  assert.match(shown(made['Environment'].Variables.EFT_INGEST_BUCKET), /^\{BucketsIngest/);
  assert.match(shown(made['Code'].S3Key), /\/identity\.zip$/);
  const does = allowed('SftpIdentityPolicy').filter((one_) => !one_.startsWith('logs:'));
  assert.ok(does.length > 0);
  for (const one_ of does) {
    assert.match(one_, /^dynamodb:(GetItem .*-(config|keys)|PutItem .*-keys)$/);
  }
  assert.ok(made['Timeout'] <= 10, 'somebody waits at the other end');
});

test('the role writes below the folders of tenants, and has what a session may have', () => {
  const [id, role] = one('AWS::IAM::Role', 'SftpSftpRole');
  const [trust, ...more] = role['AssumeRolePolicyDocument'].Statement;
  assert.equal(more.length, 0);
  assert.deepEqual(trust.Principal, { Service: 'transfer.amazonaws.com' });
  assert.deepEqual(trust.Condition, { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } });
  const does = allowed('SftpSftpPolicy');
  assert.deepEqual(does, [
    'kms:Decrypt {KeysFiles}',
    'kms:GenerateDataKey {KeysFiles}',
    's3:DeleteObject {BucketsIngest}/tenants/*',
    's3:GetObject {BucketsIngest}/tenants/*',
    's3:ListBucket {BucketsIngest}',
    's3:PutObject {BucketsIngest}/tenants/*',
  ]);
  const policy = read('control/identity/src/policy.rs');
  const session = new Set([...policy.slice(0, policy.indexOf('#[cfg(test)]')).matchAll(/"((?:s3|kms):[A-Z]\w+)"/g)].map((found) => found[1]));
  assert.deepEqual([...session].sort(), [...new Set(does.map((one_) => one_.split(' ')[0]!))].sort(), 'the answer of the function');
  assert.match(read('control/domain/src/tenant.rs'), /"tenants\/\{/, 'where the files of a tenant arrive');
  core.hasOutput('SftpRole', { Value: { 'Fn::GetAtt': [id, 'Arn'] } });
});

test('the end of an upload goes to ingest.fifo as it is, in a group that every event can have', () => {
  const [, rule] = one('AWS::Events::Rule', 'ArrivalsUploaded');
  assert.deepEqual(rule['EventPattern'].source, ['aws.transfer']);
  const known = read('control/domain/src/message/ingest.rs');
  for (const kind of rule['EventPattern']['detail-type']) {
    assert.ok(known.includes(`"${kind}"`), kind);
  }
  const [path] = rule['EventPattern'].detail['file-path'];
  assert.match(shown(path.prefix), /^\/\{BucketsIngest\w+\}\/$/);
  const [target, ...more] = rule['Targets'];
  assert.equal(more.length, 0);
  assert.equal(target.SqsParameters.MessageGroupId, '$.id');
  assert.equal(target.InputTransformer, undefined);
  assert.match(shown(target.DeadLetterConfig.Arn), /^\{QueuesUndelivered/);
});
