import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { all, core, list, one, shown } from './kit';

const ROOT = join(__dirname, '../../..');
const paths = (api: string): Record<string, Record<string, { security?: unknown[] }>> => JSON.parse(readFileSync(join(ROOT, `control/${api}/openapi.json`), 'utf8')).paths;
const CONFIG = paths('config');
const STATUS = paths('status');

/** The variables that a file of settings reads. */
const reads = (path: string): string[] => {
  const settings = readFileSync(join(ROOT, path), 'utf8');
  return [...settings.slice(0, settings.indexOf('#[cfg(test)]')).matchAll(/"(EFT_\w+)"/g)].map((found) => found[1]!);
};

/** The function to which the API sends a request, by what its logical id begins with. */
const target = (route: Record<string, unknown>): string => {
  const integration = /\{(\w+)\}/.exec(shown(route['Target']))![1]!;
  return shown(all('AWS::ApiGatewayV2::Integration').get(integration)!['IntegrationUri']);
};

test('the API asks for a token everywhere but where it says how to ask, as its document has it', () => {
  const routes = [...all('AWS::ApiGatewayV2::Route').values()];
  const [authorizer] = one('AWS::ApiGatewayV2::Authorizer', 'Api');
  const open = [];
  for (const route of routes) {
    if (route['AuthorizationType'] === 'NONE') {
      open.push(route['RouteKey']);
    } else {
      assert.equal(route['AuthorizationType'], 'JWT', route['RouteKey']);
      assert.equal(shown(route['AuthorizerId']), `{${authorizer}}`);
    }
  }
  const documented = Object.entries({ ...CONFIG, ...STATUS }).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.security?.length === 0)
      .map(([method]) => `${method.toUpperCase()} ${path}`),
  );
  assert.ok(documented.length > 0);
  assert.deepEqual(open.sort(), documented.sort());
});

test('each path is sent to the function whose document has it', () => {
  const routes = [...all('AWS::ApiGatewayV2::Route').values()];
  // As API Gateway chooses: the longest that fits, and one without a name before one with.
  const chosen = (path: string): Record<string, unknown> => {
    const fits = routes.filter((route) => {
      const pattern = (route['RouteKey'] as string).split(' ')[1]!;
      const expression = pattern.replace(/\{\w+\+\}/, '.+').replace(/\{\w+\}/, '[^/]+');
      return new RegExp(`^${expression}$`).test(path);
    });
    const weight = (route: Record<string, unknown>): number => (route['RouteKey'] as string).split(' ')[1]!.replace(/\{.*\}/, '').length;
    return fits.sort((one, other) => weight(other) - weight(one))[0]!;
  };
  for (const [document, start] of [
    [CONFIG, 'FunctionsConfigFunction'],
    [STATUS, 'FunctionsStatusFunction'],
  ] as const) {
    for (const path of Object.keys(document)) {
      assert.match(target(chosen(path.replace(/\{\w+\}/g, 'x'))), new RegExp(`\\{${start}`), path);
    }
  }
  const shared = Object.keys(CONFIG).filter((path) => path in STATUS);
  assert.deepEqual(shared, []);
});

test('its tokens are of the issuer and for the audience that the parameters name', () => {
  const tokens = one('AWS::ApiGatewayV2::Authorizer', 'Api')[1];
  assert.deepEqual(tokens['JwtConfiguration'], { Audience: [{ Ref: 'TokenAudience' }], Issuer: { Ref: 'TokenIssuer' } });
  assert.deepEqual(tokens['IdentitySource'], ['$request.header.Authorization']);
  core.hasParameter('CursorKey', { NoEcho: true });
});

test('it says who asked, and takes no more than it can', () => {
  const stage = one('AWS::ApiGatewayV2::Stage', 'Api')[1];
  assert.match(shown(stage['AccessLogSettings'].DestinationArn), /^\{ApiLog/);
  assert.ok(stage['DefaultRouteSettings'].ThrottlingRateLimit > 0 && stage['DefaultRouteSettings'].ThrottlingBurstLimit > 0);
});

test('its function has every variable that it reads, and reaches tenants, routes and facts only', () => {
  const made = one('AWS::Lambda::Function', 'FunctionsConfigFunction')[1];
  const read = new Set([...reads('control/config/src/settings.rs'), ...reads('control/api/src/settings.rs')]);
  assert.deepEqual(Object.keys(made['Environment'].Variables).sort(), [...read].sort());
  assert.ok(made['Timeout'] < 30, 'the API does not wait longer');
  const statements = one('AWS::IAM::Policy', 'FunctionsConfigPolicy')[1]['PolicyDocument'].Statement as { Action: string | string[]; Resource: unknown }[];
  const actions = new Set(statements.flatMap((statement) => list(statement.Action)));
  assert.deepEqual([...actions].sort(), ['dynamodb:DeleteItem', 'dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query', 'logs:CreateLogStream', 'logs:PutLogEvents']);
  const tables = statements.flatMap((statement) => list(statement.Resource)).map((resource) => JSON.stringify(resource));
  assert.ok(!tables.some((resource) => /-(jobs|runs)/.test(resource)), 'no job is in its reach');
  assert.deepEqual(partitions('FunctionsConfigPolicy', 'dynamodb:DeleteItem'), [['users', 'partners#*']]);
});

/** The partitions to which a policy holds each statement that allows this; none where it allows it in all of a table. */
const partitions = (policy: string, action: string): (string[] | undefined)[] => {
  const statements = one('AWS::IAM::Policy', policy)[1]['PolicyDocument'].Statement as Record<string, any>[];
  const allowed = statements.filter((statement) => list(statement['Action']).includes(action));
  return allowed.map((statement) => statement['Condition']?.['ForAllValues:StringLike']?.['dynamodb:LeadingKeys']);
};

test('the status API writes of the configuration the audit trail only', () => {
  const statements = one('AWS::IAM::Policy', 'FunctionsStatusPolicy')[1]['PolicyDocument'].Statement as Record<string, any>[];
  const writing = statements.filter((statement) => /-config"/.test(JSON.stringify(statement['Resource'])) && list(statement['Action']).some((action) => /Put|Update|Delete/.test(action as string)));
  assert.deepEqual(
    writing.map((statement) => [statement['Action'], statement['Condition']]),
    [['dynamodb:PutItem', { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['audit#*'] } }]],
  );
});

test('the function of the status API has every variable that it reads, removes nothing and reads no file', () => {
  const made = one('AWS::Lambda::Function', 'FunctionsStatusFunction')[1];
  const read = new Set(['control/status/src/settings.rs', 'control/api/src/settings.rs', 'control/store/src/aws/settings.rs'].flatMap(reads));
  assert.deepEqual(Object.keys(made['Environment'].Variables).sort(), [...read].sort());
  assert.ok(made['Timeout'] < 30, 'the API does not wait longer');
  const statements = one('AWS::IAM::Policy', 'FunctionsStatusPolicy')[1]['PolicyDocument'].Statement as { Action: string | string[]; Resource: unknown }[];
  const actions = statements.flatMap((statement) => list(statement.Action));
  assert.ok(!actions.some((action) => action.startsWith('s3:') || action === 'dynamodb:DeleteItem' || action.includes('*')));
  const taken = statements.filter((statement) => list(statement.Action).includes('sqs:DeleteMessage')).flatMap((statement) => list(statement.Resource));
  assert.deepEqual(
    taken.map((resource) => shown(resource).replace(/[0-9A-F]{8}/, '')),
    ['{QueuesIngestDead.Arn}', '{QueuesWorkDead.Arn}'],
  );
});
