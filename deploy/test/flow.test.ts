import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { all, core, list, one, shown } from './kit';

const ROOT = join(__dirname, '../../..');

interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Condition?: Record<string, unknown>;
  Principal?: unknown;
}

/** What a policy of a role allows: each operation with each resource. */
function allowed(start: string): Set<string> {
  const statements = one('AWS::IAM::Policy', start)[1]['PolicyDocument'].Statement as Statement[];
  return new Set(
    statements.flatMap(({ Effect, Action, Resource }) => {
      assert.equal(Effect, 'Allow');
      return list(Action).flatMap((action) => list(Resource).map((resource) => `${action} ${shown(resource)}`));
    }),
  );
}

test('an event goes to its own group of ingest.fifo, without what makes two of one version differ', () => {
  const [, rule] = one('AWS::Events::Rule', 'ArrivalsCreated');
  const [target, ...more] = rule['Targets'];
  assert.equal(more.length, 0);
  assert.equal(target.SqsParameters.MessageGroupId, '$.detail.object.version-id');
  assert.match(shown(target.Arn), /^\{QueuesIngest[0-9A-F]+\.Arn\}$/);
  assert.match(shown(target.DeadLetterConfig.Arn), /^\{QueuesUndelivered/);
  const paths = target.InputTransformer.InputPathsMap as Record<string, string>;
  assert.deepEqual(
    Object.values(paths).filter((path) => !/^\$\.detail\.(bucket\.name|object\.(key|version-id|etag|size|sequencer)|reason)$/.test(path)),
    [],
  );
  // As EventBridge does: what stands in no quotes is written as JSON.
  const event: Record<string, unknown> = { 'detail-object-size': 5 };
  const message = (target.InputTransformer.InputTemplate as string).replace(/<([^>]+)>/g, (_, name: string) => JSON.stringify(event[name] ?? paths[name]));
  const canonical = JSON.parse(message) as Record<string, unknown>;
  assert.equal(canonical['v'], 1);
  assert.equal(canonical['size'], 5);
  assert.equal(canonical['key'], '$.detail.object.key');
  const rust = readFileSync(join(ROOT, 'control/domain/src/message/ingest.rs'), 'utf8');
  const fields = [...rust.slice(rust.indexOf('fn to_message')).matchAll(/"(?:(\w+)": self\.|(v)": 1)/g)].map((found) => found[1] ?? found[2]);
  assert.deepEqual(Object.keys(canonical).sort(), fields.sort(), 'the form that the domain writes and reads');
});

test('queues that files wait in are FIFO, fast, encrypted, and set aside what was received five times', () => {
  for (const [start, dead, byContent] of [
    ['QueuesIngest', 'QueuesIngestDead', true],
    ['QueuesWork', 'QueuesWorkDead', undefined],
  ] as const) {
    const [deadId] = one('AWS::SQS::Queue', dead);
    const [id, queue] = [...all('AWS::SQS::Queue')].find(([name]) => name.startsWith(start) && name !== deadId)!;
    assert.equal(queue['FifoQueue'], true, id);
    assert.equal(queue['FifoThroughputLimit'], 'perMessageGroupId', id);
    assert.equal(queue['DeduplicationScope'], 'messageGroup', id);
    assert.equal(queue['ContentBasedDeduplication'], byContent, id);
    assert.equal(queue['RedrivePolicy'].maxReceiveCount, 5, id);
    assert.equal(shown(queue['RedrivePolicy'].deadLetterTargetArn), `{${deadId}.Arn}`, id);
  }
  for (const [id, queue] of all('AWS::SQS::Queue')) {
    assert.match(shown(queue['KmsMasterKeyId']), /^\{KeysMessages/, id);
  }
});

test('EventBridge may use the key of messages and brings only by our rules; nobody else has the key of files', () => {
  const policy = (start: string): Statement[] => one('AWS::KMS::Key', start)[1]['KeyPolicy'].Statement;
  const [root, services, ...more] = policy('KeysMessages');
  assert.match(JSON.stringify(root!.Principal), /:root/);
  assert.equal(more.length, 0);
  assert.deepEqual(services!.Principal, { Service: ['cloudwatch.amazonaws.com', 'events.amazonaws.com'] });
  assert.deepEqual(services!.Action, ['kms:Decrypt', 'kms:GenerateDataKey']);
  assert.ok(services!.Condition);
  assert.equal(policy('KeysFiles').length, 1);
  const rules = [...all('AWS::Events::Rule').keys()];
  const bring = [...all('AWS::SQS::QueuePolicy').values()].flatMap((one_) => (one_['PolicyDocument'].Statement as Statement[]).filter((statement) => statement.Effect === 'Allow'));
  assert.equal(bring.length, 2);
  for (const statement of bring) {
    assert.deepEqual(statement.Condition, { ArnEquals: { 'aws:SourceArn': rules.map((rule) => ({ 'Fn::GetAtt': [rule, 'Arn'] })) } });
  }
});

test('Lambda gives the router batches whose messages may fail each by itself', () => {
  const [, mapping] = one('AWS::Lambda::EventSourceMapping', 'ArrivalsToRouter');
  assert.deepEqual(mapping['FunctionResponseTypes'], ['ReportBatchItemFailures']);
  assert.equal(mapping['BatchSize'], 10);
  const router = one('AWS::Lambda::Function', 'FunctionsRouterFunction')[1];
  const queue = [...all('AWS::SQS::Queue')].find(([id]) => /^QueuesIngest[0-9A-F]{8}$/.test(id))![1];
  assert.ok(queue['VisibilityTimeout'] >= 6 * router['Timeout']);
});

test('functions have every variable that their programs read', () => {
  const read = (path: string): string[] => {
    const table = /pub const VARIABLES: [^=]+= \[([\s\S]*?)\];/.exec(readFileSync(join(ROOT, path), 'utf8'))![1]!;
    return [...table.matchAll(/\("(EFT_\w+)"/g)].map((found) => found[1]!);
  };
  const shared = [...read('control/store/src/aws/settings.rs'), 'EFT_INGEST_BUCKETS'];
  assert.ok(shared.length > 9);
  const own = read('worker/stage-fn/src/config.rs').filter((name) => !['EFT_SCANNER', 'EFT_CONCURRENCY'].includes(name));
  for (const [start, wanted] of [
    ['Router', shared],
    ['Sweep', [...shared, 'EFT_SWEEP_SECONDS']],
    ['Stage', [...shared, ...own]],
  ] as const) {
    const made = one('AWS::Lambda::Function', `Functions${start}Function`)[1];
    assert.deepEqual(Object.keys(made['Environment'].Variables).sort(), [...new Set(wanted)].sort(), start);
    assert.equal(made['Runtime'], 'provided.al2023');
    assert.deepEqual(made['Architectures'], [{ Ref: 'Architecture' }]);
    assert.equal(shown(made['Code'].S3Key), `{CodeVersion}/${start.toLowerCase()}.zip`);
  }
});

test('variables name what they should', () => {
  const variables = one('AWS::Lambda::Function', 'FunctionsStageFunction')[1]['Environment'].Variables as Record<string, unknown>;
  const plain = (name: string): string => shown(variables[name]).replace(/([A-Za-z])[0-9A-F]{8}\}/, '$1}');
  assert.deepEqual(Object.fromEntries(Object.keys(variables).filter((name) => name !== 'EFT_STATE_MACHINE').map((name) => [name, plain(name)])), {
    EFT_TABLE_JOBS: '{Prefix}-jobs',
    EFT_TABLE_KEYS: '{Prefix}-keys',
    EFT_TABLE_RUNS: '{Prefix}-runs',
    EFT_TABLE_CONFIG: '{Prefix}-config',
    EFT_WORK_QUEUE: '{QueuesWork}',
    EFT_TOPIC_EVENTS: '{TopicsEvents}',
    EFT_TOPIC_SUCCESS: '{TopicsSuccess}',
    EFT_TOPIC_FAILURE: '{TopicsFailure}',
    EFT_RETENTION_DAYS: '{RetentionDays}',
    EFT_INGEST_BUCKETS: 'ingest={BucketsIngest}',
    EFT_STAGING_BUCKET: '{BucketsStaging}',
    EFT_ARCHIVE_BUCKET: '{BucketsArchive}',
    EFT_SIGNING_KEY: '{SigningKey}',
    EFT_KEYS: '{KeyFolder}',
  });
});

test('the sweep ends before Lambda ends it, and never runs twice at once', () => {
  const sweep = one('AWS::Lambda::Function', 'FunctionsSweepFunction')[1];
  assert.ok(Number(sweep['Environment'].Variables.EFT_SWEEP_SECONDS) + 30 < sweep['Timeout']);
  assert.equal(sweep['ReservedConcurrentExecutions'], 1);
  const schedule = one('AWS::Scheduler::Schedule', 'ArrivalsSchedule')[1];
  assert.equal(schedule['ScheduleExpression'], 'rate(5 minutes)');
  assert.match(shown(schedule['Target'].Arn), /^\{FunctionsSweepFunction/);
});

test('programs may do what they do, and nothing to everything', () => {
  for (const start of ['FunctionsRouterPolicy', 'FunctionsSweepPolicy', 'FunctionsStagePolicy', 'ArrivalsSchedulePolicy']) {
    for (const one_ of allowed(start)) {
      const [action, resource] = one_.split(' ') as [string, string];
      assert.ok(!action.includes('*'), one_);
      assert.ok(!resource.replace(/^(\{Buckets\w+\.Arn\})\/\*$/, '$1').includes('*'), `${start}: ${one_}`);
    }
  }
  const router = [...allowed('FunctionsRouterPolicy')];
  const reads = router.filter((one_) => /^s3:/.test(one_)).map((one_) => one_.split(' ')[0]);
  assert.deepEqual(reads.sort(), ['s3:GetObject', 's3:GetObjectVersion', 's3:ListBucket']);
  assert.ok(!router.some((one_) => one_.includes('KeysFiles')), 'the router cannot read a file');
  const sweep = [...allowed('FunctionsSweepPolicy')];
  assert.ok(!sweep.some((one_) => one_.includes('KeysFiles')), 'nor can the sweep');
  const stage = [...allowed('FunctionsStagePolicy')];
  const writes = stage.filter((one_) => /^s3:(Put|Delete)/.test(one_));
  assert.ok(!writes.some((one_) => one_.includes('BucketsIngest')), 'nothing of ours writes where files arrive');
  assert.deepEqual(
    writes.filter((one_) => one_.startsWith('s3:Delete')).map((one_) => one_.replace(/\{BucketsStaging.*$/, 'staging')),
    ['s3:DeleteObject staging', 's3:DeleteObjectVersion staging'],
  );
});

test('the machine is the file, of either type, and calls the stage function only', () => {
  const [, machine] = one('AWS::StepFunctions::StateMachine', 'MachineRun');
  assert.deepEqual(JSON.parse(machine['DefinitionString']), JSON.parse(readFileSync(join(ROOT, 'deploy/state-machine/run.asl.json'), 'utf8')));
  const names = Object.keys(machine['DefinitionSubstitutions']);
  const used = new Set([...(machine['DefinitionString'] as string).matchAll(/\$\{(\w+)\}/g)].map((found) => found[1]));
  assert.deepEqual([...used], names);
  assert.deepEqual(machine['StateMachineType'], { Ref: 'StateMachineType' });
  core.hasParameter('StateMachineType', { AllowedValues: ['STANDARD', 'EXPRESS'] });
  const arn = one('AWS::Lambda::Function', 'FunctionsRouterFunction')[1]['Environment'].Variables.EFT_STATE_MACHINE;
  assert.ok(shown(arn).endsWith(`:stateMachine:${shown(machine['StateMachineName'])}`));
});

test('what goes wrong rings, on a topic that CloudWatch may write to', () => {
  const alarms = [...all('AWS::CloudWatch::Alarm')];
  assert.ok(alarms.length >= 10);
  const [topic] = one('AWS::SNS::Topic', 'TopicsAlarms');
  for (const [id, alarm] of alarms) {
    assert.deepEqual(alarm['AlarmActions'], [{ Ref: topic }], id);
    assert.match(alarm['AlarmDescription'], /^EFT: .{20,}/, id);
  }
  const gone = alarms.find(([id]) => id.startsWith('AlarmsSweepGone'))![1];
  assert.equal(gone['TreatMissingData'], 'breaching');
  for (const [name, metric, watched] of [
    ['IdentityThrottles', 'Throttles', 'SftpIdentityFunction'],
    ['ConfigErrors', 'Errors', 'FunctionsConfigFunction'],
    ['StatusErrors', 'Errors', 'FunctionsStatusFunction'],
  ] as const) {
    const alarm = alarms.find(([id]) => id.startsWith(`Alarms${name}`))![1];
    assert.equal(alarm['MetricName'], metric, name);
    assert.deepEqual(alarm['Dimensions'], [{ Name: 'FunctionName', Value: { Ref: one('AWS::Lambda::Function', watched)[0] } }], name);
  }
  const policy = one('AWS::SNS::TopicPolicy', 'TopicsAlarms')[1]['PolicyDocument'].Statement as Statement[];
  assert.ok(policy.some(({ Effect, Principal }) => Effect === 'Allow' && JSON.stringify(Principal).includes('cloudwatch.amazonaws.com')));
});

test('the page says which packages a build has to hold', () => {
  const page = readFileSync(join(__dirname, '../../README.md'), 'utf8');
  const packages = [...all('AWS::Lambda::Function').values()].map((properties) => /(\w+\.zip)$/.exec(shown(properties['Code']['S3Key']))![1]!);
  assert.deepEqual(packages.filter((name) => !page.includes(`\`${name}\``)), []);
  assert.equal(packages.length, 6);
});
