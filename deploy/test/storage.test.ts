import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { type Key, TABLES, type Table, type TableName } from '../core/tables';
import { all, core, list, one, shown } from './kit';

const ROOT = join(__dirname, '../../..');

test('every bucket keeps versions, is encrypted and closed to the public', () => {
  const buckets = all('AWS::S3::Bucket');
  assert.equal(buckets.size, 5);
  for (const [id, bucket] of buckets) {
    assert.equal(bucket['VersioningConfiguration'].Status, 'Enabled', id);
    assert.deepEqual(bucket['PublicAccessBlockConfiguration'], { BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true }, id);
    assert.deepEqual(bucket['OwnershipControls'].Rules, [{ ObjectOwnership: 'BucketOwnerEnforced' }], id);
    const [encryption] = bucket['BucketEncryption'].ServerSideEncryptionConfiguration;
    const isLog = id.startsWith('BucketsAccessLog');
    assert.equal(encryption.ServerSideEncryptionByDefault.SSEAlgorithm, isLog ? 'AES256' : 'aws:kms', id);
    assert.equal(encryption.BucketKeyEnabled, isLog ? undefined : true, id);
  }
});

test('only the ingest bucket tells EventBridge', () => {
  for (const [id, bucket] of all('AWS::S3::Bucket')) {
    const tells = bucket['NotificationConfiguration']?.EventBridgeConfiguration.EventBridgeEnabled === true;
    assert.equal(tells, id.startsWith('BucketsIngest'), id);
  }
});

test('uploads are aborted later than any job goes on with them, and no arrival expires', () => {
  for (const [id, bucket] of all('AWS::S3::Bucket')) {
    const rules = bucket['LifecycleConfiguration'].Rules as Record<string, unknown>[];
    const days = rules.flatMap((rule) => (rule['AbortIncompleteMultipartUpload'] as { DaysAfterInitiation: number } | undefined)?.DaysAfterInitiation ?? []);
    assert.deepEqual(days, [14], id);
    if (/^Buckets(Ingest|Out|Archive)/.test(id)) {
      assert.ok(!JSON.stringify(rules).includes('Expiration'), id);
    }
  }
  const classes = (start: string): string[] => {
    const rules = one('AWS::S3::Bucket', start)[1]['LifecycleConfiguration'].Rules as { Transitions?: { StorageClass: string }[] }[];
    return rules.flatMap((rule) => rule.Transitions ?? []).map((transition) => transition.StorageClass);
  };
  assert.deepEqual(classes('BucketsArchive'), ['GLACIER_IR', 'DEEP_ARCHIVE']);
});

test('buckets, queues and topics refuse whoever comes without TLS', () => {
  const guarded = (type: string, list_: string): Set<string> => {
    const found = new Set<string>();
    for (const policy of all(type).values()) {
      const statements = policy['PolicyDocument'].Statement as { Effect: string; Condition?: { Bool?: Record<string, string> }; Principal: unknown }[];
      if (statements.some((statement) => statement.Effect === 'Deny' && statement.Condition?.Bool?.['aws:SecureTransport'] === 'false')) {
        list(policy[list_]).forEach((one_) => found.add(shown(one_)));
      }
    }
    return found;
  };
  for (const [type, policy, field] of [
    ['AWS::S3::Bucket', 'AWS::S3::BucketPolicy', 'Bucket'],
    ['AWS::SQS::Queue', 'AWS::SQS::QueuePolicy', 'Queues'],
    ['AWS::SNS::Topic', 'AWS::SNS::TopicPolicy', 'Topics'],
  ] as const) {
    const made = [...all(type).keys()].map((id) => `{${id}}`).sort();
    assert.ok(made.length > 3, type);
    assert.deepEqual([...guarded(policy, field)].sort(), made, type);
  }
});

test('what holds files, jobs or logs outlives its stack', () => {
  for (const type of ['AWS::S3::Bucket', 'AWS::DynamoDB::GlobalTable', 'AWS::KMS::Key', 'AWS::Logs::LogGroup']) {
    for (const [id, resource] of Object.entries(core.findResources(type))) {
      assert.equal(resource['DeletionPolicy'], 'Retain', id);
      assert.equal(resource['UpdateReplacePolicy'], 'Retain', id);
    }
  }
});

test('jobs and keys are strongly consistent over two regions and a witness, the others eventually', () => {
  for (const { name, strong, expiring, range, indexes } of TABLES) {
    const [id, table] = one('AWS::DynamoDB::GlobalTable', `Tables${name.charAt(0).toUpperCase()}${name.slice(1)}`);
    assert.equal(core.findResources('AWS::DynamoDB::GlobalTable')[id]!['Condition'], 'IsPrimary');
    assert.equal(shown(table['TableName']), `{Prefix}-${name}`);
    assert.deepEqual(table['Replicas'].map((replica: { Region: unknown }) => shown(replica.Region)), ['{PrimaryRegion}', '{PeerRegion}']);
    for (const replica of table['Replicas']) {
      assert.equal(replica.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled, true);
      assert.equal(replica.DeletionProtectionEnabled, true);
    }
    const keys = (schema: { AttributeName: string }[]): string[] => schema.map((key) => key.AttributeName);
    assert.deepEqual(keys(table['KeySchema']), ['pk', ...(range ? [range.name] : [])]);
    const made = (table['GlobalSecondaryIndexes'] ?? []) as { IndexName: string; KeySchema: { AttributeName: string }[]; Projection: { NonKeyAttributes?: string[] } }[];
    assert.deepEqual(
      made.map((index) => [index.IndexName, keys(index.KeySchema), index.Projection.NonKeyAttributes ?? []]),
      indexes.map((index) => [index.name, [index.hash.name, index.range.name], index.projected]),
    );
    const kinds = new Map([...(range ? [range] : []), ...indexes.flatMap((index) => [index.hash, index.range])].map((key) => [key.name, key.kind]));
    assert.deepEqual(
      new Map((table['AttributeDefinitions'] as { AttributeName: string; AttributeType: string }[]).map((one_) => [one_.AttributeName, one_.AttributeType])),
      kinds.set('pk', 'S'),
    );
    assert.equal(table['MultiRegionConsistency'], strong ? 'STRONG' : undefined, name);
    assert.deepEqual(table['GlobalTableWitnesses'], strong ? [{ Region: { Ref: 'WitnessRegion' } }] : undefined, name);
    assert.ok(!(strong && expiring), name);
    assert.deepEqual(table['TimeToLiveSpecification'], expiring ? { AttributeName: 'ttl', Enabled: true } : undefined, name);
    assert.equal(table['LocalSecondaryIndexes'], undefined, name);
  }
});

test('the tables are those of the store', () => {
  assert.deepEqual(TABLES, tablesOf(readFileSync(join(ROOT, 'control/store/src/dynamo/tables.rs'), 'utf8')));
});

/** The constant `TABLES` of the store, which is plain enough to be read as text. */
function tablesOf(rust: string): Table[] {
  const constant = /pub const TABLES: [^=]+= \[\n([\s\S]*?)\n\];/.exec(rust)?.[1];
  assert.ok(constant, 'no constant TABLES');
  const key = (text: string): Key => {
    const [, kind, name] = /^(text|number)\("(\w+)"\)$/.exec(text)!;
    return { name: name!, kind: kind === 'text' ? 'S' : 'N' };
  };
  const flat = constant.replace(/\/\/.*/g, '').replace(/\s+/g, ' ');
  const tables = flat.split(/\bTable \{/).slice(1);
  return tables.map((table) => {
    const [, name, strong, expiring, range, indexes] = /name: "(\w+)", strong: (\w+), expiring: (\w+), range: (None|Some\(.*?\)\)), indexes: &\[(.*)\]/.exec(table)!;
    const found = [...indexes!.matchAll(/Index \{ name: "(\w+)", hash: (.*?), range: (.*?), projected: Projected::(?:Keys|With\(&\[(.*?)\]\)),? \}/g)];
    assert.equal(found.length, indexes!.split('Index {').length - 1, `${name}: an index that this cannot read`);
    return {
      name: name as TableName,
      strong: strong === 'true',
      expiring: expiring === 'true',
      ...(range === 'None' ? {} : { range: key(range!.slice('Some('.length, -1)) }),
      indexes: found.map(([, index, hash, sort, projected]) => ({
        name: index!,
        hash: key(hash!),
        range: key(sort!),
        projected: projected === undefined ? [] : projected.split(',').map((word) => word.trim().replaceAll('"', '')),
      })),
    };
  });
}
